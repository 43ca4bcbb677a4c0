//! `tuple`: made from values that are there, viewed as a slice.
//!
//! Hot path. A tuple never changes, so its items are borrowed from it.

use std::{ptr, slice};

use pyo3_ffi as ffi;

use crate::{Attached, Borrowed, Object, Owned, Raised, object::builtin};

/// Marks a `tuple`.
pub enum Tuple {}

builtin!(Tuple, PyTuple_Type, Py_TPFLAGS_TUPLE_SUBCLASS);

impl Tuple {
    /// A tuple of the values.
    pub fn new<'py, const N: usize>(
        py: Attached<'py>,
        values: [Owned<'py>; N],
    ) -> Result<Owned<'py, Tuple>, Raised> {
        Tuple::from_tail(py, &mut Vec::from(values), 0)
    }

    /// A tuple of the values from `start` on, which leave the vector.
    ///
    /// # Panics
    ///
    /// If `start` is beyond the end.
    pub fn from_tail<'py>(
        py: Attached<'py>,
        values: &mut Vec<Owned<'py>>,
        start: usize,
    ) -> Result<Owned<'py, Tuple>, Raised> {
        let count = values.len().checked_sub(start).expect("a tail starts inside its vector");
        // SAFETY: on an attached thread.
        let object = unsafe { ffi::PyTuple_New(count as ffi::Py_ssize_t) };
        // SAFETY: a new reference to a tuple, or NULL with an exception set.
        let tuple: Owned<'py, Tuple> = unsafe { Owned::or_raised(object, py) }?;
        if count > 0 {
            let source = values[start..].as_ptr().cast::<*mut ffi::PyObject>();
            let target = tuple.start();
            // SAFETY: `count` transparent pointers to as many empty places of a new tuple.
            unsafe { ptr::copy_nonoverlapping(source, target, count) };
            // SAFETY: shorter than before; the references beyond now belong to the tuple.
            unsafe { values.set_len(start) };
        }
        Ok(tuple)
    }
}

impl Object<Tuple> {
    #[inline(always)]
    fn start(&self) -> *mut *mut ffi::PyObject {
        let tuple = self.as_ptr().cast::<ffi::PyTupleObject>();
        // SAFETY: the mark says that this is a live tuple; only an address is taken.
        unsafe { &raw mut (*tuple).ob_item }.cast()
    }

    /// The number of items.
    #[inline(always)]
    pub fn len(&self) -> usize {
        // SAFETY: the mark says that this is a live tuple.
        unsafe { ffi::PyTuple_GET_SIZE(self.as_ptr()) as usize }
    }

    /// Whether there are no items.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The items.
    #[inline(always)]
    pub fn items(&self) -> &[Borrowed<'_>] {
        // SAFETY: a tuple keeps `len` items behind its header and never changes them; a
        // `Borrowed` is a transparent pointer. An empty tuple's start is still its own memory.
        unsafe { slice::from_raw_parts(self.start().cast(), self.len()) }
    }
}

impl<'a> Borrowed<'a, Tuple> {
    /// As [`Object::items`], for as long as the tuple lives.
    #[inline(always)]
    pub fn into_items(self) -> &'a [Borrowed<'a>] {
        // SAFETY: as `items`; the tuple lives for `'a`.
        unsafe { slice::from_raw_parts(self.start().cast(), self.len()) }
    }
}
