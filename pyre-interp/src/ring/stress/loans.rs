//! A reactor that lanes carry, and its keeper takes back as soon as it can.

use super::{BURST, DEADLINE, Dice, Ends, LANES};
use crate::ring::{Baton, Consumer, Doorbell, Hold, LaneSeat, Producer, Rest, Roster, ring};
use parking_lot::Mutex;
use std::{
    hint,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc,
    },
    thread,
};

/// What a reactor sends, or has run by the lane that carries it.
const LENT_JOBS: usize = if cfg!(miri) { 60 } else { 10_000 };

/// A reactor that is carried: nothing in it is atomic.
struct Reactor {
    jobs: Producer<Box<usize>>,
    replies: Consumer<Box<usize>>,
    /// The number of the next job.
    next: usize,
    /// How many jobs are back, and which.
    count: usize,
    is_back: Vec<bool>,
}

impl Reactor {
    fn done(&mut self, job: usize) {
        assert!(!std::mem::replace(&mut self.is_back[job], true), "job {job} is back twice");
        self.count += 1;
    }

    /// Takes the replies that have come by the ring.
    fn collect(&mut self) {
        while let Some(job) = self.replies.pop() {
            self.done(*job);
        }
    }

    fn next_job(&mut self) -> Option<usize> {
        let job = self.next;
        (job < LENT_JOBS).then(|| {
            self.next += 1;
            job
        })
    }

    /// Sends the next job by the ring, if few are out. Tells whether it did.
    fn send(&mut self) -> bool {
        let has_room = self.next - self.count < BURST;
        let job = has_room.then(|| self.next_job()).flatten();
        job.inspect(|&job| self.jobs.push(Box::new(job)).unwrap()).is_some()
    }
}

/// A reactor on its way between its keeper and the lanes of a worker.
struct Loan {
    baton: Arc<Baton<Reactor>>,
    roster: Arc<Roster>,
    /// The lanes' ends, locked by whoever has their GIL.
    ends: Mutex<Ends>,
    bell: Doorbell,
    /// One errand in this many ends only when the reactor was taken.
    slow_every: usize,
    /// How often it was taken from a lane, and how often it was given back.
    taken: AtomicUsize,
    returned: AtomicUsize,
}

impl Loan {
    /// The loop of a lane that takes jobs from the ring, and carries the reactor when it is chosen.
    fn lane(&self, mut seat: LaneSeat) {
        let mut ends = self.ends.lock();
        loop {
            if !seat.steps_aside()
                && let Some(job) = ends.jobs[0].pop()
            {
                seat.took();
                ends.replies[0].push(job).unwrap();
                self.bell.notify();
                continue;
            }
            seat.announce();
            let cancelled = if ends.jobs[0].is_empty() { None } else { seat.cancel() };
            if cancelled == Some(Rest::Called) {
                continue;
            }
            drop(ends);
            match cancelled.unwrap_or_else(|| seat.block()) {
                Rest::Called => {}
                Rest::Chosen => {
                    if let Some(hold) = self.baton.accept() {
                        seat.begin_carrying();
                        self.carry(hold);
                    }
                    seat.look();
                }
                Rest::Closed => return,
            }
            ends = self.ends.lock();
        }
    }

    /// Carries the reactor as far as there are jobs, or until it is taken; now and then it has enough.
    fn carry(&self, mut hold: Hold<Reactor>) {
        loop {
            hold.collect();
            if hold.next.is_multiple_of(3) && hold.send() {
                self.roster.notify();
            }
            let Some(job) = hold.next_job() else { return hold.give_back() };
            let taken = self.taken.load(Relaxed);
            let away = hold.leave();
            let mut ends = self.ends.lock();
            if job % self.slow_every == 0 {
                // A handler that lets go of the interpreter.
                drop(ends);
                while self.taken.load(Relaxed) == taken {
                    thread::yield_now();
                }
                ends = self.ends.lock();
            }
            let Some(back) = away.back() else {
                ends.replies[0].push(Box::new(job)).unwrap();
                return self.bell.notify();
            };
            drop(ends);
            hold = back;
            hold.done(job);
            if job % 50 == 7 {
                return hold.give_back();
            }
        }
    }

