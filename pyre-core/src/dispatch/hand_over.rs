//! How a reactor hands jobs over, and gets them back (steps 5 and 11). Hot path.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use pyre_interp::job::{ConnectionId, Job, Pool, Target};
use pyre_interp::worker::disconnects::Disconnects;

use crate::dispatch::admission::Admission;
use crate::dispatch::errands::Errands;
use crate::dispatch::workers::Workers;
use crate::shared::counters::Counters;

/// The ways to all handlers: the rings to workers, and the lane that carries the reactor, if it may be
/// carried.
pub(crate) struct Dispatch {
    pub(crate) workers: Workers,
    admission: Admission,
    /// Who needs no answer any more.
    disconnects: Arc<Disconnects>,
    errands: Option<Errands>,
}

impl Dispatch {
    pub(crate) fn new(
        workers: Workers,
        admission: Admission,
        disconnects: Arc<Disconnects>,
        errands: Option<Errands>,
    ) -> Self {
        Self { workers, admission, disconnects, errands }
    }

    /// Hands a job over: to the lane that carries the reactor, or to a worker. Nothing here ever waits.
    ///
    /// # Errors
    /// Gives the job back if the system is full.
    #[inline]
    pub(crate) fn submit(
        &mut self,
        mut job: Box<Job>,
        pool: Pool,
        now_ms: u64,
    ) -> Result<(), Box<Job>> {
        if !self.admission.admit(&mut job) {
            return Err(job);
        }
        let job = match &mut self.errands {
            Some(errands) => errands.admit(job).err(),
            None => Some(job),
        };
        match job {
            Some(job) => self.send(job, pool, now_ms),
            None => Ok(()),
        }
    }

    /// Sends a job to a worker that was let in before.
    ///
    /// # Errors
    /// Gives the job back if the system is full.
    pub(crate) fn send(&mut self, job: Box<Job>, pool: Pool, now_ms: u64) -> Result<(), Box<Job>> {
        self.workers.send(job, pool, now_ms).map_err(|mut job| {
            self.admission.release(&mut job);
            job
        })
    }

    /// A reply that a lane has given back by a ring.
    pub(crate) fn take_reply(&mut self) -> Option<Box<Job>> {
        let mut job = self.workers.take_reply()?;
        if let Some(errands) = &self.errands {
            errands.judge(&mut job);
        }
        Some(job)
    }

    /// A job is back, be it by a ring or from the lane that carries the reactor.
    #[inline]
    pub(crate) fn returned(&mut self, job: &mut Job) -> bool {
        self.admission.release(job);
        self.disconnects.remove(job.reply_to)
    }

    /// Sends on what was waiting for a free lane.
    pub(crate) fn send_waiting(&mut self, now_ms: u64) {
        if self.workers.is_waiting() {
            self.workers.send_waiting(now_ms);
        }
    }

    /// Nobody needs the answer to what this connection has asked for: what no lane has begun is not
    /// begun, and what runs on an event loop is cancelled.
    #[cold]
    pub(crate) fn disconnected(&mut self, whose: ConnectionId) {
        self.disconnects.insert(whose);
        self.workers.tell_disconnect();
    }

    /// Jobs that have not come back, besides those that wait for the lane that carries the reactor.
    pub(crate) fn running(&self) -> usize {
        self.workers.running()
    }

    /// Shows how many jobs are on their way.
    pub(crate) fn show(&self, counters: &Counters, errands_left: usize) {
        self.workers.show(counters, errands_left);
    }

    /// A lane carries the reactor from now on, and is the calling thread. What it is there for may be
    /// in a ring, behind handlers that take long: it comes back and waits for that lane.
    #[cold]
    pub(crate) fn carried_by(&mut self, lane: usize, now_ms: u64) {
        let Some(errands) = &mut self.errands else { return };
        errands.carried_by(lane);
        self.workers.take_back(Pool::Workers, now_ms, |job| errands.admit(job));
    }

    /// The next job for the lane that carries the reactor.
    #[inline(always)]
    pub(crate) fn next_errand(&mut self, now_ms: u64) -> Option<Box<Job>> {
        let job = self.errands.as_mut()?.next()?;
        // Before Python has this thread, others shall have what is theirs.
        self.workers.wake_touched(now_ms);
        Some(job)
    }

    /// The lane has run a job, which took so long. Returns how many calls that were.
    #[inline]
    pub(crate) fn errand_done(&mut self, job: &mut Job, took_us: u64) -> u64 {
        self.errands.as_mut().map_or(0, |errands| errands.done(job, took_us))
    }

    /// Jobs that wait for the lane that carries the reactor.
    #[inline]
    pub(crate) fn errands(&self) -> usize {
        self.errands.as_ref().map_or(0, Errands::waiting)
    }

    /// Whether it is time to lend the reactor: there is work for a lane, and one that is free.
    pub(crate) fn wants_lane(&mut self) -> bool {
        self.errands.as_mut().is_some_and(Errands::wants_lane)
    }

    /// The reactor was taken from the lane that carried it and was inside Python for at least so long:
    /// with a call of that handler, with something else, or waiting for the GIL. What it runs comes back
    /// by its ring.
    #[cold]
    pub(crate) fn taken_back(
        &mut self,
        from: Option<Target>,
        has_waited: bool,
        after: Duration,
        now_ms: u64,
    ) {
        if let Some(errands) = &mut self.errands
            && errands.taken_back(from, has_waited, after)
        {
            self.workers.adopt(Pool::Workers, now_ms);
        }
    }

    /// No lane carries the reactor any more. Returns the jobs that waited for it, which go into rings.
    pub(crate) fn put_down(&mut self) -> VecDeque<Box<Job>> {
        self.errands.as_mut().map(Errands::put_down).unwrap_or_default()
    }
}
