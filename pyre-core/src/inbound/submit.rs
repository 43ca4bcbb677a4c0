//! Step 5: a job goes into the ring of a worker, or waits, or is refused. Hot path.
//!
//! The home worker is first. When it has work queued and takes none for a millisecond, another of
//! its lanes is woken; when all its lanes are blocked, jobs go to the other workers, and when all
//! lanes everywhere are blocked they wait here, so that the first lane that is free takes them.
//! The waiting is bounded: a full system answers 503 at once.

use std::collections::VecDeque;
use std::sync::Arc;

use pyre_interp::job::{ConnectionId, Job, Pool};
use pyre_interp::ring::{Consumer, Producer, Roster};

use crate::inbound::route::answer_rest;
use crate::reactor::connection::{Awaiting, Phase};
use crate::reactor::run::Reactor;

/// A worker is looked at this often while it has work queued, in milliseconds.
const LOOK_MS: u64 = 1;

/// The longest pause between two looks while jobs are out, in milliseconds.
const LOOK_MS_MAX: u64 = 64;

/// This reactor's two rings with one worker, and what it knows of the worker.
pub(crate) struct Link {
    pub(crate) jobs: Producer<Box<Job>>,
    pub(crate) replies: Consumer<Box<Job>>,
    pub(crate) roster: Arc<Roster>,
    lanes: usize,
    /// Jobs pushed and not yet back.
    out: usize,
    /// As many as the ring of replies holds: a lane always finds room for its reply.
    out_max: usize,
    /// Something was pushed in this turn.
    touched: bool,
    /// The worker's count of takes at the last look.
    progress: u64,
    /// Work was queued at the last look.
    was_queued: bool,
}

impl Link {
    pub(crate) fn new(
        jobs: Producer<Box<Job>>,
        replies: Consumer<Box<Job>>,
        roster: Arc<Roster>,
        lanes: usize,
        out_max: usize,
    ) -> Self {
        Self {
            jobs,
            replies,
            roster,
            lanes,
            out: 0,
            out_max,
            touched: false,
            progress: 0,
            was_queued: false,
        }
    }

    /// Whether a job pushed now is taken without waiting for a blocked lane.
    fn has_room(&self, depth_max: usize) -> bool {
        if self.jobs.len() >= depth_max || self.out >= self.out_max {
            return false;
        }
        if self.roster.free() == self.lanes {
            return true;
        }
        // Some lanes are blocked: no more than the others can take, so that nothing is stranded
        // behind them if they block as well.
        self.jobs.len() < self.roster.free()
    }
}

/// The rings to all workers, and the jobs that none of them can take now.
pub(crate) struct Dispatch {
    /// The workers' links, then the main interpreter's if it runs handlers.
    links: Vec<Link>,
    worker_count: usize,
    home: usize,
    depth_max: usize,
    /// Jobs that wait for a free lane, by pool.
    waiting: [VecDeque<Box<Job>>; 2],
    out: usize,
    /// When to look at the workers again, and how long the pause before was.
    look_ms: u64,
    pause_ms: u64,
}

/// The queue of a pool.
fn queue_of(pool: Pool) -> usize {
    match pool {
        Pool::Workers => 0,
        Pool::Main => 1,
    }
}

impl Dispatch {
    pub(crate) fn new(
        links: Vec<Link>,
        worker_count: usize,
        reactor: usize,
        depth_max: usize,
    ) -> Self {
        Self {
            links,
            worker_count,
            home: if worker_count == 0 { 0 } else { reactor % worker_count },
            depth_max,
            waiting: [VecDeque::new(), VecDeque::new()],
            out: 0,
            look_ms: 0,
            pause_ms: LOOK_MS,
        }
    }

    /// Sends a job to a worker that can take it, or lets it wait.
    ///
    /// # Errors
    /// Gives the job back when as many as allowed are waiting.
    fn send(&mut self, job: Box<Job>, pool: Pool) -> Result<(), Box<Job>> {
        let queue = queue_of(pool);
        if self.waiting[queue].is_empty()
            && let Some(index) = self.choose(pool)
        {
            return self.push(index, job);
        }
        if self.waiting[queue].len() >= self.depth_max {
            return Err(job);
        }
        self.waiting[queue].push_back(job);
        Ok(())
    }

    fn push(&mut self, index: usize, job: Box<Job>) -> Result<(), Box<Job>> {
        let link = &mut self.links[index];
        link.jobs.push(job).map_err(|full| full.0)?;
        link.out += 1;
        link.touched = true;
        self.out += 1;
        Ok(())
    }

