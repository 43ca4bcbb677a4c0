//! The stock asyncio loop of an interpreter, driven from Rust.
//!
//! The lane runs one iteration of the loop when there is something for it to do, and does the waiting
//! itself: for jobs, for the loop's selector, and until its next timer. So one sleep serves both, and
//! a job that comes costs no iteration. The parts of `asyncio.BaseEventLoop` that this relies on
//! (`_run_once`, `_run_forever_setup`, `_ready`, `_scheduled`, `_selector`, `_stopping`) are the same
//! in all versions from 3.13 on; they are looked up when the loop is opened, so that a version without
//! them is found out at the start.

use std::time::Duration;

use pyre_ffi::{Attached, Borrowed, Float, Int, Object, Owned, Raised, Str, Tuple, import, none};

/// The loop, and what the lane calls of it.
pub(crate) struct EventLoop<'py> {
    py: Attached<'py>,
    object: Owned<'py>,
    run_once: Owned<'py>,
    call_soon: Owned<'py>,
    /// Callbacks that are to run in the next iteration.
    ready: Owned<'py>,
    task_class: Owned<'py>,
    enter_task: Owned<'py>,
    leave_task: Owned<'py>,
    set_running_loop: Owned<'py>,
    context_name: Owned<'py, Tuple>,
    task_names: Owned<'py, Tuple>,
    scheduled: Owned<'py, Str>,
    add_done_callback: Owned<'py, Str>,
    selector: i32,
}

impl<'py> EventLoop<'py> {
    /// Makes the loop the running one of this thread.
    ///
    /// # Errors
    /// Whatever asyncio raises, and `AttributeError` if it is not the loop that we know.
    pub(crate) fn open(py: Attached<'py>, object: Owned<'py>) -> Result<Self, Raised> {
        let attribute = |object: &Object, name: &str| object.attr(&*Str::intern(py, name)?, py);
        let tasks = import(py, "asyncio.tasks")?;
        let events = import(py, "asyncio.events")?;
        let selector = attribute(&object, "_selector")?;
        let selector = attribute(&selector, "fileno")?.call0(py)?;
        let selector = selector.cast::<Int>().and_then(|number| number.as_i64());
        let selector = selector.and_then(|number| i32::try_from(number).ok()).ok_or_else(|| {
            Raised::runtime_error(py, "the selector of the event loop has no descriptor")
        })?;
        attribute(&object, "_scheduled")?;
        let true_ = pyre_ffi::Bool::new(py, true).into_any();
        let name = |text: &str| Ok::<_, Raised>(Str::intern(py, text)?.into_any());
        let event_loop = Self {
            py,
            run_once: attribute(&object, "_run_once")?,
            call_soon: attribute(&object, "call_soon")?,
            ready: attribute(&object, "_ready")?,
            task_class: attribute(&tasks, "Task")?,
            enter_task: attribute(&tasks, "_enter_task")?,
            leave_task: attribute(&tasks, "_leave_task")?,
            set_running_loop: attribute(&events, "_set_running_loop")?,
            context_name: Tuple::new(py, [name("context")?])?,
            task_names: Tuple::new(py, [name("loop")?, name("context")?, name("eager_start")?])?,
            scheduled: Str::intern(py, "_scheduled")?,
            add_done_callback: Str::intern(py, "add_done_callback")?,
            selector,
            object,
        };
        attribute(&event_loop.object, "_run_forever_setup")?.call0(py)?;
        // An iteration then looks at its selector without waiting.
        event_loop.object.set_attr(&*Str::intern(py, "_stopping")?, &*true_, py)?;
        Ok(event_loop)
    }

    /// The loop is no longer the running one of this thread.
    pub(crate) fn close(&self) -> Result<(), Raised> {
        let name = Str::intern(self.py, "_run_forever_cleanup")?;
        self.object.call_method0(&name, self.py).map(drop)
    }

    /// The loop itself.
    pub(crate) fn object(&self) -> &Owned<'py> {
        &self.object
    }

    /// The descriptor that becomes readable when something happens that the loop waits for.
    pub(crate) fn selector(&self) -> i32 {
        self.selector
    }

    /// Whether callbacks are waiting.
    pub(crate) fn has_ready(&self) -> bool {
        self.ready.length(self.py).is_ok_and(|length| length > 0)
    }

    /// How long until the next timer; none if there is none.
    pub(crate) fn next_timer(&self) -> Result<Option<Duration>, Raised> {
        let py = self.py;
        // Looked up each time: the loop replaces the list now and then.
        let scheduled = self.object.attr(&self.scheduled, py)?;
        if scheduled.length(py)? == 0 {
            return Ok(None);
        }
        let handle = scheduled.item(&*Int::new(py, 0)?, py)?;
        let when = handle.attr(&*Str::intern(py, "_when")?, py)?;
        let now = self.object.call_method0(&*Str::intern(py, "time")?, py)?;
        let seconds = |time: &Object| match (time.cast::<Float>(), time.cast::<Int>()) {
            (Some(time), _) => time.as_f64(),
            (None, Some(time)) => time.as_i64().map_or(f64::MAX, |time| time as f64),
            (None, None) => 0.0,
        };
        let wait = (seconds(&when) - seconds(&now)).max(0.0);
        Ok(Some(Duration::try_from_secs_f64(wait).unwrap_or(Duration::MAX)))
    }

    /// Runs what is ready, without waiting.
    pub(crate) fn run_once(&self) -> Result<(), Raised> {
        self.run_once.call0(self.py).map(drop)
    }

    /// Runs `callback(argument)` in the next iteration.
    pub(crate) fn call_soon(
        &self,
        callback: &Object,
        argument: &Object,
        context: &Object,
    ) -> Result<(), Raised> {
        let arguments = [callback.borrow(), argument.borrow(), context.borrow()];
        self.call_soon.call_with_names(&arguments, &self.context_name, self.py).map(drop)
    }

    /// Asks a future to run `callback(future)` when it is done.
    pub(crate) fn when_done(
        &self,
        future: &Object,
        callback: &Object,
        context: &Object,
    ) -> Result<(), Raised> {
        let add = future.attr(&self.add_done_callback, self.py)?;
        let arguments = [callback.borrow(), context.borrow()];
        add.call_with_names(&arguments, &self.context_name, self.py).map(drop)
    }

    /// A task for a coroutine, which makes its first step at once.
    pub(crate) fn start_task(
        &self,
        coroutine: &Object,
        context: &Object,
    ) -> Result<Owned<'py>, Raised> {
        let eager = pyre_ffi::Bool::new(self.py, true).into_any();
        let arguments: [Borrowed<'_>; 4] =
            [coroutine.borrow(), self.object.borrow(), context.borrow(), eager.borrow()];
        self.task_class.call_with_names(&arguments, &self.task_names, self.py)
    }

    /// Makes a task the current one.
    #[inline]
    pub(crate) fn enter_task(&self, task: &Object) -> Result<(), Raised> {
        self.enter_task.call2(&self.object, task, self.py).map(drop)
    }

    /// No task is the current one any more.
    #[inline]
    pub(crate) fn leave_task(&self, task: &Object) -> Result<(), Raised> {
        self.leave_task.call2(&self.object, task, self.py).map(drop)
    }

    /// Says whether this thread runs the loop, for code that must not see it.
    pub(crate) fn set_running(&self, is_running: bool) -> Result<(), Raised> {
        let running = if is_running { self.object.clone() } else { none(self.py) };
        self.set_running_loop.call1(&running, self.py).map(drop)
    }
}
