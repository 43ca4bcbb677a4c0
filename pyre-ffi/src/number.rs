//! `int`, `float`, `bool` and `None`.
//!
//! Hot path. Small ints and floats are read from the object; big ones go through text.

use std::{mem::offset_of, ptr::NonNull};

use pyo3_ffi as ffi;

use crate::{Attached, Object, Owned, Raised, Str, layout, object::builtin};

/// Marks an `int`, which a `bool` is too.
pub enum Int {}

/// Marks a `float`.
pub enum Float {}

/// Marks a `bool`.
pub enum Bool {}

builtin!(Int, PyLong_Type, Py_TPFLAGS_LONG_SUBCLASS);

// SAFETY: `is_instance` asks for the type or what derives from it, which keeps the layout.
unsafe impl crate::object::sealed::Described for Float {
    #[inline(always)]
    fn type_object() -> *mut ffi::PyTypeObject {
        &raw mut ffi::PyFloat_Type
    }

    #[inline(always)]
    unsafe fn is_instance(object: *mut ffi::PyObject) -> bool {
        // SAFETY: the caller shows a live object.
        unsafe { ffi::PyFloat_Check(object) != 0 }
    }
}

// SAFETY: nothing can derive from `bool`.
unsafe impl crate::object::sealed::Described for Bool {
    #[inline(always)]
    fn type_object() -> *mut ffi::PyTypeObject {
        &raw mut ffi::PyBool_Type
    }

    #[inline(always)]
    unsafe fn is_instance(object: *mut ffi::PyObject) -> bool {
        // SAFETY: the caller shows a live object.
        let class = unsafe { ffi::Py_TYPE(object) };
        class == &raw mut ffi::PyBool_Type
    }
}
/// `None`, which is never freed, so that no count is kept.
#[inline(always)]
pub fn none(py: Attached<'_>) -> Owned<'_> {
    // SAFETY: only takes the address of a static object.
    let object = unsafe { ffi::Py_None() };
    // SAFETY: the address of a static is not null.
    let object = unsafe { NonNull::new_unchecked(object) };
    // SAFETY: `None` is immortal since 3.12: references to it need not be counted.
    unsafe { Owned::from_pointer(object, py) }
}

impl Bool {
    /// `True` or `False`, which are never freed, so that no count is kept.
    #[inline(always)]
    pub fn new(py: Attached<'_>, value: bool) -> Owned<'_, Bool> {
        // SAFETY: only takes the address of a static object.
        let object = if value { unsafe { ffi::Py_True() } } else { unsafe { ffi::Py_False() } };
        // SAFETY: the address of a static is not null.
        let object = unsafe { NonNull::new_unchecked(object) };
        // SAFETY: both are immortal since 3.12: references to them need not be counted.
        unsafe { Owned::from_pointer(object, py) }
    }
}

/// The start of an int: how many digits and which sign, then the lowest digit.
///
/// Python documents this layout as `PyUnstable_Long_CompactValue`.
#[repr(C)]
struct LongObject {
    header: ffi::PyObject,
    tag: usize,
    lowest_digit: u32,
}

const _: () = {
    assert!(offset_of!(LongObject, tag) == layout::INT_TAG);
    assert!(offset_of!(LongObject, lowest_digit) == layout::INT_DIGIT);
};

impl Int {
    /// An int.
    #[inline]
    pub fn new(py: Attached<'_>, value: i64) -> Result<Owned<'_, Int>, Raised> {
        // SAFETY: on an attached thread.
        let object = unsafe { ffi::PyLong_FromLongLong(value) };
        // SAFETY: a new reference to an int, or NULL with an exception set.
        unsafe { Owned::or_raised(object, py) }
    }

    /// An int that may exceed `i64`.
    #[inline]
    pub fn from_u64(py: Attached<'_>, value: u64) -> Result<Owned<'_, Int>, Raised> {
        // SAFETY: on an attached thread.
        let object = unsafe { ffi::PyLong_FromUnsignedLongLong(value) };
        // SAFETY: a new reference to an int, or NULL with an exception set.
        unsafe { Owned::or_raised(object, py) }
    }

    /// An int of any size from its decimal digits, as `int(text)` reads them.
    ///
    /// # Errors
    ///
    /// `ValueError` for anything else, and for more digits than `sys.set_int_max_str_digits`
    /// allows.
    pub fn from_decimal<'py>(py: Attached<'py>, digits: &str) -> Result<Owned<'py, Int>, Raised> {
        let text = Str::new(py, digits)?;
        // SAFETY: a live str, on an attached thread.
        let object = unsafe { ffi::PyLong_FromUnicodeObject(text.as_ptr(), 10) };
        // SAFETY: a new reference to an int, or NULL with an exception set.
        unsafe { Owned::or_raised(object, py) }
    }
}

impl Object<Int> {
    /// The value, or nothing if it exceeds `i64`.
    #[inline(always)]
    pub fn as_i64(&self) -> Option<i64> {
        let start = self.as_ptr().cast::<LongObject>();
        // SAFETY: the mark says that this is a live int, whose value never changes.
        let tag = unsafe { (*start).tag };
        if tag < (2 << layout::INT_COUNT_BIT) {
            // SAFETY: as above; the lowest digit is always there.
            let digit = unsafe { (*start).lowest_digit };
            let sign = 1 - (tag & layout::INT_SIGN_MASK) as i64;
            return Some(sign * i64::from(digit));
        }
        self.long_as_i64()
    }

    #[inline(never)]
    fn long_as_i64(&self) -> Option<i64> {
        let mut overflow = 0;
        // SAFETY: the mark says that this is a live int, so nothing is called and nothing fails;
        // the thread is attached while a handle exists.
        let value = unsafe { ffi::PyLong_AsLongLongAndOverflow(self.as_ptr(), &raw mut overflow) };
        (overflow == 0).then_some(value)
    }

    /// The value, or nothing if it is negative or exceeds `u64`.
    pub fn as_u64(&self, py: Attached<'_>) -> Option<u64> {
        if let Some(value) = self.as_i64() {
            return u64::try_from(value).ok();
        }
        // SAFETY: a live int, on an attached thread.
        let value = unsafe { ffi::PyLong_AsUnsignedLongLong(self.as_ptr()) };
        // SAFETY: on an attached thread.
        if value == u64::MAX && !unsafe { ffi::PyErr_Occurred() }.is_null() {
            Raised::pending().clear(py);
            return None;
        }
        Some(value)
    }

    /// The value in decimal, whatever a class derived from `int` prints.
    ///
    /// # Errors
    ///
    /// `ValueError` for more digits than `sys.set_int_max_str_digits` allows.
    pub fn to_decimal<'py>(&self, py: Attached<'py>) -> Result<Owned<'py, Str>, Raised> {
        // SAFETY: a live int, on an attached thread.
        let object = unsafe { ffi::PyNumber_ToBase(self.as_ptr(), 10) };
        // SAFETY: a new reference to a str, or NULL with an exception set.
        unsafe { Owned::or_raised(object, py) }
    }
}

