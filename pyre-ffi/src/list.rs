//! `list`: made from values that are there, read item by item.
//!
//! Hot path. Items are read from the object; each is counted, as a list may change at any time.

use std::ptr::{self, NonNull};

use pyo3_ffi as ffi;

use crate::{Any, Attached, Borrowed, Object, Owned, Raised, object::builtin};

/// Marks a `list`.
pub enum List {}

builtin!(List, PyList_Type, Py_TPFLAGS_LIST_SUBCLASS);

impl List {
    /// An empty list.
    #[inline]
    pub fn new(py: Attached<'_>) -> Result<Owned<'_, List>, Raised> {
        List::with_length(py, 0)
    }

    /// A list of the values.
    pub fn from_vec<'py>(
        py: Attached<'py>,
        mut values: Vec<Owned<'py>>,
    ) -> Result<Owned<'py, List>, Raised> {
        List::from_tail(py, &mut values, 0)
    }

    /// A list of the values from `start` on, which leave the vector; how a decoder turns the top
    /// of its stack into a list.
    ///
    /// # Panics
    ///
    /// If `start` is beyond the end.
    #[inline]
    pub fn from_tail<'py>(
        py: Attached<'py>,
        values: &mut Vec<Owned<'py>>,
        start: usize,
    ) -> Result<Owned<'py, List>, Raised> {
        let count = values.len().checked_sub(start).expect("a tail starts inside its vector");
        let list = List::with_length(py, count)?;
        if count > 0 {
            let source = values[start..].as_ptr().cast::<*mut ffi::PyObject>();
            // SAFETY: the mark says that this is a live list.
            let target = unsafe { (*list.as_ptr().cast::<ffi::PyListObject>()).ob_item };
            // SAFETY: `count` transparent pointers to as many empty places of a new list.
            unsafe { ptr::copy_nonoverlapping(source, target, count) };
            // SAFETY: shorter than before; the references beyond now belong to the list.
            unsafe { values.set_len(start) };
        }
        Ok(list)
    }

    fn with_length(py: Attached<'_>, length: usize) -> Result<Owned<'_, List>, Raised> {
        // SAFETY: on an attached thread.
        let object = unsafe { ffi::PyList_New(length as ffi::Py_ssize_t) };
        // SAFETY: a new reference to a list, or NULL with an exception set.
        unsafe { Owned::or_raised(object, py) }
    }
}

impl Object<List> {
    /// The number of items now.
    #[inline(always)]
    pub fn len(&self) -> usize {
        // SAFETY: the mark says that this is a live list.
        unsafe { ffi::PyList_GET_SIZE(self.as_ptr()) as usize }
    }

    /// Whether there are no items now.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The item at `index`, if the list is that long now.
    #[inline(always)]
    pub fn get<'py>(&self, index: usize, py: Attached<'py>) -> Option<Owned<'py>> {
        if index >= self.len() {
            return None;
        }
        // SAFETY: the mark says that this is a live list.
        let items = unsafe { (*self.as_ptr().cast::<ffi::PyListObject>()).ob_item };
        // SAFETY: `index` is below the length, read on this attached thread with no call between.
        let item = NonNull::new(unsafe { *items.wrapping_add(index) })?;
        // SAFETY: the list keeps the item alive until it is counted, which is at once.
        Some(unsafe { Borrowed::<Any>::from_pointer(item) }.to_owned(py))
    }

    /// Appends a value.
    pub fn append<V>(&self, value: &Object<V>, py: Attached<'_>) -> Result<(), Raised> {
        // SAFETY: a live list and a live object, on an attached thread.
        Raised::check(unsafe { ffi::PyList_Append(self.as_ptr(), value.as_ptr()) }, py)
    }
}
