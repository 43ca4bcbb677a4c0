//! System calls that no safe crate of ours offers, and the clock. `unsafe` is allowed here, each block
//! explained.
//!
//! Sees no other room.
#![allow(unsafe_code)]

mod descriptors; // sockets, pipes and their descriptors
mod files; // files below a folder
mod place; // on which file system something lies
mod bell; // what the thread of an event loop sleeps on
mod threads; // where threads run, and what is known of them
mod process; // memory of the process, and its end
mod clock; // the time, read once a turn

pub(crate) use bell::LoopBell;
pub(crate) use clock::{Clock, monotonic_ns};
pub(crate) use descriptors::{
    duplicate, pipe_bytes, receive, received_bytes, sent_bytes, wait_writable, write,
};
pub(crate) use files::{Patience, open_below, open_folder, read_now, send_file};
#[cfg(test)]
pub(crate) use files::{cold, refuse_files};
pub(crate) use place::{is_local, place};
pub(crate) use process::{
    exit_at_once, resident_bytes, return_free_pages_to_the_system,
    return_large_blocks_to_the_system,
};
pub(crate) use threads::{
    allowed_cpus, block_broken_pipe_signal, cpu_time, is_runnable, pin_to_cpu, thread_id,
    without_broken_pipe_signal,
};
