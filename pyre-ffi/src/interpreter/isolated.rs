//! An interpreter with a lock of its own: made, run and ended on one thread.
//!
//! CPython's rules, each of which was learnt from a crash: a thread state is made, used and ended
//! on its own thread; interpreters start and end one at a time; an interpreter ends when its last
//! other thread has left.

#![expect(clippy::disallowed_types, reason = "std is this crate's only dependency but pyo3-ffi")]

use std::{
    ffi::CStr,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    ptr,
    sync::{Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use pyo3_ffi as ffi;

use super::{InterpreterHandle, IsolatedConfig, Refused, fork};
use crate::{
    Attached, Dict, Owned, Raised, Str,
    attached::Reattach,
    import,
    threads::{new_thread_state, states_stay},
};

/// Held while an interpreter is made or ended, and not while one runs.
static START_OR_END: Turn = Turn { taken: Mutex::new(false), given_back: Condvar::new() };

/// A lock that is not waited for beyond a deadline: the end of an interpreter runs destructors of the
/// program, and one that does not return must not hold up whoever has a deadline of its own.
struct Turn {
    taken: Mutex<bool>,
    given_back: Condvar,
}

/// Holds the lock until it is dropped.
struct TurnTaken(&'static Turn);

impl Turn {
    fn take(&'static self, deadline: Instant) -> Option<TurnTaken> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        while *taken {
            let rest = deadline.checked_duration_since(Instant::now())?;
            let waited = self.given_back.wait_timeout(taken, rest);
            taken = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        *taken = true;
        Some(TurnTaken(self))
    }
}

impl Drop for TurnTaken {
    fn drop(&mut self) {
        *self.0.taken.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.0.given_back.notify_one();
    }
}

/// The interpreter could not be made.
#[derive(Debug)]
pub struct StartError(String);

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an interpreter could not be started: {}", self.0)
    }
}

impl std::error::Error for StartError {}

/// How an interpreter ended.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// It is gone.
    Clean,
    /// Threads were still inside when the wait was over. It was left behind, and the process must
    /// not finalise Python any more, only exit.
    StillBusy,
}

/// Makes an isolated interpreter on this thread, runs `f` in it, and ends it.
///
/// Python must be initialised. A thread that is attached elsewhere is detached meanwhile.
///
/// # Errors
///
/// [`StartError`] in CPython's words.
///
/// # Panics
///
/// With what `f` panicked with, after the interpreter has ended.
///
/// # Threads
///
/// Takes the main interpreter's lock for a moment to start and to end: never call it while holding
/// something that a thread attached to the main interpreter waits for.
pub fn run_isolated<R: Send>(
    config: IsolatedConfig,
    f: impl for<'py> FnOnce(Attached<'py>, &InterpreterHandle) -> R + Send,
) -> Result<(R, Ended), StartError> {
    let _elsewhere = Reattach::detach_if_attached();
    // SAFETY: may be asked at any time.
    if unsafe { ffi::Py_IsInitialized() } == 0 {
        return Err(StartError("Python is not initialised".to_owned()));
    }
    let Some(started) = START_OR_END.take(Instant::now() + config.start_wait) else {
        let text = format!(
            "another one has been starting or ending for {:?}; a destructor may not return",
            config.start_wait
        );
        return Err(StartError(text));
    };
    // Whoever makes a thread state may be forked meanwhile.
    fork::notice_forks();
    // SAFETY: Python is initialised.
    let main = unsafe { ffi::PyInterpreterState_Main() };
    // SAFETY: the main interpreter lives as long as Python does; the state is for this thread.
    let Some(first) = (unsafe { new_thread_state(main) }) else {
        return Err(StartError(Refused::NoMemory.to_string()));
    };
    let first = MainState(first);
    first.attach();
    // While the lock of the main interpreter is ours: from the next call on it is free now and then, and
    // there are two interpreters.
    fork::prepare();
    let mut own = ptr::null_mut();
    let settings = config.to_ffi();
    // SAFETY: attached to the main interpreter; `own` can be written.
    let status = unsafe { ffi::Py_NewInterpreterFromConfig(&raw mut own, &raw const settings) };
    // SAFETY: only looks at the status.
    if unsafe { ffi::PyStatus_Exception(status) } != 0 {
        first.delete();
        return Err(StartError(words_of(&status)));
    }
    fork::confirm();
    drop(started);

    // SAFETY: CPython attached this thread to the new interpreter, and it stays so until `end`.
    let py = unsafe { Attached::discover() };
    let handle = InterpreterHandle::of(py);
    let result = catch_unwind(AssertUnwindSafe(|| f(py, &handle)));
    let ended = end(py, &handle, own, config.end_wait);
    if ended == Ended::Clean {
        first.attach();
        first.delete();
    }
    match result {
        Ok(result) => Ok((result, ended)),
        Err(panic) => resume_unwind(panic),
    }
}

