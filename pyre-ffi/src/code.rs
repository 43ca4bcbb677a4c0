//! Modules by name, and source text for tests.

use std::ffi::CString;

use pyo3_ffi as ffi;

use crate::{Attached, Dict, Object, Owned, Raised, Str};

/// Imports the module `name`; dotted names give the innermost module.
///
/// # Threads
///
/// The first import of an extension module in a sub-interpreter takes the main interpreter's lock
/// for a moment.
pub fn import<'py>(py: Attached<'py>, name: &str) -> Result<Owned<'py>, Raised> {
    let name = Str::new(py, name)?;
    // SAFETY: a live str, on an attached thread.
    let module = unsafe { ffi::PyImport_Import(name.as_ptr()) };
    // SAFETY: a new reference, or NULL with an exception set.
    unsafe { Owned::or_raised(module, py) }
}

/// Runs UTF-8 source text with `globals` as its namespace, for tests and benches.
pub fn run_source(py: Attached<'_>, source: &str, globals: &Object<Dict>) -> Result<(), Raised> {
    let Ok(source) = CString::new(source) else {
        return Err(Raised::value_error(py, "source text cannot contain NUL"));
    };
    // SAFETY: NUL-terminated source and live dicts, on an attached thread.
    let result = unsafe {
        ffi::PyRun_StringFlags(
            source.as_ptr(),
            ffi::Py_file_input,
            globals.as_ptr(),
            globals.as_ptr(),
            std::ptr::null_mut(),
        )
    };
    // SAFETY: a new reference to `None`, or NULL with an exception set.
    unsafe { Owned::or_raised(result, py) }.map(|_: Owned<'_>| ())
}
