//! Step 8a: the first steps of a coroutine, under the driver that is entered, and how the driver's task
//! comes to wait for what the coroutine waits for. Hot path.

use pyre_ffi::{Attached, ExceptionKind, Object, Owned, Raised, Step, Str, none};

use super::{Driver, Drivers};
use crate::event_loop::asyncio::EventLoop;
use crate::job::Target;

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

impl<'py> Drivers<'py> {
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
