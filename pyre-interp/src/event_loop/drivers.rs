//! Drivers: tasks that were made before they are needed, each with a context of its own, waiting for
//! a request. Hot path.
//!
//! While the lane steps coroutines, one driver is *entered*: its task is the current one and its
//! context the one that code runs in. What one request can see of its task, no later request sees:
//! before each request the driver is looked at, and if it is not as it was made, another one takes
//! its place. Whoever might know of the task since then would have left a trace, so that a task which
//! passes is one that could as well have been freed and made anew in the same place:
//! - a reference counts, to the task, its context or its coroutine;
//! - a weak reference is in the object's list;
//! - all else that a task keeps (its name, callbacks, attributes, who awaits it) its type shows to
//!   the garbage collector. A name that was read is another object than one that nobody has read, as
//!   asyncio keeps a number until then; the next request gets another name;
//! - requests to cancel pass through the coroutine, or stand in a count.
//!
//! What is left are flags of asyncio's own, such as `_log_destroy_pending`: they tell nothing of a
//! request, and a program that sets them on its own task has to be written for that.

use std::cell::Cell;
use std::sync::Arc;

use pyre_ffi::{
    Attached, ClassHandle, Differing, ExceptionKind, Held, Instance, Int, List, Object, Owned,
    Raised, Step, Str, Tuple, copy_context, finally, import, none,
};

use crate::event_loop::asyncio::EventLoop;
use crate::event_loop::request_coroutine::{RequestCoroutine, Turnstile};
use crate::job::Target;

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

/// How many references there are to the parts of a driver.
#[derive(Clone, Copy)]
struct Counts {
    task: isize,
    coroutine: isize,
    context: isize,
}

impl Counts {
    const MOST: Counts = Counts { task: isize::MAX, coroutine: isize::MAX, context: isize::MAX };

    #[inline]
    fn of(driver: &Driver<'_>) -> Counts {
        Counts {
            task: driver.task.reference_count(),
            coroutine: driver.coroutine.reference_count(),
            context: driver.context.reference_count(),
        }
    }

    #[inline]
    fn equal(self, other: Counts) -> bool {
        self.task == other.task
            && self.coroutine == other.coroutine
            && self.context == other.context
    }

    /// The lower ones: whoever else looks at a driver only adds to them.
    fn lower(self, other: Counts) -> Counts {
        Counts {
            task: self.task.min(other.task),
            coroutine: self.coroutine.min(other.coroutine),
            context: self.context.min(other.context),
        }
    }
}

/// What drivers are like that nobody else knows of.
struct Pristine<'py> {
    names: Names<'py>,
    /// While no request has it, and while it is entered.
    idle: Counts,
    entered: Counts,
    /// What keeps the values of context variables; all contexts share it until one is set. None if
    /// contexts do not show that they have such a thing.
    variables: Option<Owned<'py>>,
    /// The variables that have a value, with it.
    values: Vec<(Owned<'py>, Owned<'py>)>,
}

