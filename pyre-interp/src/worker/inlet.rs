//! The worker's ends of all its rings: a job comes in, the same box goes back. Hot path.
//!
//! The lanes of one interpreter share one inlet. They touch it only while they hold the GIL of
//! that interpreter, so each ring has one consumer, or one producer, at a time.

use crate::job::Job;
use crate::ring::{Consumer, Full, Producer};

/// Both rings with one reactor.
pub struct Ends {
    /// What the reactor sends.
    pub jobs: Consumer<Box<Job>>,
    /// What goes back to it.
    pub replies: Producer<Box<Job>>,
}

/// The ends of the rings with every reactor, by the reactor's index.
pub struct Inlet {
    ends: Vec<Ends>,
    /// The reactor to look at first, so that none is served before all others for ever.
    first: usize,
}

impl Inlet {
    /// Puts the ends together; their order is that of the reactors.
    #[must_use]
    pub fn new(ends: Vec<Ends>) -> Self {
        Self { ends, first: 0 }
    }

    /// The next job, from one reactor after the other.
    pub fn take(&mut self) -> Option<Box<Job>> {
        let count = self.ends.len();
        for step in 0..count {
            let mut index = self.first + step;
            if index >= count {
                index -= count;
            }
            if let Some(job) = self.ends[index].jobs.pop() {
                self.first = if index + 1 == count { 0 } else { index + 1 };
                return Some(job);
            }
        }
        None
    }

    /// Whether no reactor has sent anything that is not taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.iter().all(|ends| ends.jobs.is_empty())
    }

    /// Gives a job back to the reactor that sent it.
    pub fn give_back(&mut self, job: Box<Job>) {
        let ends = &mut self.ends[job.reply_to.reactor as usize];
        // A reactor sends no more than the ring of replies holds. It is full only if the reactor
        // is gone, and then nobody waits for the reply.
        if let Err(Full(job)) = ends.replies.push(job) {
            debug_assert!(ends.replies.is_abandoned(), "a reactor sent more than it can take back");
            drop(job);
        }
    }
}
