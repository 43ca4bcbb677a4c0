//! Connections of a reactor: where each stands, its socket, its buffers and its deadline.

pub(crate) mod transport; // one connected socket, TCP or Unix
pub(crate) mod state; // one connection: where it stands
pub(crate) mod slots; // all of them: slots with generations
pub(crate) mod jobs; // empty jobs, kept for reuse
pub(crate) mod timers; // wheel of alarms
