//! The buffer protocol: bytes of `bytearray`, `memoryview` and their like.

use std::{cell::UnsafeCell, mem::MaybeUninit, ptr};

use pyo3_ffi as ffi;

use crate::{Attached, Object, Raised};

/// A view of an object's memory as one run of bytes; releases itself.
///
/// While it exists, the object keeps its memory where it is; but Python code, also of other
/// threads, may write to it. So the bytes can be copied out, not borrowed.
pub struct Buffer<'py> {
    // Some exporters keep pointers into the structure, so it must not move.
    view: Box<UnsafeCell<MaybeUninit<ffi::Py_buffer>>>,
    py: Attached<'py>,
}

impl<'py> Buffer<'py> {
    /// The memory of `object`.
    ///
    /// # Errors
    ///
    /// `TypeError` if it has none to show, `BufferError` if it is not one run of bytes.
    pub fn of<T>(object: &Object<T>, py: Attached<'py>) -> Result<Buffer<'py>, Raised> {
        let view = Box::new(UnsafeCell::new(MaybeUninit::zeroed()));
        // SAFETY: a live object, on an attached thread, and a structure to be filled, which does
        // not move before it is released.
        let result = unsafe {
            ffi::PyObject_GetBuffer(object.as_ptr(), view.get().cast(), ffi::PyBUF_SIMPLE)
        };
        Raised::check(result, py)?;
        Ok(Buffer { view, py })
    }

    fn start_and_length(&self) -> (*const u8, usize) {
        let view = self.view.get().cast::<ffi::Py_buffer>();
        // SAFETY: filled by `PyObject_GetBuffer`, and not released yet.
        let start = unsafe { (*view).buf };
        // SAFETY: as above.
        let length = unsafe { (*view).len };
        (start.cast_const().cast(), length as usize)
    }

    /// The number of bytes.
    pub fn len(&self) -> usize {
        self.start_and_length().1
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends a copy of the bytes to `target`.
    pub fn append_to(&self, target: &mut Vec<u8>) {
        let (start, length) = self.start_and_length();
        if length == 0 {
            return;
        }
        target.reserve(length);
        let end = target.spare_capacity_mut().as_mut_ptr().cast::<u8>();
        // SAFETY: the exporter keeps `length` bytes at `start` until the release, this thread is
        // attached, so no Python code writes meanwhile, and room was reserved in `target`, which
        // Rust owns, so that the two do not overlap.
        unsafe { ptr::copy_nonoverlapping(start, end, length) };
        // SAFETY: that many bytes were reserved and written above.
        unsafe { target.set_len(target.len() + length) };
    }

    /// A copy of the bytes.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.append_to(&mut bytes);
        bytes
    }
}

impl Drop for Buffer<'_> {
    fn drop(&mut self) {
        let _ = self.py;
        // SAFETY: filled by `PyObject_GetBuffer`, released once, on an attached thread: the value
        // lives no longer than the attachment and does not leave its thread.
        unsafe { ffi::PyBuffer_Release(self.view.get().cast()) };
    }
}

impl<T> Object<T> {
    /// Whether the object shows its memory through the buffer protocol.
    pub fn has_buffer(&self) -> bool {
        // SAFETY: the handle shows a live object.
        unsafe { ffi::PyObject_CheckBuffer(self.as_ptr()) != 0 }
    }
}
