//! Drivers: tasks that were made before they are needed, each with a context of its own, waiting for
//! a request. Hot path.
//!
//! While the lane steps coroutines, one driver is *entered*: its task is the current one and its
//! context the one that code runs in. What one request can see of its task, no later request sees:
//! before each request the driver is looked at, and if it is not as it was made, another one takes
//! its place.

mod pristine; // whether it is as it was made
mod steps; // the first steps of a coroutine, under the driver that is entered

use std::cell::Cell;
use std::sync::Arc;

use pyre_ffi::{
    Attached, ClassHandle, Held, Instance, Int, List, Owned, Raised, Str, Tuple, copy_context,
    finally, import,
};

use crate::event_loop::asyncio::EventLoop;
use crate::event_loop::request_coroutine::{RequestCoroutine, Turnstile};
use pristine::{Counts, Names, Pristine};

pub(crate) use steps::Stepped;

/// Drivers kept for reuse.
const IDLE_MAX: usize = 1024;

/// A task and what belongs to it.
pub(crate) struct Driver<'py> {
    pub(crate) coroutine: Owned<'py, Instance<RequestCoroutine>>,
    pub(crate) task: Owned<'py>,
    context: Owned<'py>,
    /// What the task kept when it was made, with the name that it has now. Alive, so that nothing
    /// else can take their addresses.
    referents: Vec<Owned<'py>>,
    name: Name,
    /// The weak reference to the task that asyncio has, if it has one.
    weakly: Option<Owned<'py>>,
    /// The task has made steps itself since it was found clean.
    pub(crate) has_flown: Cell<bool>,
    /// It is for one request only.
    is_single: bool,
}

impl<'py> Driver<'py> {
    /// A copy of the context that its requests run in.
    pub(crate) fn copied_context(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        self.context.copied_context(py)
    }
}

/// The name of a driver's task.
struct Name {
    /// Where it is among what the task keeps.
    place: usize,
    /// The number that asyncio has given to the task.
    number: i64,
    /// It has been read or set, and whether it is read is not to be seen any more: each request
    /// gets one of its own.
    is_known: Cell<bool>,
    /// How many it has had from us.
    renamed: u64,
}

/// The drivers of one event loop.
pub(crate) struct Drivers<'py> {
    py: Attached<'py>,
    turnstile: Arc<Turnstile>,
    idle: Vec<Driver<'py>>,
    /// The driver whose task is the current one.
    entered: Option<Driver<'py>>,
    cancelled_error: Owned<'py>,
    /// The context that all of theirs are copies of: not what a `def` handler has left on this thread.
    origin: Owned<'py>,
    /// `weakref.getweakrefs`.
    weak_references: Owned<'py>,
    /// The task that CPython has in C, whose name is a number until it is read; if there is one.
    native_class: Option<Owned<'py>>,
    pristine: Pristine<'py>,
}

impl<'py> Drivers<'py> {
    pub(crate) fn new(py: Attached<'py>, turnstile: Arc<Turnstile>) -> Result<Self, Raised> {
        let exceptions = import(py, "asyncio.exceptions")?;
        let cancelled_error = exceptions.attr(&*Str::intern(py, "CancelledError")?, py)?;
        let names = Names {
            callbacks: Str::intern(py, "_callbacks")?,
            callback: Str::intern(py, "__callback__")?,
            tells_of_end: Str::intern(py, "_log_destroy_pending")?,
            set_name: Str::intern(py, "set_name")?,
            cancelling: Str::intern(py, "cancelling")?,
            blocking: Str::intern(py, "_asyncio_future_blocking")?,
            get_loop: Str::intern(py, "get_loop")?,
        };
        let origin = copy_context(py)?;
        let mut shown = origin.referents(py);
        let variables = shown.pop().filter(|_| shown.is_empty());
        let items = origin.call_method0(&*Str::intern(py, "items")?, py)?;
        let mut values = Vec::new();
        for item in items.iterate(py)? {
            let item = item?;
            let item = item.cast::<Tuple>().expect("items are pairs").items();
            values.push((item[0].to_owned(py), item[1].to_owned(py)));
        }
        let pristine =
            Pristine { names, idle: Counts::MOST, entered: Counts::MOST, variables, values };
        let weak_references = import(py, "weakref")?.attr(&*Str::intern(py, "getweakrefs")?, py)?;
        let native_class =
            import(py, "_asyncio").and_then(|it| it.attr(&*Str::intern(py, "Task")?, py));
        // Dropped, an exception is cleared.
        let native_class = native_class.ok();
        let (idle, entered) = (Vec::new(), None);
        Ok(Self {
            py,
            turnstile,
            idle,
            entered,
            cancelled_error,
            origin,
            weak_references,
            native_class,
            pristine,
        })
    }