impl Float {
    /// A float.
    #[inline]
    pub fn new(py: Attached<'_>, value: f64) -> Result<Owned<'_, Float>, Raised> {
        // SAFETY: on an attached thread.
        let object = unsafe { ffi::PyFloat_FromDouble(value) };
        // SAFETY: a new reference to a float, or NULL with an exception set.
        unsafe { Owned::or_raised(object, py) }
    }
}

impl Object<Float> {
    /// The value.
    #[inline(always)]
    pub fn as_f64(&self) -> f64 {
        // SAFETY: the mark says that this is a live float.
        unsafe { ffi::PyFloat_AS_DOUBLE(self.as_ptr()) }
    }
}

/// Compares what this file reads from ints with what CPython says about them, and with
/// `sys.int_info`.
pub(crate) fn check_layout(py: Attached<'_>) -> Result<bool, Raised> {
    // SAFETY: on an attached thread.
    let info = unsafe { ffi::PyLong_GetInfo() };
    // SAFETY: a new reference, or NULL with an exception set.
    let info: Owned<'_> = unsafe { Owned::or_raised(info, py) }?;
    let bits = info.attr(&*Str::new(py, "bits_per_digit")?, py)?;
    // Asked without the layout that is in question.
    if !bits.equals(&*Int::new(py, layout::INT_DIGIT_BITS.into())?, py)? {
        return Ok(false);
    }
    let digit = 1_i64 << layout::INT_DIGIT_BITS;
    for magnitude in [0, 1, 2, 1000, digit - 1, digit, digit + 1, digit * digit, i64::MAX] {
        for value in [magnitude, -magnitude] {
            let object = Int::new(py, value)?;
            if object.as_i64() != Some(value) || object.long_as_i64() != Some(value) {
                return Ok(false);
            }
        }
    }
    Ok(Int::from_u64(py, u64::MAX)?.as_i64().is_none())
}