/// What came of a coroutine's first steps.
pub(crate) enum Stepped<'py> {
    /// It has ended.
    Ended(Result<Owned<'py>, Raised>),
    /// It waits for this, and the driver's task will go on with it.
    Waits {
        /// None: for the next iteration of the loop.
        future: Owned<'py>,
        /// The task was asked to cancel meanwhile, with this message or None.
        cancel: Option<Owned<'py>>,
    },
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

/// Attributes that are asked for with every request.
struct Names<'py> {
    callbacks: Owned<'py, Str>,
    callback: Owned<'py, Str>,
    tells_of_end: Owned<'py, Str>,
    set_name: Owned<'py, Str>,
    cancelling: Owned<'py, Str>,
    blocking: Owned<'py, Str>,
    get_loop: Owned<'py, Str>,
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

    /// Makes the first steps of a coroutine, under the driver that is entered.
    #[inline]
    pub(crate) fn step(
        &mut self,
        event_loop: &EventLoop<'py>,
        coroutine: &Owned<'py>,
        target: Target,
    ) -> Stepped<'py> {
        let py = self.py;
        let driver = self.entered.as_ref().expect("a driver is entered while a lane steps");
        driver.coroutine.begin(target);
        let mut stepped = coroutine.send(&none(py), py);
        loop {
            let future = match stepped {
                Ok(Step::Returned(value)) => {
                    driver.coroutine.put_back();
                    return Stepped::Ended(Ok(value));
                }
                Err(raised) => {
                    driver.coroutine.put_back();
                    return Stepped::Ended(Err(raised));
                }
                Ok(Step::Yielded(future)) => future,
            };
            match self.wait_for(event_loop, driver, &future) {
                Ok(cancel) => return Stepped::Waits { future, cancel },
                Err(raised) => stepped = throw(py, coroutine, raised),
            }
        }
    }

    /// Has the driver's task woken when the future is done, as the task would itself. Answers with
    /// what message the task was asked to cancel before, if it was.
    ///
    /// # Errors
    /// What asyncio raises in a coroutine that waits for something impossible, word for word.
    fn wait_for(
        &self,
        event_loop: &EventLoop<'py>,
        driver: &Driver<'py>,
        future: &Owned<'py>,
    ) -> Result<Option<Owned<'py>>, Raised> {
        let py = self.py;
        let cancelling = match driver.coroutine.take_cancelling(py) {
            Some(message) if self.still_cancels(driver)? => Some(message),
            _ => None,
        };
        let wakeup = driver.coroutine.wakeup(py).ok_or_else(|| {
            Raised::runtime_error(py, "the task of this request does not wait to be woken")
        })?;
        if future.is_none() {
            if let Some(message) = cancelling {
                return Err(Raised::with(py, &self.cancelled_error, &*message));
            }
            event_loop.call_soon(&wakeup, driver.coroutine.as_any(), &driver.context)?;
            return Ok(None);
        }
        let names = &self.pristine.names;
        let blocking = &names.blocking;
        let shown = |object: &Object| {
            let shown = object.repr(py)?;
            shown.as_utf8(py).map(str::to_owned)
        };
        let refuse = |text: String| match &cancelling {
            None => Err(Raised::runtime_error(py, &text)),
            // As in asyncio, that goes first.
            Some(message) => Err(Raised::with(py, &self.cancelled_error, &**message)),
        };
        match future.attr_if_any(blocking, py)? {
            None => return refuse(format!("Task got bad yield: {}", shown(future)?)),
            Some(blocks) if !blocks.is_true(py)? => {
                let (task, future) = (shown(&driver.task)?, shown(future)?);
                return refuse(format!(
                    "yield was used instead of yield from in task {task} with {future}"
                ));
            }
            Some(_) => {}
        }
        let its_loop = future.call_method0(&names.get_loop, py)?;
        if !its_loop.is(event_loop.object()) {
            let (task, future) = (shown(&driver.task)?, shown(future)?);
            return refuse(format!("Task {task} got Future {future} attached to a different loop"));
        }
        if future.is(&driver.task) {
            // The next request has this task as well.
            future.set_attr(blocking, &*pyre_ffi::Bool::new(py, false), py)?;
            return refuse(format!("Task cannot await on itself: {}", shown(&driver.task)?));
        }
        future.set_attr(blocking, &*pyre_ffi::Bool::new(py, false), py)?;
        event_loop.when_done(future, &wakeup, &driver.context)?;
        Ok(cancelling)
    }

    /// Whether a request to cancel that came during the steps has not been taken back since: the
    /// last `uncancel()` makes a task forget what it has not told its coroutine.
    #[cold]
    fn still_cancels(&self, driver: &Driver<'py>) -> Result<bool, Raised> {
        driver.task.call_method0(&self.pristine.names.cancelling, self.py)?.is_true(self.py)
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

impl<'py> Pristine<'py> {
    /// Whether a driver is as it was made but for the name of its task, so that the next request
    /// would not notice that there was one before. A driver that cannot be looked at is not.
    #[inline]
    fn is_like(&self, driver: &Driver<'py>, counts: Counts, py: Attached<'py>) -> bool {
        Counts::of(driver).equal(counts)
            && !driver.coroutine.was_cancelled()
            && driver.task.newest_weak_reference_is(driver.weakly.as_deref(), py)
            && driver.context.newest_weak_reference_is(None, py)
            && self.has_its_values(&driver.context, py)
            && match driver.task.differing_referents(&driver.referents, py) {
                Differing::None => true,
                Differing::One(place) => {
                    driver.name.is_known.set(true);
                    place == driver.name.place
                }
                Differing::More => false,
            }
            && !driver.is_single
            && (!driver.has_flown.get() || self.is_like_after_flight(driver, py))
    }

    /// Gives a task that is like a new one a name of its own, if somebody may know its name.
    #[inline]
    fn give_name(&self, driver: &mut Driver<'py>, py: Attached<'py>) -> Result<(), Raised> {
        if driver.name.is_known.get() { self.rename(driver, py) } else { Ok(()) }
    }

    #[inline(never)]
    fn rename(&self, driver: &mut Driver<'py>, py: Attached<'py>) -> Result<(), Raised> {
        let Driver { task, name, referents, .. } = driver;
        name.renamed += 1;
        let text = Str::new(py, &format!("Task-{}.{}", name.number, name.renamed))?;
        task.call_method1(&self.names.set_name, &*text, py)?;
        // The very object, as its type is that of all names.
        referents[name.place] = text.into_any();
        Ok(())
    }

    /// What a task keeps in mind of steps that it has made itself.
    fn is_like_after_flight(&self, driver: &Driver<'py>, py: Attached<'py>) -> bool {
        let looked = || -> Result<bool, Raised> {
            let requests = driver.task.call_method0(&self.names.cancelling, py)?;
            // A task that was awaited by itself is left like this.
            let blocks = driver.task.attr(&self.names.blocking, py)?;
            Ok(!requests.is_true(py)? && !blocks.is_true(py)?)
        };
        // Dropped, an exception is cleared.
        let is_like = looked().unwrap_or(false);
        driver.has_flown.set(!is_like);
        is_like
    }

    /// Whether the context variables have the very values that they had at first, whatever was set
    /// in between.
    #[inline]
    fn has_its_values(&self, context: &Owned<'py>, py: Attached<'py>) -> bool {
        match &self.variables {
            Some(variables) if context.refers_to(variables, py) => true,
            _ => self.has_each_value(context, py).unwrap_or(false),
        }
    }

    #[cold]
    fn has_each_value(&self, context: &Owned<'py>, py: Attached<'py>) -> Result<bool, Raised> {
        if context.length(py)? != self.values.len() {
            return Ok(false);
        }
        for (variable, value) in &self.values {
            // A variable that is gone raises, which says the same.
            if !context.item(variable, py)?.is(value) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Raises in a coroutine what was wrong with what it yielded.
#[cold]
fn throw<'py>(
    py: Attached<'py>,
    coroutine: &Owned<'py>,
    raised: Raised,
) -> Result<Step<'py>, Raised> {
    let exception = raised.take(py);
    match coroutine.call_method1(&*Str::intern(py, "throw")?, &*exception, py) {
        Ok(yielded) => Ok(Step::Yielded(yielded)),
        Err(raised) if raised.matches(ExceptionKind::StopIteration, py) => {
            let stopped = raised.take(py).into_any();
            stopped.attr(&*Str::intern(py, "value")?, py).map(Step::Returned)
        }
        Err(raised) => Err(raised),
    }
}
