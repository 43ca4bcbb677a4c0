//! The stage that all reactors follow, and the way to tell them.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use pyre_interp::flow::Mailbox;
use pyre_interp::flow::topics::Topics;
use pyre_interp::ring::Doorbell;
use pyre_interp::worker::disconnects::Disconnects;

/// How often the end of what nobody tells of is looked for.
const LOOK: Duration = Duration::from_millis(10);

/// How long a reactor may take at most to follow a stage. It does so as soon as it has a CPU, unless
/// something is amiss.
const FOLLOW: Duration = Duration::from_secs(5);

/// What reactors are to do. A stage never goes back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub(crate) enum Stage {
    /// Accept and serve.
    Serving,
    /// Another process accepts now. Requests that come are the last of their connections, which
    /// wait for one: a client learns that its connection ends from an answer.
    Leaving,
    /// Accept no more, finish what runs.
    Draining,
    /// Return.
    Stopping,
}

/// What a reactor has left to drain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Left {
    /// No connection.
    Nothing,
    /// Connections whose last answer is written, or being written, to a peer that has not taken it yet.
    LastAnswers,
    /// Connections that have requests, or may.
    Requests,
}

/// How many connections a reactor would give up, beside the requests that are with lanes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Holding {
    /// Those whose request has not come whole.
    pub(crate) unsent: usize,
    /// Those with requests behind an answer that their peer does not take.
    pub(crate) untaken: usize,
}

/// What a reactor has told of what it has left.
#[derive(Clone, Copy)]
struct Told {
    /// The stage it knew of then: what it says before it knows of a later one says nothing of that.
    stage: Stage,
    left: Left,
    holding: Holding,
}

/// Shared between the server object and its reactors.
pub(crate) struct Control {
    stage: AtomicU8,
    doorbells: Vec<Arc<Doorbell>>,
    mailboxes: Vec<Arc<Mailbox>>,
    topics: Arc<Topics>,
    /// What every reactor has told last.
    told: Mutex<Vec<Told>>,
    changed: Condvar,
    /// What lanes read of the stage.
    draining: Arc<AtomicBool>,
    /// Jobs that lanes have not answered, by reactor, for the word at the end.
    running: Vec<AtomicUsize>,
    disconnects: Arc<Disconnects>,
    limit: Option<Limit>,
}

/// How many requests come before the process is replaced.
pub(crate) struct Limit {
    pub(crate) requests_max: u64,
    /// Takes [`RENEW`] each time that so many have come.
    pub(crate) notify: File,
    pub(crate) requests: AtomicU64,
}

/// What `serving/signals/stop.py` reads as a request to be replaced; no signal has this number.
const RENEW: u8 = 255;

impl Control {
    pub(crate) fn new(doorbells: Vec<Arc<Doorbell>>, limit: Option<Limit>) -> Self {
        let mailboxes: Vec<Arc<Mailbox>> =
            doorbells.iter().cloned().map(|bell| Arc::new(Mailbox::new(bell))).collect();
        Self {
            stage: AtomicU8::new(Stage::Serving as u8),
            told: Mutex::new(vec![
                Told {
                    stage: Stage::Serving,
                    left: Left::Requests,
                    holding: Holding::default(),
                };
                doorbells.len()
            ]),
            changed: Condvar::new(),
            draining: Arc::default(),
            running: doorbells.iter().map(|_| AtomicUsize::new(0)).collect(),
            disconnects: Arc::default(),
            topics: Topics::new(&mailboxes),
            mailboxes,
            doorbells,
            limit,
        }
    }

    /// Who needs no answer any more.
    pub(crate) fn disconnects(&self) -> Arc<Disconnects> {
        self.disconnects.clone()
    }