    /// The worker for the next job: home if it has room, else the one with the shortest queue.
    fn choose(&self, pool: Pool) -> Option<usize> {
        if pool == Pool::Main {
            let main = self.worker_count;
            return self.links.get(main)?.has_room(self.depth_max).then_some(main);
        }
        let home = self.links.get(self.home)?;
        if home.has_room(self.depth_max) {
            return Some(self.home);
        }
        (0..self.worker_count)
            .filter(|&index| self.links[index].has_room(self.depth_max))
            .min_by_key(|&index| self.links[index].jobs.len())
    }

    /// A reply that a lane has given back.
    pub(crate) fn take_reply(&mut self) -> Option<Box<Job>> {
        if self.out == 0 {
            return None;
        }
        for link in &mut self.links {
            if link.out > 0
                && let Some(job) = link.replies.pop()
            {
                link.out -= 1;
                self.out -= 1;
                return Some(job);
            }
        }
        None
    }

    /// Whether a reply is waiting. Asked after sleep was announced, so that none is missed.
    pub(crate) fn has_replies(&self) -> bool {
        self.out > 0 && self.links.iter().any(|link| link.out > 0 && !link.replies.is_empty())
    }

    /// The oldest waiting job that a worker can take now.
    fn send_waiting(&mut self) {
        for (queue, pool) in [(0, Pool::Workers), (1, Pool::Main)] {
            while !self.waiting[queue].is_empty()
                && let Some(index) = self.choose(pool)
                && let Some(job) = self.waiting[queue].pop_front()
            {
                if let Err(job) = self.push(index, job) {
                    self.waiting[queue].push_front(job);
                    break;
                }
            }
        }
    }

    /// Ends a turn: wakes the workers that were sent something and sleep, once each, and looks
    /// after those that do not get on.
    pub(crate) fn notify(&mut self, now_ms: u64) {
        if self.out == 0 {
            return;
        }
        let mut touched = false;
        for link in &mut self.links {
            if link.touched {
                link.touched = false;
                touched = true;
                link.roster.notify();
            }
        }
        if touched {
            self.pause_ms = LOOK_MS;
            self.look_ms = self.look_ms.max(now_ms + LOOK_MS);
        }
        if now_ms >= self.look_ms {
            self.look(now_ms);
        }
    }

    /// Looks for workers that have work queued and took none since the last look: the lane that
    /// runs is blocked or busy for long, so another one is woken.
    #[cold]
    fn look(&mut self, now_ms: u64) {
        let mut queued = false;
        for link in &mut self.links {
            let is_queued = link.jobs.len() > 0;
            let progress = link.roster.progress();
            if is_queued && link.was_queued && progress == link.progress {
                link.roster.suspect(progress);
            }
            link.progress = progress;
            link.was_queued = is_queued;
            queued |= is_queued;
        }
        queued |= self.waiting.iter().any(|waiting| !waiting.is_empty());
        self.pause_ms = if queued { LOOK_MS } else { (self.pause_ms * 2).min(LOOK_MS_MAX) };
        self.look_ms = now_ms + self.pause_ms;
    }

    /// When the reactor should look at its workers, if jobs are out.
    pub(crate) fn next_look_ms(&self, now_ms: u64) -> Option<u64> {
        (self.out > 0 || self.is_waiting()).then_some(self.look_ms.max(now_ms + 1))
    }

    /// Jobs that lanes have not answered.
    pub(crate) fn running(&self) -> usize {
        self.out + self.waiting.iter().map(VecDeque::len).sum::<usize>()
    }

    fn is_waiting(&self) -> bool {
        self.waiting.iter().any(|waiting| !waiting.is_empty())
    }
}

impl Reactor {
    /// Hands a job over. A full system answers 503 at once, and nothing here ever waits.
    pub(crate) fn submit(&mut self, slot: u32, mut job: Box<Job>) {
        let generation = self.connections.generation(slot);
        job.reply_to = ConnectionId { reactor: self.index, slot, generation };
        job.now_s = self.clock.wall_s();
        let Some(pool) = job.current().map(|call| call.pool) else {
            return self.flush(slot, job, 0);
        };
        match self.dispatch.send(job, pool) {
            Ok(()) => {
                if let Some(connection) = self.connections.get(slot) {
                    connection.phase = Phase::Answering;
                }
                self.await_next(slot, Awaiting::Reply);
            }
            Err(mut job) => {
                answer_rest(&self.heads, &mut job, 503, &[(b"Retry-After", b"1")]);
                self.flush(slot, job, 0);
            }
        }
    }

    /// Sends on what was waiting for a free lane.
    pub(crate) fn resubmit_waiting(&mut self) {
        if self.dispatch.is_waiting() {
            self.dispatch.send_waiting();
        }
    }
}
