//! The monitor: a thread that looks at all lanes now and then, interrupts handlers that have taken
//! longer than they may, and has another lane take the place of one that does not end all the same.
//!
//! It costs lanes nothing but to say what they run (`pyre_interp::worker::watch`). How long a piece of
//! work has taken is counted from the first look that saw it, so it is interrupted up to one look
//! late. Coroutines that wait are not seen here: the loop lane counts their time itself.
//!
//! An interruption is an exception that Python raises in the handler's thread as soon as that runs
//! bytecode again. Setting it takes the interpreter's GIL, so another thread does it: one that keeps
//! its GIL for ever must not keep the monitor from looking after the others.
//!
//! When the server stops, what still runs has been given up. It is interrupted too, so that hooks and
//! whatever else cleans up behind a handler have their turn before their interpreter ends.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use pyre_ffi::{
    Attached, Float, Raised, Str, ThreadId, frame_of_thread, import, none, raise_in_thread,
};
use pyre_interp::job::Target;
use pyre_interp::worker::watch::{Piece, Watch};

use crate::server::crew::{Crew, Crews, Guest};
use crate::server::threads::Threads;
use crate::shared::control::Control;
use crate::shared::frozen::{Allowances, FOR_EVER_MS, grace_ms};

/// Looks in the shortest time that any handler may take.
const LOOKS: u64 = 10;

/// The shortest and the longest pause between two looks, in milliseconds.
const PAUSE_MS_MIN: u64 = 2;
const PAUSE_MS_MAX: u64 = 100;

/// How long a piece of work may go on when the server stops before it is interrupted: longer than the
/// callbacks of an event loop.
const LAST_LOOK: Duration = Duration::from_millis(50);

/// How long what was interrupted then has to end: a part of what lanes have before they are left.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// Starts the monitor, unless every handler may take as long as it likes.
///
/// # Errors
/// If the system has no room for another thread.
pub(crate) fn start(
    threads: &Arc<Threads>,
    crews: &Arc<Crews>,
    control: &Arc<Control>,
    allowances: &Allowances,
) -> std::io::Result<()> {
    let Some(shortest_ms) = allowances.shortest_ms() else { return Ok(()) };
    let pause_ms = (shortest_ms / LOOKS).clamp(PAUSE_MS_MIN, PAUSE_MS_MAX);
    let monitor = Monitor {
        threads: threads.clone(),
        crews: crews.clone(),
        allowances: allowances.clone(),
        seen: HashMap::new(),
    };
    let control = control.clone();
    threads.start("pyre-monitor".to_owned(), None, move || {
        let mut monitor = monitor;
        while !control.wait_stopping(Duration::from_millis(pause_ms)) {
            monitor.look(Instant::now());
        }
    })
}

struct Monitor {
    threads: Arc<Threads>,
    crews: Arc<Crews>,
    allowances: Allowances,
    /// What each lane was seen to run, by the address of its watch.
    seen: HashMap<usize, Seen>,
}

/// A piece of work that a lane was seen to run.
struct Seen {
    piece: Piece,
    since: Instant,
    /// When it is interrupted, or interrupted again.
    interrupt_at: Instant,
    /// The log was told of it.
    is_reported: bool,
    /// When another lane is to take the place of its own; none once one has.
    replace_at: Option<Instant>,
}

impl Monitor {
    fn look(&mut self, now: Instant) {
        for crew in self.crews.all() {
            for watch in &crew.watches {
                self.look_at(&crew, watch, now);
            }
        }
    }

    fn look_at(&mut self, crew: &Guest, watch: &Arc<Watch>, now: Instant) {
        let key = Arc::as_ptr(watch) as usize;
        let Some(piece) = watch.piece() else {
            self.seen.remove(&key);
            return;
        };
        let allowed_ms = self.allowances.of(piece.target);
        if allowed_ms >= FOR_EVER_MS {
            self.seen.remove(&key);
            return;
        }
        let allowed = Duration::from_millis(allowed_ms);
        let grace = Duration::from_millis(grace_ms(allowed_ms));
        let fresh = || Seen {
            piece,
            since: now,
            interrupt_at: now + allowed,
            is_reported: false,
            replace_at: Some(now + allowed + grace),
        };
        let seen = self.seen.entry(key).or_insert_with(fresh);
        if seen.piece != piece {
            *seen = fresh();
        }
        if now >= seen.interrupt_at && !is_task(crew, piece) {
            let took = (!seen.is_reported).then(|| now - seen.since);
            if interrupt(&self.threads, crew, watch, piece, took) {
                seen.is_reported = true;
                // One that catches the exception and goes on is interrupted again.
                seen.interrupt_at = now + grace;
            }
        }
        if seen.replace_at.is_some_and(|moment| now >= moment) {
            // If there is none now, one may retire later.
            seen.replace_at = (!replace(crew, watch)).then(|| now + grace);
        }
    }
}

/// Whether a piece of work is what a request has left to be done: that may take its time, but not the
/// place of a lane.
fn is_task(crew: &Crew, piece: Piece) -> bool {
    piece.target.is_none() && crew.start_lane.is_some()
}

