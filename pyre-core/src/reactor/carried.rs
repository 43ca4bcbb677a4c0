//! A reactor on the lane that carries it: it serves as ever, and gives the lane the jobs that need no
//! ring. Hot path.

use std::time::Duration;

use pyre_interp::job::{Job, Pool, Target};
use pyre_interp::worker::carry::Carried;

use crate::dispatch::errands::TURN_US;
use crate::reactor::run::Reactor;
use crate::shared::control::Stage;

/// Connections that are read from one after the other without a job for the lane, before it lets go
/// of the interpreter.
const READS_INSIDE_MAX: usize = 4;

impl Carried for Reactor {
    fn carried_by(&mut self, lane: usize) {
        self.begin_time();
        self.dispatch.carried_by(lane, self.connections.clock.now_ms());
        // What it is there for is run before anything is waited for.
        self.is_in_turn = true;
    }

    fn next(&mut self) -> Option<Box<Job>> {
        loop {
            if !self.is_in_turn {
                if let Err(error) = self.begin_turn() {
                    self.failure = Some(error);
                }
                if self.is_over() {
                    return None;
                }
                self.is_in_turn = true;
            }
            if let Some(job) = self.next_errand(usize::MAX) {
                // The lane may be away for long.
                self.connections.bells.ring();
                return Some(job);
            }
            self.end_turn();
            self.is_in_turn = false;
            if self.dispatch.wants_lane() {
                return None;
            }
        }
    }

    #[inline]
    fn more(&mut self) -> Option<Box<Job>> {
        if self.is_late {
            return None;
        }
        let job = self.next_errand(READS_INSIDE_MAX)?;
        // As in `next`.
        self.connections.bells.ring();
        Some(job)
    }

    #[inline]
    fn done(&mut self, mut job: Box<Job>) {
        let began_us = self.connections.clock.now_us();
        let leaves_tasks = job.leaves_tasks;
        self.read_clock();
        let calls = self.dispatch.errand_done(&mut job, self.connections.clock.now_us() - began_us);
        self.responder.ledger.counters.inline.add(calls);
        self.is_late = self.connections.clock.now_us() - self.turn_began_us >= TURN_US;
        self.reply_to(job);
        if leaves_tasks {
            // The lane is away again at once, and may be for long.
            self.dispatch.workers.wake_touched(self.connections.clock.now_ms());
        }
    }
}

impl Reactor {
    /// Reads on until there is a job for the lane and time to run it; from so many connections at most.
    #[inline(always)]
    fn next_errand(&mut self, reads_max: usize) -> Option<Box<Job>> {
        let mut reads = 0;
        loop {
            if !self.is_late
                && let Some(job) = self.dispatch.next_errand(self.connections.clock.now_ms())
            {
                return Some(job);
            }
            if reads == reads_max {
                return None;
            }
            reads += 1;
            let slot = self.connections.next_to_read()?;
            self.read(slot);
        }
    }

    /// Jobs that wait for the lane that carries it, when a turn ends.
    #[inline]
    pub(super) fn errands_left(&self) -> usize {
        if self.is_late { self.dispatch.errands() } else { 0 }
    }

    /// Whether it has nothing to do any more.
    pub(super) fn is_over(&self) -> bool {
        self.connections.stage == Stage::Stopping || self.failure.is_some()
    }

    /// Puts it to rest.
    ///
    /// # Errors
    /// What it failed with, if it did.
    pub(super) fn finish(&mut self) -> std::io::Result<()> {
        self.responder.ledger.end_turn();
        self.dispatch.workers.abandon();
        self.failure.take().map_or(Ok(()), Err)
    }

    /// It is at home again. What waited for the lane goes into rings.
    pub(super) fn put_down(&mut self) {
        for job in self.dispatch.put_down() {
            self.send_by_ring(job);
        }
    }

    #[cold]
    fn send_by_ring(&mut self, mut job: Box<Job>) {
        job.until = usize::MAX;
        let to = job.reply_to;
        if self.connections.get_exactly(to.slot, to.generation).is_none() {
            // The peer went while it waited.
            self.dispatch.returned(&mut job);
            return self.connections.jobs.give_back(job);
        }
        let now_ms = self.connections.clock.now_ms();
        if let Err(mut job) = self.dispatch.send(job, Pool::Workers, now_ms) {
            self.dispatch.returned(&mut job);
            self.responder.refuse_overload(&mut job);
            self.write(to.slot, job, 0);
            self.connections.list(to.slot);
        }
    }

    /// The keeper has taken it from a lane that was inside Python for at least so long: with a call of
    /// that handler, with something else, or waiting for the GIL. What it runs comes back by its ring.
    #[cold]
    pub(super) fn taken_back(&mut self, from: Option<Target>, has_waited: bool, after: Duration) {
        self.read_clock();
        self.responder.ledger.counters.take_backs.add(1);
        self.dispatch.taken_back(from, has_waited, after, self.connections.clock.now_ms());
        self.put_down();
    }
}