    /// Lends the reactor again and again, until all jobs are back.
    fn keep(&self, reactor: Reactor) {
        let mut hold = self.baton.begin(Box::new(reactor));
        let mut dice = Dice(3);
        while hold.count < LENT_JOBS {
            hold.collect();
            if hold.next == LENT_JOBS {
                self.bell.announce();
                if hold.replies.is_empty() && hold.count < LENT_JOBS {
                    thread::park();
                }
                self.bell.awake();
                continue;
            }
            hold.offer();
            let withdrawn = if self.roster.choose() { None } else { self.baton.withdraw() };
            let is_withdrawn = withdrawn.is_some();
            hold = withdrawn.unwrap_or_else(|| self.watch(&mut dice));
            if is_withdrawn && hold.send() {
                self.roster.notify();
            }
        }
        assert!(hold.is_back.iter().all(|is_back| *is_back));
    }

    /// Takes the reactor back as soon as it is seen away twice on one errand.
    fn watch(&self, dice: &mut Dice) -> Hold<Reactor> {
        let mut seen = self.baton.glance();
        loop {
            if dice.one_in(16) {
                self.baton.sleep();
            }
            let returned = self.baton.reclaim();
            let now = self.baton.glance();
            let had = if returned.is_some() {
                self.returned.fetch_add(1, Relaxed);
                returned
            } else if now == seen && now.is_away() {
                let taken = self.baton.take(now);
                taken.inspect(|_| _ = self.taken.fetch_add(1, Relaxed))
            } else if now == seen && now.is_offered() && dice.one_in(64) {
                self.baton.withdraw()
            } else {
                None
            };
            if let Some(hold) = had {
                self.roster.vacate();
                return hold;
            }
            seen = now;
            hint::spin_loop();
        }
    }
}

/// Runs all jobs of a reactor that is lent to the lanes of a worker and taken from them again. Tells
/// how often it was taken, and given back.
fn check_loans(slow_every: usize) -> [usize; 2] {
    let ((jobs, jobs_end), (replies_end, replies)) = (ring(BURST + 1), ring(8 * (BURST + 1)));
    let ends = Ends { jobs: vec![jobs_end], replies: vec![replies_end] };
    let reactor = Reactor { jobs, replies, next: 0, count: 0, is_back: vec![false; LENT_JOBS] };
    let (start, started) = mpsc::channel::<Arc<Loan>>();
    let (done, finished) = mpsc::channel();
    let keeper = thread::spawn(move || {
        started.recv().unwrap().keep(reactor);
        done.send(()).unwrap();
    });
    let keeper_thread = keeper.thread().clone();
    let loan = Arc::new(Loan {
        baton: Baton::new(),
        roster: Roster::new(LANES),
        ends: Mutex::new(ends),
        bell: Doorbell::new(move || keeper_thread.unpark()),
        slow_every,
        taken: AtomicUsize::new(0),
        returned: AtomicUsize::new(0),
    });
    loan.roster.vacate();
    let lane = |_| {
        let (loan, seat) = (loan.clone(), loan.roster.seat());
        thread::spawn(move || loan.lane(seat))
    };
    let lanes: Vec<_> = (0..LANES).map(lane).collect();
    start.send(loan.clone()).unwrap();
    finished.recv_timeout(DEADLINE).expect("somebody waits for ever");
    keeper.join().unwrap();
    loan.roster.close();
    lanes.into_iter().for_each(|lane| lane.join().unwrap());
    assert_eq!((loan.roster.free(), loan.roster.busy()), (0, LANES));
    [&loan.taken, &loan.returned].map(|count| count.load(Relaxed))
}

#[test]
fn a_reactor_that_is_taken_back_loses_no_job() {
    let [taken, returned] = [1, 20, 1000]
        .map(check_loans)
        .into_iter()
        .fold([0, 0], |sum, loans| [sum[0] + loans[0], sum[1] + loans[1]]);
    assert!(taken > 0 && returned > 0, "taken {taken} times, given back {returned} times");
}
