//! The border where C calls Rust: stops panics, turns failures into exceptions, and no more.
//!
//! Hot path. User functions are function items without captures; a trampoline is compiled for
//! each, so that between CPython and the function there is nothing to look up.

use std::{
    any::Any,
    ffi::CStr,
    panic::{AssertUnwindSafe, catch_unwind},
    ptr,
};

use pyo3_ffi as ffi;

use super::{Class, instance::Layout};
use crate::{Attached, Borrowed, ExceptionKind, Raised};

/// A function without captures, which can be conjured from its type alone.
///
/// `Copy` makes conjuring another one legal, `Send + Sync` doing so on any thread.
pub trait Item: Copy + Send + Sync + 'static {}

impl<F: Copy + Send + Sync + 'static> Item for F {}

#[inline(always)]
pub(crate) fn conjure<F: Item>() -> F {
    const { assert!(size_of::<F>() == 0, "the function must not capture anything") };
    // SAFETY: a type without size has no bytes to be wrong. The trampoline was made from a value
    // of type `F`, so there are such values, and `F: Copy` says that there may be more.
    unsafe { ptr::dangling::<F>().read() }
}

/// Runs `body` and gives its result to C, or `failure` with an exception set.
#[inline(always)]
pub(crate) fn guard<R>(
    py: Attached<'_>,
    failure: R,
    body: impl FnOnce() -> Result<R, Raised>,
) -> R {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(result)) => result,
        Ok(Err(raised)) => {
            raised.leave_set(py);
            failure
        }
        Err(panic) => {
            raise_panic(panic.as_ref(), py).leave_set(py);
            failure
        }
    }
}

#[cold]
fn raise_panic(panic: &(dyn Any + Send), py: Attached<'_>) -> Raised {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text");
    Raised::new(py, ExceptionKind::RuntimeError, &format!("internal error in Pyre: {text}"))
}

/// Reports a panic where nobody can be told, and keeps the exception that may be set.
#[cold]
pub(crate) fn report_panic(panic: &(dyn Any + Send), place: &CStr, py: Attached<'_>) {
    // SAFETY: on an attached thread; a new reference or NULL.
    let before = unsafe { ffi::PyErr_GetRaisedException() };
    raise_panic(panic, py).write_unraisable(&place.to_string_lossy(), py);
    // SAFETY: on an attached thread; gives back what was taken above; NULL means none.
    unsafe { ffi::PyErr_SetRaisedException(before) };
}

/// Runs `body` with the value that `this` carries.
///
/// # Safety
///
/// `this` must be a live instance of `T`, kept alive by the caller, on an attached thread.
#[inline(always)]
pub(super) unsafe fn method<T: Class, R>(
    this: *mut ffi::PyObject,
    failure: R,
    body: impl for<'a, 'py> FnOnce(&'a T, Attached<'py>) -> Result<R, Raised>,
) -> R {
    let layout = this.cast::<Layout<T>>();
    // SAFETY: the caller shows a live instance of `T`.
    let home = unsafe { (*layout).home };
    // SAFETY: CPython calls objects only on threads attached to their interpreter, for the call.
    let py = unsafe { Attached::assume(home) };
    // SAFETY: as above; see `Object::get` for why nobody has a `&mut` of the value.
    let value = unsafe { &(*layout).value };
    guard(py, failure, || body(value, py))
}

/// An object that CPython lends to a border function for the call.
///
/// # Safety
///
/// `pointer` must be a live object of type `T`, kept alive by the caller for `'a`.
#[inline(always)]
pub(crate) unsafe fn lend<'a, T>(pointer: *mut ffi::PyObject) -> Borrowed<'a, T> {
    // SAFETY: the caller shows an object, which is not NULL.
    let pointer = unsafe { ptr::NonNull::new_unchecked(pointer) };
    // SAFETY: the caller's duty.
    unsafe { Borrowed::from_pointer(pointer) }
}

/// As `lend`, for arguments that may be NULL.
///
/// # Safety
///
/// As `lend`, if `pointer` is not NULL.
#[inline(always)]
pub(crate) unsafe fn lend_if_any<'a, T>(pointer: *mut ffi::PyObject) -> Option<Borrowed<'a, T>> {
    // SAFETY: the caller's duty.
    ptr::NonNull::new(pointer).map(|pointer| unsafe { Borrowed::from_pointer(pointer) })
}
