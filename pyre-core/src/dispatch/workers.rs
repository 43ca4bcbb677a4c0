//! The rings to all workers, and the choice of one for each job. Hot path.
//!
//! Each pool has its workers: the lanes of a sub-interpreter are one, and its event loop is another.
//! The home worker is first. When it has work queued and takes none for a millisecond, an idle worker
//! gets it, whose GIL is free, and what comes until the home worker gets on; if there is none, another
//! lane of the home worker is woken. When all its lanes are blocked, jobs go to the other workers, and
//! when all lanes everywhere are blocked they wait here, so that the first lane that is free takes them.
//! The waiting is bounded: a full system answers 503 at once.

use std::collections::VecDeque;
use std::ops::Range;

use pyre_interp::job::{Job, Pool};

use crate::dispatch::link::{LOOK_MS, LOOK_MS_MAX, Link};
use crate::shared::counters::Counters;

/// The rings to all workers, and the jobs that none of them can take now.
pub(crate) struct Workers {
    /// Links stand by pool, in the order of the pools.
    links: Vec<Link>,
    /// Which links belong to each pool.
    members: [Range<usize>; Pool::COUNT],
    /// The link with the home worker of each pool, if it has workers.
    homes: [Option<usize>; Pool::COUNT],
    depth_max: usize,
    /// Jobs that wait for a free lane, by pool.
    waiting: [VecDeque<Box<Job>>; Pool::COUNT],
    /// One of those may not be empty.
    may_wait: bool,
    out: usize,
    /// Jobs ever pushed, without those taken back.
    pushed: u64,
    /// The number of the last job that was handed over.
    order: u64,
    /// Something was pushed that workers have not been told of.
    has_touched: bool,
    /// When to look at the workers again, and how long the pause before was.
    look_ms: u64,
    pause_ms: u64,
}

impl Workers {
    /// Puts the links of a reactor together, which stand in the order of the pools.
    pub(crate) fn new(links: Vec<Link>, reactor: usize, depth_max: usize) -> Self {
        debug_assert!(links.is_sorted_by_key(|link| link.pool.index()));
        let members = Pool::ALL.map(|pool| {
            let start = links.partition_point(|link| link.pool.index() < pool.index());
            let end = links.partition_point(|link| link.pool.index() <= pool.index());
            start..end
        });
        let homes = members
            .clone()
            .map(|members| (!members.is_empty()).then(|| members.start + reactor % members.len()));
        Self {
            links,
            members,
            homes,
            depth_max,
            waiting: Default::default(),
            may_wait: false,
            out: 0,
            pushed: 0,
            order: 0,
            has_touched: false,
            look_ms: 0,
            pause_ms: LOOK_MS,
        }
    }

    /// Lets go of the links to the main interpreter, as no handler runs there.
    pub(crate) fn forget_main(&mut self) {
        let first = self.members[Pool::Main.index()].start;
        self.links.truncate(first);
        for pool in [Pool::Main, Pool::MainLoop] {
            self.members[pool.index()] = first..first;
            self.homes[pool.index()] = None;
        }
    }

    /// Sends a job to a worker that can take it, or lets it wait.
    ///
    /// # Errors
    /// Gives the job back when as many as allowed are waiting.
    pub(crate) fn send(
        &mut self,
        mut job: Box<Job>,
        pool: Pool,
        now_ms: u64,
    ) -> Result<(), Box<Job>> {
        self.order += 1;
        job.order = self.order;
        let queue = pool.index();
        if self.waiting[queue].is_empty()
            && let Some(index) = self.choose(pool, now_ms)
        {
            return self.push(index, job, now_ms);
        }
        if self.queued(pool) >= self.depth_max * self.members[queue].len().max(1) {
            return Err(job);
        }
        self.waiting[queue].push_back(job);
        self.may_wait = true;
        Ok(())
    }

    /// Jobs of a pool that wait, here or in a ring, as far as this reactor knows.
    fn queued(&self, pool: Pool) -> usize {
        let in_rings = self.links[self.members[pool.index()].clone()].iter();
        self.waiting[pool.index()].len() + in_rings.map(|link| link.jobs.len()).sum::<usize>()
    }

