//! What any object can be asked by way of its type: truth, comparison, attributes, items,
//! text. Hot path.

use pyo3_ffi as ffi;

use super::Object;
use crate::{Attached, Owned, Raised, Str};

impl<T> Object<T> {
    /// Whether the object can be called.
    pub fn is_callable(&self) -> bool {
        // SAFETY: the handle shows a live object.
        unsafe { ffi::PyCallable_Check(self.as_ptr()) != 0 }
    }

    /// Whether the object is true, as `bool(object)`.
    #[inline]
    pub fn is_true(&self, py: Attached<'_>) -> Result<bool, Raised> {
        if let Some(value) = self.as_bool() {
            return Ok(value);
        }
        // SAFETY: the handle shows a live object, on an attached thread.
        Raised::check_bool(unsafe { ffi::PyObject_IsTrue(self.as_ptr()) }, py)
    }

    /// `isinstance(object, class)`; `class` may be a tuple of types.
    pub fn is_instance<U>(&self, class: &Object<U>, py: Attached<'_>) -> Result<bool, Raised> {
        // SAFETY: both handles show live objects, on an attached thread.
        let answer = unsafe { ffi::PyObject_IsInstance(self.as_ptr(), class.as_ptr()) };
        Raised::check_bool(answer, py)
    }

    /// `issubclass(object, class)`.
    pub fn is_subclass<U>(&self, class: &Object<U>, py: Attached<'_>) -> Result<bool, Raised> {
        // SAFETY: both handles show live objects, on an attached thread.
        let answer = unsafe { ffi::PyObject_IsSubclass(self.as_ptr(), class.as_ptr()) };
        Raised::check_bool(answer, py)
    }

    /// `object == other`.
    pub fn equals<U>(&self, other: &Object<U>, py: Attached<'_>) -> Result<bool, Raised> {
        let (a, b) = (self.as_ptr(), other.as_ptr());
        // SAFETY: both handles show live objects, on an attached thread.
        Raised::check_bool(unsafe { ffi::PyObject_RichCompareBool(a, b, ffi::Py_EQ) }, py)
    }

    /// `object.name`.
    #[inline]
    pub fn attr<'py>(&self, name: &Object<Str>, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        // SAFETY: both handles show live objects, on an attached thread.
        let value = unsafe { ffi::PyObject_GetAttr(self.as_ptr(), name.as_ptr()) };
        // SAFETY: a new reference, or NULL with an exception set.
        unsafe { Owned::or_raised(value, py) }
    }

    /// `object.name`, or nothing if there is no such attribute.
    pub fn attr_if_any<'py>(
        &self,
        name: &Object<Str>,
        py: Attached<'py>,
    ) -> Result<Option<Owned<'py>>, Raised> {
        let mut value = std::ptr::null_mut();
        // SAFETY: both handles show live objects, on an attached thread; `value` can be written.
        let found =
            unsafe { ffi::PyObject_GetOptionalAttr(self.as_ptr(), name.as_ptr(), &raw mut value) };
        match found {
            0 => Ok(None),
            // SAFETY: a new reference if `found` is 1, NULL with an exception set if it is -1.
            _ => unsafe { Owned::or_raised(value, py) }.map(Some),
        }
    }

    /// `object.name = value`.
    pub fn set_attr<V>(
        &self,
        name: &Object<Str>,
        value: &Object<V>,
        py: Attached<'_>,
    ) -> Result<(), Raised> {
        let (object, name, value) = (self.as_ptr(), name.as_ptr(), value.as_ptr());
        // SAFETY: the handles show live objects, on an attached thread.
        Raised::check(unsafe { ffi::PyObject_SetAttr(object, name, value) }, py)
    }

    /// `object[key]`.
    pub fn item<'py, K>(&self, key: &Object<K>, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        // SAFETY: both handles show live objects, on an attached thread.
        let value = unsafe { ffi::PyObject_GetItem(self.as_ptr(), key.as_ptr()) };
        // SAFETY: a new reference, or NULL with an exception set.
        unsafe { Owned::or_raised(value, py) }
    }

    /// `object[key] = value`.
    pub fn set_item<K, V>(
        &self,
        key: &Object<K>,
        value: &Object<V>,
        py: Attached<'_>,
    ) -> Result<(), Raised> {
        let (object, key, value) = (self.as_ptr(), key.as_ptr(), value.as_ptr());
        // SAFETY: the handles show live objects, on an attached thread.
        Raised::check(unsafe { ffi::PyObject_SetItem(object, key, value) }, py)
    }

    /// `len(object)`.
    pub fn length(&self, py: Attached<'_>) -> Result<usize, Raised> {
        // SAFETY: the handle shows a live object, on an attached thread.
        let length = unsafe { ffi::PyObject_Size(self.as_ptr()) };
        usize::try_from(length).map_err(|_| Raised::noticed(py))
    }

    /// `hash(object)`.
    pub fn hash(&self, py: Attached<'_>) -> Result<isize, Raised> {
        // SAFETY: the handle shows a live object, on an attached thread.
        match unsafe { ffi::PyObject_Hash(self.as_ptr()) } {
            -1 => Err(Raised::noticed(py)),
            hash => Ok(hash),
        }
    }

    /// `str(object)`.
    pub fn str<'py>(&self, py: Attached<'py>) -> Result<Owned<'py, Str>, Raised> {
        // SAFETY: the handle shows a live object, on an attached thread.
        let text = unsafe { ffi::PyObject_Str(self.as_ptr()) };
        // SAFETY: a new reference to a str (CPython checks), or NULL with an exception set.
        unsafe { Owned::or_raised(text, py) }
    }

    /// `repr(object)`.
    pub fn repr<'py>(&self, py: Attached<'py>) -> Result<Owned<'py, Str>, Raised> {
        // SAFETY: the handle shows a live object, on an attached thread.
        let text = unsafe { ffi::PyObject_Repr(self.as_ptr()) };
        // SAFETY: a new reference to a str (CPython checks), or NULL with an exception set.
        unsafe { Owned::or_raised(text, py) }
    }
}
