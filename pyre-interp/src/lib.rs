//! Contents page.

/// The only road between threads: jobs go to a worker, replies come back.
pub mod ring;
