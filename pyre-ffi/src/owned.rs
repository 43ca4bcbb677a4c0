//! `Owned<'py, T>`: one strong reference, good until the attachment ends.
//!
//! Hot path. Cloning and dropping are the inline increments and decrements of CPython's macros.

use std::{fmt, marker::PhantomData, mem::ManuallyDrop, ops::Deref, ptr::NonNull};

use pyo3_ffi as ffi;

use crate::{Any, Attached, Borrowed, Builtin, Object, Raised};

/// One strong reference to a Python object of type `T`.
///
/// It dies with the attachment `'py`, and cannot leave its thread: dropping it always happens
/// where the interpreter may be touched. To keep an object longer, see [`Held`](crate::Held).
///
/// Dropping the last reference to an object may run Python code.
///
/// It cannot be touched while the interpreter is released:
///
/// ```compile_fail,E0277
/// fn f(py: pyre_ffi::Attached<'_>, object: pyre_ffi::Owned<'_>) {
///     py.detach(|| object.is_none());
/// }
/// ```
///
/// nor get out of an attachment, whether by return or by a place outside:
///
/// ```compile_fail,E0277
/// use pyre_ffi::{interpreter::InterpreterHandle, none};
/// fn f(handle: &InterpreterHandle) {
///     let mut outside = None;
///     let _ = handle.enter(|py| outside = Some(none(py)));
/// }
/// ```
///
/// nor wait in a thread-local for the time after:
///
/// ```compile_fail
/// use std::cell::RefCell;
/// use pyre_ffi::{Attached, Owned, none};
/// thread_local!(static KEPT: RefCell<Option<Owned<'static>>> = const { RefCell::new(None) });
/// fn f(py: Attached<'_>) {
///     KEPT.set(Some(none(py)));
/// }
/// ```
#[repr(transparent)]
pub struct Owned<'py, T = Any> {
    object: Object<T>,
    scope: PhantomData<&'py ()>,
}

impl<'py, T> Owned<'py, T> {
    /// # Safety
    ///
    /// `pointer` must be a strong reference that the caller gives away, to an object of type `T`
    /// of the interpreter that `py` shows.
    #[inline(always)]
    pub(crate) unsafe fn from_pointer(
        pointer: NonNull<ffi::PyObject>,
        _py: Attached<'py>,
    ) -> Owned<'py, T> {
        // SAFETY: the caller's duty includes that of `Object::new`: we hold the reference.
        let object = unsafe { Object::new(pointer) };
        Owned { object, scope: PhantomData }
    }

    /// Takes the result of a C call: a new reference, or NULL with an exception set.
    ///
    /// # Safety
    ///
    /// As [`from_pointer`](Owned::from_pointer) if `pointer` is not NULL.
    #[inline(always)]
    pub(crate) unsafe fn or_raised(
        pointer: *mut ffi::PyObject,
        py: Attached<'py>,
    ) -> Result<Owned<'py, T>, Raised> {
        match NonNull::new(pointer) {
            // SAFETY: the caller's duty.
            Some(pointer) => Ok(unsafe { Owned::from_pointer(pointer, py) }),
            None => Err(Raised::pending()),
        }
    }

    /// Gives the reference away as a bare pointer, for C calls that steal it.
    #[inline(always)]
    pub(crate) fn into_pointer(self) -> *mut ffi::PyObject {
        ManuallyDrop::new(self).as_ptr()
    }

    /// A view without a count, for as long as this reference is not dropped or moved.
    #[inline(always)]
    pub fn borrow(&self) -> Borrowed<'_, T> {
        // SAFETY: the object lives while `self` does, and the borrow of `self` bounds the view.
        unsafe { Borrowed::from_pointer(self.object.pointer()) }
    }

    /// The same reference, with its type forgotten.
    #[inline(always)]
    pub fn into_any(self) -> Owned<'py> {
        // SAFETY: every object is an `Any`.
        unsafe { self.retype() }
    }

    /// The same reference as a `U`, if the object's type is `U` or derives from it; otherwise it
    /// comes back.
    #[inline(always)]
    pub fn downcast<U: Builtin>(self) -> Result<Owned<'py, U>, Self> {
        if self.is_a::<U>() {
            // SAFETY: `is_a` says that the object is a `U`.
            Ok(unsafe { self.retype() })
        } else {
            Err(self)
        }
    }

    /// Views of several references, for calls.
    #[inline(always)]
    pub fn borrow_all<'a>(all: &'a [Owned<'py, T>]) -> &'a [Borrowed<'a, T>] {
        let start = all.as_ptr().cast();
        // SAFETY: both are transparent pointers to the same kind of object, and the borrow of the
        // slice keeps every reference where it is.
        unsafe { std::slice::from_raw_parts(start, all.len()) }
    }

    /// # Safety
    ///
    /// The object must be of type `U`.
    #[inline(always)]
    pub(crate) unsafe fn retype<U>(self) -> Owned<'py, U> {
        let this = ManuallyDrop::new(self);
        // SAFETY: `this` is not dropped, so its reference passes on; the type is the caller's duty.
        let object = unsafe { Object::new(this.object.pointer()) };
        Owned { object, scope: PhantomData }
    }
}

impl<T> Clone for Owned<'_, T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        // SAFETY: `self` keeps the object alive, and exists only while this thread is attached.
        unsafe { ffi::Py_INCREF(self.as_ptr()) };
        // SAFETY: the reference was added on the line above.
        let object = unsafe { Object::new(self.object.pointer()) };
        Owned { object, scope: PhantomData }
    }
}

impl<T> Drop for Owned<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: this is our own reference, and `'py` has not ended, so we are attached: `Owned`
        // is not `Send`, so it can neither be in a `detach` closure nor on another thread.
        unsafe { ffi::Py_DECREF(self.as_ptr()) };
    }
}

impl<T> Deref for Owned<'_, T> {
    type Target = Object<T>;

    #[inline(always)]
    fn deref(&self) -> &Object<T> {
        &self.object
    }
}

impl<T> AsRef<Object<T>> for Owned<'_, T> {
    #[inline(always)]
    fn as_ref(&self) -> &Object<T> {
        &self.object
    }
}

impl<T> fmt::Debug for Owned<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Owned<{} at {:p}>", self.type_name(), self.as_ptr())
    }
}
