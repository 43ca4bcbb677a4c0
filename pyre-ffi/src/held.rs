//! `Held<T>` and `Slot<T>`: strong references that outlive an attachment.
//!
//! Hot path. They live in the data of classes and in module state, which the threads of an
//! interpreter share under its lock; so they are `Send`, and each access names the interpreter
//! and compares. One that ends up elsewhere is leaked, never touched.

use std::{cell::Cell, mem, ptr::NonNull};

use pyo3_ffi as ffi;

use crate::{Any, Attached, Borrowed, InterpreterId, Object, Owned, Raised};

/// A strong reference that never changes, kept for one interpreter.
pub struct Held<T = Any> {
    object: Object<T>,
    home: InterpreterId,
}

// SAFETY: the object is reached only through `py` of its own interpreter, so under its lock, and
// `Drop` gives the reference back only on a thread attached to that interpreter.
unsafe impl<T> Send for Held<T> {}

// SAFETY: `&Held` gives access to the object only together with `py` of its own interpreter, whose
// lock lets one thread in at a time; the reference itself never changes while it is shared.
unsafe impl<T> Sync for Held<T> {}

impl<T> Held<T> {
    /// Keeps `object` beyond the attachment.
    #[inline(always)]
    pub fn new(py: Attached<'_>, object: Owned<'_, T>) -> Held<T> {
        let home = py.interpreter();
        let pointer = object.pointer();
        mem::forget(object);
        // SAFETY: the strong reference of `object` is ours now, so the object lives; that it is
        // touched only in its own interpreter is checked at each access.
        Held { object: unsafe { Object::new(pointer) }, home }
    }

    /// The object, without a count.
    ///
    /// # Panics
    ///
    /// If `py` is of another interpreter.
    #[inline(always)]
    pub fn bind<'a>(&'a self, py: Attached<'a>) -> Borrowed<'a, T> {
        check_home(self.home, py);
        // SAFETY: `self` keeps the object alive for `'a` and cannot let go of it while borrowed;
        // `py` is of its interpreter.
        unsafe { Borrowed::from_pointer(self.object.pointer()) }
    }

    /// One more strong reference.
    ///
    /// # Panics
    ///
    /// If `py` is of another interpreter.
    #[inline(always)]
    pub fn to_owned<'py>(&self, py: Attached<'py>) -> Owned<'py, T> {
        check_home(self.home, py);
        self.object.to_owned(py)
    }

    /// The reference itself.
    ///
    /// # Panics
    ///
    /// If `py` is of another interpreter.
    pub fn release<'py>(self, py: Attached<'py>) -> Owned<'py, T> {
        check_home(self.home, py);
        let pointer = self.object.pointer();
        mem::forget(self);
        // SAFETY: the strong reference is given on; `py` is of its interpreter.
        unsafe { Owned::from_pointer(pointer, py) }
    }

    /// The object and its interpreter, for the garbage collector's visit.
    pub(crate) fn place(&self) -> (NonNull<ffi::PyObject>, InterpreterId) {
        (self.object.pointer(), self.home)
    }
}

impl<T> Drop for Held<T> {
    fn drop(&mut self) {
        if InterpreterId::current() == Some(self.home) {
            // SAFETY: the reference is ours and this thread is attached to its interpreter.
            unsafe { ffi::Py_DECREF(self.object.as_ptr()) };
        }
    }
}

/// A place for a strong reference that may be empty and may change; a field of a class.
pub struct Slot<T = Any> {
    held: Cell<Option<NonNull<ffi::PyObject>>>,
    home: Cell<InterpreterId>,
    kind: std::marker::PhantomData<*const T>,
}

// SAFETY: as for `Held`: the object is reached only through `py` of its own interpreter, and the
// cells only by whoever has the slot, which is not `Sync`.
unsafe impl<T> Send for Slot<T> {}

impl<T> Slot<T> {
    /// An empty slot.
    pub const fn empty() -> Slot<T> {
        Slot {
            held: Cell::new(None),
            home: Cell::new(InterpreterId::MAIN),
            kind: std::marker::PhantomData,
        }
    }

