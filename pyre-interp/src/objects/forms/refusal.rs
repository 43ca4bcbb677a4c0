//! What a client is told of a form.

use pyre_ffi::{Attached, Int, Raised, Str, Tuple, import};
use pyre_http::multipart::fault::Fault;

/// The exception for what is wrong with a form.
pub(super) fn raised(py: Attached<'_>, fault: Fault) -> Raised {
    refusal(py, fault.status(), fault.reason())
}

/// A `FormError`: what the client is answered, and why.
#[cold]
pub(super) fn refusal(py: Attached<'_>, status: u16, reason: &str) -> Raised {
    let made = import(py, "pyreframework.errors").and_then(|errors| {
        let class = errors.attr(&*Str::intern(py, "FormError")?, py)?;
        let told = [Int::new(py, status.into())?.into_any(), Str::new(py, reason)?.into_any()];
        Ok(Raised::with(py, &class, &*Tuple::new(py, told)?))
    });
    made.unwrap_or_else(|raised| raised)
}