    fn push(&mut self, index: usize, job: Box<Job>, now_ms: u64) -> Result<(), Box<Job>> {
        let link = &mut self.links[index];
        link.jobs.push(job).map_err(|full| full.0)?;
        link.begin(now_ms);
        link.touched = true;
        self.has_touched = true;
        self.out += 1;
        self.pushed += 1;
        Ok(())
    }

    /// A job that a lane of the home worker runs without having had it from a ring comes back by one.
    #[cold]
    pub(crate) fn adopt(&mut self, pool: Pool, now_ms: u64) {
        let Some(home) = self.homes[pool.index()] else { return };
        self.links[home].begin(now_ms);
        self.out += 1;
    }

    /// The worker for the next job: home if it has room, else the one with the shortest queue.
    fn choose(&mut self, pool: Pool, now_ms: u64) -> Option<usize> {
        let depth_max = self.depth_max;
        let home = self.homes[pool.index()]?;
        let Range { start, end } = self.members[pool.index()];
        if self.links[home].is_behind(now_ms)
            && let Some(idle) = (start..end).find(|&index| self.links[index].is_idle(now_ms))
        {
            return Some(idle);
        }
        if self.links[home].has_room(depth_max, now_ms) {
            return Some(home);
        }
        let workers = self.links[start..end].iter_mut().enumerate();
        let open = workers.filter_map(|(index, link)| {
            link.has_room(depth_max, now_ms).then(|| (link.jobs.len(), start + index))
        });
        open.min().map(|(_, index)| index)
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
                link.has_replied = true;
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

    /// Sends on the waiting jobs that workers can take now, the oldest first.
    pub(crate) fn send_waiting(&mut self, now_ms: u64) {
        for pool in Pool::ALL {
            let queue = pool.index();
            while !self.waiting[queue].is_empty()
                && let Some(index) = self.choose(pool, now_ms)
                && let Some(job) = self.waiting[queue].pop_front()
            {
                if let Err(job) = self.push(index, job, now_ms) {
                    self.waiting[queue].push_front(job);
                    break;
                }
            }
            self.stand_in_line(pool, now_ms);
        }
        self.may_wait = self.waiting.iter().any(|waiting| !waiting.is_empty());
    }

    /// Puts one waiting job into each ring that is empty, behind lanes that are all blocked: the lane
    /// that is free first takes from one reactor after the other. Without, the reactor that gets its
    /// reply would send the next job before others know that a lane is free. The next look takes back
    /// what no lane has come for.
    fn stand_in_line(&mut self, pool: Pool, now_ms: u64) {
        let queue = pool.index();
        for index in self.members[queue].clone() {
            let link = &self.links[index];
            if !link.jobs.is_empty() || link.out >= link.out_max {
                continue;
            }
            let Some(job) = self.waiting[queue].pop_front() else { return };
            if let Err(job) = self.push(index, job, now_ms) {
                return self.waiting[queue].push_front(job);
            }
        }
    }

    /// Ends a turn: wakes the workers that were sent something and sleep, once each, and looks
    /// after those that do not get on.
    pub(crate) fn notify(&mut self, now_ms: u64) {
        if self.out == 0 && !self.is_waiting() {
            return;
        }
        if now_ms >= self.look_ms {
            self.look(now_ms);
        }
        for link in &mut self.links {
            if link.has_replied {
                link.has_replied = false;
                link.heard_ms = now_ms;
            }
        }
        self.wake_touched(now_ms);
    }

    /// Wakes the workers that were sent something and sleep.
    #[inline]
    pub(crate) fn wake_touched(&mut self, now_ms: u64) {
        if self.has_touched {
            self.wake_each_touched(now_ms);
        }
    }

    fn wake_each_touched(&mut self, now_ms: u64) {
        self.has_touched = false;
        for link in &mut self.links {
            if link.touched {
                link.touched = false;
                link.roster.notify();
                self.pause_ms = LOOK_MS;
                self.look_ms = self.look_ms.min(now_ms + LOOK_MS);
            }
        }
    }

    /// Looks after workers that have work queued. What is queued behind lanes that are all blocked
    /// comes back and goes to whoever is free first.
    #[cold]
    fn look(&mut self, now_ms: u64) {
        let mut queued = false;
        // Another lane of a worker whose handler computes would only wait for the same GIL.
        let is_idle = Pool::ALL.map(|pool| {
            self.links[self.members[pool.index()].clone()].iter().any(|link| link.is_idle(now_ms))
        });
        for index in 0..self.links.len() {
            let link = &mut self.links[index];
            let moves = is_idle[link.pool.index()] && link.is_stalled(now_ms);
            if !moves && (link.jobs.is_empty() || link.look(now_ms)) {
                queued |= !link.jobs.is_empty();
                continue;
            }
            link.was_stalled |= moves;
            self.empty_ring(index);
        }
        self.send_waiting(now_ms);
        queued |= self.is_waiting();
        self.pause_ms = if queued { LOOK_MS } else { (self.pause_ms * 2).min(LOOK_MS_MAX) };
        self.look_ms = now_ms + self.pause_ms;
    }

    /// Lets the jobs wait here that no lane of a worker has taken.
    fn empty_ring(&mut self, index: usize) {
        let link = &mut self.links[index];
        let waiting = &mut self.waiting[link.pool.index()];
        let before = waiting.len();
        waiting.extend(std::iter::from_fn(|| link.jobs.take_back()));
        self.may_wait = true;
        let taken = waiting.len() - before;
        link.out -= taken;
        self.out -= taken;
        self.pushed -= taken as u64;
        // The oldest first again, be they from one ring or several.
        waiting.make_contiguous().sort_by_key(|job| job.order);
    }

    /// Offers the jobs of a pool that no lane has taken to somebody else, the oldest first, and sends
    /// those on that he gives back.
    #[cold]
    pub(crate) fn take_back(
        &mut self,
        pool: Pool,
        now_ms: u64,
        offer: impl FnMut(Box<Job>) -> Result<(), Box<Job>>,
    ) {
        let queue = pool.index();
        self.members[queue].clone().for_each(|index| self.empty_ring(index));
        let jobs = std::mem::take(&mut self.waiting[queue]);
        self.waiting[queue] = jobs.into_iter().map(offer).filter_map(Result::err).collect();
        self.send_waiting(now_ms);
    }

    /// When the reactor should look at its workers, if jobs are out.
    pub(crate) fn next_look_ms(&self, now_ms: u64) -> Option<u64> {
        (self.out > 0 || self.is_waiting()).then_some(self.look_ms.max(now_ms + 1))
    }

    /// Lets event loops look for requests whose client has disconnected.
    #[cold]
    pub(crate) fn tell_disconnect(&self) {
        for link in self.links.iter().filter(|link| link.pool.is_loop() && link.out > 0) {
            link.roster.notify();
        }
    }

    /// Takes back what no lane has begun: its clients are gone, and nobody waits for the answers.
    pub(crate) fn abandon(&mut self) {
        for link in &mut self.links {
            while link.jobs.take_back().is_some() {}
        }
        self.waiting.iter_mut().for_each(VecDeque::clear);
    }

    /// Jobs that lanes have not answered.
    pub(crate) fn running(&self) -> usize {
        self.out + self.waiting.iter().map(VecDeque::len).sum::<usize>()
    }

    /// Shows how many jobs are on their way, besides those that wait for somebody else.
    pub(crate) fn show(&self, counters: &Counters, others: usize) {
        let waiting =
            if self.may_wait { self.waiting.iter().map(VecDeque::len).sum::<usize>() } else { 0 };
        let waiting = waiting + others;
        counters.running.set((self.out + waiting) as u64);
        counters.waiting.set(waiting as u64);
        counters.pushed.set(self.pushed);
    }

    #[inline]
    pub(crate) fn is_waiting(&self) -> bool {
        self.may_wait && self.waiting.iter().any(|waiting| !waiting.is_empty())
    }
}

#[cfg(test)]
mod tests;
