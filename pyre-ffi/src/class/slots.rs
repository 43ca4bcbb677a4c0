//! One border function for each thing that Python may ask of an object.
//!
//! Hot path. Each is compiled for a class `T` and a user function `F`. CPython checks the receiver
//! before it calls any of them, and lends receiver and arguments for the call.

use std::{
    ffi::{c_int, c_void},
    ptr,
};

use pyo3_ffi as ffi;

use super::{
    Arguments, Class, Instance,
    trampoline::{Item, conjure, guard, lend, lend_if_any, method},
};
use crate::{
    Any, Attached, Bool, Borrowed, Dict, ExceptionKind, Object, Owned, Raised, Str, Tuple, Type,
    module::attached_of_class,
};

/// `PyGetSetDef.get`.
pub(super) unsafe extern "C" fn getter<T: Class, F>(
    this: *mut ffi::PyObject,
    _closure: *mut c_void,
) -> *mut ffi::PyObject
where
    F: Item + for<'a, 'py> Fn(&'a T, Attached<'py>) -> Result<Owned<'py>, Raised>,
{
    let body = |value: &T, py: Attached<'_>| conjure::<F>()(value, py).map(Owned::into_pointer);
    // SAFETY: an instance of `T`, lent by CPython for this call.
    unsafe { method::<T, _>(this, ptr::null_mut(), body) }
}

/// As `getter`, for functions that want the object and not only its value.
pub(super) unsafe extern "C" fn getter_bound<T: Class, F>(
    this: *mut ffi::PyObject,
    _closure: *mut c_void,
) -> *mut ffi::PyObject
where
    F: Item + for<'a, 'py> Fn(&'a Object<Instance<T>>, Attached<'py>) -> Result<Owned<'py>, Raised>,
{
    // SAFETY: lent by CPython for this call.
    let object: Borrowed<'_, Instance<T>> = unsafe { lend(this) };
    let body = |_: &T, py: Attached<'_>| conjure::<F>()(&object, py).map(Owned::into_pointer);
    // SAFETY: an instance of `T`, lent by CPython for this call.
    unsafe { method::<T, _>(this, ptr::null_mut(), body) }
}

/// `PyGetSetDef.set`; a NULL value would delete the attribute.
pub(super) unsafe extern "C" fn setter<T: Class, F>(
    this: *mut ffi::PyObject,
    new: *mut ffi::PyObject,
    _closure: *mut c_void,
) -> c_int
where
    F: Item + for<'a, 'py> Fn(&'a T, Attached<'py>, &'a Object) -> Result<(), Raised>,
{
    // SAFETY: lent by CPython for this call.
    let new: Option<Borrowed<'_, Any>> = unsafe { lend_if_any(new) };
    let body = |value: &T, py: Attached<'_>| {
        let Some(new) = &new else {
            let text = "this attribute cannot be deleted";
            return Err(Raised::new(py, ExceptionKind::AttributeError, text));
        };
        conjure::<F>()(value, py, new).map(|()| 0)
    };
    // SAFETY: an instance of `T`, lent by CPython for this call.
    unsafe { method::<T, _>(this, -1, body) }
}

