//! Models of loans: a baton with a roster and a ring, as keepers and lanes use them.

use super::{
    batons::{Drops, Value},
    lanes::Worker,
};
use crate::ring::{
    baton::{Baton, Hold},
    roster::Rest,
    spsc::{Consumer, Producer, ring},
    sync::thread,
    wake::Doorbell,
};
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

/// A pause of the keeper, of whatever length.
const PAUSE: Duration = Duration::from_millis(1);

/// A keeper and the worker whose lanes it lends to, as `keeper.rs` of `pyre-core` and `lane.rs` go
/// about it.
struct Loan<T = ()> {
    worker: Arc<Worker>,
    baton: Arc<Baton<Value<T>>>,
}

impl<T> Clone for Loan<T> {
    fn clone(&self) -> Self {
        Self { worker: self.worker.clone(), baton: self.baton.clone() }
    }
}

/// How a loan ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Withdrawn,
    Returned,
    Taken,
}

impl<T: Send + 'static> Loan<T> {
    fn new(lanes: usize) -> Self {
        let worker = Worker::new(lanes);
        worker.roster.vacate();
        Self { worker, baton: Baton::new() }
    }

    /// Lends the value until it comes back, or is taken.
    fn lend(&self, hold: Hold<Value<T>>) -> (Hold<Value<T>>, End) {
        hold.offer();
        if !self.worker.roster.choose()
            && let Some(hold) = self.baton.withdraw()
        {
            return (hold, End::Withdrawn);
        }
        // There are no pauses here: the keeper looks at any moment, sleeps, and looks at any later one.
        let had = self.look().or_else(|| {
            self.baton.sleep();
            self.look()
        });
        had.unwrap_or_else(|| {
            loop {
                self.baton.doze(Duration::MAX);
                if let Some(hold) = self.baton.reclaim() {
                    self.worker.roster.vacate();
                    return (hold, End::Returned);
                }
            }
        })
    }

    /// The keeper looks after a pause in which nothing has changed, as far as it can see.
    fn look(&self) -> Option<(Hold<Value<T>>, End)> {
        let now = self.baton.glance();
        let returned = self.baton.reclaim().map(|hold| (hold, End::Returned));
        let withdrawn = || self.baton.withdraw().map(|hold| (hold, End::Withdrawn));
        let taken = || self.baton.take(now).map(|hold| (hold, End::Taken));
        let had = returned.or_else(withdrawn).or_else(taken);
        had.inspect(|_| self.worker.roster.vacate())
    }

    /// A lane on a thread of its own: takes jobs, and carries the value when it is chosen, until the
    /// roster is closed.
    fn lane(&self, mut carry: impl FnMut(Hold<Value<T>>) + 'static) -> thread::JoinHandle<()> {
        let (Self { worker, baton }, mut seat) = (self.clone(), self.worker.roster.seat());
        thread::spawn(move || {
            loop {
                match worker.step(&mut seat) {
                    Some(Rest::Chosen) => {
                        if let Some(hold) = baton.accept() {
                            seat.begin_carrying();
                            carry(hold);
                        }
                        seat.look();
                    }
                    Some(Rest::Closed) if !worker.has_jobs() => return,
                    Some(Rest::Called | Rest::Closed) | None => {}
                }
            }
        })
    }

    /// The keeper, on a thread of its own.
    fn keeper(
        &self,
        drops: &Drops,
        keep: impl FnOnce(&Self, &Drops) + 'static,
    ) -> thread::JoinHandle<()> {
        let (loan, drops) = (self.clone(), drops.clone());
        thread::spawn(move || keep(&loan, &drops))
    }

    /// Closes the roster once the keeper has ended, and checks what is left when the lane has, too.
    fn end(
        self,
        keeper: thread::JoinHandle<()>,
        lane: thread::JoinHandle<()>,
        drops: &Drops,
        jobs: usize,
    ) {
        keeper.join().unwrap();
        self.worker.roster.close();
        lane.join().unwrap();
        self.check(drops, jobs);
    }

    /// All threads have ended but this one: the only lane is gone, without the value, which is gone
    /// too, and so many jobs were taken.
    fn check(self, drops: &Drops, jobs: usize) {
        let Worker { roster, taken, .. } = &*self.worker;
        assert_eq!((roster.free(), roster.busy(), taken.load(Relaxed)), (0, 1, jobs));
        drops.check(self.baton);
    }
}