    /// Whether this is asyncio's exception for what was cancelled.
    pub(crate) fn is_cancellation(&self, raised: &Raised) -> bool {
        raised.matches_class(&self.cancelled_error, self.py)
    }

    /// Enters a driver for a request that begins: one that nobody else knows of.
    #[inline]
    pub(crate) fn enter_clean(
        &mut self,
        event_loop: &EventLoop<'py>,
        class: &ClassHandle<RequestCoroutine>,
    ) -> Result<(), Raised> {
        let (pristine, py) = (&self.pristine, self.py);
        match &mut self.entered {
            Some(driver) if pristine.is_like(driver, pristine.entered, py) => {
                pristine.give_name(driver, py)
            }
            _ => self.enter_another(event_loop, class),
        }
    }

    /// Enters a driver, if none is entered.
    #[inline]
    pub(crate) fn enter_any(
        &mut self,
        event_loop: &EventLoop<'py>,
        class: &ClassHandle<RequestCoroutine>,
    ) -> Result<(), Raised> {
        if self.entered.is_some() { Ok(()) } else { self.enter_another(event_loop, class) }
    }

    fn enter_another(
        &mut self,
        event_loop: &EventLoop<'py>,
        class: &ClassHandle<RequestCoroutine>,
    ) -> Result<(), Raised> {
        match self.take(event_loop) {
            Ok(Some(driver)) => self.end_driver(event_loop, driver)?,
            Ok(None) => {}
            // The request before has done that, and not the one that comes now.
            Err(raised) => raised.write_unraisable("the event loop", self.py),
        }
        while let Some(mut driver) = self.idle.pop() {
            // Those that wait can be found as well, by `asyncio.all_tasks`.
            if self.pristine.is_like(&driver, self.pristine.idle, self.py) {
                return match self.pristine.give_name(&mut driver, self.py) {
                    Ok(()) => self.enter(event_loop, driver),
                    Err(raised) => {
                        finally(Err(raised), self.py, || self.end_driver(event_loop, driver))
                    }
                };
            }
            self.end_driver(event_loop, driver)?;
        }
        let driver = self.make(event_loop, class)?;
        self.enter(event_loop, driver)?;
        if let Some(driver) = &self.entered {
            self.pristine.entered = self.pristine.entered.lower(Counts::of(driver));
        }
        Ok(())
    }

    /// Enters a driver that has a request already.
    pub(crate) fn enter(
        &mut self,
        event_loop: &EventLoop<'py>,
        driver: Driver<'py>,
    ) -> Result<(), Raised> {
        if let Err(raised) = self.leave(event_loop) {
            raised.write_unraisable("the event loop", self.py);
        }
        let py = self.py;
        let entered = driver.context.enter_context(py).and_then(|()| {
            match event_loop.enter_task(&driver.task) {
                Ok(()) => Ok(()),
                failed => finally(failed, py, || driver.context.exit_context(py)),
            }
        });
        match entered {
            Ok(()) => {
                self.entered = Some(driver);
                Ok(())
            }
            // Another task is the current one: the program has said so, or left it so.
            failed => finally(failed, py, || self.end_driver(event_loop, driver)),
        }
    }

    /// Leaves the driver that is entered; it is idle then.
    pub(crate) fn leave(&mut self, event_loop: &EventLoop<'py>) -> Result<(), Raised> {
        match self.take(event_loop)? {
            Some(driver) => self.give_back(event_loop, driver),
            None => Ok(()),
        }
    }

