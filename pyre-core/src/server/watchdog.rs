//! Watchdogs: a thread for each interpreter that asks for its GIL now and then, measures how long
//! that takes, and tells the log who was running if it took too long.
//!
//! One that waits behind a GIL holds up no other. A watchdog is inside its interpreter only for the
//! moment of a probe, and while it waits to get in; it gets in, or is turned away, before the
//! interpreter ends.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pyre_ffi::interpreter::InterpreterHandle;
use pyre_ffi::{Attached, Float, List, Owned, Raised, Str, Tuple, frames_of_other_threads, import};

use crate::server::crew::{Crew, Crews};
use crate::server::threads::Threads;
use crate::shared::control::Control;
use crate::shared::gil::GilWait;

/// Probes in the time that a GIL may be held.
const PROBES: u32 = 10;

/// The shortest and the longest pause between two probes.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// After a report of an interpreter there is none for so long.
const REPORT_PAUSE: Duration = Duration::from_secs(10);

/// An interpreter to be watched.
pub(crate) struct Watched {
    handle: InterpreterHandle,
    pub(crate) wait: Arc<GilWait>,
}

/// The interpreters that have lanes.
pub(crate) fn interpreters(crews: &Crews) -> Vec<Watched> {
    let mut watched: Vec<Watched> = Vec::new();
    for crew in crews.all() {
        if watched.iter().all(|other| other.handle.id() != crew.handle.id()) {
            let name = crew.name.trim_start_matches("pyre-").trim_start_matches("worker-");
            let wait = Arc::new(GilWait::new(name.to_owned()));
            watched.push(Watched { handle: crew.handle.clone(), wait });
        }
    }
    watched
}

/// Starts a watchdog for each interpreter.
///
/// # Errors
/// If the system has no room for another thread.
pub(crate) fn start(
    watched: Vec<Watched>,
    threads: &Arc<Threads>,
    crews: &Arc<Crews>,
    control: &Arc<Control>,
    held_max: Duration,
) -> io::Result<()> {
    let pause = (held_max / PROBES).clamp(PAUSE_MIN, PAUSE_MAX);
    for Watched { handle, wait } in watched {
        let (crews, control) = (crews.clone(), control.clone());
        let name = format!("pyre-watchdog-{}", wait.name);
        let mut quiet_until = Instant::now();
        threads.start(name, None, move || {
            while !control.wait_stopping(pause) {
                wait.begin();
                let entered = handle.enter(|py| {
                    let waited = wait.end();
                    if waited < held_max {
                        return;
                    }
                    wait.was_long();
                    let frames = frames_of_other_threads(py);
                    // Nobody is left who could have held it: he has finished, or the machine was
                    // busy with others.
                    if frames.is_empty() || Instant::now() < quiet_until {
                        return;
                    }
                    quiet_until = Instant::now() + REPORT_PAUSE;
                    let own = crews.of(&handle);
                    if let Err(raised) = report(py, frames, &own, &wait.name, waited) {
                        raised.write_unraisable("the report of a GIL that was held", py);
                    }
                });
                if entered.is_err() {
                    // The interpreter ends.
                    return wait.give_up();
                }
            }
        })?;
    }
    Ok(())
}

/// Tells the log what ran in this interpreter while the GIL was held. Whoever held it has not run on
/// since: it has to wait for us now.
fn report(
    py: Attached<'_>,
    frames: Vec<(i64, Owned<'_>)>,
    crews: &[Arc<Crew>],
    name: &str,
    waited: Duration,
) -> Result<(), Raised> {
    let mut rows = Vec::with_capacity(frames.len());
    for (state, frame) in frames {
        let mut label = String::new();
        for crew in crews {
            let runs = crew.watches.iter().find(|watch| watch.thread().state == state);
            if let Some(target) = runs.and_then(|watch| watch.piece()).and_then(|it| it.target) {
                crew.app.application.label(target).clone_into(&mut label);
            }
        }
        let row = [Str::new(py, &label)?.into_any(), frame];
        rows.push(Tuple::new(py, row)?.into_any());
    }
    let interpreter =
        if name == "main" { "the main interpreter".to_owned() } else { format!("worker {name}") };
    let arguments = [
        Str::new(py, &interpreter)?.into_any(),
        Float::new(py, waited.as_secs_f64())?.into_any(),
        List::from_vec(py, rows)?.into_any(),
    ];
    let logs = import(py, "pyreframework.logs.records")?;
    let gil_held = logs.attr(&*Str::intern(py, "gil_held")?, py)?;
    gil_held.call(Owned::borrow_all(&arguments), py).map(drop)
}
