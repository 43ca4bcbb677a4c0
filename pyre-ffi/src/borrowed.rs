//! `Borrowed<'a, T>`: a look without a count.
//!
//! Hot path. A bare pointer at run time; the lifetime says who keeps the object alive.

use std::{fmt, marker::PhantomData, ops::Deref, ptr::NonNull};

use pyo3_ffi as ffi;

use crate::{Any, Attached, Builtin, Object};

/// An object of type `T` that somebody else keeps alive for `'a`.
#[repr(transparent)]
pub struct Borrowed<'a, T = Any> {
    pointer: NonNull<ffi::PyObject>,
    owner: PhantomData<(&'a (), *const T)>,
}

impl<'a, T> Borrowed<'a, T> {
    /// # Safety
    ///
    /// `pointer` must be an object of type `T` that stays alive for `'a`, and this thread must be
    /// attached to its interpreter for `'a` but for the time inside `detach`.
    #[inline(always)]
    pub(crate) unsafe fn from_pointer(pointer: NonNull<ffi::PyObject>) -> Borrowed<'a, T> {
        Borrowed { pointer, owner: PhantomData }
    }

    /// The same object, with its type forgotten.
    #[inline(always)]
    pub fn into_any(self) -> Borrowed<'a> {
        // SAFETY: the object is the same, and every object is an `Any`.
        unsafe { Borrowed::from_pointer(self.pointer) }
    }

    /// The same object as a `U`, if its type is `U` or derives from it.
    #[inline(always)]
    pub fn into_cast<U: Builtin>(self) -> Option<Borrowed<'a, U>> {
        // SAFETY: the object is the same, and `is_a` says that it is a `U`.
        self.is_a::<U>().then(|| unsafe { Borrowed::from_pointer(self.pointer) })
    }

    /// A strong reference to the same object.
    #[inline(always)]
    pub fn to_owned<'py>(self, py: Attached<'py>) -> crate::Owned<'py, T> {
        (*self).to_owned(py)
    }
}

impl<T> Clone for Borrowed<'_, T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Borrowed<'_, T> {}

impl<T> Deref for Borrowed<'_, T> {
    type Target = Object<T>;

    #[inline(always)]
    fn deref(&self) -> &Object<T> {
        // SAFETY: both types are a transparent pointer to the same live object of type `T`, and
        // the borrow of `self` does not outlast `'a`.
        unsafe { &*std::ptr::from_ref(self).cast::<Object<T>>() }
    }
}

impl<T> AsRef<Object<T>> for Borrowed<'_, T> {
    #[inline(always)]
    fn as_ref(&self) -> &Object<T> {
        self
    }
}

impl<T> fmt::Debug for Borrowed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Borrowed<{} at {:p}>", self.type_name(), self.as_ptr())
    }
}
