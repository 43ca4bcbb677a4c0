//! Failures after which the process cannot go on: it says why, and ends.

use std::io;
use std::time::Duration;

use crate::log::writer;
use crate::sys;

/// Ends a process that a handler has forked, and in which it returned or waits instead of ending it:
/// there is nobody to answer, and nothing else to do.
pub(crate) fn end_fork() -> ! {
    let reason = "a handler returned in a process that it had forked; end it with os._exit()";
    writer::say("ERROR", "pyre: ", reason);
    writer::flush(Duration::from_secs(1));
    sys::exit_at_once()
}

/// Runs the body of a thread without which the server cannot go on. If it fails or panics, the
/// process ends with code 1 and a line that says so: half a server would answer half the clients.
pub(crate) fn end_process_if_it_fails(name: &str, run: impl FnOnce() -> io::Result<()>) {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
    let reason = match outcome {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        // The panic hook has written message and place.
        Err(_) => "panic".to_owned(),
    };
    let reason = format!("{name} failed and the server cannot go on: {reason}");
    writer::say("CRITICAL", "pyre: ", &reason);
    // What was logged before stands before it, as far as somebody reads.
    writer::flush(Duration::from_secs(1));
    sys::exit_at_once()
}
