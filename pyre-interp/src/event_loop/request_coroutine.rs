//! `RequestCoroutine`: what an asyncio task sees of a request, and what it waits on between two.
//!
//! The lane steps a user's coroutine itself first, with a task that was made before as the current
//! one; most end there and the task has done nothing. Only if the coroutine waits for something does
//! the task take over, from the very future that the coroutine waits for. So to the user there is one
//! task from the beginning, and asyncio's rules for cancellation, time-outs and groups hold.
//!
//! To its task this object is both:
//! - the *coroutine* that it drives, which passes each step on to the user's coroutine;
//! - the *future* that it waits on while there is no such coroutine: between two requests, and during
//!   the steps that the lane makes. A future is asked for a call when it is done, and so we come to
//!   know how to wake the task.
//!
//! ```text
//!             lane: begin                 lane: hand_over
//!   PARKED ───────────────▶ STEPPED ───────────────────────▶ DRIVEN
//!     ▲                        │ lane: put_back                │ the user's coroutine has ended
//!     └────────────────────────┴───────────────────────────────┘
//!     └──── lane: end ──▶ ENDING, the task ends at its next step
//! ```

mod task; // what its task sees of it

use std::cell::Cell;
use std::sync::Arc;

use pyre_ffi::interpreter::forks;
use pyre_ffi::{Attached, Exception, Guarded, Held, Object, Owned, Raised, Slot, Str, none};

use crate::invoke::application::Application;
use crate::job::Target;
use crate::worker::watch::Watch;

/// What the coroutines of one event loop share with the lane that runs it.
pub(crate) struct Turnstile {
    /// Flights whose coroutine has ended, by number; the lane goes on with them.
    pub(crate) ended: Guarded<Vec<u32>>,
    /// What the lane shows of itself.
    pub(crate) watch: Arc<Watch>,
    pub(crate) app: Arc<Application>,
    /// The process of the lane, as [`forks`] numbers them.
    pub(crate) process: usize,
    /// What the lane's is: see there.
    pub(crate) end_fork: fn() -> !,
}

impl Turnstile {
    /// Something of the program has returned, or waits. If it has forked, this may be the child, and
    /// the other requests that are on the loop are not for it to go on with.
    #[inline]
    fn end_if_forked(&self) {
        if forks() != self.process {
            (self.end_fork)();
        }
    }
}

/// How a coroutine ended: with a value, or with an exception.
pub(crate) type Outcome<'py> = Result<Owned<'py>, Owned<'py, Exception>>;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// No coroutine is here. The task waits on this object.
    Parked,
    /// The lane steps the user's coroutine. The task waits on this object.
    Stepped,
    /// The task steps the user's coroutine.
    Driven,
    /// The task ends when it is woken.
    Ending,
}

/// The coroutine of a task that serves requests, one after the other.
pub struct RequestCoroutine {
    turnstile: Arc<Turnstile>,
    event_loop: Held,
    state: Cell<State>,
    /// Which flight it carries, while driven.
    flight: Cell<u32>,
    target: Cell<Target>,
    /// The user's coroutine, while driven.
    coroutine: Slot,
    /// Wakes the task: what it asked this object, as a future, to call.
    wakeup: Slot,
    /// The future that the user's coroutine waits for, until the task itself has heard of it.
    waits_on: Slot,
    /// The exception or value that the user's coroutine ended with.
    outcome: Slot,
    raised: Cell<bool>,
    /// The lane has gone: the task ends with the user's coroutine.
    is_last: Cell<bool>,
    /// asyncio's mark of a future that is being waited for with `yield from`.
    blocking: Cell<bool>,
    /// The task was asked to cancel while it waited on this object, and the coroutine has not heard.
    is_cancelled: Cell<bool>,
    /// What it was told with that.
    cancel_message: Slot,
    /// The task was ever asked to while it waited on this object: it counts such requests.
    was_cancelled: Cell<bool>,
}

