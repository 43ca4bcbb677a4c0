//! Step 6: the lanes of one interpreter.

pub mod inlet; // the worker's ends of its rings
pub mod disconnects; // who needs no answer any more
pub mod watch; // what a lane runs at this moment, for those who watch it
mod unrung; // which reactors to wake at the end of a batch
pub mod lane; // a lane's loop: take, run, give back, sleep
pub mod carry; // a lane carries a reactor and runs what it reads, without any ring
pub mod loop_lane; // the lane that runs an event loop
