//! Which worker gets a job: how many requests are let in, what a lane runs at once, and the rings to
//! everybody else (steps 5 and 11).
//!
//! Sees `shared`. It knows jobs, and no connection.

pub(crate) mod hand_over; // how jobs are handed over, and come back
pub(crate) mod admission; // how many requests may be with handlers
pub(crate) mod classes; // which routes are short
pub(crate) mod errands; // jobs that the lane runs which carries the reactor
pub(crate) mod workers; // the rings to all workers, and the choice of one
pub(crate) mod link; // the rings with one worker, and how that gets on
