//! Any object: which type it is of, and who it is.
//!
//! Hot path. Type tests read the object's header; nothing of them is a C call.

mod protocols; // what is asked of it by way of its type

use std::{ffi::CStr, marker::PhantomData, ptr::NonNull};

use pyo3_ffi as ffi;

use crate::{Attached, Borrowed, Bytes, Dict, Float, Int, List, Owned, Str, Tuple};

/// Marks an object of which nothing is known.
pub enum Any {}

/// Marks a type object.
pub enum Type {}

/// A handle to a live Python object, reached through an [`Owned`] or a [`Borrowed`].
///
/// It exists only while this thread is attached to the object's interpreter.
#[repr(transparent)]
pub struct Object<T = Any> {
    pointer: NonNull<ffi::PyObject>,
    kind: PhantomData<*const T>,
}

/// A built-in type that objects can be tested for.
pub trait Builtin: sealed::Described {}

impl<T: sealed::Described> Builtin for T {}

pub(crate) mod sealed {
    use super::ffi;

    /// # Safety
    ///
    /// Every object that passes `is_instance` must have the layout of the type.
    pub unsafe trait Described {
        /// The type object; static, so the same in every interpreter.
        fn type_object() -> *mut ffi::PyTypeObject;

        /// Whether `object`'s type is this one or derives from it.
        ///
        /// # Safety
        ///
        /// `object` must be live, on a thread attached to its interpreter.
        unsafe fn is_instance(object: *mut ffi::PyObject) -> bool;
    }
}

/// Describes a built-in type by its type object and its flag for subclasses.
macro_rules! builtin {
    ($marker:ty, $object:ident, $flag:ident) => {
        // SAFETY: CPython sets the flag for this type and what derives from it, and derived types
        // extend the layout of their base.
        unsafe impl $crate::object::sealed::Described for $marker {
            #[inline(always)]
            fn type_object() -> *mut pyo3_ffi::PyTypeObject {
                &raw mut pyo3_ffi::$object
            }

            #[inline(always)]
            unsafe fn is_instance(object: *mut pyo3_ffi::PyObject) -> bool {
                // SAFETY: the caller shows a live object.
                let class = unsafe { pyo3_ffi::Py_TYPE(object) };
                // SAFETY: an object keeps its type alive; flags for subclasses never change.
                unsafe { pyo3_ffi::PyType_HasFeature(class, pyo3_ffi::$flag) != 0 }
            }
        }
    };
}
pub(crate) use builtin;

builtin!(Type, PyType_Type, Py_TPFLAGS_TYPE_SUBCLASS);

/// What an object is exactly, for a `match` over the types of JSON and their like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool,
    /// `int` itself.
    Int,
    /// `float` itself.
    Float,
    /// `str` itself.
    Str,
    /// `bytes` itself.
    Bytes,
    /// `list` itself.
    List,
    /// `tuple` itself.
    Tuple,
    /// `dict` itself.
    Dict,
    /// Anything else, also what derives from the above.
    Other,
}

impl<T> Object<T> {
    /// # Safety
    ///
    /// `pointer` must be an object of type `T` that outlives the handle, and the handle must be
    /// reached only by threads attached to the object's interpreter.
    #[inline(always)]
    pub(crate) unsafe fn new(pointer: NonNull<ffi::PyObject>) -> Object<T> {
        Object { pointer, kind: PhantomData }
    }

    #[inline(always)]
    pub(crate) fn pointer(&self) -> NonNull<ffi::PyObject> {
        self.pointer
    }

    #[inline(always)]
    pub(crate) fn as_ptr(&self) -> *mut ffi::PyObject {
        self.pointer.as_ptr()
    }

    /// The same handle, with the type forgotten.
    #[inline(always)]
    pub fn as_any(&self) -> &Object<Any> {
        // SAFETY: the layout does not depend on the marker, and every object is an `Any`.
        unsafe { &*std::ptr::from_ref(self).cast::<Object<Any>>() }
    }

