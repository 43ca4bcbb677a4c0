//! The function Python looks up in the library.
#![allow(unsafe_code)]

use std::ffi::c_void;

use pyre_ffi::Module;

use crate::server::engine::Engine;

/// What Python calls when it imports the module, in each interpreter.
///
/// # Safety
/// Only for Python's import of extension modules.
// SAFETY: no other library of the process defines this name; Python looks it up in ours.
#[expect(unreachable_pub, reason = "Python finds it by its name in the library")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn PyInit_engine() -> *mut c_void {
    Engine::definition().init()
}
