//! `bytes`: make, fill in place, view.
//!
//! Hot path. The view reads the object; only making one calls Python.

use std::{ptr, slice};

use pyo3_ffi as ffi;

use crate::{Attached, Borrowed, Object, Owned, Raised, object::builtin};

/// Marks a `bytes`.
pub enum Bytes {}

builtin!(Bytes, PyBytes_Type, Py_TPFLAGS_BYTES_SUBCLASS);

impl Bytes {
    /// A copy of the bytes.
    #[inline]
    pub fn new<'py>(py: Attached<'py>, bytes: &[u8]) -> Result<Owned<'py, Bytes>, Raised> {
        let (start, length) = (bytes.as_ptr().cast(), bytes.len() as ffi::Py_ssize_t);
        // SAFETY: `length` readable bytes, on an attached thread.
        let object = unsafe { ffi::PyBytes_FromStringAndSize(start, length) };
        // SAFETY: a new reference to a bytes, or NULL with an exception set.
        unsafe { Owned::or_raised(object, py) }
    }

    /// `length` bytes, all zero, which `fill` may change before anybody sees them.
    pub fn new_with<'py>(
        py: Attached<'py>,
        length: usize,
        fill: impl FnOnce(&mut [u8]),
    ) -> Result<Owned<'py, Bytes>, Raised> {
        if length < 2 {
            // Python shares the bytes objects of these lengths, so they must not be written to.
            let mut small = [0; 1];
            fill(&mut small[..length]);
            return Bytes::new(py, &small[..length]);
        }
        // SAFETY: NULL asks for memory that is not set, on an attached thread.
        let object =
            unsafe { ffi::PyBytes_FromStringAndSize(ptr::null(), length as ffi::Py_ssize_t) };
        // SAFETY: a new reference to a bytes, or NULL with an exception set.
        let bytes: Owned<'py, Bytes> = unsafe { Owned::or_raised(object, py) }?;
        let start = bytes.start().cast_mut();
        // SAFETY: `length` bytes of an object that nobody else has seen.
        unsafe { ptr::write_bytes(start, 0, length) };
        // SAFETY: as above, and set on the line above; `bytes` is not read while `fill` runs.
        fill(unsafe { slice::from_raw_parts_mut(start, length) });
        Ok(bytes)
    }
}

impl Object<Bytes> {
    #[inline(always)]
    fn start(&self) -> *const u8 {
        // SAFETY: the mark says that this is a live bytes.
        unsafe { ffi::PyBytes_AS_STRING(self.as_ptr()) }.cast()
    }

    /// The bytes, which never change.
    #[inline(always)]
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: the mark says that this is a live bytes.
        let length = unsafe { (*self.as_ptr().cast::<ffi::PyVarObject>()).ob_size };
        // SAFETY: a bytes keeps its `length` bytes behind its header.
        unsafe { slice::from_raw_parts(self.start(), length as usize) }
    }
}

impl<'a> Borrowed<'a, Bytes> {
    /// As [`Object::as_slice`], for as long as the object lives.
    #[inline(always)]
    pub fn into_slice(self) -> &'a [u8] {
        // SAFETY: the bytes live in the object, which lives for `'a`.
        unsafe { &*ptr::from_ref(self.as_slice()) }
    }
}
