//! Iterators and coroutines, stepped from Rust.

use pyo3_ffi as ffi;

use crate::{Attached, Object, Owned, Raised};

/// What a generator or coroutine did with the value it was sent.
pub enum Step<'py> {
    /// It yielded a value and can be sent another.
    Yielded(Owned<'py>),
    /// It returned a value and is finished.
    Returned(Owned<'py>),
}

/// An iterator over the values of a Python iterable.
pub struct Iteration<'py> {
    iterator: Owned<'py>,
    py: Attached<'py>,
}

impl<T> Object<T> {
    /// Whether this is what calling an `async def` function gives.
    #[inline]
    pub fn is_coroutine(&self) -> bool {
        self.type_pointer() == &raw mut ffi::PyCoro_Type
    }

    /// Whether this is what calling a function with `yield` gives.
    #[inline]
    pub fn is_generator(&self) -> bool {
        self.type_pointer() == &raw mut ffi::PyGen_Type
    }

    /// Whether this is what calling an `async def` function with `yield` gives.
    #[inline]
    pub fn is_async_generator(&self) -> bool {
        self.type_pointer() == &raw mut ffi::PyAsyncGen_Type
    }

    /// `iter(object)`, as a Rust iterator.
    pub fn iterate<'py>(&self, py: Attached<'py>) -> Result<Iteration<'py>, Raised> {
        // SAFETY: the handle shows a live object, on an attached thread.
        let iterator = unsafe { ffi::PyObject_GetIter(self.as_ptr()) };
        // SAFETY: a new reference, or NULL with an exception set.
        Ok(Iteration { iterator: unsafe { Owned::or_raised(iterator, py) }?, py })
    }

    /// Sends `value` into a generator or coroutine and runs it up to its next `yield` or its end.
    #[inline]
    pub fn send<'py, V>(&self, value: &Object<V>, py: Attached<'py>) -> Result<Step<'py>, Raised> {
        let mut result = std::ptr::null_mut();
        // SAFETY: both handles show live objects, on an attached thread; `result` can be written.
        let sent = unsafe { ffi::PyIter_Send(self.as_ptr(), value.as_ptr(), &raw mut result) };
        // SAFETY: a new reference, or NULL with an exception set.
        let result = unsafe { Owned::or_raised(result, py) }?;
        match sent {
            ffi::PySendResult::PYGEN_NEXT => Ok(Step::Yielded(result)),
            ffi::PySendResult::PYGEN_RETURN => Ok(Step::Returned(result)),
            ffi::PySendResult::PYGEN_ERROR => Err(Raised::noticed(py)),
        }
    }
}

impl<'py> Iterator for Iteration<'py> {
    type Item = Result<Owned<'py>, Raised>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut item = std::ptr::null_mut();
        // SAFETY: `PyObject_GetIter` answered with an iterator; the thread is attached.
        #[cfg(Py_3_14)]
        let found = unsafe { ffi::PyIter_NextItem(self.iterator.as_ptr(), &raw mut item) };
        // SAFETY: as above; the compatible function of `pyo3-ffi` does the same before 3.14.
        #[cfg(not(Py_3_14))]
        let found = unsafe { ffi::compat::PyIter_NextItem(self.iterator.as_ptr(), &raw mut item) };
        if found == 0 {
            return None;
        }
        // SAFETY: a new reference if there was an item, NULL with an exception set if it failed.
        Some(unsafe { Owned::or_raised(item, self.py) })
    }
}
