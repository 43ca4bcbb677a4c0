//! The side of its task: the coroutine that it drives, and the future that it waits on.

use std::ffi::CStr;
use std::time::Instant;

use pyre_ffi::{
    Arguments, Attached, Bool, Borrowed, Class, ClassSpec, ExceptionKind, Instance, Int, Object,
    Owned, Raised, Signature, Step, Str, Visitor, none, withdraw_from_thread,
};

use super::{RequestCoroutine, State, cancel_future};
use crate::event_loop::blocking;

const ADD_DONE_CALLBACK: Signature<2> = Signature {
    function: "add_done_callback",
    names: ["fn", "context"],
    required: 1,
    positional_max: 1,
};

impl RequestCoroutine {
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
