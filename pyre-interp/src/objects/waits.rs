//! How long a program waits to send or to receive, and how its event loop knows who does.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use pyre_ffi::{
    Arguments, Attached, Float, Int, Object, Owned, Raised, Signature, Str, import, none,
};

use crate::flow::{Waker, Wakes};
use crate::objects::stream::given::seconds_of;

/// What an event loop knows a waiter by, from its first question on.
pub(in crate::objects) fn number(
    known: &Cell<u64>,
    wakes: Option<&Arc<Wakes>>,
    mark: u64,
    set_waker: impl FnOnce(Waker),
) -> Option<u64> {
    let wakes = wakes?;
    if known.get() == 0 {
        known.set(Wakes::next_number() | mark);
        set_waker(Waker { wakes: wakes.clone(), number: known.get() });
    }
    Some(known.get())
}

/// A timeout that was given: any number of seconds, also one that is over.
pub(in crate::objects) fn require_seconds(
    timeout: Option<&Object>,
    py: Attached<'_>,
) -> Result<(), Raised> {
    let Some(timeout) = timeout.filter(|timeout| !timeout.is_none()) else { return Ok(()) };
    if timeout.is_a::<Int>() {
        return Ok(());
    }
    match timeout.cast::<Float>() {
        Some(seconds) if !seconds.as_f64().is_nan() => Ok(()),
        Some(_) => Err(Raised::value_error(py, "timeout is a number of seconds, not nan")),
        None => {
            let text = format!("timeout is a number of seconds, not {}", timeout.type_name());
            Err(Raised::type_error(py, &text))
        }
    }
}

/// The span that an internal function was called with.
pub(in crate::objects) fn span_of(
    py: Attached<'_>,
    given: &Arguments<'_>,
    function: &'static str,
) -> Result<Duration, Raised> {
    let [seconds] = given.parse(&Signature::all(function, ["seconds"]), py)?;
    let seconds = seconds_of(&seconds.expect("it is required"), "seconds", py)?;
    Ok(Duration::try_from_secs_f64(seconds.unwrap_or(0.0)).unwrap_or(Duration::MAX))
}

/// What `send` does when there is no room, or returns in a coroutine.
#[cold]
pub(in crate::objects) fn send_later<'py>(
    py: Attached<'py>,
    sender: &Object,
    data: &Object,
    timeout: Option<&Object>,
) -> Result<Owned<'py>, Raised> {
    let timeout = timeout.map_or_else(|| none(py), |timeout| timeout.to_owned(py));
    let arguments = [sender.to_owned(py), data.to_owned(py), timeout];
    let streams = import(py, "pyreframework.handlers.streams")?;
    let send_later = streams.attr(&*Str::intern(py, "send_later")?, py)?;
    send_later.call(Owned::borrow_all(&arguments), py)
}
