//! `Guarded<T>`: Rust data that the threads of one interpreter share.
//!
//! Hot path. The interpreter's lock is the lock: whoever is attached to it is alone, until Python
//! code runs. So there is nothing to acquire, only to check.

use std::{
    cell::{Cell, UnsafeCell},
    marker::PhantomData,
};

use crate::{Attached, InterpreterId, held::wrong_interpreter};

/// A value that may be touched only by threads attached to the interpreter it was made in, one
/// use at a time.
pub struct Guarded<T> {
    home: InterpreterId,
    busy: Cell<bool>,
    value: UnsafeCell<T>,
}

// SAFETY: `busy` and `value` are reached through `py` of the home interpreter only, so by one
// thread at a time, each of which sees what the last one did, as the interpreter's lock passes
// from one to the other. `T: Send` as any of them may use it, or drop it.
unsafe impl<T: Send> Sync for Guarded<T> {}

impl<T: Send> Guarded<T> {
    /// A value for the interpreter of `py`.
    pub fn new(py: Attached<'_>, value: T) -> Guarded<T> {
        Guarded { home: py.interpreter(), busy: Cell::new(false), value: UnsafeCell::new(value) }
    }

    /// Runs `f` with the value.
    ///
    /// If `f` lets Python code run, or detaches, other threads of the interpreter may come here
    /// meanwhile and panic, as the value is in use; so it should do neither.
    ///
    /// # Panics
    ///
    /// If `py` is of another interpreter, or if the value is in use.
    #[inline]
    pub fn with<R>(&self, py: Attached<'_>, f: impl FnOnce(&mut T) -> R) -> R {
        if self.home != py.interpreter() {
            wrong_interpreter(self.home, py.interpreter());
        }
        assert!(!self.busy.get(), "a guarded value was re-entered");
        self.busy.set(true);
        let _use = InUse { busy: &self.busy, stays_here: PhantomData };
        // SAFETY: this thread has the home interpreter's lock now, and `busy` says that nobody
        // else is between here and the end of this function, also not with the lock released.
        f(unsafe { &mut *self.value.get() })
    }

    /// The value itself, for whoever has the guard to himself.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

/// Marks the value as free again, also when `f` panics.
struct InUse<'a> {
    busy: &'a Cell<bool>,
    stays_here: PhantomData<*mut ()>,
}

impl Drop for InUse<'_> {
    fn drop(&mut self) {
        let _ = self.stays_here;
        self.busy.set(false);
    }
}
