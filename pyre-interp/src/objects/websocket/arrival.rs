//! What a coroutine waits on for a message: a future in all that counts for asyncio, whose task the loop
//! lane wakes by itself. Hot path.
//!
//! A future of asyncio would do the same by way of a callback of its loop, which costs more than all else
//! of a message. Only the loop of the app is woken like this; others wait in Python.

use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::CStr;
use std::sync::Arc;

use pyre_ffi::{
    Arguments, Attached, Bool, Borrowed, Class, ClassSpec, Guarded, Held, Instance, Int, Object,
    Owned, Raised, Signature, Slot, Str, Visitor, finally, import, none,
};

use crate::invoke::application::Application;
use crate::objects::toolkit::Toolkit;

const ADD_DONE_CALLBACK: Signature<2> = Signature {
    function: "add_done_callback",
    names: ["fn", "context"],
    required: 1,
    positional_max: 1,
};

/// The numbers of those who wait for messages have this bit; no others have.
pub(crate) const IS_ARRIVAL: u64 = 1 << 62;

/// The event loop of an app, for those who are on it.
pub struct Home {
    event_loop: Held,
    /// Tells which loop runs on a thread.
    running: Held,
}

impl Home {
    /// That of the thread that runs it.
    ///
    /// # Errors
    /// Whatever importing asyncio raises, which has been imported.
    pub(crate) fn new(py: Attached<'_>, event_loop: &Object) -> Result<Self, Raised> {
        let running = import(py, "asyncio.events")?;
        let running = running.attr(&*Str::intern(py, "_get_running_loop")?, py)?;
        Ok(Self {
            event_loop: Held::new(py, event_loop.to_owned(py)),
            running: Held::new(py, running),
        })
    }

    /// Whether it runs on this thread; nothing if none does.
    pub(crate) fn is_here(&self, py: Attached<'_>) -> Result<Option<bool>, Raised> {
        let running = self.running.bind(py).call0(py)?;
        Ok((!running.is_none()).then(|| running.is(&self.event_loop.bind(py))))
    }

    /// Shows its objects to the garbage collector.
    pub(crate) fn traverse(&self, visitor: &mut Visitor<'_>) {
        visitor.held(&self.event_loop);
        visitor.held(&self.running);
    }
}

/// Those of one WebSocket.
#[derive(Default)]
struct Waiting {
    arrivals: Vec<Slot<Instance<Arrival>>>,
    /// Its handler has ended: nobody waits behind these.
    is_last: bool,
}

/// Those of one interpreter, by the number that a loop lane is told.
pub(crate) struct Arrivals(Guarded<HashMap<u64, Waiting>>);

impl Arrivals {
    pub(crate) fn new(py: Attached<'_>) -> Self {
        Self(Guarded::new(py, HashMap::new()))
    }

    /// A message may have come for those of this number, or the end: their tasks go on.
    pub(crate) fn wake(&self, py: Attached<'_>, number: u64) {
        let waiting = self.0.with(py, |all| {
            let waiting = all.get_mut(&number)?;
            let arrivals = std::mem::take(&mut waiting.arrivals);
            if waiting.is_last {
                all.remove(&number);
            }
            Some(arrivals)
        });
        for slot in waiting.iter().flatten() {
            let Some(arrival) = slot.take(py) else { continue };
            if let Err(raised) = Arrival::wake(&arrival, py) {
                // What would end a program, such as SystemExit: here it ends nothing.
                raised.write_unraisable("the event loop", py);
            }
        }
    }

    /// The handler has ended. Tasks that it has left are not forgotten: the end of the messages, which was
    /// told of before this, wakes them a last time.
    pub(crate) fn end(&self, py: Attached<'_>, number: u64) {
        let over = self.0.with(py, |all| {
            let waiting = all.get_mut(&number)?;
            waiting.is_last = waiting.arrivals.iter().any(|slot| is_pending(slot, py));
            if waiting.is_last { None } else { all.remove(&number) }
        });
        for slot in over.iter().flat_map(|waiting| &waiting.arrivals) {
            slot.clear(py);
        }
    }

    fn add(&self, py: Attached<'_>, number: u64, arrival: &Owned<'_, Instance<Arrival>>) {
        let slot = Slot::new(py, arrival.clone());
        // Those that were cancelled are dropped behind this, as that may run Python code.
        let mut over = Vec::new();
        self.0.with(py, |all| {
            let waiting = &mut all.entry(number).or_default().arrivals;
            if !waiting.is_empty() {
                let (stay, go): (Vec<_>, Vec<_>) =
                    waiting.drain(..).partition(|slot| is_pending(slot, py));
                *waiting = stay;
                over = go;
            }
            waiting.push(slot);
        });
        for slot in over {
            slot.clear(py);
        }
    }
}

/// Whether anybody waits there.
fn is_pending(slot: &Slot<Instance<Arrival>>, py: Attached<'_>) -> bool {
    slot.get(py).is_some_and(|arrival| !arrival.is_over())
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Nothing has come.
    Pending,
    /// Something has.
    Come,
    /// Who waits was asked to end.
    Cancelled,
}

/// A future for the arrival of a message.
pub(crate) struct Arrival {
    app: Arc<Application>,
    state: Cell<State>,
    /// asyncio's mark of a future that is being waited for with `yield from`.
    blocking: Cell<bool>,
    /// Wakes the task, in its context.
    wakeup: Slot,
    context: Slot,
    /// What was said as it was cancelled.
    message: Slot,
}

