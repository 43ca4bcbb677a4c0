//! What the user registers, before it is served.
//!
//! Sees `router` and `settings`.

mod arguments; // what its methods are called with, and how a handler is to be called
mod table; // the class `AppTable`, and what it is frozen to

pub(crate) use table::App;
