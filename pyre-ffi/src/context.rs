//! Contexts (PEP 567): which values context variables have for the code that runs.

use pyo3_ffi as ffi;

use crate::{Attached, Object, Owned, Raised};

/// A copy of the context that this thread runs in, which shares its values until one is set.
pub fn copy_context(py: Attached<'_>) -> Result<Owned<'_>, Raised> {
    // SAFETY: on an attached thread.
    let context = unsafe { ffi::PyContext_CopyCurrent() };
    // SAFETY: a new reference, or NULL with an exception set.
    unsafe { Owned::or_raised(context, py) }
}

impl<T> Object<T> {
    /// A copy of this context.
    ///
    /// # Errors
    ///
    /// `TypeError` if the object is no context.
    pub fn copied_context<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        // SAFETY: a live object, on an attached thread; CPython checks that it is a context.
        let context = unsafe { ffi::PyContext_Copy(self.as_ptr()) };
        // SAFETY: a new reference, or NULL with an exception set.
        unsafe { Owned::or_raised(context, py) }
    }

    /// Lets this thread run in this context until [`exit_context`](Object::exit_context).
    ///
    /// # Errors
    ///
    /// `TypeError` if the object is no context, `RuntimeError` if it is entered already.
    pub fn enter_context(&self, py: Attached<'_>) -> Result<(), Raised> {
        // SAFETY: a live object, on an attached thread; CPython checks that it is a context, and
        // keeps it alive while it is entered.
        Raised::check(unsafe { ffi::PyContext_Enter(self.as_ptr()) }, py)
    }

    /// Lets this thread run in the context it ran in before.
    ///
    /// # Errors
    ///
    /// `TypeError` if the object is no context, `RuntimeError` if it is not the one entered last.
    pub fn exit_context(&self, py: Attached<'_>) -> Result<(), Raised> {
        // SAFETY: as for `enter_context`.
        Raised::check(unsafe { ffi::PyContext_Exit(self.as_ptr()) }, py)
    }
}
