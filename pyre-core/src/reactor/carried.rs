//! A reactor on the lane that carries it: it serves as ever, and gives the lane the jobs that need no
//! ring. Hot path.

use std::time::Duration;

use pyre_interp::job::{Job, Pool, Target};
use pyre_interp::worker::carry::Carried;

use crate::dispatch::errands::{Errands, TURN_US};
use crate::reactor::run::Reactor;
use crate::shared::control::Stage;

/// Connections that are read from one after the other without a job for the lane, before it lets go
/// of the interpreter.
const READS_INSIDE_MAX: usize = 4;

impl Carried for Reactor {
    fn carried_by(&mut self, lane: usize) {
        let Some(errands) = &mut self.errands else { return };
        errands.carried_by(lane);
        self.take_errands_back();
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
                return Some(job);
            }
            self.end_turn();
            self.is_in_turn = false;
            if self.errands.as_mut().is_some_and(Errands::wants_lane) {
                return None;
            }
        }
    }

    #[inline]
    fn more(&mut self) -> Option<Box<Job>> {
        if self.is_late { None } else { self.next_errand(READS_INSIDE_MAX) }
    }

    #[inline]
    fn done(&mut self, mut job: Box<Job>) {
        let began_us = self.clock.now_us();
        let leaves_tasks = job.leaves_tasks;
        self.read_clock();
        if let Some(errands) = &mut self.errands {
            let calls = errands.done(&mut job, self.clock.now_us() - began_us);
            self.ledger.counters.inline.add(calls);
        }
        self.is_late = self.clock.now_us() - self.turn_began_us >= TURN_US;
        self.reply_to(job);
        if leaves_tasks {
            // The lane is away again at once, and may be for long.
            self.dispatch.wake_touched(self.clock.now_ms());
        }
    }
}

impl Reactor {
    /// Reads on until there is a job for the lane and time to run it; from so many connections at most.
    #[inline(always)]
    fn next_errand(&mut self, reads_max: usize) -> Option<Box<Job>> {
        let mut reads = 0;
        loop {
            if let Some(errands) = &mut self.errands
                && !self.is_late
                && let Some(job) = errands.next()
            {
                // Before Python has this thread, others shall have what is theirs.
                self.dispatch.wake_touched(self.clock.now_ms());
                return Some(job);
            }
            if reads == reads_max {
                return None;
            }
            reads += 1;
            let slot = self.next_to_read()?;
            self.read(slot);
        }
    }

    /// Jobs that wait for the lane that carries it, when a turn ends.
    #[inline]
    pub(crate) fn errands_left(&self) -> usize {
        let Some(errands) = self.errands.as_ref().filter(|_| self.is_late) else { return 0 };
        errands.waiting()
    }

    /// Whether it has nothing to do any more.
    pub(crate) fn is_over(&self) -> bool {
        self.stage == Stage::Stopping || self.failure.is_some()
    }

    /// Puts it to rest.
    ///
    /// # Errors
    /// What it failed with, if it did.
    pub(crate) fn finish(&mut self) -> std::io::Result<()> {
        self.ledger.end_turn();
        self.dispatch.abandon();
        self.failure.take().map_or(Ok(()), Err)
    }

    /// It is at home again. What waited for the lane goes into rings.
    pub(crate) fn put_down(&mut self) {
        let Some(errands) = &mut self.errands else { return };
        for job in errands.put_down() {
            self.send_by_ring(job);
        }
    }

    #[cold]
    fn send_by_ring(&mut self, mut job: Box<Job>) {
        job.until = usize::MAX;
        let to = job.reply_to;
        if self.connections.get_exactly(to.slot, to.generation).is_some() {
            self.send_or_refuse(to.slot, job, Pool::Workers);
        } else {
            // The peer went while it waited.
            self.departures.remove(to);
            self.admission.release(&mut job);
            self.jobs.give_back(job);
        }
    }

    /// A lane has it now: what it is there for may be in a ring, behind handlers that take long.
    #[cold]
    fn take_errands_back(&mut self) {
        self.begin_time();
        let Some(errands) = &mut self.errands else { return };
        self.dispatch.take_back(Pool::Workers, self.clock.now_ms(), |job| errands.admit(job));
        // They are run before anything is waited for.
        self.is_in_turn = true;
    }

    /// The keeper has taken it from a lane that was inside Python for at least so long: with a call of
    /// that handler, with something else, or waiting for the GIL. What it runs comes back by its ring.
    #[cold]
    pub(crate) fn taken_back(&mut self, from: Option<Target>, has_waited: bool, after: Duration) {
        self.read_clock();
        self.ledger.counters.take_backs.add(1);
        let Some(errands) = &mut self.errands else { return };
        if errands.taken_back(from, has_waited, after) {
            self.dispatch.adopt(Pool::Workers, self.clock.now_ms());
        }
        self.put_down();
    }
}