    /// Leaves the driver that is entered and takes it.
    pub(crate) fn take(
        &mut self,
        event_loop: &EventLoop<'py>,
    ) -> Result<Option<Driver<'py>>, Raised> {
        let Some(driver) = self.entered.take() else { return Ok(None) };
        let py = self.py;
        // A program that calls `asyncio.tasks._leave_task` itself has left it already.
        let left = event_loop.leave_task(&driver.task);
        match finally(left, py, || driver.context.exit_context(py)) {
            Ok(()) => Ok(Some(driver)),
            // Dropped as it is, its task would be waited for at the end, for ever.
            Err(raised) => {
                finally(Err(raised), py, || self.end_driver(event_loop, driver)).map(|()| None)
            }
        }
    }

    /// There is nothing to do for now: what requests have left with the driver that is entered is
    /// let go of. That may give the loop something to do.
    #[inline]
    pub(crate) fn settle(&mut self, event_loop: &EventLoop<'py>) -> Result<(), Raised> {
        let (pristine, py) = (&self.pristine, self.py);
        match &self.entered {
            Some(driver) if !pristine.is_like(driver, pristine.entered, py) => {
                self.leave(event_loop)
            }
            _ => Ok(()),
        }
    }

    /// Takes back a driver that is not entered, if it is as it was.
    pub(crate) fn give_back(
        &mut self,
        event_loop: &EventLoop<'py>,
        driver: Driver<'py>,
    ) -> Result<(), Raised> {
        if self.idle.len() < IDLE_MAX && self.pristine.is_like(&driver, self.pristine.idle, self.py)
        {
            self.idle.push(driver);
            return Ok(());
        }
        self.end_driver(event_loop, driver)
    }

    /// Ends all tasks that wait for requests.
    pub(crate) fn end(&mut self, event_loop: &EventLoop<'py>) -> Result<(), Raised> {
        self.leave(event_loop)?;
        while let Some(driver) = self.idle.pop() {
            self.end_driver(event_loop, driver)?;
        }
        Ok(())
    }

    /// Lets the task of a driver end, which is not entered.
    #[cold]
    fn end_driver(&self, event_loop: &EventLoop<'py>, driver: Driver<'py>) -> Result<(), Raised> {
        let (py, names) = (self.py, &self.pristine.names);
        let Driver { coroutine, task, context, .. } = driver;
        let is_watched = task.reference_count() > self.pristine.idle.task
            || !task.attr(&names.callbacks, py)?.is_none();
        if !is_watched {
            // Nobody would see it end. It is freed before it does, which needs no mention.
            task.set_attr(&names.tells_of_end, &*pyre_ffi::Bool::new(py, false), py)?;
            coroutine.vanish(py);
            return Ok(());
        }
        coroutine.end();
        match coroutine.wakeup(py) {
            Some(wakeup) => event_loop.call_soon(&wakeup, coroutine.as_any(), &context),
            None => Ok(()),
        }
    }

    #[cold]
    fn make(
        &mut self,
        event_loop: &EventLoop<'py>,
        class: &ClassHandle<RequestCoroutine>,
    ) -> Result<Driver<'py>, Raised> {
        let py = self.py;
        let context = self.origin.copied_context(py)?;
        let home = Held::new(py, event_loop.object().clone());
        let value = RequestCoroutine::new(self.turnstile.clone(), home);
        let coroutine = Instance::new(py, class, value)?;
        let task = event_loop.start_task(coroutine.as_any(), &context)?;
        let found = self.weak_references.call1(&task, py)?;
        let found = found.cast::<List>().expect("getweakrefs() makes a list");
        let weakly = found.get(0, py);
        // One without a callback would hide those behind it.
        let is_single = found.len() > 1
            || match &weakly {
                Some(weakly) => weakly.attr(&self.pristine.names.callback, py)?.is_none(),
                None => false,
            };
        let referents = task.referents(py);
        // One whose name we do not find could be read without a trace; so could that of the task that
        // is written in Python, which some programs put in the place of the other.
        let is_native = self.native_class.as_ref().is_some_and(|class| task.class(py).is(class));
        let place = referents.iter().position(|kept| kept.is_exact::<Int>());
        let number = place.and_then(|place| referents[place].cast::<Int>()?.as_i64());
        let name = Name {
            place: place.unwrap_or_default(),
            number: number.unwrap_or_default(),
            is_known: Cell::new(false),
            renamed: 0,
        };
        let is_single = is_single || !is_native || number.is_none();
        let has_flown = Cell::new(false);
        let driver =
            Driver { coroutine, task, context, referents, name, weakly, has_flown, is_single };
        self.pristine.idle = self.pristine.idle.lower(Counts::of(&driver));
        Ok(driver)
    }
}
