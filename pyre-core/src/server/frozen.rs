//! What all reactors of a server share and nobody changes: routes and settings.

use crate::inbound::route::Routes;
use crate::settings::Settings;

/// Routes and settings of a server.
pub(crate) struct Frozen {
    pub(crate) routes: Routes,
    pub(crate) settings: Settings,
}
