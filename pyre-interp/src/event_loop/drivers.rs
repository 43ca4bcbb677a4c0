//! Drivers: tasks that were made before they are needed, each with a context of its own, waiting for
//! a request. Hot path.
//!
//! While the lane steps coroutines, one driver is *entered*: its task is the current one and its
//! context the one that code runs in. A request that ends without waiting leaves the driver as it
//! was, if nobody has set a context variable, kept the task, or left something with it; otherwise the
//! next request gets another driver.

use std::sync::Arc;

use pyre_ffi::{
    Attached, ClassHandle, ExceptionKind, Held, Instance, Object, Owned, Raised, Step, Str,
    copy_context, import, none,
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
    /// A copy of the context as it was made.
    pristine: Owned<'py>,
    /// How many know of the task when no request has it, and how many more while it is the current
    /// one.
    references: isize,
    references_of_loop: isize,
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
    names: Names<'py>,
}

/// Attributes that are asked for with every request.
struct Names<'py> {
    callbacks: Owned<'py, Str>,
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
            cancelling: Str::intern(py, "cancelling")?,
            blocking: Str::intern(py, "_asyncio_future_blocking")?,
            get_loop: Str::intern(py, "get_loop")?,
        };
        let origin = copy_context(py)?;
        Ok(Self { py, turnstile, idle: Vec::new(), entered: None, cancelled_error, origin, names })
    }

    /// Whether this is asyncio's exception for what was cancelled.
    pub(crate) fn is_cancellation(&self, raised: &Raised) -> bool {
        raised.matches_class(&self.cancelled_error, self.py)
    }

    /// Enters a driver, if none is entered.
    #[inline]
    pub(crate) fn enter_any(
        &mut self,
        event_loop: &EventLoop<'py>,
        class: &ClassHandle<RequestCoroutine>,
    ) -> Result<(), Raised> {
        if self.entered.is_some() {
            return Ok(());
        }
        let driver = match self.idle.pop() {
            Some(driver) => driver,
            None => self.make(event_loop, class)?,
        };
        self.enter(event_loop, driver)?;
        if let Some(driver) = &mut self.entered {
            driver.references_of_loop = driver.task.reference_count() - driver.references;
        }
        Ok(())
    }

    /// Enters a driver that has a request already.
    pub(crate) fn enter(
        &mut self,
        event_loop: &EventLoop<'py>,
        driver: Driver<'py>,
    ) -> Result<(), Raised> {
        self.leave(event_loop)?;
        driver.context.enter_context(self.py)?;
        let entered = event_loop.enter_task(&driver.task);
        if entered.is_err() {
            driver.context.exit_context(self.py)?;
        }
        self.entered = Some(driver);
        entered
    }

    /// Leaves the driver that is entered; it is idle then.
    pub(crate) fn leave(&mut self, event_loop: &EventLoop<'py>) -> Result<(), Raised> {
        match self.take(event_loop)? {
            Some(driver) if self.idle.len() < IDLE_MAX => self.idle.push(driver),
            Some(driver) => driver.end(self.py, event_loop)?,
            None => {}
        }
        Ok(())
    }

    /// Leaves the driver that is entered and takes it.
    pub(crate) fn take(
        &mut self,
        event_loop: &EventLoop<'py>,
    ) -> Result<Option<Driver<'py>>, Raised> {
        let Some(driver) = self.entered.take() else { return Ok(None) };
        event_loop.leave_task(&driver.task)?;
        driver.context.exit_context(self.py)?;
        Ok(Some(driver))
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
        let blocking = &self.names.blocking;
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
        let its_loop = future.call_method0(&self.names.get_loop, py)?;
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
        driver.task.call_method0(&self.names.cancelling, self.py)?.is_true(self.py)
    }

    /// The request of the driver that is entered has been answered: if it has left its mark, another
    /// driver will serve the next one.
    #[inline]
    pub(crate) fn settle(&mut self, event_loop: &EventLoop<'py>) -> Result<(), Raised> {
        match &self.entered {
            Some(driver)
                if !is_true(driver.is_clean(driver.references_of_loop, &self.names, self.py)) =>
            {
                self.replace(event_loop)
            }
            _ => Ok(()),
        }
    }

    #[cold]
    fn replace(&mut self, event_loop: &EventLoop<'py>) -> Result<(), Raised> {
        match self.take(event_loop)? {
            Some(driver) => driver.end(self.py, event_loop),
            None => Ok(()),
        }
    }

    /// Takes back a driver whose request had waited, if it is as it was.
    pub(crate) fn give_back(
        &mut self,
        event_loop: &EventLoop<'py>,
        driver: Driver<'py>,
    ) -> Result<(), Raised> {
        if self.idle.len() < IDLE_MAX && is_true(driver.is_clean_after_flight(&self.names, self.py))
        {
            self.idle.push(driver);
            return Ok(());
        }
        driver.end(self.py, event_loop)
    }

    /// Ends all tasks that wait for requests.
    pub(crate) fn end(&mut self, event_loop: &EventLoop<'py>) -> Result<(), Raised> {
        self.leave(event_loop)?;
        self.idle.drain(..).try_for_each(|driver| driver.end(self.py, event_loop))
    }

    fn make(
        &self,
        event_loop: &EventLoop<'py>,
        class: &ClassHandle<RequestCoroutine>,
    ) -> Result<Driver<'py>, Raised> {
        let py = self.py;
        let context = self.origin.copied_context(py)?;
        let pristine = context.copied_context(py)?;
        let home = Held::new(py, event_loop.object().clone());
        let value = RequestCoroutine::new(self.turnstile.clone(), home);
        let coroutine = Instance::new(py, class, value)?;
        let task = event_loop.start_task(coroutine.as_any(), &context)?;
        let references = task.reference_count();
        Ok(Driver { coroutine, task, context, pristine, references, references_of_loop: 0 })
    }
}

impl<'py> Driver<'py> {
    /// Whether the next request would not notice that there was one before.
    #[inline]
    fn is_clean(
        &self,
        references_of_loop: isize,
        names: &Names<'py>,
        py: Attached<'py>,
    ) -> Result<bool, Raised> {
        Ok(!self.coroutine.was_cancelled()
            && self.task.reference_count() == self.references + references_of_loop
            && self.context.equals(&self.pristine, py)?
            // Somebody may have asked to be called when the task ends.
            && self.task.attr(&names.callbacks, py)?.is_none())
    }

    /// The same after steps that the task has made itself.
    fn is_clean_after_flight(&self, names: &Names<'py>, py: Attached<'py>) -> Result<bool, Raised> {
        let requests = self.task.call_method0(&names.cancelling, py)?;
        // A task that was awaited by itself is left like this.
        let blocks = self.task.attr(&names.blocking, py)?;
        Ok(!requests.is_true(py)? && !blocks.is_true(py)? && self.is_clean(0, names, py)?)
    }

    /// Lets the task end.
    #[cold]
    fn end(self, py: Attached<'py>, event_loop: &EventLoop<'py>) -> Result<(), Raised> {
        self.coroutine.end();
        match self.coroutine.wakeup(py) {
            Some(wakeup) => event_loop.call_soon(&wakeup, self.coroutine.as_any(), &self.context),
            None => Ok(()),
        }
    }
}

/// A driver that cannot be compared is not clean.
fn is_true(is_clean: Result<bool, Raised>) -> bool {
    // Dropped, the exception is cleared: it is of a value that the request has left.
    is_clean.unwrap_or(false)
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