impl RequestCoroutine {
    pub(crate) fn new(turnstile: Arc<Turnstile>, event_loop: Held) -> Self {
        Self {
            turnstile,
            event_loop,
            state: Cell::new(State::Parked),
            flight: Cell::new(u32::MAX),
            target: Cell::new(Target::Fallback),
            coroutine: Slot::empty(),
            wakeup: Slot::empty(),
            waits_on: Slot::empty(),
            outcome: Slot::empty(),
            raised: Cell::new(false),
            is_last: Cell::new(false),
            blocking: Cell::new(false),
            is_cancelled: Cell::new(false),
            cancel_message: Slot::empty(),
            was_cancelled: Cell::new(false),
        }
    }

    /// The lane begins to step a coroutine.
    pub(crate) fn begin(&self, target: Target) {
        debug_assert_eq!(self.state.get(), State::Parked);
        self.state.set(State::Stepped);
        self.target.set(target);
    }

    /// The coroutine has ended under the lane's steps.
    pub(crate) fn put_back(&self) {
        self.state.set(State::Parked);
    }

    /// The task drives the coroutine from here on. Until it has taken its first step, cancelling it
    /// means to cancel what the coroutine waits for.
    pub(crate) fn hand_over(
        &self,
        py: Attached<'_>,
        coroutine: Owned<'_>,
        waits_on: Owned<'_>,
        flight: u32,
    ) {
        self.coroutine.set(py, coroutine);
        // Nothing to cancel if it only lets others go first: then the task cancels its next step.
        if !waits_on.is_none() {
            self.waits_on.set(py, waits_on);
        }
        self.flight.set(flight);
        self.state.set(State::Driven);
    }

    /// What the task asked to be called, if it waits on this object.
    pub(crate) fn wakeup<'py>(&self, py: Attached<'py>) -> Option<Owned<'py>> {
        self.wakeup.get(py)
    }

    /// How the coroutine that the task drove has ended.
    pub(crate) fn take_outcome<'py>(&self, py: Attached<'py>) -> Option<Outcome<'py>> {
        let outcome = self.outcome.take(py)?;
        if !self.raised.get() {
            return Some(Ok(outcome));
        }
        Some(Err(outcome.downcast::<Exception>().expect("what was raised is an exception")))
    }

    /// Whether the task was ever asked to cancel while it waited on this object: it remembers.
    pub(crate) fn was_cancelled(&self) -> bool {
        self.was_cancelled.get()
    }

    /// The message of the request to cancel that came while the task waited on this object, None if
    /// it had none. It is to be passed on now.
    pub(crate) fn take_cancelling<'py>(&self, py: Attached<'py>) -> Option<Owned<'py>> {
        let message = self.cancel_message.take(py);
        self.is_cancelled.replace(false).then(|| message.unwrap_or_else(|| none(py)))
    }

    /// Lets the task end when it is woken.
    pub(crate) fn end(&self) {
        self.state.set(State::Ending);
    }

    /// The task goes away without a step, as nobody else knows of it: it is not kept from here.
    pub(crate) fn vanish(&self, py: Attached<'_>) {
        self.state.set(State::Ending);
        self.wakeup.clear(py);
    }

    /// Lets the task end with the user's coroutine, as no other will come.
    pub(crate) fn end_after_this(&self) {
        self.is_last.set(true);
    }

    /// The user's coroutine, if it is being driven; empties this object.
    pub(crate) fn abandon<'py>(&self, py: Attached<'py>) -> Option<Owned<'py>> {
        self.state.set(State::Ending);
        self.waits_on.clear(py);
        self.coroutine.take(py)
    }
}

/// Cancels a future. Not every one that programs write takes a message, so None is not passed on.
pub(crate) fn cancel_future<'py>(
    future: &Object,
    message: Option<&Object>,
    py: Attached<'py>,
) -> Result<Owned<'py>, Raised> {
    let cancel = future.attr(&*Str::intern(py, "cancel")?, py)?;
    match message {
        Some(message) if !message.is_none() => cancel.call1(message, py),
        _ => cancel.call0(py),
    }
}
