//! One server: what connects its threads, and how they start and end.
//!
//! Sees every room but `entry`.

pub(crate) mod plumbing; // rings, doorbells and rosters between all threads
pub(crate) mod moves; // routes that workers cannot run
pub(crate) mod places; // which handler runs where
pub(crate) mod crew; // the threads of one interpreter that run handlers
pub(crate) mod watchdog; // who holds a GIL for too long
pub(crate) mod monitor; // handlers that take too long
pub(crate) mod start; // the order in which workers start, and what each is at
pub(crate) mod worker; // a sub-interpreter: load the program, start its lanes, end it
pub(crate) mod failure; // what the process cannot live with
pub(crate) mod threads; // who is still running
pub(crate) mod options; // settings from the dict that Python passes
pub(crate) mod publishing; // what the program publishes
pub(crate) mod files; // files that handlers answer with
pub(crate) mod fork; // whether a fork of this process can live
pub(crate) mod frames; // the frames of one interpreter, not of all
pub(crate) mod engine; // the extension module, and what each interpreter keeps of it
mod arguments; // what its methods are called with
mod launch; // starting the interpreters
mod accept; // beginning to serve
pub(crate) mod object; // the Python class `Server`
