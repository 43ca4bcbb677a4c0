//! What the program publishes.

use pyre_ffi::module::ModuleObject;
use pyre_ffi::{Arguments, Attached, ModuleBuilder, Object, Owned, Raised};
use pyre_interp::objects::topics;

use crate::server::engine::Engine;

/// Adds the function to the module.
pub(crate) fn add(module: &ModuleBuilder<'_>) -> Result<(), Raised> {
    module.function(
        c"publish",
        c"publish(app, topic, data, event=None, id=None, timeout=None)\n--\n\n\
          Send data to all connections of an app that have subscribed to a topic.",
        publish,
    )
}

fn publish<'py>(
    module: &Object<ModuleObject>,
    py: Attached<'py>,
    given: Arguments<'_>,
) -> Result<Owned<'py>, Raised> {
    let engine = module.state::<Engine>(py)?;
    let asked = topics::Asked::read(py, &given)?;
    let Some(app) = engine.app.cast(asked.app(), py) else {
        return Err(Raised::type_error(py, "app must be an AppTable"));
    };
    let (json_default, topics) = app.get().publishes_with(py)?;
    asked.publish(py, &engine.toolkit, json_default.as_deref(), topics)
}