    /// A slot that holds `object`.
    pub fn new(py: Attached<'_>, object: Owned<'_, T>) -> Slot<T> {
        let slot = Slot::empty();
        slot.fill(py, object);
        slot
    }

    /// Whether nothing is kept here.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.held.get().is_none()
    }

    /// One more strong reference to what is kept here.
    ///
    /// # Panics
    ///
    /// If `py` is of another interpreter than the object.
    #[inline(always)]
    pub fn get<'py>(&self, py: Attached<'py>) -> Option<Owned<'py, T>> {
        let pointer = self.held.get()?;
        check_home(self.home.get(), py);
        // SAFETY: the slot keeps the object alive now, and `py` is of its interpreter; the view
        // is gone by the end of the line, before anything could empty the slot.
        Some(unsafe { Borrowed::<T>::from_pointer(pointer) }.to_owned(py))
    }

    /// What is kept here, made by `make` if there is nothing yet.
    ///
    /// Python code that runs in `make` may fill the slot first; then its object stays.
    #[inline]
    pub fn get_or_make<'py>(
        &self,
        py: Attached<'py>,
        make: impl FnOnce() -> Result<Owned<'py, T>, Raised>,
    ) -> Result<Owned<'py, T>, Raised> {
        if let Some(object) = self.get(py) {
            return Ok(object);
        }
        let object = make()?;
        if let Some(earlier) = self.get(py) {
            return Ok(earlier);
        }
        self.fill(py, object.clone());
        Ok(object)
    }

    /// Keeps `object` and lets go of what was kept before, which may run Python code.
    ///
    /// # Panics
    ///
    /// If what was kept belongs to another interpreter.
    #[inline]
    pub fn set(&self, py: Attached<'_>, object: Owned<'_, T>) {
        let before = self.take(py);
        self.fill(py, object);
        drop(before);
    }

    /// Empties the slot.
    ///
    /// # Panics
    ///
    /// If what is kept belongs to another interpreter.
    #[inline]
    pub fn take<'py>(&self, py: Attached<'py>) -> Option<Owned<'py, T>> {
        let pointer = self.held.get()?;
        check_home(self.home.get(), py);
        self.held.set(None);
        // SAFETY: the slot's strong reference is given on, and `py` is of its interpreter.
        Some(unsafe { Owned::from_pointer(pointer, py) })
    }

    /// Empties the slot and drops what was kept; what a class does in `Class::clear`.
    #[inline]
    pub fn clear(&self, py: Attached<'_>) {
        drop(self.take(py));
    }

    /// Keeps `object`, in a slot that is empty.
    #[inline(always)]
    pub(crate) fn fill(&self, py: Attached<'_>, object: Owned<'_, T>) {
        let pointer = object.pointer();
        mem::forget(object);
        self.home.set(py.interpreter());
        self.held.set(Some(pointer));
    }

    /// The object and its interpreter, for the garbage collector's visit.
    pub(crate) fn place(&self) -> Option<(NonNull<ffi::PyObject>, InterpreterId)> {
        self.held.get().map(|object| (object, self.home.get()))
    }
}

impl<T> Default for Slot<T> {
    fn default() -> Slot<T> {
        Slot::empty()
    }
}

impl<T> Drop for Slot<T> {
    fn drop(&mut self) {
        let Some(pointer) = self.held.get() else { return };
        if InterpreterId::current() == Some(self.home.get()) {
            // SAFETY: the reference is ours and this thread is attached to its interpreter.
            unsafe { ffi::Py_DECREF(pointer.as_ptr()) };
        }
    }
}

#[inline(always)]
fn check_home(home: InterpreterId, py: Attached<'_>) {
    if home != py.interpreter() {
        wrong_interpreter(home, py.interpreter());
    }
}

#[cold]
#[inline(never)]
pub(crate) fn wrong_interpreter(home: InterpreterId, here: InterpreterId) -> ! {
    panic!("an object of interpreter {} was used in interpreter {}", home.number(), here.number())
}