/// Ends the interpreter of `py`, whose first thread state is `own`.
fn end(
    py: Attached<'_>,
    handle: &InterpreterHandle,
    own: *mut ffi::PyThreadState,
    wait: Duration,
) -> Ended {
    let deadline = Instant::now() + wait;
    let everybody_left = handle.close(wait, py) && {
        if let Err(raised) = join_python_threads(py) {
            raised.write_unraisable("threading", py);
        }
        if let Err(raised) = run_exit_functions(py) {
            raised.write_unraisable("atexit", py);
        }
        if let Err(raised) = unfreeze(py) {
            raised.write_unraisable("gc", py);
        }
        wait_alone(py, own, deadline)
    };
    // The lock is waited for without the interpreter's: whoever has it may need that one.
    let ending = everybody_left.then(|| py.detach(|| START_OR_END.take(deadline))).flatten();
    if ending.is_none() {
        // SAFETY: attached; nobody uses `py` after this function has returned.
        unsafe { ffi::PyEval_SaveThread() };
        return Ended::StillBusy;
    }
    // SAFETY: `own` is attached and the last of its interpreter; nobody uses `py` afterwards.
    unsafe { ffi::Py_EndInterpreter(own) };
    Ended::Clean
}

/// Undoes `gc.freeze()`: what was frozen is of the program, and its destructors run at the end, as they
/// do at the end of any program; what nobody collects is never freed either.
fn unfreeze(py: Attached<'_>) -> Result<(), Raised> {
    let Some(gc) = imported(py, "gc")? else { return Ok(()) };
    gc.call_method0(&*Str::new(py, "unfreeze")?, py).map(drop)
}

/// Joins the threads that Python code started, and the workers of its executors, which wait to be
/// told to stop.
///
/// CPython does the same when the interpreter ends, but aborts the process if a thread is left
/// then; and its own call registers this thread with `threading` a second time, as a dummy whose
/// removal fails when the module is gone, and says so on stderr. So what there is to call is
/// called here, and not left for it.
fn join_python_threads(py: Attached<'_>) -> Result<(), Raised> {
    let Some(threading) = imported(py, "threading")? else { return Ok(()) };
    threading.call_method0(&*Str::new(py, "_shutdown")?, py)?;
    let clear = Str::new(py, "clear")?;
    if let Some(callbacks) = threading.attr_if_any(&*Str::new(py, "_threading_atexits")?, py)? {
        callbacks.call_method0(&clear, py)?;
    }
    if let Some(local) = threading.attr_if_any(&*Str::new(py, "_thread_local_info")?, py)? {
        local.attr(&*Str::new(py, "__dict__")?, py)?.call_method0(&clear, py)?;
    }
    Ok(())
}

/// Runs what was registered with `atexit`, while the threads that it may start can still be waited
/// for; CPython runs it too late for that, and finds nothing left to run.
fn run_exit_functions(py: Attached<'_>) -> Result<(), Raised> {
    let Some(atexit) = imported(py, "atexit")? else { return Ok(()) };
    atexit.call_method0(&*Str::new(py, "_run_exitfuncs")?, py).map(drop)
}

/// A module, if it has been imported.
fn imported<'py>(py: Attached<'py>, name: &str) -> Result<Option<Owned<'py>>, Raised> {
    let modules = import(py, "sys")?.attr(&*Str::new(py, "modules")?, py)?;
    match modules.cast::<Dict>() {
        Some(modules) => modules.get(&*Str::new(py, name)?, py),
        None => Ok(None),
    }
}

/// Waits until `own` is the only thread state of its interpreter.
fn wait_alone(py: Attached<'_>, own: *mut ffi::PyThreadState, deadline: Instant) -> bool {
    // Nobody can tell us that a thread is gone, so we look now and then.
    let never = (Mutex::new(()), Condvar::new());
    loop {
        // SAFETY: attached, so the interpreter lives.
        let interpreter = unsafe { ffi::PyThreadState_GetInterpreter(own) };
        let stay = states_stay(py);
        // SAFETY: as above. Threads started by Python code come and go under the interpreter's
        // lock, which we have; no other one comes, as `stay` says.
        let head = unsafe { ffi::PyInterpreterState_ThreadHead(interpreter) };
        // SAFETY: as above.
        if head == own && unsafe { ffi::PyThreadState_Next(own) }.is_null() {
            return true;
        }
        drop(stay);
        if Instant::now() >= deadline {
            return false;
        }
        py.detach(|| {
            let lock = never.0.lock().unwrap_or_else(PoisonError::into_inner);
            drop(never.1.wait_timeout(lock, Duration::from_millis(2)));
        });
    }
}

/// The thread state of the main interpreter under which an interpreter is made and ended.
struct MainState(*mut ffi::PyThreadState);

impl MainState {
    fn attach(&self) {
        // SAFETY: ours, made on this thread, which is attached to nothing at the two places where
        // this is called.
        unsafe { ffi::PyEval_RestoreThread(self.0) };
    }

    /// Clears and deletes the state, which must be attached.
    fn delete(self) {
        // SAFETY: attached at the two places where this is called.
        unsafe { ffi::PyThreadState_Clear(self.0) };
        // SAFETY: as above, and cleared.
        unsafe { ffi::PyThreadState_DeleteCurrent() };
    }
}

#[cold]
fn words_of(status: &ffi::PyStatus) -> String {
    if status.err_msg.is_null() {
        return format!("exit code {}", status.exitcode);
    }
    // SAFETY: CPython's messages are NUL-terminated and static.
    unsafe { CStr::from_ptr(status.err_msg) }.to_string_lossy().into_owned()
}
