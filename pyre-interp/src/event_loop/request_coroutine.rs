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

use std::cell::Cell;
use std::ffi::CStr;
use std::sync::Arc;
use std::time::Instant;

use pyre_ffi::interpreter::forks;
use pyre_ffi::{
    Arguments, Attached, Bool, Borrowed, Class, ClassSpec, Exception, ExceptionKind, Guarded, Held,
    Instance, Int, Object, Owned, Raised, Signature, Slot, Step, Str, Visitor, none,
    withdraw_from_thread,
};

use crate::event_loop::blocking;
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

    /// `__next__`: the task's step without an exception.
    fn next<'py>(
        this: &Object<Instance<Self>>,
        py: Attached<'py>,
    ) -> Result<Option<Owned<'py>>, Raised> {
        this.step(this, py, |coroutine| coroutine.send(&none(py), py))
    }

    /// `throw(exception)`: the task's step with one.
    fn throw<'py>(
        this: &Object<Instance<Self>>,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        // The deprecated form with a type, a value and a traceback is passed on as it is.
        let arguments = given.positional();
        let name = Str::intern(py, "throw")?;
        let yielded = this.step(this, py, |coroutine| {
            let thrown = coroutine.attr(&name, py)?.call(arguments, py);
            match thrown {
                Ok(yielded) => Ok(Step::Yielded(yielded)),
                Err(raised) if raised.matches(ExceptionKind::StopIteration, py) => {
                    let stopped = raised.take(py).into_any();
                    stopped.attr(&*Str::intern(py, "value")?, py).map(Step::Returned)
                }
                Err(raised) => Err(raised),
            }
        })?;
        yielded.ok_or_else(|| Raised::new(py, ExceptionKind::StopIteration, ""))
    }

    /// Passes a step on to the user's coroutine. What it waits for, the task waits for; when it has
    /// ended, the task waits on this object.
    fn step<'py>(
        &self,
        this: &Object<Instance<Self>>,
        py: Attached<'py>,
        step: impl FnOnce(&Object) -> Result<Step<'py>, Raised>,
    ) -> Result<Option<Owned<'py>>, Raised> {
        self.waits_on.clear(py);
        match self.state.get() {
            State::Ending => return Ok(None),
            // Woken for nothing: a request to cancel that came when there was nothing to cancel.
            State::Parked | State::Stepped => return Ok(Some(self.park(this, py))),
            State::Driven => {}
        }
        let coroutine = self.coroutine.get(py).expect("one is here while it is driven");
        let watch = &self.turnstile.watch;
        // What was to interrupt the callbacks before must not hit this request.
        let end_piece = || {
            if watch.end() {
                withdraw_from_thread(py, watch.thread());
            }
        };
        end_piece();
        self.turnstile.end_if_forked();
        let app = &self.turnstile.app;
        watch.begin(self.target.get());
        let began = app.debug.then(Instant::now);
        let stepped = step(&coroutine);
        end_piece();
        self.turnstile.end_if_forked();
        let took = began.map(|began| began.elapsed());
        watch.begin_callbacks();
        let ended = match stepped {
            Ok(Step::Yielded(future)) => Err(future),
            Ok(Step::Returned(value)) => {
                self.raised.set(false);
                Ok(value)
            }
            Err(raised) => {
                self.raised.set(true);
                Ok(raised.take(py).into_any())
            }
        };
        // Not before the exception is taken, as this runs Python code.
        if let Some(took) = took {
            blocking::report(py, &app.handler(self.target.get()).label, took);
        }
        let outcome = match ended {
            Ok(outcome) => outcome,
            Err(future) => return Ok(Some(future)),
        };
        if self.is_last.get() {
            self.state.set(State::Ending);
            self.coroutine.clear(py);
            return Ok(None);
        }
        self.outcome.set(py, outcome);
        self.state.set(State::Parked);
        let flight = self.flight.replace(u32::MAX);
        self.turnstile.ended.with(py, |ended| ended.push(flight));
        // Its frame holds the request: gone before the lane asks who else does.
        self.coroutine.clear(py);
        Ok(Some(self.park(this, py)))
    }

    fn park<'py>(&self, this: &Object<Instance<Self>>, py: Attached<'py>) -> Owned<'py> {
        self.blocking.set(true);
        this.as_any().to_owned(py)
    }

    /// `send(value)`, which tasks do not use.
    fn send<'py>(
        this: &Object<Instance<Self>>,
        py: Attached<'py>,
        _given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let yielded = Self::next(this, py)?;
        yielded.ok_or_else(|| Raised::new(py, ExceptionKind::StopIteration, ""))
    }

    /// `close()`.
    fn close<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        if let Some(coroutine) = self.abandon(py) {
            coroutine.call_method0(&*Str::intern(py, "close")?, py)?;
        }
        Ok(none(py))
    }

    fn itself<'py>(
        this: &Object<Instance<Self>>,
        py: Attached<'py>,
        _given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        Ok(this.as_any().to_owned(py))
    }

    fn blocking<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        Ok(Bool::new(py, self.blocking.get()).into_any())
    }

    fn set_blocking(&self, py: Attached<'_>, blocking: &Object) -> Result<(), Raised> {
        self.blocking.set(blocking.is_true(py)?);
        Ok(())
    }

    fn event_loop<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        Ok(self.event_loop.to_owned(py))
    }

    fn add_done_callback<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let [wakeup, _context] = given.parse(&ADD_DONE_CALLBACK, py)?;
        let wakeup = wakeup.expect("the signature requires it");
        self.wakeup.set(py, wakeup.to_owned(py));
        Ok(none(py))
    }

    fn remove_done_callback<'py>(
        &self,
        py: Attached<'py>,
        _given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        Int::new(py, 0).map(Owned::into_any)
    }

    /// `cancel(msg=None)`, which the task calls on the future that it waits on.
    fn cancel<'py>(&self, py: Attached<'py>, given: Arguments<'_>) -> Result<Owned<'py>, Raised> {
        let message = given.positional().first().copied().or(given.named().next().map(|p| p.1));
        if let Some(future) = self.waits_on.get(py) {
            return cancel_future(&future, message.as_deref(), py);
        }
        // While it drives and waits for nothing, the task cancels its next step by itself.
        let is_driven = self.state.get() == State::Driven;
        if !is_driven {
            self.is_cancelled.set(true);
            self.was_cancelled.set(true);
            if let Some(message) = message {
                self.cancel_message.set(py, Borrowed::to_owned(message, py));
            }
        }
        Ok(Bool::new(py, !is_driven).into_any())
    }

    /// `result()`: that of a future which is never an end in itself.
    fn result<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        Ok(none(py))
    }

    /// How asyncio names the coroutine of a task in its messages.
    fn label<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        let label = match self.state.get() {
            State::Parked | State::Ending => "no request",
            State::Stepped | State::Driven => &self.turnstile.app.handler(self.target.get()).label,
        };
        Str::new(py, label).map(Owned::into_any)
    }

    fn repr<'py>(&self, py: Attached<'py>) -> Result<Owned<'py, Str>, Raised> {
        let label = self.label(py)?;
        let label = label.cast::<Str>().expect("a label is a str").as_utf8(py)?;
        Str::new(py, &format!("<RequestCoroutine {label}>"))
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

