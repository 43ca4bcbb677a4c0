//! What a server counts of itself, and the pages that show it.

pub(crate) mod histogram; // durations, in buckets
pub(crate) mod counters; // what one reactor counts
pub(crate) mod ledger; // a reactor's own side of it: what it notes of each answer
pub(crate) mod gil; // waits for the GIL of each interpreter
pub(crate) mod vitals; // all counters of a server, summed when read
pub(crate) mod exposition; // the text format of Prometheus
pub(crate) mod functions; // what Python asks
