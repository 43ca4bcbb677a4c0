//! Step 8: hooks and handler run.

pub mod application; // what the user has registered, in this interpreter
pub(crate) mod arguments; // path values, converted, as arguments of the handler
pub(crate) mod exchange; // one request, the short way: handler, answer
pub(crate) mod stages; // the long way: hooks, coroutines, exception handlers
pub(crate) mod sessions; // the session of the client, behind all that may fail
pub(crate) mod failure; // an exception becomes an error response and a report, once
