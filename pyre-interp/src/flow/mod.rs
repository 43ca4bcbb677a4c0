//! The road for pieces: what flows between the program and the reactor of a connection while neither
//! waits for the whole of it.
//!
//! A flow has one direction and is bounded in bytes. Outward, whoever sends frames the piece and leaves
//! it in a buffer; the reactor takes all that is there at once and writes it with one call. Inward, the
//! reactor leaves what it has read of a body, and does not read on while that is much. No piece goes
//! through the rings of jobs, and nothing here knows Python: whoever waits lets go of its interpreter
//! before.
//!
//! What always holds:
//! - Outward, the first piece of a batch tells the reactor ([`Mailbox`]), the others do not: a reactor
//!   that was told looks until it has found nothing. Inward, it is told of room only if it waits for that.
//! - A sender that found no room is told once there is some, and a reader that found nothing once there is
//!   something: a thread by a condition, a coroutine by the bell of its event loop ([`Wakes`]).
//! - Either end that goes breaks the flow, and the other one learns of it without sending or reading.

mod downstream; // the end that a reactor has
mod open_file; // a file that is sent, and how it is closed
mod inbox; // messages, from a reactor to the program
mod inflow; // a body, from a reactor to a handler
mod mailbox; // how a reactor learns which of its flows have something
mod outflow; // from the program to a reactor
mod spare; // what flows keep for their next pieces
mod sync; // locks and queues, as they are or as loom knows them
mod talk; // what its ends tell each other
pub mod topics; // what is published once and goes to many connections
mod wakes; // how an event loop learns which of its senders can go on

#[cfg(test)]
#[cfg(not(pyre_loom))]
mod tests;

pub use downstream::{Downstream, Fetched, Known, Terms, Transfer, Upgrade};
pub use inbox::{Batch, Ending, Feed, GONE, INBOX_BYTES_MAX, Inbox, Received, TOO_SLOW};
pub use inflow::{Cut, Found, Intake, Upstream, inflow};
pub use mailbox::Mailbox;
pub use open_file::OpenFile;
pub use outflow::{FLOW_BYTES_MAX, Offered, Outflow, Subscribed};
pub use spare::{KEPT_BYTES_MAX, Kept, Spare};
pub use talk::{Pushed, Reader, Room, Taken, Waker};
pub use wakes::{Bells, Wakes};
