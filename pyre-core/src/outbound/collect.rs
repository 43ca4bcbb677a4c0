//! Step 11: replies are taken out of the rings and go to their connections. Hot path.
//!
//! A connection has at most one job out, so replies need no sorting: each is next in the order of
//! its connection.

use pyre_interp::job::Job;

use crate::connection::state::{Awaiting, Connection, Phase};
use crate::reactor::run::Reactor;

impl Reactor {
    /// Takes all replies that lanes have given back.
    pub(crate) fn collect_replies(&mut self) {
        while let Some(mut job) = self.dispatch.take_reply() {
            if let Some(errands) = &self.errands {
                errands.judge(&mut job);
            }
            self.reply_to(job);
        }
        self.resubmit_waiting();
    }

    /// A job is back, with answers for its connection.
    #[inline]
    pub(crate) fn reply_to(&mut self, mut job: Box<Job>) {
        let to = job.reply_to;
        self.admission.release(&mut job);
        let has_departed = self.departures.remove(to);
        if has_departed && !job.is_finished() {
            // Nobody waits for the rest any more. One who has only closed his side gets what has
            // been answered so far.
            job.give_up_rest();
        }
        let is_serving = !self.is_draining();
        match self.connections.get_exactly(to.slot, to.generation) {
            Some(connection) => {
                connection.phase = Phase::Reading;
                if job.closes && !has_departed {
                    keep_open_if_more_was_received(&mut job, connection, is_serving);
                }
                self.flush(to.slot, job, 0);
                self.list(to.slot);
            }
            // The peer went while its handler ran.
            None => {
                // Unless it was told before that its handler took too long.
                if !has_departed {
                    self.ledger.collected(&mut job);
                }
                self.jobs.give_back(job);
            }
        }
    }

    /// What follows when the answers so far are written: the rest of the job, the next request,
    /// or the end.
    pub(crate) fn written(&mut self, slot: u32, mut job: Box<Job>) {
        let Some(connection) = self.connections.get(slot) else {
            return self.jobs.give_back(job);
        };
        connection.phase = Phase::Reading;
        if !job.is_finished() {
            job.reply.clear();
            return self.submit(slot, job);
        }
        let is_last = connection.last || job.closes;
        self.jobs.give_back(job);
        if is_last {
            self.linger(slot);
        } else if self.is_ending() {
            self.read_last(slot);
        } else {
            self.await_next(slot, Awaiting::Request);
        }
    }
}

/// A lane that knows of the drain ends every connection with the answers it makes. It does not see
/// what has been received behind their requests, which is answered as well.
#[cold]
fn keep_open_if_more_was_received(job: &mut Job, connection: &mut Connection, is_serving: bool) {
    if is_serving {
        // The drain has begun in this very turn, and this reactor has not acted upon it yet.
        connection.note_what_is_owed();
    }
    if connection.owed_bytes > 0 && !connection.last {
        job.keep_open();
    }
}
