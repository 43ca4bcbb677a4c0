//! Jobs that run without any ring, on the lane that carries the reactor. Hot path.
//!
//! While a lane has the reactor, a job whose next handlers are all short waits in a list of this turn,
//! and the lane runs it as soon as the reactor is at rest. What comes behind in the same job, and may
//! take longer, goes into a ring as ever.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use pyre_interp::job::{Entry, Job, Pool, Target};
use pyre_interp::ring::Roster;
use pyre_interp::worker::carry::Carried;
use pyre_interp::worker::watch::Watch;

use crate::inbound::classes::{Classes, SHORT_US};
use crate::reactor::keeper::Loan;
use crate::reactor::run::Reactor;
use crate::shared::carrier::Carrier;
use crate::shared::control::Stage;

/// Jobs that may take long without a close look, after one of which each call was timed and none was
/// long.
const TRUSTED_JOBS: u32 = 64;

/// The calls of one errand take no longer than this together, as far as is known, in microseconds;
/// and after so long a turn runs no more. What others wait for is done once a turn: new requests are
/// read, replies taken from rings, and workers and timers looked after.
const ERRAND_US_MAX: u32 = 2_000;
pub(crate) const TURN_US: u64 = 2_000;

/// Connections that are read from one after the other without a job for the lane, before it lets go
/// of the interpreter.
const READS_INSIDE_MAX: usize = 4;

/// What a reactor that may be lent knows of that.
pub(crate) struct Errands {
    pub(crate) classes: Arc<Classes>,
    pub(crate) carrier: Arc<Carrier>,
    /// The lanes that may carry it.
    pub(crate) roster: Arc<Roster>,
    /// A lane has it now.
    is_carried: bool,
    /// Jobs for that lane, and how many may wait.
    waiting: VecDeque<Box<Job>>,
    waiting_max: usize,
    /// The job that the lane runs now.
    running: Option<Running>,
    /// Something came that a lane could have run, and none has had the reactor since.
    is_wanted: bool,
    /// What the lanes of its worker run.
    watches: Vec<Arc<Watch>>,
    /// How many pieces of work they had begun and ended when it was last taken from one that waited
    /// for the GIL. As long as that is all, whoever carries it next would wait as well.
    stalled_at: Option<u64>,
    /// A job that begins with this handler took long: the next one shall have its calls timed one by
    /// one.
    suspect: Option<Target>,
    trusted: u32,
}

/// A job that the lane runs.
#[derive(Clone, Copy)]
struct Running {
    first: Target,
    /// Index of the entry with which it began.
    from: usize,
}

impl Running {
    fn of(job: &Job) -> Self {
        let first = match job.entries.get(job.next) {
            Some(Entry::Call(call)) => call.target,
            _ => Target::Fallback,
        };
        Self { first, from: job.next }
    }
}

impl Errands {
    pub(crate) fn new(classes: Arc<Classes>, loan: &Loan) -> Self {
        Self {
            classes,
            carrier: loan.carrier.clone(),
            roster: loan.roster.clone(),
            watches: loan.watches.clone(),
            is_carried: false,
            waiting: VecDeque::new(),
            waiting_max: loan.waiting_max,
            running: None,
            is_wanted: false,
            stalled_at: None,
            suspect: None,
            trusted: 0,
        }
    }

    /// Takes a job for the lane that has the reactor, or gives it back if that is not how it goes.
    #[inline]
    pub(crate) fn admit(&mut self, mut job: Box<Job>) -> Result<(), Box<Job>> {
        let until = self.short_until(&job);
        if until == job.next {
            job.is_timed = true;
            return Err(job);
        }
        if !self.is_carried || self.waiting.len() >= self.waiting_max {
            self.is_wanted = true;
            job.is_timed = true;
            return Err(job);
        }
        job.until = until;
        self.waiting.push_back(job);
        Ok(())
    }

    /// The next job for the lane that has the reactor.
    #[inline]
    fn next(&mut self) -> Option<Box<Job>> {
        let mut job = self.waiting.pop_front()?;
        let running = Running::of(&job);
        job.is_timed = self.suspect == Some(running.first);
        self.running = Some(running);
        Some(job)
    }

