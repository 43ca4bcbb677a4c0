//! What goes to the log, and the one thread that writes it.
//!
//! Sees `shared`, `settings` and `sys`.

pub(crate) mod entry; // what is logged
pub(crate) mod access; // what a reactor notes for the access log
pub(crate) mod layout; // entries as text, or as JSON
pub(crate) mod queue; // from many threads to one
pub(crate) mod of_process; // what a process that is forked has anew
pub(crate) mod streams; // standard output and error, and what may become of a write there
pub(crate) mod writer; // the thread that writes
pub(crate) mod outbox; // access records for a program that handles them itself
pub(crate) mod functions; // what Python calls
