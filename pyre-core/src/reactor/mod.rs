//! The reactor: one per core, all sockets it accepted, and the turns in which it serves them.
//!
//! A reactor is one value that one thread holds: its own thread, the keeper, or a lane that carries it
//! for a while (`pyre_interp::ring::Baton`). Nothing in it is shared but the ends of its rings and its
//! doorbell. No borrow of it lives across a call into Python: handlers see only their job.

pub(crate) mod listener; // sockets that wait for connections
pub(crate) mod socket_file; // those that are in the file system: their mode, and whose they are
pub(crate) mod claim; // who sees to such a path: one server at a time
pub(crate) mod transport; // one connected socket, TCP or Unix
pub(crate) mod connection; // one connection: where it stands, its buffers, its deadline
pub(crate) mod connections; // all of them: slots with generations
pub(crate) mod jobs; // empty jobs, kept for reuse
pub(crate) mod timers; // wheel of alarms
pub(crate) mod deadlines; // what happens when a connection has waited too long
pub(crate) mod run; // the turn: poll, inbound, outbound, deadlines
pub(crate) mod errands; // jobs that the lane runs which carries the reactor
pub(crate) mod keeper; // the reactor's own thread: lends it to lanes, and takes it back
