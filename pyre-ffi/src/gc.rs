//! The garbage collector of this interpreter, run when there is nothing better to do.

use pyo3_ffi as ffi;

use crate::{Attached, Raised, Str, import};

/// Collects all garbage now, also when collections do not start by themselves; answers how many
/// objects were found unreachable.
pub fn collect_garbage(py: Attached<'_>) -> usize {
    // CPython's call does nothing while the collector is disabled.
    let enabled = gc_is_enabled(py);
    enable_gc(py);
    // SAFETY: on an attached thread; errors in finalisers are reported by CPython.
    let found = unsafe { ffi::PyGC_Collect() };
    if !enabled {
        disable_gc(py);
    }
    usize::try_from(found).unwrap_or(0)
}

/// Lets collections start by themselves.
pub fn enable_gc(py: Attached<'_>) {
    let _ = py;
    // SAFETY: on an attached thread.
    unsafe { ffi::PyGC_Enable() };
}

/// Keeps collections from starting by themselves; answers whether they did before.
pub fn disable_gc(py: Attached<'_>) -> bool {
    let _ = py;
    // SAFETY: on an attached thread.
    unsafe { ffi::PyGC_Disable() != 0 }
}

/// Whether collections start by themselves.
pub fn gc_is_enabled(py: Attached<'_>) -> bool {
    let _ = py;
    // SAFETY: on an attached thread.
    unsafe { ffi::PyGC_IsEnabled() != 0 }
}

/// Takes all objects that exist now out of future collections (`gc.freeze()`).
pub fn freeze_gc(py: Attached<'_>) -> Result<(), Raised> {
    import(py, "gc")?.call_method0(&*Str::new(py, "freeze")?, py).map(drop)
}