    pub(crate) fn stage(&self) -> Stage {
        // Acquire; pairs with the Release in `advance`. A reactor reads it after announcing sleep,
        // and the doorbell is rung after the store, so no change is slept through.
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Serving,
            1 => Stage::Leaving,
            2 => Stage::Draining,
            _ => Stage::Stopping,
        }
    }

    /// Whether requests are counted.
    pub(crate) fn is_limited(&self) -> bool {
        self.limit.is_some()
    }

    /// Counts the requests that a reactor has read in a turn.
    pub(crate) fn count_requests(&self, requests: u64) {
        let Some(limit) = &self.limit else { return };
        // Relaxed: only the sum matters, and each crossing is seen by one reactor.
        let before = limit.requests.fetch_add(requests, Ordering::Relaxed);
        if before / limit.requests_max != (before + requests) / limit.requests_max {
            // Full or closed: then it is about to stop, or asked to be replaced already.
            let _ = (&limit.notify).write(&[RENEW]);
        }
    }

    /// Tells lanes whether the server drains.
    pub(crate) fn draining(&self) -> Arc<AtomicBool> {
        self.draining.clone()
    }

    /// Where a reactor learns of pieces for its connections.
    pub(crate) fn mailbox(&self, reactor: u32) -> Arc<Mailbox> {
        self.mailboxes[reactor as usize].clone()
    }

    /// Those of all reactors.
    pub(crate) fn mailboxes(&self) -> Vec<Arc<Mailbox>> {
        self.mailboxes.clone()
    }

    /// What is published to connections of all reactors.
    pub(crate) fn topics(&self) -> &Arc<Topics> {
        &self.topics
    }

    /// The doorbell of a reactor.
    pub(crate) fn doorbell(&self, reactor: u32) -> Arc<Doorbell> {
        self.doorbells[reactor as usize].clone()
    }

    /// Goes on to a later stage and tells every reactor.
    pub(crate) fn advance(&self, stage: Stage) {
        // Relaxed: see where lanes read it.
        self.draining.store(stage != Stage::Serving, Ordering::Relaxed);
        self.stage.fetch_max(stage as u8, Ordering::AcqRel);
        // With the lock, so that whoever has looked at the stage and not begun to wait is told too.
        drop(self.told.lock());
        self.changed.notify_all();
        for doorbell in &self.doorbells {
            doorbell.notify();
        }
    }

    /// Waits until everything is to return, at most so long. Tells whether it is.
    ///
    /// # Threads
    /// Blocks the caller.
    pub(crate) fn wait_stopping(&self, patience: Duration) -> bool {
        let mut told = self.told.lock();
        if self.stage() != Stage::Stopping {
            self.changed.wait_for(&mut told, patience);
        }
        self.stage() == Stage::Stopping
    }

    /// Notes what a reactor has left to drain, as it finds it in that stage.
    pub(crate) fn set_left(&self, reactor: u32, stage: Stage, left: Left, holding: Holding) {
        let mut told = self.told.lock();
        if let Some(entry) = told.get_mut(reactor as usize) {
            let is_news = (entry.stage, entry.left) != (stage, left);
            *entry = Told { stage, left, holding };
            if is_news {
                self.changed.notify_all();
            }
        }
    }

    /// Connections that are given up if the server ends now, beside the jobs that are with lanes.
    pub(crate) fn holding(&self) -> Holding {
        self.told.lock().iter().fold(Holding::default(), |sum, one| Holding {
            unsent: sum.unsent + one.holding.unsent,
            untaken: sum.untaken + one.holding.untaken,
        })
    }

    /// Waits in this stage until no reactor has a connection left, at most so long. Returns whether all requests are answered by then: a peer that does not take its answer is no
    /// reason to call them given up.
    ///
    /// However short the time is, every reactor is heard first that is not stuck: what it said in a
    /// stage before tells nothing of this one.
    ///
    /// # Threads
    /// Blocks the caller.
    pub(crate) fn wait_drained(&self, stage: Stage, patience: Duration) -> bool {
        self.wait_drained_and_heard(stage, patience, FOLLOW)
    }

    fn wait_drained_and_heard(&self, stage: Stage, patience: Duration, follow: Duration) -> bool {
        let began = Instant::now();
        let (deadline, heard_by) = (began + patience, began + patience.max(follow));
        let mut told = self.told.lock();
        let is_heard = |one: &Told| one.stage >= stage;
        while self.stage() == stage {
            let until = if told.iter().all(is_heard) { deadline } else { heard_by };
            let is_drained = told.iter().all(|one| is_heard(one) && one.left == Left::Nothing);
            if is_drained || Instant::now() >= until {
                break;
            }
            self.changed.wait_until(&mut told, until);
        }
        told.iter().all(|one| is_heard(one) && one.left != Left::Requests)
    }

    /// Looks now and then whether something nobody tells of has happened, until the deadline. Returns
    /// whether it has.
    ///
    /// # Threads
    /// Blocks the caller.
    pub(crate) fn wait_until(&self, deadline: Instant, happened: impl Fn() -> bool) -> bool {
        let mut told = self.told.lock();
        while !happened() {
            let next = (Instant::now() + LOOK).min(deadline);
            self.changed.wait_until(&mut told, next);
            if Instant::now() >= deadline {
                return happened();
            }
        }
        true
    }

    /// Notes how many jobs of a reactor are with lanes.
    pub(crate) fn set_running(&self, reactor: u32, jobs: usize) {
        if let Some(running) = self.running.get(reactor as usize) {
            // Relaxed: a figure for a log line.
            running.store(jobs, Ordering::Relaxed);
        }
    }

    /// How many jobs are with lanes.
    pub(crate) fn running(&self) -> usize {
        self.running.iter().map(|running| running.load(Ordering::Relaxed)).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn two() -> Control {
        Control::new((0..2).map(|_| Arc::new(Doorbell::new(|| {}))).collect(), None)
    }

    #[test]
    fn what_was_told_in_a_stage_before_is_not_believed() {
        let control = two();
        control.advance(Stage::Leaving);
        for reactor in 0..2 {
            control.set_left(reactor, Stage::Leaving, Left::Nothing, Holding::default());
        }
        assert!(control.wait_drained(Stage::Leaving, LONG));
        control.advance(Stage::Draining);
        assert!(!control.wait_drained_and_heard(Stage::Draining, Duration::ZERO, Duration::ZERO));
        thread::scope(|scope| {
            scope.spawn(|| {
                control.set_left(0, Stage::Draining, Left::Nothing, Holding::default());
                control.set_left(1, Stage::Draining, Left::LastAnswers, Holding::default());
            });
            assert!(control.wait_drained_and_heard(Stage::Draining, Duration::ZERO, LONG));
        });
    }

    #[test]
    fn a_reactor_that_is_stuck_is_not_waited_for_for_ever() {
        let control = two();
        control.advance(Stage::Draining);
        control.set_left(0, Stage::Draining, Left::Nothing, Holding::default());
        assert!(!control.wait_drained_and_heard(
            Stage::Draining,
            Duration::ZERO,
            Duration::from_millis(20)
        ));
    }

    #[test]
    fn what_is_left_when_the_time_is_over() {
        let control = two();
        control.advance(Stage::Draining);
        control.set_left(0, Stage::Draining, Left::Nothing, Holding::default());
        control.set_left(1, Stage::Draining, Left::Requests, Holding::default());
        assert!(!control.wait_drained_and_heard(Stage::Draining, Duration::ZERO, LONG));
    }

    #[test]
    fn a_later_stage_ends_the_wait() {
        let control = two();
        control.advance(Stage::Leaving);
        thread::scope(|scope| {
            scope.spawn(|| control.advance(Stage::Draining));
            let began = Instant::now();
            // Also if it has begun already.
            for _ in 0..2 {
                control.wait_drained(Stage::Leaving, LONG);
            }
            assert!(began.elapsed() < LONG);
        });
    }
}
