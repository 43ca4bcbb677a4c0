//! The reactor: one per core, all sockets it accepted, and the turns in which it serves them.
//!
//! A reactor is one value that one thread holds: its own thread, the keeper, or a lane that carries it
//! for a while (`pyre_interp::ring::Baton`). Nothing in it is shared but the ends of its rings and its
//! doorbell. No borrow of it lives across a call into Python: handlers see only their job.
//!
//! Sees all but `server` and `app`. Only here the parts of a reactor meet: `steps.rs` gives them to one
//! step after the other.

mod fan_out; // what was published goes to all that have subscribed
mod steps; // the steps of a request, one after the other
mod uploads; // bodies that go to their handlers as they come
mod deadlines; // what happens when a connection has waited too long
pub(crate) mod run; // the turn: poll, inbound, outbound, deadlines
mod carried; // what it does on a lane that carries it
pub(crate) mod keeper; // the reactor's own thread: lends it to lanes, and takes it back
