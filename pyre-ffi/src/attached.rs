//! `Attached`: this thread is running an interpreter.
//!
//! Hot path. The token travels in a register through everything that touches Python; it carries
//! the interpreter's number, so that what belongs to one interpreter can be checked by a compare.

use std::marker::PhantomData;

use pyo3_ffi as ffi;

/// The number of an interpreter. CPython never gives a number twice in the life of a process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct InterpreterId(i64);

impl InterpreterId {
    /// The interpreter a process starts with.
    pub const MAIN: InterpreterId = InterpreterId(0);

    /// The number as CPython shows it, for log lines.
    pub fn number(self) -> i64 {
        self.0
    }

    /// The interpreter this thread is attached to, if any.
    pub(crate) fn current() -> Option<InterpreterId> {
        // SAFETY: may be called on any thread; NULL says that it is attached to nothing.
        let state = unsafe { ffi::PyThreadState_GetUnchecked() };
        if state.is_null() {
            return None;
        }
        // SAFETY: `state` is this thread's own and attached, so nobody ends it under us.
        let interpreter = unsafe { ffi::PyThreadState_GetInterpreter(state) };
        // SAFETY: an interpreter lives while a thread is attached to it.
        Some(InterpreterId(unsafe { ffi::PyInterpreterState_GetID(interpreter) }))
    }
}

/// Shows that this thread is attached to an interpreter for as long as `'py`.
///
/// A value of this type cannot be sent to another thread, nor be captured by the closure of
/// [`detach`](Attached::detach); together with its lifetime this makes it a proof, not a promise.
#[derive(Clone, Copy)]
pub struct Attached<'py> {
    interpreter: InterpreterId,
    scope: PhantomData<(&'py (), *mut ())>,
}

impl<'py> Attached<'py> {
    /// # Safety
    ///
    /// This thread must be attached to `interpreter`, and stay so for `'py` but for the time
    /// inside `detach`.
    #[inline(always)]
    pub(crate) unsafe fn assume(interpreter: InterpreterId) -> Attached<'py> {
        Attached { interpreter, scope: PhantomData }
    }

    /// Asks CPython which interpreter this thread runs; for borders that cannot know otherwise.
    ///
    /// # Safety
    ///
    /// This thread must be attached, and stay so for `'py` but for the time inside `detach`.
    #[cold]
    pub(crate) unsafe fn discover() -> Attached<'py> {
        let interpreter = InterpreterId::current().expect("the caller says it is attached");
        // SAFETY: the number was just read from this thread's state; the rest is the caller's duty.
        unsafe { Attached::assume(interpreter) }
    }

    /// The interpreter this thread runs.
    #[inline(always)]
    pub fn interpreter(self) -> InterpreterId {
        self.interpreter
    }

    /// Lets other threads run the interpreter while `f` runs; comes back before it returns, also
    /// when `f` panics.
    ///
    /// The closure must be `Send`: nothing that belongs to the interpreter is, so none of it can
    /// be touched meanwhile. Views into strings and bytes may be, as these do not change.
    ///
    /// # Threads
    ///
    /// Coming back waits for the interpreter's lock.
    pub fn detach<R: Send>(self, f: impl FnOnce() -> R + Send) -> R {
        // SAFETY: `self` shows that this thread is attached, which is all the call needs.
        let state = unsafe { ffi::PyEval_SaveThread() };
        let _back = Reattach { state };
        f()
    }
}

/// Attaches a thread again when dropped; the mirror of `PyEval_SaveThread`.
pub(crate) struct Reattach {
    state: *mut ffi::PyThreadState,
}

impl Reattach {
    /// Detaches this thread if it is attached to anything, until the value is dropped.
    pub(crate) fn detach_if_attached() -> Option<Reattach> {
        InterpreterId::current()?;
        // SAFETY: `current` saw that this thread is attached.
        let state = unsafe { ffi::PyEval_SaveThread() };
        Some(Reattach { state })
    }
}

impl Drop for Reattach {
    fn drop(&mut self) {
        // SAFETY: `state` was given to us by `PyEval_SaveThread` on this thread (`*mut` keeps the
        // guard here), and nobody but this guard attaches or ends it.
        unsafe { ffi::PyEval_RestoreThread(self.state) };
    }
}
