//! What all threads of a server see: the stage it is in, what is frozen while it serves, and what it
//! shows of itself. All of it is read by many; a number has one writer.
//!
//! Sees `router`, `settings` and `sys`.

pub(crate) mod control; // the stage that all reactors follow
pub(crate) mod health; // whether requests are to be sent here
pub(crate) mod frozen; // routes and settings, read only while serving
pub(crate) mod histogram; // durations, in buckets
pub(crate) mod counters; // what one reactor counts
pub(crate) mod carrier; // which lane carries a reactor
pub(crate) mod gil; // waits for the GIL of each interpreter
pub(crate) mod vitals; // all that is shown, summed when read
