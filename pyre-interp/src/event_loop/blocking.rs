//! What debug mode tells of coroutines that block their loop. Asyncio tells of the steps that tasks make
//! as well, but does not know whose they are when a step ends its request, and nothing of those that
//! the lane makes.

use std::time::Duration;

use pyre_ffi::{Attached, Float, Raised, Str, import};

/// What counts as blocking the loop; the same as asyncio's `slow_callback_duration`.
const BLOCKING: Duration = Duration::from_millis(100);

/// Tells the log, if a step took so long that others on the loop had to wait.
#[cold]
pub(crate) fn report(py: Attached<'_>, label: &str, took: Duration) {
    if took < BLOCKING {
        return;
    }
    let told = || -> Result<(), Raised> {
        let (label, seconds) = (Str::new(py, label)?, Float::new(py, took.as_secs_f64())?);
        let logs = import(py, "pyreframework.logs.records")?;
        logs.call_method2(&*Str::intern(py, "blocked")?, &*label, &*seconds, py).map(drop)
    };
    if let Err(raised) = told() {
        raised.write_unraisable("the report of a blocked event loop", py);
    }
}
