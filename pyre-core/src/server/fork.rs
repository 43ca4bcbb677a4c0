//! What Python asks before it forks this process, and in the new one.

use pyre_ffi::interpreter::can_fork;
use pyre_ffi::module::ModuleObject;
use pyre_ffi::{Arguments, Attached, Bool, Int, ModuleBuilder, Object, Owned, Raised, Signature};

use crate::inbound::listener;

const CAN_FORK: Signature<0> = Signature::all("can_fork", []);

const NUMBERS_END: Signature<0> = Signature::all("numbers_end", []);

/// Adds the functions to the module.
pub(crate) fn add(module: &ModuleBuilder<'_>) -> Result<(), Raised> {
    module.function(
        c"can_fork",
        c"can_fork()\n--\n\nWhether a process that is forked while workers run can live.",
        ask,
    )?;
    module.function(
        c"numbers_end",
        c"numbers_end()\n--\n\nA number that is greater than all descriptors of sockets of servers.",
        numbers_end,
    )
}

fn numbers_end<'py>(
    _module: &Object<ModuleObject>,
    py: Attached<'py>,
    given: Arguments<'_>,
) -> Result<Owned<'py>, Raised> {
    let [] = given.parse(&NUMBERS_END, py)?;
    Int::new(py, i64::from(listener::numbers_end())).map(Owned::into_any)
}

fn ask<'py>(
    _module: &Object<ModuleObject>,
    py: Attached<'py>,
    given: Arguments<'_>,
) -> Result<Owned<'py>, Raised> {
    let [] = given.parse(&CAN_FORK, py)?;
    Ok(Bool::new(py, can_fork()).into_any())
}