/// `METH_FASTCALL | METH_KEYWORDS`.
pub(super) unsafe extern "C" fn call<T: Class, F>(
    this: *mut ffi::PyObject,
    values: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    F: Item + for<'a, 'py> Fn(&'a T, Attached<'py>, Arguments<'a>) -> Result<Owned<'py>, Raised>,
{
    // SAFETY: lent by CPython for this call.
    let arguments = unsafe { Arguments::from_vectorcall(values, count as usize, names) };
    let body =
        |value: &T, py: Attached<'_>| conjure::<F>()(value, py, arguments).map(Owned::into_pointer);
    // SAFETY: an instance of `T`, lent by CPython for this call.
    unsafe { method::<T, _>(this, ptr::null_mut(), body) }
}

/// As `call`, for functions that want the object and not only its value.
pub(super) unsafe extern "C" fn call_bound<T: Class, F>(
    this: *mut ffi::PyObject,
    values: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    F: Item
        + for<'a, 'py> Fn(
            &'a Object<Instance<T>>,
            Attached<'py>,
            Arguments<'a>,
        ) -> Result<Owned<'py>, Raised>,
{
    // SAFETY: lent by CPython for this call.
    let arguments = unsafe { Arguments::from_vectorcall(values, count as usize, names) };
    // SAFETY: lent by CPython for this call.
    let object: Borrowed<'_, Instance<T>> = unsafe { lend(this) };
    let body =
        |_: &T, py: Attached<'_>| conjure::<F>()(&object, py, arguments).map(Owned::into_pointer);
    // SAFETY: an instance of `T`, lent by CPython for this call.
    unsafe { method::<T, _>(this, ptr::null_mut(), body) }
}

/// `METH_FASTCALL | METH_KEYWORDS | METH_CLASS`.
pub(super) unsafe extern "C" fn call_class<F>(
    class: *mut ffi::PyObject,
    values: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    F: Item + for<'a, 'py> Fn(Attached<'py>, Arguments<'a>) -> Result<Owned<'py>, Raised>,
{
    // SAFETY: methods are called on attached threads only, and `class` is one of a module of ours:
    // CPython has checked that it is the class whose method this is, or one below it.
    let py = unsafe { attached_of_class(class.cast()) };
    // SAFETY: lent by CPython for this call.
    let arguments = unsafe { Arguments::from_vectorcall(values, count as usize, names) };
    guard(py, ptr::null_mut(), || conjure::<F>()(py, arguments).map(Owned::into_pointer))
}

/// `METH_NOARGS`.
pub(super) unsafe extern "C" fn call0<T: Class, F>(
    this: *mut ffi::PyObject,
    _none: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    F: Item + for<'a, 'py> Fn(&'a T, Attached<'py>) -> Result<Owned<'py>, Raised>,
{
    let body = |value: &T, py: Attached<'_>| conjure::<F>()(value, py).map(Owned::into_pointer);
    // SAFETY: an instance of `T`, lent by CPython for this call.
    unsafe { method::<T, _>(this, ptr::null_mut(), body) }
}

/// `tp_repr` and `tp_str`.
pub(super) unsafe extern "C" fn text<T: Class, F>(this: *mut ffi::PyObject) -> *mut ffi::PyObject
where
    F: Item + for<'a, 'py> Fn(&'a T, Attached<'py>) -> Result<Owned<'py, Str>, Raised>,
{
    let body = |value: &T, py: Attached<'_>| conjure::<F>()(value, py).map(Owned::into_pointer);
    // SAFETY: an instance of `T`, lent by CPython for this call.
    unsafe { method::<T, _>(this, ptr::null_mut(), body) }
}

/// `tp_iter`.
pub(super) unsafe extern "C" fn iterate<T: Class, F>(this: *mut ffi::PyObject) -> *mut ffi::PyObject
where
    F: Item + for<'a, 'py> Fn(&'a T, Attached<'py>) -> Result<Owned<'py>, Raised>,
{
    let body = |value: &T, py: Attached<'_>| conjure::<F>()(value, py).map(Owned::into_pointer);
    // SAFETY: an instance of `T`, lent by CPython for this call.
    unsafe { method::<T, _>(this, ptr::null_mut(), body) }
}

/// `tp_iternext`: NULL without an exception says that there is no more.
pub(super) unsafe extern "C" fn next<T: Class, F>(this: *mut ffi::PyObject) -> *mut ffi::PyObject
where
    F: Item + for<'a, 'py> Fn(&'a T, Attached<'py>) -> Result<Option<Owned<'py>>, Raised>,
{
    let body = |value: &T, py: Attached<'_>| {
        let item = conjure::<F>()(value, py)?;
        Ok(item.map_or(ptr::null_mut(), Owned::into_pointer))
    };
    // SAFETY: an instance of `T`, lent by CPython for this call.
    unsafe { method::<T, _>(this, ptr::null_mut(), body) }
}

/// As `next`, for functions that want the object and not only its value.
pub(super) unsafe extern "C" fn next_bound<T: Class, F>(
    this: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    F: Item
        + for<'a, 'py> Fn(
            &'a Object<Instance<T>>,
            Attached<'py>,
        ) -> Result<Option<Owned<'py>>, Raised>,
{
    // SAFETY: lent by CPython for this call.
    let object: Borrowed<'_, Instance<T>> = unsafe { lend(this) };
    let body = |_: &T, py: Attached<'_>| {
        let item = conjure::<F>()(&object, py)?;
        Ok(item.map_or(ptr::null_mut(), Owned::into_pointer))
    };
    // SAFETY: an instance of `T`, lent by CPython for this call.
    unsafe { method::<T, _>(this, ptr::null_mut(), body) }
}

/// `am_await` and `am_anext`.
pub(super) unsafe extern "C" fn unary<T: Class, F>(this: *mut ffi::PyObject) -> *mut ffi::PyObject
where
    F: Item + for<'a, 'py> Fn(&'a Object<Instance<T>>, Attached<'py>) -> Result<Owned<'py>, Raised>,
{
    // SAFETY: lent by CPython for this call.
    let object: Borrowed<'_, Instance<T>> = unsafe { lend(this) };
    let body = |_: &T, py: Attached<'_>| conjure::<F>()(&object, py).map(Owned::into_pointer);
    // SAFETY: an instance of `T`, lent by CPython for this call.
    unsafe { method::<T, _>(this, ptr::null_mut(), body) }
}

/// `mp_length`.
pub(super) unsafe extern "C" fn length<T: Class, F>(this: *mut ffi::PyObject) -> ffi::Py_ssize_t
where
    F: Item + for<'a, 'py> Fn(&'a T, Attached<'py>) -> Result<usize, Raised>,
{
    let body = |value: &T, py: Attached<'_>| {
        conjure::<F>()(value, py).map(|length| length as ffi::Py_ssize_t)
    };
    // SAFETY: an instance of `T`, lent by CPython for this call.
    unsafe { method::<T, _>(this, -1, body) }
}

/// `mp_subscript`.
pub(super) unsafe extern "C" fn item<T: Class, F>(
    this: *mut ffi::PyObject,
    key: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    F: Item + for<'a, 'py> Fn(&'a T, Attached<'py>, &'a Object) -> Result<Owned<'py>, Raised>,
{
    // SAFETY: lent by CPython for this call.
    let key: Borrowed<'_, Any> = unsafe { lend(key) };
    let body =
        |value: &T, py: Attached<'_>| conjure::<F>()(value, py, &key).map(Owned::into_pointer);
    // SAFETY: an instance of `T`, lent by CPython for this call.
    unsafe { method::<T, _>(this, ptr::null_mut(), body) }
}

/// `mp_ass_subscript`: a NULL value deletes the item.
pub(super) unsafe extern "C" fn assign<T: Class, F>(
    this: *mut ffi::PyObject,
    key: *mut ffi::PyObject,
    new: *mut ffi::PyObject,
) -> c_int
where
    F: Item
        + for<'a, 'py> Fn(&'a T, Attached<'py>, &'a Object, Option<&'a Object>) -> Result<(), Raised>,
{
    // SAFETY: lent by CPython for this call.
    let key: Borrowed<'_, Any> = unsafe { lend(key) };
    // SAFETY: lent by CPython for this call.
    let new: Option<Borrowed<'_, Any>> = unsafe { lend_if_any(new) };
    let body =
        |value: &T, py: Attached<'_>| conjure::<F>()(value, py, &key, new.as_deref()).map(|()| 0);
    // SAFETY: an instance of `T`, lent by CPython for this call.
    unsafe { method::<T, _>(this, -1, body) }
}

/// `sq_contains`.
pub(super) unsafe extern "C" fn contains<T: Class, F>(
    this: *mut ffi::PyObject,
    key: *mut ffi::PyObject,
) -> c_int
where
    F: Item + for<'a, 'py> Fn(&'a T, Attached<'py>, &'a Object) -> Result<bool, Raised>,
{
    // SAFETY: lent by CPython for this call.
    let key: Borrowed<'_, Any> = unsafe { lend(key) };
    let body = |value: &T, py: Attached<'_>| conjure::<F>()(value, py, &key).map(c_int::from);
    // SAFETY: an instance of `T`, lent by CPython for this call.
    unsafe { method::<T, _>(this, -1, body) }
}

/// `tp_richcompare`, for `==` and `!=`; nothing means that the other side may know.
pub(super) unsafe extern "C" fn equals<T: Class, F>(
    this: *mut ffi::PyObject,
    other: *mut ffi::PyObject,
    operation: c_int,
) -> *mut ffi::PyObject
where
    F: Item + for<'a, 'py> Fn(&'a T, Attached<'py>, &'a Object) -> Result<Option<bool>, Raised>,
{
    // SAFETY: lent by CPython for this call.
    let other: Borrowed<'_, Any> = unsafe { lend(other) };
    let body = |value: &T, py: Attached<'_>| {
        let answer = match operation {
            ffi::Py_EQ => conjure::<F>()(value, py, &other)?,
            ffi::Py_NE => conjure::<F>()(value, py, &other)?.map(|equal| !equal),
            _ => None,
        };
        // SAFETY: only takes the address of a static object, which is immortal.
        let unknown = unsafe { ffi::Py_NotImplemented() };
        Ok(answer.map_or(unknown, |answer| Bool::new(py, answer).into_pointer()))
    };
    // SAFETY: an instance of `T`, lent by CPython for this call.
    unsafe { method::<T, _>(this, ptr::null_mut(), body) }
}

/// `bf_getbuffer`. The view holds a reference to the object, and so keeps its bytes.
pub(super) unsafe extern "C" fn buffer<T: Class, F>(
    this: *mut ffi::PyObject,
    view: *mut ffi::Py_buffer,
    flags: c_int,
) -> c_int
where
    F: Item + for<'a> Fn(&'a T) -> &'a [u8],
{
    let body = |value: &T, py: Attached<'_>| {
        let bytes = conjure::<F>()(value);
        let (start, length) = (bytes.as_ptr().cast_mut().cast(), bytes.len() as ffi::Py_ssize_t);
        // SAFETY: CPython passes a view to fill. The bytes are borrowed from the value for as long
        // as the object lives, and marked as not writable.
        let result = unsafe { ffi::PyBuffer_FillInfo(view, this, start, length, 1, flags) };
        Raised::check(result, py).map(|()| 0)
    };
    // SAFETY: an instance of `T`, lent by CPython for this call.
    unsafe { method::<T, _>(this, -1, body) }
}

/// `bf_getbuffer` by way of another object: the view holds a reference to that one.
pub(super) unsafe extern "C" fn buffer_of<T: Class, F>(
    this: *mut ffi::PyObject,
    view: *mut ffi::Py_buffer,
    flags: c_int,
) -> c_int
where
    F: Item + for<'a, 'py> Fn(&'a T, Attached<'py>) -> Result<Owned<'py>, Raised>,
{
    let body = |value: &T, py: Attached<'_>| {
        let owner = conjure::<F>()(value, py)?;
        // SAFETY: CPython passes a view to fill, and `owner` is a live object; it makes the view
        // its own, with a reference to itself, or raises.
        let result = unsafe { ffi::PyObject_GetBuffer(owner.as_ptr(), view, flags) };
        Raised::check(result, py).map(|()| 0)
    };
    // SAFETY: an instance of `T`, lent by CPython for this call.
    unsafe { method::<T, _>(this, -1, body) }
}

/// The vectorcall of the type: `Class(...)` without a tuple of arguments.
pub(super) unsafe extern "C" fn construct<T: Class, F>(
    class: *mut ffi::PyObject,
    values: *const *mut ffi::PyObject,
    count: usize,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    F: Item + for<'a, 'py> Fn(Attached<'py>, Arguments<'a>, &'a Object<Type>) -> Result<T, Raised>,
{
    // SAFETY: types are called on attached threads only.
    let py = unsafe { attached_of_class(class.cast()) };
    let count = count & !ffi::PY_VECTORCALL_ARGUMENTS_OFFSET;
    // SAFETY: lent by CPython for this call.
    let arguments = unsafe { Arguments::from_vectorcall(values, count, names) };
    // SAFETY: `class` is the type this function was put into, lent for this call.
    guard(py, ptr::null_mut(), || unsafe { make::<T, F>(py, class.cast(), arguments) })
}

/// `tp_new`: `Class.__new__(Class, ...)`.
pub(super) unsafe extern "C" fn new<T: Class, F>(
    class: *mut ffi::PyTypeObject,
    positional: *mut ffi::PyObject,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    F: Item + for<'a, 'py> Fn(Attached<'py>, Arguments<'a>, &'a Object<Type>) -> Result<T, Raised>,
{
    // SAFETY: types are called on attached threads only.
    let py = unsafe { attached_of_class(class) };
    // SAFETY: a tuple, lent by CPython for this call.
    let positional: Borrowed<'_, Tuple> = unsafe { lend(positional) };
    // SAFETY: a dict or NULL, lent by CPython for this call.
    let keywords: Option<Borrowed<'_, Dict>> = unsafe { lend_if_any(keywords) };
    guard(py, ptr::null_mut(), || {
        let (mut names, mut values) = (Vec::new(), Vec::new());
        for entry in keywords.iter().flat_map(|keywords| keywords.items(py)) {
            let (name, value) = entry?;
            names.push(name);
            values.push(value);
        }
        let names = Tuple::from_tail(py, &mut names, 0)?;
        let values: Vec<Borrowed<'_>> = values.iter().map(Owned::borrow).collect();
        let arguments = Arguments::new(positional.items(), &values, Some(names.borrow()));
        // SAFETY: nothing can derive from the class, so CPython lets only itself through.
        unsafe { make::<T, F>(py, class, arguments) }
    })
}

/// # Safety
///
/// `class` must be the type that `ClassSpec<T>` made, alive for the call.
unsafe fn make<T: Class, F>(
    py: Attached<'_>,
    class: *mut ffi::PyTypeObject,
    arguments: Arguments<'_>,
) -> Result<*mut ffi::PyObject, Raised>
where
    F: Item + for<'a, 'py> Fn(Attached<'py>, Arguments<'a>, &'a Object<Type>) -> Result<T, Raised>,
{
    // SAFETY: the caller keeps the class alive for the call.
    let object: Borrowed<'_, Type> = unsafe { lend(class.cast()) };
    let value = conjure::<F>()(py, arguments, &object)?;
    // SAFETY: the caller shows the type of `T`.
    unsafe { Instance::allocate(py, class, value) }.map(Owned::into_pointer)
}
