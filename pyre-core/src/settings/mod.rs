//! Every option, checked once, and the bounds that are not options.
//!
//! Sees no other room.

pub(crate) mod bounds; // bounds that are not set
mod bind; // where a server listens
mod pages; // pages of the server itself, and where they are found
mod logging; // how the log is kept
mod options; // everything that `run()` can set

pub(crate) use bind::{Bind, parse_bind};
pub(crate) use logging::{AccessStyle, Format, Level};
pub(crate) use options::{HandOver, Settings, limit_milliseconds, milliseconds};
pub(crate) use pages::{Page, Pages, parse_pages};
