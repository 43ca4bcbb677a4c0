//! What a reactor notes of its answers, and the text that shows what was counted.
//!
//! Sees `log` and what is below that.

pub(crate) mod ledger; // a reactor's own side of it: what it notes of each answer
pub(crate) mod exposition; // the text format of Prometheus
pub(crate) mod functions; // what Python asks
