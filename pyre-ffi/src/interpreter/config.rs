//! What an isolated interpreter may do, and how long its end may take.

use std::time::Duration;

use pyo3_ffi as ffi;

/// Settings of an interpreter with a lock and an allocator of its own.
#[derive(Clone, Copy, Debug)]
pub struct IsolatedConfig {
    /// How long the end waits for threads that are still inside, and for other interpreters that
    /// are being started or ended; beyond it the interpreter is left behind, as ending it then
    /// would abort the process.
    pub end_wait: Duration,
    /// How long the start waits for other interpreters that are being started or ended: the end of
    /// one runs destructors, which may take their time.
    pub start_wait: Duration,
}

impl Default for IsolatedConfig {
    fn default() -> IsolatedConfig {
        IsolatedConfig { end_wait: Duration::from_secs(30), start_wait: Duration::from_secs(30) }
    }
}

impl IsolatedConfig {
    /// `fork` would copy a process of many interpreters with one thread, and daemon threads keep
    /// an interpreter from ending: both are refused. Extensions that do not support several
    /// interpreters are refused too, as they corrupt memory.
    pub(super) fn to_ffi(self) -> ffi::PyInterpreterConfig {
        ffi::PyInterpreterConfig {
            use_main_obmalloc: 0,
            allow_fork: 0,
            allow_exec: 1,
            allow_threads: 1,
            allow_daemon_threads: 0,
            check_multi_interp_extensions: 1,
            gil: ffi::PyInterpreterConfig_OWN_GIL,
        }
    }
}