    /// A view without a count.
    #[inline(always)]
    pub fn borrow(&self) -> Borrowed<'_, T> {
        // SAFETY: whoever lends us the handle keeps the object alive while it is lent.
        unsafe { Borrowed::from_pointer(self.pointer) }
    }

    /// One more strong reference.
    #[inline(always)]
    pub fn to_owned<'py>(&self, py: Attached<'py>) -> Owned<'py, T> {
        // SAFETY: the handle shows a live object of the interpreter this thread is attached to.
        unsafe { ffi::Py_INCREF(self.as_ptr()) };
        // SAFETY: the reference was added on the line above.
        unsafe { Owned::from_pointer(self.pointer, py) }
    }

    #[inline(always)]
    pub(crate) fn type_pointer(&self) -> *mut ffi::PyTypeObject {
        // SAFETY: the handle shows a live object.
        unsafe { ffi::Py_TYPE(self.as_ptr()) }
    }

    /// The object's type.
    #[inline]
    pub fn class<'py>(&self, py: Attached<'py>) -> Owned<'py, Type> {
        let class = NonNull::new(self.type_pointer()).expect("every object has a type");
        // SAFETY: the object keeps its type alive while we make a reference of our own.
        unsafe { Borrowed::<Type>::from_pointer(class.cast()) }.to_owned(py)
    }

    /// The name of the object's type, for messages.
    #[cold]
    pub fn type_name(&self) -> String {
        // SAFETY: a type is ready before it has instances, so its name is set.
        let name = unsafe { (*self.type_pointer()).tp_name };
        // SAFETY: `tp_name` is NUL-terminated and lives as long as the type, which the object
        // keeps alive; it is copied before any Python code could assign another `__name__`.
        unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned()
    }

    /// Whether both are the same object.
    #[inline(always)]
    pub fn is<U>(&self, other: &Object<U>) -> bool {
        self.pointer == other.pointer
    }

    /// Whether this is `None`.
    #[inline(always)]
    pub fn is_none(&self) -> bool {
        // SAFETY: only takes the address of a static object.
        self.as_ptr() == unsafe { ffi::Py_None() }
    }

    /// Whether this is `True` itself, or `False` itself, or neither.
    #[inline(always)]
    pub fn as_bool(&self) -> Option<bool> {
        // SAFETY: only takes the address of a static object.
        let yes = unsafe { ffi::Py_True() };
        // SAFETY: only takes the address of a static object.
        let no = unsafe { ffi::Py_False() };
        match self.as_ptr() {
            pointer if pointer == yes => Some(true),
            pointer if pointer == no => Some(false),
            _ => None,
        }
    }

    /// Whether the object's type is `U` and not one that derives from it.
    #[inline(always)]
    pub fn is_exact<U: Builtin>(&self) -> bool {
        self.type_pointer() == U::type_object()
    }

    /// Whether the object's type is `U` or derives from it.
    #[inline(always)]
    pub fn is_a<U: Builtin>(&self) -> bool {
        // SAFETY: the handle shows a live object, on an attached thread.
        unsafe { U::is_instance(self.as_ptr()) }
    }

    /// The object as a `U`, if its type is `U` or derives from it.
    #[inline(always)]
    pub fn cast<U: Builtin>(&self) -> Option<&Object<U>> {
        // SAFETY: the layout does not depend on the marker, and `is_a` says that the mark is true.
        self.is_a::<U>().then(|| unsafe { &*std::ptr::from_ref(self).cast::<Object<U>>() })
    }

    /// The object as a `U`, if its type is `U` and not one that derives from it.
    #[inline(always)]
    pub fn cast_exact<U: Builtin>(&self) -> Option<&Object<U>> {
        // SAFETY: the layout does not depend on the marker, and `is_exact` says the mark is true.
        self.is_exact::<U>().then(|| unsafe { &*std::ptr::from_ref(self).cast::<Object<U>>() })
    }

    /// What the object is exactly; the commonest kinds cost the fewest compares.
    #[inline(always)]
    pub fn kind(&self) -> Kind {
        let class = self.type_pointer();
        if class == <Str as sealed::Described>::type_object() {
            Kind::Str
        } else if class == <Int as sealed::Described>::type_object() {
            Kind::Int
        } else if class == <Dict as sealed::Described>::type_object() {
            Kind::Dict
        } else if class == <List as sealed::Described>::type_object() {
            Kind::List
        } else if class == <Float as sealed::Described>::type_object() {
            Kind::Float
        } else if self.is_none() {
            Kind::None
        } else if class == &raw mut ffi::PyBool_Type {
            Kind::Bool
        } else if class == <Bytes as sealed::Described>::type_object() {
            Kind::Bytes
        } else if class == <Tuple as sealed::Described>::type_object() {
            Kind::Tuple
        } else {
            Kind::Other
        }
    }

    /// Whether this is the only strong reference to the object.
    #[inline(always)]
    pub fn is_unique(&self) -> bool {
        self.reference_count() == 1
    }

    /// The number of strong references; very large for immortal objects.
    #[inline(always)]
    pub fn reference_count(&self) -> isize {
        // SAFETY: the handle shows a live object.
        let count = unsafe { ffi::Py_REFCNT(self.as_ptr()) };
        // From 3.14 on, flags share the word with the count.
        if cfg!(Py_3_14) { count & 0xffff_ffff } else { count }
    }
}
