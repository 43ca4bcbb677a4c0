//! From job to reply: the rings, the lanes that run jobs, and the Python objects handlers see.
//!
//! Modules stand in the order in which a request travels (steps 5 to 10 of `ARCHITECTURE.md`).
#![deny(unsafe_code)]

pub mod job; // what travels between a reactor and a lane
pub mod ring; // 5 and 10: the only road between threads
pub mod flow; // pieces of answers, beside the jobs
pub mod event_loop; // coroutines that wait, and the loop that runs them
pub mod worker; // 6: the lanes of one interpreter take jobs and run them
pub mod objects; // 7: what handlers see of a request
pub mod invoke; // 8: hooks and handler run
pub mod serialize; // 9: the result becomes bytes for the wire