/// A piece of work: who shows it, and its number.
type Running = (Arc<Watch>, u64);

/// Interrupts the requests, and callbacks of event loops, that go on although the server is about to
/// stop, and waits a little for their end. Nothing more is begun.
///
/// # Threads
/// Blocks the caller, which must not be attached. Before interpreters begin to end, as nobody can
/// enter them then.
pub(crate) fn give_up_what_runs(threads: &Arc<Threads>, crews: &Crews, control: &Control) {
    control.disconnects().insert_all();
    for crew in crews.all() {
        crew.watches.iter().for_each(|watch| watch.give_up());
    }
    // No crew is kept between two looks: interpreters wait for whoever has one.
    let left = running(crews);
    let have_ended = || {
        let now = running(crews);
        !left.iter().any(|piece| now.iter().any(|other| is_same(piece, other)))
    };
    if control.wait_until(Instant::now() + LAST_LOOK, have_ended) {
        return;
    }
    for crew in crews.all() {
        let is_here = |watch| crew.watches.iter().any(|own| Arc::ptr_eq(own, watch));
        let here = left.iter().filter(|(watch, _)| is_here(watch)).cloned().collect();
        interrupt_all(threads, crew, here);
    }
    control.wait_until(Instant::now() + LAST_WORDS, have_ended);
}

/// What runs at this moment.
fn running(crews: &Crews) -> Vec<Running> {
    let mut running = Vec::new();
    for crew in crews.all() {
        for watch in &crew.watches {
            let piece = watch.piece().filter(|piece| !is_task(&crew, *piece));
            running.extend(piece.map(|piece| (watch.clone(), piece.number)));
        }
    }
    running
}

fn is_same(one: &Running, other: &Running) -> bool {
    Arc::ptr_eq(&one.0, &other.0) && one.1 == other.1
}

/// Has an exception raised in each of some pieces of work, without a word in the log.
fn interrupt_all(threads: &Arc<Threads>, crew: Guest, pieces: Vec<Running>) {
    if pieces.is_empty() {
        return;
    }
    // Without room for a thread, or memory, they go on; the process ends all the same.
    let _ = threads.start("pyre-interrupt".to_owned(), None, move || {
        let _ = crew.enter(|py, crew| {
            for (watch, number) in pieces {
                if let Some(thread) = watch.interrupt(number) {
                    raise_in_thread(py, thread, &*crew.app.toolkit.overrun.bind(py));
                }
            }
        });
    });
}

/// Has an exception raised in the handler that a lane runs, and the log told where it was, if it is
/// said how long that took. Returns whether a thread is on its way; an interpreter has one at a time.
fn interrupt(
    threads: &Arc<Threads>,
    crew: &Guest,
    watch: &Arc<Watch>,
    piece: Piece,
    took: Option<Duration>,
) -> bool {
    if crew.is_interrupting.swap(true, Ordering::AcqRel) {
        // The thread before still waits for the GIL; the next look tries again.
        return false;
    }
    // None: the interpreter ends, and the handler with it.
    let Some(inside) = crew.again() else { return false };
    let watch = watch.clone();
    let started = threads.start("pyre-interrupt".to_owned(), None, move || {
        let entered = inside.enter(|py, crew| {
            if let Some(thread) = watch.interrupt(piece.number) {
                raise_in_thread(py, thread, &*crew.app.toolkit.overrun.bind(py));
                if let Some(took) = took
                    && let Err(raised) = report(py, crew, piece.target, thread, took)
                {
                    raised.write_unraisable("the report of a handler that took too long", py);
                }
            }
            crew.is_interrupting.store(false, Ordering::Release);
        });
        // Without memory it goes on.
        let _ = entered;
    });
    if started.is_err() {
        // No room for a thread now: there will be another look.
        crew.is_interrupting.store(false, Ordering::Release);
    }
    started.is_ok()
}

fn report(
    py: Attached<'_>,
    crew: &Crew,
    target: Option<Target>,
    thread: ThreadId,
    took: Duration,
) -> Result<(), Raised> {
    let label = match target {
        Some(target) => crew.app.application.label(target),
        None => "a callback of the event loop",
    };
    let logs = import(py, "pyreframework.logs.records")?;
    let overran = logs.attr(&*Str::intern(py, "overran")?, py)?;
    let arguments = [
        Str::new(py, label)?.into_any(),
        Str::new(py, &crew.name)?.into_any(),
        Float::new(py, took.as_secs_f64())?.into_any(),
        frame_of_thread(py, thread).unwrap_or_else(|| none(py)),
    ];
    overran.call(pyre_ffi::Owned::borrow_all(&arguments), py).map(drop)
}

/// Has another lane take the place of one whose handler does not end. Tells whether one has: a lane
/// that nobody has replaced must not retire, or in the end none is left.
fn replace(crew: &Crew, watch: &Watch) -> bool {
    // An event loop stays with its thread.
    let Some(start_lane) = &crew.start_lane else { return true };
    let has_another =
        crew.roster.recall() || (crew.roster.seats_left() > 0 && start_lane().is_ok());
    if has_another {
        watch.replace();
    }
    has_another
}
