//! `dict`: make, fill, look up, walk.
//!
//! Hot path. Items are counted when they are handed out, as a dict may change at any time.

use std::{
    mem::offset_of,
    ptr::{self, NonNull},
};

use pyo3_ffi as ffi;

use crate::{
    Any, Attached, Borrowed, ExceptionKind, List, Object, Owned, Raised, Str, layout,
    object::builtin,
};

/// Marks a `dict`.
pub enum Dict {}

builtin!(Dict, PyDict_Type, Py_TPFLAGS_DICT_SUBCLASS);

const _: () = assert!(offset_of!(ffi::PyDictObject, ma_used) == layout::DICT_LENGTH);

// Private functions, which `build.rs` found to be exported.
unsafe extern "C" {
    #[cfg(pyre_dict_new_presized)]
    fn _PyDict_NewPresized(used_min: ffi::Py_ssize_t) -> *mut ffi::PyObject;
    /// `PyDict_SetItem`, but that the references to key and value are given away.
    #[cfg(pyre_dict_set_item_take2)]
    fn _PyDict_SetItem_Take2(
        dict: *mut ffi::PyObject,
        key: *mut ffi::PyObject,
        value: *mut ffi::PyObject,
    ) -> std::ffi::c_int;
}

impl Dict {
    /// An empty dict.
    #[inline]
    pub fn new(py: Attached<'_>) -> Result<Owned<'_, Dict>, Raised> {
        // SAFETY: on an attached thread.
        let object = unsafe { ffi::PyDict_New() };
        // SAFETY: a new reference to a dict, or NULL with an exception set.
        unsafe { Owned::or_raised(object, py) }
    }

    /// An empty dict with room for that many items, where Python offers that.
    #[inline]
    pub fn with_capacity(py: Attached<'_>, items: usize) -> Result<Owned<'_, Dict>, Raised> {
        #[cfg(pyre_dict_new_presized)]
        if items > 5 {
            // SAFETY: on an attached thread.
            let object = unsafe { _PyDict_NewPresized(items as ffi::Py_ssize_t) };
            // SAFETY: a new reference to a dict, or NULL with an exception set.
            return unsafe { Owned::or_raised(object, py) };
        }
        // Python's smallest dict holds five items; only beyond it there is anything to gain.
        let _ = items;
        Dict::new(py)
    }

    /// A dict of the keys and values from `start` on, which leave the vector: each key is followed
    /// by its value, and of equal keys the last one wins.
    ///
    /// # Panics
    ///
    /// If `start` is beyond the end.
    #[inline]
    pub fn from_tail<'py>(
        py: Attached<'py>,
        values: &mut Vec<Owned<'py>>,
        start: usize,
    ) -> Result<Owned<'py, Dict>, Raised> {
        let count = values.len().checked_sub(start).expect("a tail starts inside its vector");
        let dict = Dict::with_capacity(py, count / 2)?;
        let mut tail = values.drain(start..);
        while let (Some(key), Some(value)) = (tail.next(), tail.next()) {
            dict.set_owned(key, value, py)?;
        }
        Ok(dict)
    }
}

impl Object<Dict> {
    /// The number of items now.
    #[inline(always)]
    pub fn len(&self) -> usize {
        // SAFETY: the mark says that this is a live dict.
        unsafe { (*self.as_ptr().cast::<ffi::PyDictObject>()).ma_used as usize }
    }

    /// Whether there are no items now.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `dict[key] = value`. Quick for string keys; other keys may run Python code.
    #[inline]
    pub fn set<K, V>(
        &self,
        key: &Object<K>,
        value: &Object<V>,
        py: Attached<'_>,
    ) -> Result<(), Raised> {
        let (dict, key, value) = (self.as_ptr(), key.as_ptr(), value.as_ptr());
        // SAFETY: live objects, the first of them a dict, on an attached thread.
        Raised::check(unsafe { ffi::PyDict_SetItem(dict, key, value) }, py)
    }

