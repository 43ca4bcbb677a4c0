//! How CPython lays out the objects that this crate reads without asking it.
//!
//! None of it is a promise of CPython's. So the numbers stand once, in `numbers.rs`; when the crate is
//! built, the C compiler compares them with the headers of the interpreter (`headers.c`); and when
//! the module is loaded into an interpreter, objects are made and read in both ways.

mod numbers;

use std::ffi::CStr;

use pyo3_ffi as ffi;

use crate::{Attached, ExceptionKind, Raised, dict, dict_watcher, number, slate, text};

pub(crate) use numbers::*;

/// Compares what is read from objects here with what CPython says about them.
///
/// # Errors
///
/// `ImportError` if they differ: a module that loads into such an interpreter has to refuse to.
pub(crate) fn check(py: Attached<'_>) -> Result<(), Raised> {
    let what = if !text::check_layout(py)? || !slate::check_layout(py)? {
        "strings"
    } else if !number::check_layout(py)? {
        "ints"
    } else if !dict::check_layout(py)? || !dict_watcher::check_layout(py)? {
        "dicts"
    } else {
        return Ok(());
    };
    // SAFETY: may be called at any time.
    let version = unsafe { ffi::Py_GetVersion() };
    // SAFETY: a static text with a NUL at its end.
    let version = unsafe { CStr::from_ptr(version) }.to_string_lossy();
    let version = version.split(' ').next().unwrap_or_default();
    let text = format!(
        "CPython {version} keeps {what} in a way that this build of Pyre does not know: build Pyre \
         again for this interpreter, or use a version of CPython that its documentation names"
    );
    Err(Raised::new(py, ExceptionKind::ImportError, &text))
}
