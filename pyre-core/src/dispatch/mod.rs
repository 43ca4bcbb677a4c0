//! Which worker gets a job: how many requests are let in, what a lane runs at once, and the rings to
//! everybody else (step 5).

pub(crate) mod admission; // how many requests may be with handlers
pub(crate) mod classes; // which routes are short
pub(crate) mod link; // the rings with one worker, and how that gets on
pub(crate) mod workers; // the rings to all of them, and the choice of one
pub(crate) mod errands; // jobs that the lane runs which carries the reactor
