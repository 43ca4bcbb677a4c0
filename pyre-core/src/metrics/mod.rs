//! What a server counts of itself, and the pages that show it.

pub(crate) mod ledger; // a reactor's own side of it: what it notes of each answer
pub(crate) mod exposition; // the text format of Prometheus
pub(crate) mod functions; // what Python asks