/// One errand, and home.
fn run_an_errand(mut hold: Hold<Value>) {
    hold.step();
    if let Some(mut hold) = hold.leave().back() {
        hold.step();
        hold.give_back();
    }
}

/// A keeper lends to a lane that parks, or has a job of another reactor, or is called for one at that
/// moment. However it ends, the keeper has the value again, whole, and the job is run.
pub(super) fn comes_home_however_a_loan_ends() {
    let (loan, drops) = (Loan::new(1), Drops::default());
    let lane = loan.lane(run_an_errand);
    let keeper = loan.keeper(&drops, |loan, drops| {
        let hold = drops.begin(&loan.baton, ());
        let (mut hold, end) = loan.lend(hold);
        let steps = match end {
            End::Withdrawn => 0,
            End::Taken => 1,
            End::Returned => 2,
        };
        assert_eq!(hold.step(), steps + 1);
    });
    loan.worker.push();
    loan.end(keeper, lane, &drops, 1);
}

/// A lane that parks while it is chosen comes for the value: a keeper that waits has it back.
pub(super) fn choice_wakes_a_lane_that_parks() {
    let (loan, drops) = (Loan::new(1), Drops::default());
    let lane = loan.lane(|mut hold| {
        hold.step();
        hold.give_back();
    });
    let keeper = loan.keeper(&drops, |loan, drops| {
        drops.begin(&loan.baton, ()).offer();
        let steps = if loan.worker.roster.choose() { 1 } else { 0 };
        let mut hold = loop {
            let withdrawn = if steps == 0 { loan.baton.withdraw() } else { None };
            match withdrawn.or_else(|| loan.baton.reclaim()) {
                Some(hold) => break hold,
                None => loan.baton.sleep(),
            }
        };
        loan.worker.roster.vacate();
        assert_eq!(hold.step(), steps + 1);
    });
    loan.end(keeper, lane, &drops, 0);
}

/// A lane that goes off with the value leaves the job, which it was relied on to find, to another.
pub(super) fn lane_that_carries_calls_another() {
    let drops = Drops::default();
    // Nothing keeps a reserve here, so that the lane parks only if there is nothing to do.
    let loan = Loan { worker: Worker::new(2), baton: Baton::new() };
    let parked = Worker::park(vec![loan.worker.roster.seat()]);
    let lane = thread::spawn({
        let (Loan { worker, baton }, mut seat) = (loan.clone(), loan.worker.roster.seat());
        move || {
            loop {
                match worker.step(&mut seat) {
                    Some(Rest::Chosen) => {
                        let hold = baton.accept().expect("it is not withdrawn");
                        seat.begin_carrying();
                        drop(hold.leave());
                        return seat;
                    }
                    // It has taken the job, or another was called for that.
                    None | Some(Rest::Closed) => return seat,
                    Some(Rest::Called) => {}
                }
            }
        }
    });
    let hold = drops.begin(&loan.baton, ());
    loan.worker.push();
    hold.offer();
    loan.worker.roster.choose();
    loan.worker.roster.close();
    let seat = lane.join().unwrap();
    assert!(!loan.worker.has_jobs() || loan.worker.roster.called() == 1);
    drop((seat, parked));
    drops.check(loan.baton);
}

/// A reactor, as far as it has to do with replies: its end of a ring, and its bell.
struct Reactor {
    replies: Consumer<Box<usize>>,
    bell: Arc<Doorbell>,
    /// What was answered.
    answered: Vec<usize>,
}

