//! Step 6: the lanes of one interpreter take jobs and run them.

pub mod inlet; // the worker's ends of all its rings
pub mod lane; // one thread of the interpreter: takes jobs, runs them, sleeps
