//! What Python asks before it forks this process.

use pyre_ffi::interpreter::can_fork;
use pyre_ffi::module::ModuleObject;
use pyre_ffi::{Arguments, Attached, Bool, ModuleBuilder, Object, Owned, Raised, Signature};

const CAN_FORK: Signature<0> =
    Signature { function: "can_fork", names: [], required: 0, positional_max: 0 };

/// Adds the function to the module.
pub(crate) fn add(module: &ModuleBuilder<'_>) -> Result<(), Raised> {
    module.function(
        c"can_fork",
        c"can_fork()\n--\n\nWhether a process that is forked while workers run can live.",
        ask,
    )
}

fn ask<'py>(
    _module: &Object<ModuleObject>,
    py: Attached<'py>,
    given: Arguments<'_>,
) -> Result<Owned<'py>, Raised> {
    let [] = given.parse(&CAN_FORK, py)?;
    Ok(Bool::new(py, can_fork()).into_any())
}