impl Arrival {
    /// One that is woken by this number.
    pub(super) fn new<'py>(
        py: Attached<'py>,
        app: &Arc<Application>,
        tools: &Toolkit,
        number: u64,
    ) -> Result<Owned<'py, Instance<Arrival>>, Raised> {
        let value = Self {
            app: app.clone(),
            state: Cell::new(State::Pending),
            blocking: Cell::new(true),
            wakeup: Slot::empty(),
            context: Slot::empty(),
            message: Slot::empty(),
        };
        let arrival = Instance::new(py, &tools.arrival, value)?;
        tools.arrivals.add(py, number, &arrival);
        Ok(arrival)
    }

    /// Nobody waits for it after all.
    pub(super) fn drop_unused(&self) {
        self.state.set(State::Come);
    }

    fn is_over(&self) -> bool {
        self.state.get() != State::Pending
    }

    /// The task goes on, in its context.
    fn wake(this: &Object<Instance<Self>>, py: Attached<'_>) -> Result<(), Raised> {
        if this.is_over() {
            return Ok(());
        }
        this.state.set(State::Come);
        let Some(wakeup) = this.wakeup.take(py) else { return Ok(()) };
        let Some(context) = this.context.take(py).filter(|context| !context.is_none()) else {
            return wakeup.call1(this, py).map(drop);
        };
        context.enter_context(py)?;
        let called = wakeup.call1(this, py);
        finally(called, py, || context.exit_context(py)).map(drop)
    }

    /// Has the loop wake the task in its next iteration.
    fn wake_later(this: &Object<Instance<Self>>, py: Attached<'_>) -> Result<(), Raised> {
        let Some(wakeup) = this.wakeup.take(py) else { return Ok(()) };
        let context = this.context.take(py).unwrap_or_else(|| none(py));
        let call_soon = this.home(py)?.attr(&*Str::intern(py, "call_soon")?, py)?;
        let names = pyre_ffi::Tuple::new(py, [Str::intern(py, "context")?.into_any()])?;
        let arguments = [wakeup.borrow(), this.as_any().borrow(), context.borrow()];
        call_soon.call_with_names(&arguments, &names, py).map(drop)
    }

    fn home<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        let home = self.app.home.get().map(|home| home.event_loop.to_owned(py));
        home.ok_or_else(|| Raised::runtime_error(py, "there is no event loop"))
    }

    fn blocking<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        Ok(Bool::new(py, self.blocking.get()).into_any())
    }

    fn set_blocking(&self, py: Attached<'_>, blocking: &Object) -> Result<(), Raised> {
        self.blocking.set(blocking.is_true(py)?);
        Ok(())
    }

    fn event_loop<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        self.home(py)
    }

    fn add_done_callback<'py>(
        this: &Object<Instance<Self>>,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let [wakeup, context] = given.parse(&ADD_DONE_CALLBACK, py)?;
        let wakeup = wakeup.expect("the signature requires it");
        this.wakeup.set(py, Borrowed::to_owned(wakeup, py));
        match context {
            Some(context) => this.context.set(py, Borrowed::to_owned(context, py)),
            None => this.context.clear(py),
        }
        if this.is_over() {
            Self::wake_later(this, py)?;
        }
        Ok(none(py))
    }

    fn remove_done_callback<'py>(
        &self,
        py: Attached<'py>,
        _given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let removed = self.wakeup.take(py).is_some();
        self.context.clear(py);
        Int::new(py, i64::from(removed)).map(Owned::into_any)
    }

    /// `cancel(msg=None)`, which a task calls on the future that it waits on.
    fn cancel<'py>(
        this: &Object<Instance<Self>>,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let message = given.positional().first().copied().or(given.named().next().map(|it| it.1));
        if this.is_over() {
            return Ok(Bool::new(py, false).into_any());
        }
        this.state.set(State::Cancelled);
        if let Some(message) = message {
            this.message.set(py, Borrowed::to_owned(message, py));
        }
        Self::wake_later(this, py)?;
        Ok(Bool::new(py, true).into_any())
    }

    /// `result()`: None, or `CancelledError`.
    fn result<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        if self.state.get() != State::Cancelled {
            return Ok(none(py));
        }
        let class = import(py, "asyncio.exceptions")?;
        let class = class.attr(&*Str::intern(py, "CancelledError")?, py)?;
        let message = self.message.get(py).unwrap_or_else(|| none(py));
        Err(Raised::with(py, &class, &message))
    }

    fn done<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        Ok(Bool::new(py, self.is_over()).into_any())
    }

    fn cancelled<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        Ok(Bool::new(py, self.state.get() == State::Cancelled).into_any())
    }
}

impl Class for Arrival {
    const NAME: &'static CStr = c"pyreframework.engine.Arrival";
    const DOC: &'static CStr = c"The future of a message; for asyncio, not for programs.";

    fn describe(spec: &mut ClassSpec<Self>) {
        spec.gc()
            .property(
                c"_asyncio_future_blocking",
                c"Whether the task has to wait.",
                Self::blocking,
                Self::set_blocking,
            )
            .method0(c"get_loop", c"The event loop.", Self::event_loop)
            .bound_method(
                c"add_done_callback",
                c"Tells how to wake the task.",
                Self::add_done_callback,
            )
            .method(c"remove_done_callback", c"Takes that back.", Self::remove_done_callback)
            .bound_method(c"cancel", c"Has the task end.", Self::cancel)
            .method0(c"result", c"None.", Self::result)
            .method0(c"done", c"Whether anything has come.", Self::done)
            .method0(c"cancelled", c"Whether it was cancelled.", Self::cancelled);
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        visitor.slot(&self.wakeup);
        visitor.slot(&self.context);
        visitor.slot(&self.message);
    }

    fn clear(&self, py: Attached<'_>) {
        self.wakeup.clear(py);
        self.context.clear(py);
        self.message.clear(py);
    }
}
