//! The server: reactors, routes, start and stop; the extension module `pyreframework.engine`.
//!
//! Rooms stand from top to bottom: each sees those further down, and none above it or beside it.
//! `scripts/check-boundaries` has the layers. Inside of a room, modules stand in the order in which a
//! request travels (`ARCHITECTURE.md`).
#![deny(unsafe_code)]

mod entry; // the function that Python looks up
mod server; // the class `Server`: puts everything together, starts it and ends it
mod reactor; // what owns the sockets of one core, and its turns
mod app; // what the user registers, before it is served
mod inbound; // steps 1 to 5: bytes coming in
mod outbound; // steps 11 and 12: replies going out
mod dispatch; // which worker gets a job
mod connection; // sockets of peers: where each stands, and what it speaks
mod direct; // answers that need no Python
mod metrics; // what is noted of answers, and the text that shows it
mod log; // what goes to the log, and who writes it
mod shared; // what all threads of a server see
pub mod router; // which route a method and a path belong to
mod settings; // every option, checked once
mod sys; // system calls, and the clock