    /// Index of the first entry that is not known to be short, or that would make the errand too long.
    #[inline]
    fn short_until(&self, job: &Job) -> usize {
        let mut left_us = ERRAND_US_MAX;
        // A batch asks for one route mostly.
        let (mut known, mut each_us) = (None, 0);
        for (index, entry) in job.entries.iter().enumerate().skip(job.next) {
            let Entry::Call(call) = entry else { continue };
            if known != Some(call.target) {
                let Some(short_us) = self.classes.short_us(call.target) else { return index };
                (known, each_us) = (Some(call.target), short_us);
            }
            if each_us > left_us {
                return index;
            }
            left_us -= each_us;
        }
        job.entries.len()
    }

    /// Notes what the calls of a job have taken that came back by a ring.
    #[inline]
    pub(crate) fn judge(&self, job: &mut Job) {
        if job.leaves_tasks {
            self.left_tasks(job, 0);
        }
        if job.is_timed {
            self.judge_each(job);
        }
        job.until = usize::MAX;
    }

    /// Notes what each call of a job has taken. Tells whether all were short.
    #[inline(never)]
    fn judge_each(&self, job: &mut Job) -> bool {
        let are_short = job.stints.iter().all(|stint| stint.took_us <= SHORT_US);
        for stint in job.stints.drain(..) {
            self.classes.note(stint.target, stint.took_us);
        }
        job.is_timed = false;
        are_short
    }

    /// One of the calls since has left something to be done, which may take long.
    #[cold]
    fn left_tasks(&self, job: &mut Job, from: usize) {
        job.leaves_tasks = false;
        for entry in &job.entries[from..job.next] {
            if let Entry::Call(call) = entry {
                self.classes.left_tasks(call.target);
            }
        }
    }

    /// Notes what a job has taken that the lane ran. Only a close look tells what of that was waiting
    /// for the interpreter, so a job that took long is no more than a reason for one.
    #[inline]
    fn judge_errand(&mut self, job: &mut Job, running: Running, took_us: u64, calls: u64) {
        if job.leaves_tasks {
            self.left_tasks(job, running.from);
        }
        if job.is_timed {
            self.suspect = None;
            self.trusted = if self.judge_each(job) { TRUSTED_JOBS } else { 0 };
        } else if took_us <= u64::from(SHORT_US) {
            // All together took no longer than one may. None was run if the client has departed.
            if let Some(each_us) = took_us.checked_div(calls) {
                self.classes.note(running.first, u32::try_from(each_us).unwrap_or(u32::MAX));
            }
        } else if self.trusted > 0 {
            self.trusted -= 1;
        } else {
            self.suspect = Some(running.first);
        }
        job.until = usize::MAX;
    }

    /// Whether it is time to lend the reactor: there is work for a lane, and one that is free.
    pub(crate) fn wants_lane(&mut self) -> bool {
        if !self.is_wanted || self.is_carried || !self.roster.has_parked() {
            return false;
        }
        if self.stalled_at.is_some_and(|stalled_at| stalled_at == self.pieces()) {
            return false;
        }
        self.stalled_at = None;
        true
    }

    /// How many pieces of work its lanes have begun and ended. It changes when one of them gets on.
    fn pieces(&self) -> u64 {
        self.watches.iter().fold(0, |sum, watch| sum.wrapping_add(watch.pieces()))
    }
}

impl Carried for Reactor {
    fn carried_by(&mut self, lane: usize) {
        let Some(errands) = &mut self.errands else { return };
        errands.is_carried = true;
        errands.is_wanted = false;
        errands.carrier.settle(lane);
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
        if let Some(errands) = &mut self.errands
            && let Some(running) = errands.running.take()
        {
            let calls = (job.next - running.from) as u64;
            self.ledger.counters.inline.add(calls);
            errands.judge_errand(&mut job, running, self.clock.now_us() - began_us, calls);
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
        errands.waiting.len()
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
        errands.is_carried = false;
        errands.roster.vacate();
        let left = std::mem::take(&mut errands.waiting);
        errands.is_wanted |= !left.is_empty();
        for job in left {
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
        if let Some(target) = from {
            let after_us = u32::try_from(after.as_micros()).unwrap_or(u32::MAX);
            errands.classes.misjudged(target, after_us);
        }
        errands.stalled_at = has_waited.then(|| errands.pieces());
        if let Some(running) = errands.running.take() {
            // The next one is looked at closely: what this one has taken is not known.
            errands.suspect = Some(running.first);
            self.dispatch.adopt(Pool::Workers, self.clock.now_ms());
        }
        self.put_down();
    }
}

#[cfg(test)]
mod tests;
