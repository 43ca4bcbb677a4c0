//! A handle to a running interpreter, through which threads enter and leave it.

#![expect(clippy::disallowed_types, reason = "std is this crate's only dependency but pyo3-ffi")]

use std::{
    fmt,
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use pyo3_ffi as ffi;

use super::fork;
use crate::{
    Attached, InterpreterId, attached::Reattach, held::wrong_interpreter, threads::new_thread_state,
};

/// Why a thread does not come into an interpreter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// It takes no threads any more: it is ending, or has ended.
    Closed,
    /// There is no memory for the state of a thread.
    NoMemory,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refused::Closed => "the interpreter takes no threads any more",
            Refused::NoMemory => "Cannot allocate memory for the state of a thread",
        })
    }
}

impl std::error::Error for Refused {}

/// Lets threads run an interpreter that another thread made.
///
/// # Threads
///
/// Any thread may hold one; [`enter`](InterpreterHandle::enter) is how it gets in.
#[derive(Clone)]
pub struct InterpreterHandle {
    gate: Arc<Gate>,
}

struct Gate {
    id: InterpreterId,
    interpreter: *mut ffi::PyInterpreterState,
    state: Mutex<State>,
    left: Condvar,
}

// SAFETY: the pointer is used only to make thread states, only while the gate is open, and the
// interpreter lives until the gate was closed and everybody left.
unsafe impl Send for Gate {}
// SAFETY: as above; `state` is behind its lock.
unsafe impl Sync for Gate {}

struct State {
    open: bool,
    inside: usize,
}

static MAIN: OnceLock<InterpreterHandle> = OnceLock::new();

impl InterpreterHandle {
    /// A handle to the interpreter this thread is attached to.
    pub(super) fn of(py: Attached<'_>) -> InterpreterHandle {
        // SAFETY: on an attached thread.
        let interpreter = unsafe { ffi::PyInterpreterState_Get() };
        InterpreterHandle {
            gate: Arc::new(Gate {
                id: py.interpreter(),
                interpreter,
                state: Mutex::new(State { open: true, inside: 0 }),
                left: Condvar::new(),
            }),
        }
    }

    /// The handle of the main interpreter.
    ///
    /// Threads that enter must have left before the main interpreter is finalised; see
    /// [`close`](InterpreterHandle::close).
    ///
    /// # Panics
    ///
    /// If `py` is of another interpreter.
    pub fn main(py: Attached<'_>) -> InterpreterHandle {
        if py.interpreter() != InterpreterId::MAIN {
            wrong_interpreter(InterpreterId::MAIN, py.interpreter());
        }
        fork::notice_forks();
        MAIN.get_or_init(|| InterpreterHandle::of(py)).clone()
    }

    /// The interpreter's number.
    pub fn id(&self) -> InterpreterId {
        self.gate.id
    }

    /// Runs `f` attached to the interpreter, with a thread state made for the purpose.
    ///
    /// Making one costs about 12 microseconds: enter for a lifetime, not for a call. A thread that
    /// is attached elsewhere is detached from there meanwhile.
    ///
    /// # Errors
    ///
    /// If the interpreter takes no threads any more, or there is no memory.
    ///
    /// # Threads
    ///
    /// Waits for the interpreter's lock.
    pub fn enter<R: Send>(
        &self,
        f: impl for<'py> FnOnce(Attached<'py>) -> R + Send,
    ) -> Result<R, Refused> {
        self.invite()?.enter(f)
    }

    /// Lets one thread in, now or later: the interpreter does not end before it has been there, or the
    /// invitation is dropped.
    ///
    /// For a thread that is given what belongs to the interpreter: it can always let go of that inside.
    ///
    /// # Errors
    ///
    /// If the interpreter takes no threads any more.
    pub fn invite(&self) -> Result<Invitation, Refused> {
        let mut state = self.gate.lock();
        if !state.open {
            return Err(Refused::Closed);
        }
        state.inside += 1;
        Ok(Invitation { gate: self.gate.clone() })
    }

    /// Lets no more threads in, and waits until those inside have left; answers whether they did.
    ///
    /// # Threads
    ///
    /// Detaches while it waits.
    pub fn close(&self, wait: Duration, py: Attached<'_>) -> bool {
        self.gate.lock().open = false;
        py.detach(|| self.gate.wait_empty(wait))
    }
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_empty(&self, wait: Duration) -> bool {
        let deadline = Instant::now() + wait;
        let mut state = self.lock();
        while state.inside > 0 {
            let Some(rest) = deadline.checked_duration_since(Instant::now()) else { return false };
            let waited = self.left.wait_timeout(state, rest);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

/// One thread that is inside or on its way; counted, so that the interpreter does not end before.
pub struct Invitation {
    gate: Arc<Gate>,
}

impl Invitation {
    /// Runs `f` as [`InterpreterHandle::enter`] does, also if the interpreter was closed meanwhile.
    ///
    /// # Errors
    ///
    /// [`Refused::NoMemory`].
    ///
    /// # Threads
    ///
    /// Waits for the interpreter's lock.
    pub fn enter<R: Send>(
        self,
        f: impl for<'py> FnOnce(Attached<'py>) -> R + Send,
    ) -> Result<R, Refused> {
        let _elsewhere = Reattach::detach_if_attached();
        // Given back before this thread waits for another interpreter.
        let invitation = self;
        // SAFETY: the invitation keeps the interpreter from ending; the state is for this thread.
        let Some(state) = (unsafe { new_thread_state(invitation.gate.interpreter) }) else {
            // While others can still let go of what it shares with them.
            drop(f);
            return Err(Refused::NoMemory);
        };
        // SAFETY: made for this thread on the line before; it is attached to nothing, as
        // `_elsewhere` says.
        let _attachment = unsafe { Attachment::begin(state) };
        // SAFETY: attached on the line above until `_attachment` is dropped, which outlives `f`.
        Ok(f(unsafe { Attached::assume(invitation.gate.id) }))
    }
}

impl Drop for Invitation {
    fn drop(&mut self) {
        self.gate.lock().inside -= 1;
        self.gate.left.notify_all();
    }
}

/// A thread state that is attached to this thread; cleared and deleted at the end.
struct Attachment {
    state: *mut ffi::PyThreadState,
}

impl Attachment {
    /// # Safety
    ///
    /// `state` must be new, of an interpreter that lives until the value is dropped, and made for
    /// this thread, which must not be attached to anything.
    unsafe fn begin(state: *mut ffi::PyThreadState) -> Attachment {
        // SAFETY: the caller's duty.
        unsafe { ffi::PyEval_RestoreThread(state) };
        Attachment { state }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        // SAFETY: attached since `begin`: whatever ran since has restored what it detached.
        unsafe { ffi::PyThreadState_Clear(self.state) };
        // SAFETY: as above, and cleared.
        unsafe { ffi::PyThreadState_DeleteCurrent() };
    }
}
