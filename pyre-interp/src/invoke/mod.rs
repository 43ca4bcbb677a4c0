//! Step 8: hooks and handler run.

pub mod application; // what the user has registered, in this interpreter
pub(crate) mod arguments; // path values, converted, as arguments of the handler
pub(crate) mod exchange; // one request: before hooks, handler, after hooks, answer
pub(crate) mod failure; // an exception becomes an answer and a report, once
