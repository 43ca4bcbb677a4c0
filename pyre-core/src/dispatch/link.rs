//! A reactor's rings with one worker, and what it knows of how that gets on. Hot path.

use std::sync::Arc;

use pyre_interp::job::{Job, Pool};
use pyre_interp::ring::{Consumer, Producer, Roster};

/// A worker is looked at this often while it has work queued, in milliseconds.
pub(super) const LOOK_MS: u64 = 1;

/// The longest pause between two looks while jobs are out, in milliseconds.
pub(super) const LOOK_MS_MAX: u64 = 16;

/// A lane that was called may be on its way for so long, in milliseconds: on a busy machine it has to
/// wait for a processor.
pub(super) const ARRIVAL_MS: u64 = 16;

/// This reactor's two rings with one worker, and what it knows of the worker.
pub(crate) struct Link {
    pub(super) jobs: Producer<Box<Job>>,
    pub(super) replies: Consumer<Box<Job>>,
    pub(super) roster: Arc<Roster>,
    pub(super) pool: Pool,
    pub(super) lanes: usize,
    /// Jobs pushed and not yet back.
    pub(super) out: usize,
    /// As many as the ring of replies holds: a lane always finds room for its reply.
    pub(super) out_max: usize,
    /// Something was pushed in this turn.
    pub(super) touched: bool,
    /// The worker's count of takes when it was last seen to change, and when that was.
    pub(super) progress: u64,
    pub(super) progress_ms: u64,
    /// When a job last came back, or went to the worker while it had none.
    pub(super) heard_ms: u64,
    /// A job has come back since that was last noted.
    pub(super) has_replied: bool,
    /// Jobs were taken back for an idle worker, and this one was not seen to get on since.
    pub(super) was_stalled: bool,
}

impl Link {
    pub(crate) fn new(
        jobs: Producer<Box<Job>>,
        replies: Consumer<Box<Job>>,
        roster: Arc<Roster>,
        pool: Pool,
        lanes: usize,
        out_max: usize,
    ) -> Self {
        Self {
            jobs,
            replies,
            roster,
            pool,
            lanes,
            out: 0,
            out_max,
            touched: false,
            progress: 0,
            progress_ms: 0,
            heard_ms: 0,
            has_replied: false,
            was_stalled: false,
        }
    }

    /// One more job is with the worker.
    #[inline]
    pub(super) fn begin(&mut self, now_ms: u64) {
        if self.out == 0 {
            // It was idle: from now on it has something to get on with.
            self.progress = self.roster.progress();
            self.progress_ms = now_ms;
            self.heard_ms = now_ms;
        }
        self.out += 1;
    }

    /// Whether a job pushed now is taken soon: not behind a blocked lane, not beyond the bounds.
    pub(super) fn has_room(&mut self, depth_max: usize, now_ms: u64) -> bool {
        if self.jobs.len() >= depth_max || self.out >= self.out_max {
            return false;
        }
        // A loop whose coroutines wait has jobs out and nothing to get on with.
        let is_busy = self.out > 0 || self.is_stuck();
        let waits = is_busy && !(self.pool.is_loop() && self.jobs.is_empty());
        if waits && now_ms > self.progress_ms && !self.look(now_ms) {
            return false;
        }
        // If some lanes are blocked, no more than the others can take at once, so that little is
        // behind them if they block as well.
        let free = self.roster.free();
        free >= self.lanes || self.jobs.len() < free
    }

    /// Whether something has been with the worker for a while, as far as we see: a handler that waits
    /// or computes, sent by us or by another reactor. What a loop has out may wait for ever and hold up
    /// nothing.
    pub(super) fn is_behind(&mut self, now_ms: u64) -> bool {
        self.is_stuck() || self.out > 0 && now_ms > self.heard_ms + LOOK_MS && !self.pool.is_loop()
    }

    /// Whether the worker still sits in what it sat in when jobs were taken back from it. That may be
    /// the work of others only, of which `out` tells nothing.
    fn is_stuck(&mut self) -> bool {
        self.was_stalled = self.was_stalled && self.takes_nothing() && !self.roster.is_idle();
        self.was_stalled
    }

    /// Whether the worker has nothing to do, for us or for other reactors. One that has just let jobs
    /// lie does not count: its lane may have arrived when they were gone, and two such workers would
    /// pass them on to each other for ever.
    pub(super) fn is_idle(&self, now_ms: u64) -> bool {
        let was_late = self.was_stalled && now_ms < self.progress_ms + ARRIVAL_MS;
        self.out == 0 && self.roster.is_idle() && !(was_late && self.takes_nothing())
    }

    /// Whether jobs are queued, and none was taken for a while. A loop has no other lane: it is marked
    /// as blocked instead. A lane that only has to wake is not overtaken by that of another worker.
    pub(super) fn is_stalled(&self, now_ms: u64) -> bool {
        let patience_ms = if self.roster.is_waking() { ARRIVAL_MS } else { LOOK_MS };
        !self.pool.is_loop()
            && !self.jobs.is_empty()
            && now_ms >= self.progress_ms + patience_ms
            && self.takes_nothing()
    }

    /// Whether the worker has taken nothing since its count was last noted.
    pub(super) fn takes_nothing(&self) -> bool {
        self.roster.progress() == self.progress
    }

    /// Looks whether the worker gets on. If it has taken nothing for a while, the lanes that run
    /// are blocked or busy for long, and another one is woken. Returns whether any is left.
    pub(super) fn look(&mut self, now_ms: u64) -> bool {
        let progress = self.roster.progress();
        if progress != self.progress {
            self.progress = progress;
            self.progress_ms = now_ms;
            self.was_stalled = false;
            return true;
        }
        now_ms < self.progress_ms + LOOK_MS || self.roster.suspect(progress)
    }
}
