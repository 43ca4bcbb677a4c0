//! Empty jobs, kept for reuse: a warm request allocates none.

use pyre_interp::job::Job;

use crate::settings::bounds::POOLED_JOBS_MAX;

/// A bounded stack of cleared jobs. The one used last is warm in the cache and goes out first.
#[derive(Default)]
pub(crate) struct Jobs {
    #[expect(
        clippy::vec_box,
        reason = "jobs travel in their boxes; unboxing would move and allocate"
    )]
    idle: Vec<Box<Job>>,
}

impl Jobs {
    /// An empty job.
    pub(crate) fn take(&mut self) -> Box<Job> {
        self.idle.pop().unwrap_or_else(Job::new)
    }

    /// Takes a job back; one too many is freed.
    pub(crate) fn give_back(&mut self, mut job: Box<Job>) {
        if self.idle.len() < POOLED_JOBS_MAX {
            job.clear();
            self.idle.push(job);
        }
    }
}
