//! Python inside a Rust program, for tests and benches.

use std::{
    sync::{OnceLock, mpsc},
    thread,
};

use pyo3_ffi as ffi;

use super::InterpreterHandle;
use crate::Attached;

static EMBEDDED: OnceLock<InterpreterHandle> = OnceLock::new();

/// Starts Python in this process on its first call, and gives the main interpreter's handle.
///
/// A thread is spent on it: CPython wants the thread that started it to stay.
///
/// # Panics
///
/// If Python runs in this process already.
pub fn embed() -> &'static InterpreterHandle {
    EMBEDDED.get_or_init(|| {
        // SAFETY: may be asked at any time.
        assert!(unsafe { ffi::Py_IsInitialized() } == 0, "Python runs in this process already");
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            // SAFETY: the first thread to touch Python, as the assertion and the lock say.
            unsafe { ffi::Py_InitializeEx(0) };
            // SAFETY: `Py_InitializeEx` attached this thread; it is detached three lines on.
            let py = unsafe { Attached::discover() };
            let sent = sender.send(InterpreterHandle::main(py));
            py.detach(|| {
                while sent.is_ok() {
                    thread::park();
                }
            });
        });
        receiver.recv().expect("Python starts or aborts the process")
    })
}
