//! The server: reactors, routes, start and stop; the extension module `pyreframework.engine`.
//!
//! Modules stand in the order in which a request travels (`ARCHITECTURE.md`).
#![deny(unsafe_code)]

mod entry; // the extension module
mod app; // what the user registers, before it is served
pub mod router; // which route a method and a path belong to
mod settings; // every option, checked once
mod shared; // what all threads of a server see
mod log; // what goes to the log, and who writes it
mod metrics; // what is counted while serving
mod direct; // pages that need no Python: metrics, health
mod connection; // sockets of peers: where each stands, and its deadline
mod dispatch; // which worker gets a job
mod inbound; // steps 1 to 5: bytes coming in
mod outbound; // steps 11 and 12: replies going out
mod reactor; // what owns the sockets of one core
mod server; // what its threads share, and how they start and end
mod sys; // system calls