const ADD_DONE_CALLBACK: Signature<2> = Signature {
    function: "add_done_callback",
    names: ["fn", "context"],
    required: 1,
    positional_max: 1,
};

impl Class for RequestCoroutine {
    const NAME: &'static CStr = c"pyreframework.engine.RequestCoroutine";
    const DOC: &'static CStr = c"The coroutine of an asyncio task that serves requests.";

    fn describe(spec: &mut ClassSpec<Self>) {
        spec.gc()
            .bound_next(Self::next)
            .bound_method(c"__await__", c"The object itself.", Self::itself)
            .bound_method(c"send", c"A step without an exception.", Self::send)
            .bound_method(c"throw", c"A step with an exception.", Self::throw)
            .method0(c"close", c"Ends the user's coroutine.", Self::close)
            .getter(c"__name__", c"Method and path of the route.", Self::label)
            .getter(c"__qualname__", c"Method and path of the route.", Self::label)
            .property(
                c"_asyncio_future_blocking",
                c"Whether the task has to wait.",
                Self::blocking,
                Self::set_blocking,
            )
            .method0(c"get_loop", c"The event loop.", Self::event_loop)
            .method(c"add_done_callback", c"Tells how to wake the task.", Self::add_done_callback)
            .method(c"remove_done_callback", c"Removes nothing.", Self::remove_done_callback)
            .method(c"cancel", c"Cancels what the user's coroutine waits for.", Self::cancel)
            .method0(c"result", c"None.", Self::result)
            .repr(Self::repr);
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        visitor.held(&self.event_loop);
        visitor.slot(&self.coroutine);
        visitor.slot(&self.wakeup);
        visitor.slot(&self.waits_on);
        visitor.slot(&self.outcome);
        visitor.slot(&self.cancel_message);
    }

    fn clear(&self, py: Attached<'_>) {
        self.coroutine.clear(py);
        self.wakeup.clear(py);
        self.waits_on.clear(py);
        self.outcome.clear(py);
        self.cancel_message.clear(py);
    }
}
