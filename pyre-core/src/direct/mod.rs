//! Answers that reactors give by themselves, without Python, however stuck the interpreters are.
//!
//! Sees `metrics` and what is below that; no connection.

pub(crate) mod responder; // what they answer with, and where they note it
pub(crate) mod identity; // ids of requests, which their answers bear
pub(crate) mod answer; // what no handler answers
pub(crate) mod files; // files of folders that are served
pub(crate) mod page; // pages of the server itself
pub(crate) mod cors; // who may read answers, of pages elsewhere
pub(crate) mod hosts; // which hosts are served
pub(crate) mod health; // is the process alive, is it ready
pub(crate) mod metrics; // what the server counts
