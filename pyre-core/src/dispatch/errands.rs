//! Jobs that run without any ring, on the lane that carries the reactor. Hot path.
//!
//! While a lane has the reactor, a job whose next handlers are all short waits in a list of this turn,
//! and the lane runs it as soon as the reactor is at rest. What comes behind in the same job, and may
//! take longer, goes into a ring as ever.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use pyre_interp::job::{Entry, Job, Target};
use pyre_interp::ring::Roster;
use pyre_interp::worker::watch::Watch;

use crate::dispatch::classes::{Classes, SHORT_US};
use crate::shared::carrier::Carrier;

/// Jobs that may take long without a close look, after one of which each call was timed and none was
/// long.
const TRUSTED_JOBS: u32 = 64;

/// The calls of one errand take no longer than this together, as far as is known, in microseconds;
/// and after so long a turn runs no more. What others wait for is done once a turn: new requests are
/// read, replies taken from rings, and workers and timers looked after.
const ERRAND_US_MAX: u32 = 2_000;
pub(crate) const TURN_US: u64 = 2_000;

/// The lanes that may carry a reactor.
#[derive(Clone)]
pub(crate) struct CarryingLanes {
    pub(crate) roster: Arc<Roster>,
    /// What they run, by the number of their seats.
    pub(crate) watches: Vec<Arc<Watch>>,
    /// Which of them has it.
    pub(crate) carrier: Arc<Carrier>,
    /// Jobs that may wait for it.
    pub(crate) waiting_max: usize,
}

/// What a reactor that may be lent knows of that.
pub(crate) struct Errands {
    classes: Arc<Classes>,
    lanes: CarryingLanes,
    /// A lane has it now.
    is_carried: bool,
    /// Jobs for that lane.
    waiting: VecDeque<Box<Job>>,
    /// The job that the lane runs now.
    running: Option<Running>,
    /// Something came that a lane could have run, and none has had the reactor since.
    is_wanted: bool,
    /// How many pieces of work its lanes had begun and ended when it was last taken from one that waited
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
    pub(crate) fn new(classes: Arc<Classes>, lanes: CarryingLanes) -> Self {
        Self {
            classes,
            lanes,
            is_carried: false,
            waiting: VecDeque::new(),
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
        if !self.is_carried || self.waiting.len() >= self.lanes.waiting_max {
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
    pub(crate) fn next(&mut self) -> Option<Box<Job>> {
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
            // All together took no longer than one may. None was run if the client has disconnected.
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

    /// A lane has the reactor from now on: the calling thread.
    pub(crate) fn carried_by(&mut self, lane: usize) {
        self.is_carried = true;
        self.is_wanted = false;
        self.lanes.carrier.settle(lane);
    }

    /// The lane has run a job, which took so long. Returns how many calls that were.
    #[inline]
    pub(crate) fn done(&mut self, job: &mut Job, took_us: u64) -> u64 {
        let Some(running) = self.running.take() else { return 0 };
        let calls = (job.next - running.from) as u64;
        self.judge_errand(job, running, took_us, calls);
        calls
    }

    /// The reactor was taken from the lane that had it: see `Reactor::taken_back`. Tells whether the
    /// lane runs a job, which comes back by a ring.
    #[cold]
    pub(crate) fn taken_back(
        &mut self,
        from: Option<Target>,
        has_waited: bool,
        after: Duration,
    ) -> bool {
        if let Some(target) = from {
            let after_us = u32::try_from(after.as_micros()).unwrap_or(u32::MAX);
            self.classes.misjudged(target, after_us);
        }
        self.stalled_at = has_waited.then(|| self.pieces());
        let Some(running) = self.running.take() else { return false };
        // The next one is looked at closely: what this one has taken is not known.
        self.suspect = Some(running.first);
        true
    }

    /// No lane has the reactor any more. Returns the jobs that waited for it.
    pub(crate) fn put_down(&mut self) -> VecDeque<Box<Job>> {
        self.is_carried = false;
        self.lanes.roster.vacate();
        let left = std::mem::take(&mut self.waiting);
        self.is_wanted |= !left.is_empty();
        left
    }

    /// How many jobs wait for the lane.
    #[inline]
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether it is time to lend the reactor: there is work for a lane, and one that is free.
    pub(crate) fn wants_lane(&mut self) -> bool {
        if !self.is_wanted || self.is_carried || !self.lanes.roster.has_parked() {
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
        self.lanes.watches.iter().fold(0, |sum, watch| sum.wrapping_add(watch.pieces()))
    }
}

#[cfg(test)]
mod tests;