    /// `dict[key] = value`, without counting what is given away anyway.
    #[inline(always)]
    fn set_owned<'py>(
        &self,
        key: Owned<'py>,
        value: Owned<'py>,
        py: Attached<'py>,
    ) -> Result<(), Raised> {
        #[cfg(pyre_dict_set_item_take2)]
        {
            let (dict, key, value) = (self.as_ptr(), key.into_pointer(), value.into_pointer());
            // SAFETY: a live dict, on an attached thread, and references that the call takes over
            // also if it fails.
            Raised::check(unsafe { _PyDict_SetItem_Take2(dict, key, value) }, py)
        }
        #[cfg(not(pyre_dict_set_item_take2))]
        self.set(&key, &value, py)
    }

    /// `dict.get(key)`; never calls `__missing__`.
    #[inline]
    pub fn get<'py, K>(
        &self,
        key: &Object<K>,
        py: Attached<'py>,
    ) -> Result<Option<Owned<'py>>, Raised> {
        let mut value = ptr::null_mut();
        let (dict, key) = (self.as_ptr(), key.as_ptr());
        // SAFETY: live objects, the first of them a dict, on an attached thread; `value` can be
        // written.
        match unsafe { ffi::PyDict_GetItemRef(dict, key, &raw mut value) } {
            0 => Ok(None),
            // SAFETY: a new reference if the answer is 1, NULL with an exception set if it is -1.
            _ => unsafe { Owned::or_raised(value, py) }.map(Some),
        }
    }

    /// `key in dict`.
    pub fn contains<K>(&self, key: &Object<K>, py: Attached<'_>) -> Result<bool, Raised> {
        // SAFETY: a live dict and a live object, on an attached thread.
        Raised::check_bool(unsafe { ffi::PyDict_Contains(self.as_ptr(), key.as_ptr()) }, py)
    }

    /// `del dict[key]`; `KeyError` if there is none.
    pub fn delete<K>(&self, key: &Object<K>, py: Attached<'_>) -> Result<(), Raised> {
        // SAFETY: a live dict and a live object, on an attached thread.
        Raised::check(unsafe { ffi::PyDict_DelItem(self.as_ptr(), key.as_ptr()) }, py)
    }

    /// A shallow copy.
    pub fn copy<'py>(&self, py: Attached<'py>) -> Result<Owned<'py, Dict>, Raised> {
        // SAFETY: a live dict, on an attached thread.
        let object = unsafe { ffi::PyDict_Copy(self.as_ptr()) };
        // SAFETY: a new reference to a dict, or NULL with an exception set.
        unsafe { Owned::or_raised(object, py) }
    }

    /// Walks the items in their order.
    #[inline]
    pub fn items<'a, 'py>(&'a self, py: Attached<'py>) -> DictItems<'a, 'py> {
        DictItems { dict: self, position: 0, length: self.len(), left: self.len(), py }
    }
}

/// The items of a dict, in their order.
///
/// Python code may run between two items. If the dict's length changes meanwhile, the walk ends
/// with `RuntimeError`, as in Python; replaced values are simply seen or not.
pub struct DictItems<'a, 'py> {
    dict: &'a Object<Dict>,
    position: ffi::Py_ssize_t,
    length: usize,
    /// Items not handed out yet; also bounds the walk if keys are replaced on the way.
    left: usize,
    py: Attached<'py>,
}

impl DictItems<'_, '_> {
    /// Passes the next item, and gives the addresses of key and value; the dict has them until it is
    /// changed.
    #[inline(always)]
    fn next_place(&mut self) -> Option<(NonNull<ffi::PyObject>, NonNull<ffi::PyObject>)> {
        let (mut key, mut value) = (ptr::null_mut(), ptr::null_mut());
        let (dict, position) = (self.dict.as_ptr(), &raw mut self.position);
        self.left = self.left.saturating_sub(1);
        // SAFETY: a live dict, on an attached thread. `PyDict_Next` checks the position against
        // the dict as it is now, so a dict that was changed does no harm.
        let found = unsafe { ffi::PyDict_Next(dict, position, &raw mut key, &raw mut value) };
        if found == 0 {
            return None;
        }
        Some((NonNull::new(key)?, NonNull::new(value)?))
    }
}

impl<'py> Iterator for DictItems<'_, 'py> {
    type Item = Result<(Owned<'py>, Owned<'py>), Raised>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.dict.len() != self.length {
            if self.length == usize::MAX {
                return None;
            }
            self.length = usize::MAX;
            let text = "dictionary changed size during iteration";
            return Some(Err(Raised::new(self.py, ExceptionKind::RuntimeError, text)));
        }
        if self.left == 0 {
            return None;
        }
        let (key, value) = self.next_place()?;
        // SAFETY: the dict keeps both alive until they are counted, which is at once.
        let key = unsafe { Borrowed::<Any>::from_pointer(key) }.to_owned(self.py);
        // SAFETY: as above; counting the key runs no code.
        let value = unsafe { Borrowed::<Any>::from_pointer(value) }.to_owned(self.py);
        Some(Ok((key, value)))
    }
}

/// Compares what this file reads from dicts with what CPython says about them, and tries the private
/// functions: what they give away and take over decides over life and death of objects.
pub(crate) fn check_layout(py: Attached<'_>) -> Result<bool, Raised> {
    const ITEMS: usize = 20;
    let dict = Dict::with_capacity(py, ITEMS)?;
    let (key, value) = (Str::new(py, "a key that is no name")?, List::new(py)?);
    // A first and a replaced value, then those that make the dict grow.
    for _ in 0..2 {
        dict.set_owned(key.clone().into_any(), value.clone().into_any(), py)?;
        if dict.len() != 1 || key.reference_count() != 2 || value.reference_count() != 2 {
            return Ok(false);
        }
    }
    for number in 1..=ITEMS {
        let key = Str::new(py, &format!("key {number}"))?;
        dict.set_owned(key.into_any(), value.clone().into_any(), py)?;
        // SAFETY: a live dict, on an attached thread.
        let length = unsafe { ffi::PyDict_Size(dict.as_ptr()) };
        if usize::try_from(length) != Ok(dict.len()) || dict.len() != number + 1 {
            return Ok(false);
        }
    }
    drop(dict);
    Ok(key.reference_count() == 1 && value.reference_count() == 1)
}