impl Reactor {
    /// Its poll: takes a reply, or sleeps until one comes.
    fn wait(&mut self) {
        loop {
            if let Some(reply) = self.replies.pop() {
                return self.answered.push(*reply);
            }
            self.bell.announce();
            if self.replies.is_empty() {
                thread::park();
            }
            self.bell.awake();
        }
    }
}

/// The lane of a reactor: its own job is answered as soon as it is back. If it has lost the reactor,
/// the reply goes home by the ring, and whoever has the reactor is woken.
fn run_jobs(mut hold: Hold<Value<Reactor>>, replies: &mut Producer<Box<usize>>) {
    // Another lane has sent this one.
    replies.push(Box::new(1)).unwrap();
    hold.step();
    hold.inside.wait();
    let bell = hold.inside.bell.clone();
    match hold.leave().back() {
        Some(mut hold) => {
            hold.step();
            hold.inside.answered.push(2);
            hold.give_back();
        }
        None => {
            replies.push(Box::new(2)).unwrap();
            bell.notify();
        }
    }
}

/// The whole round: a keeper lends its reactor, a lane carries it and runs a job, comes back or has
/// lost it; the reply is found once, by the end of the ring that has travelled with the reactor.
pub(super) fn reply_comes_home_to_whoever_has_the_reactor() {
    let (loan, drops) = (Loan::new(1), Drops::default());
    let (mut replies, end) = ring(2);
    let lane = loan.lane(move |hold| run_jobs(hold, &mut replies));
    let keeper = loan.keeper(&drops, move |loan, drops| {
        let this = thread::current();
        let bell = Arc::new(Doorbell::new(move || this.unpark()));
        let reactor = Reactor { replies: end, bell, answered: Vec::new() };
        let hold = drops.begin(&loan.baton, reactor);
        let (mut hold, end) = loan.lend(hold);
        hold.step();
        if end == End::Taken {
            hold.inside.wait();
        }
        let answered: &[usize] = if end == End::Withdrawn { &[] } else { &[1, 2] };
        assert_eq!(hold.inside.answered, answered);
        assert_eq!(hold.inside.replies.pop(), None);
    });
    loan.end(keeper, lane, &drops, 0);
}

/// The roster closes while a lane is chosen, or carries the value: the keeper has it back even if the
/// lane never comes for it.
pub(super) fn comes_home_though_the_roster_closes() {
    let (loan, drops) = (Loan::new(1), Drops::default());
    let lane = loan.lane(run_an_errand);
    let keeper = loan.keeper(&drops, |loan, drops| {
        let hold = drops.begin(&loan.baton, ());
        hold.offer();
        loan.worker.roster.choose();
        let (mut hold, _) = loop {
            match loan.look() {
                Some(had) => break had,
                None => loan.baton.doze(PAUSE),
            }
        };
        hold.step();
    });
    loan.worker.roster.close();
    keeper.join().unwrap();
    lane.join().unwrap();
    loan.check(&drops, 0);
}

/// The keeper wants the value back once, and ends with it or without: it is dropped by the keeper, by
/// the lane, or with the last of the batons, but once.
pub(super) fn is_dropped_once_wherever_it_is() {
    let (loan, drops) = (Loan::new(1), Drops::default());
    let lane = loan.lane(|mut hold| {
        hold.step();
        drop(hold.leave().back());
    });
    let keeper = loan.keeper(&drops, |loan, drops| {
        let mut hold = drops.begin(&loan.baton, ());
        hold.step();
        hold.offer();
        loan.worker.roster.choose();
        drop(loan.look().or_else(|| loan.look()));
        loan.worker.roster.vacate();
    });
    keeper.join().unwrap();
    loan.worker.roster.close();
    lane.join().unwrap();
    loan.worker.roster.vacate();
    loan.check(&drops, 0);
}
