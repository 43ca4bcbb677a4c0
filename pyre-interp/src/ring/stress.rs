//! Reactors and lanes on real threads, with rings, bells and rosters as the server uses them, for a
//! second or so. A lost wake-up, or a lost job, leaves somebody waiting, which a deadline ends. A
//! reactor that lanes carry, and its keeper takes back as soon as it can. And a ring whose both ends
//! take items out at once.

use super::{Baton, Consumer, Doorbell, Full, Hold, LaneSeat, Producer, Rest, Roster, ring};
use parking_lot::Mutex;
use std::{
    hint,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::Duration,
};

/// What a test may take, on a busy machine, before it counts as stuck.
const DEADLINE: Duration = Duration::from_secs(60);

const JOBS: usize = if cfg!(miri) { 40 } else { 20_000 };
/// What each producer pushes that also takes back.
const ITEMS: u64 = if cfg!(miri) { 300 } else { 300_000 };
/// What a reactor sends, or has run by the lane that carries it.
const LENT_JOBS: usize = if cfg!(miri) { 60 } else { 10_000 };
const BURST: usize = 7;
const LANES: usize = 3;
const REACTORS: usize = 2;

/// The lanes' ends. The lock is their GIL.
struct Ends {
    jobs: Vec<Consumer<Box<usize>>>,
    replies: Vec<Producer<Box<usize>>>,
}

struct Worker {
    roster: Arc<Roster>,
    ends: Mutex<Ends>,
    bells: Vec<Doorbell>,
    /// One job in this many waits in its handler; 0: none does.
    slow_every: usize,
}

impl Worker {
    /// The lane's loop, as `LaneSeat` describes it.
    fn lane(&self, mut seat: LaneSeat) {
        let mut ends = self.ends.lock();
        loop {
            let found = (0..REACTORS).find_map(|from| Some((from, ends.jobs[from].pop()?)));
            if let Some((from, job)) = found {
                seat.took();
                if self.slow_every > 0 && *job % self.slow_every == 0 {
                    // A handler that lets go of the interpreter.
                    drop(ends);
                    thread::park_timeout(Duration::from_millis(3));
                    ends = self.ends.lock();
                }
                ends.replies[from].push(job).unwrap();
                self.bells[from].notify();
                continue;
            }
            seat.announce();
            if ends.jobs.iter().any(|jobs| !jobs.is_empty()) {
                seat.cancel();
                continue;
            }
            drop(ends);
            if seat.block() == Rest::Closed {
                return;
            }
            ends = self.ends.lock();
        }
    }

    /// Sends every job in bursts and waits for every reply. Sleeps without a timeout, unless jobs
    /// are slow: then it looks once a millisecond whether the lanes are stuck.
    fn reactor(
        &self,
        number: usize,
        mut jobs: Producer<Box<usize>>,
        mut replies: Consumer<Box<usize>>,
    ) {
        let (mut sent, mut received, mut sum) = (0, 0, 0);
        let mut seen = self.roster.progress();
        while received < JOBS {
            while sent < JOBS && sent - received < BURST {
                jobs.push(Box::new(sent)).unwrap();
                sent += 1;
            }
            self.roster.notify();
            self.bells[number].announce();
            if replies.is_empty() {
                match self.slow_every {
                    0 => thread::park(),
                    _ => thread::park_timeout(Duration::from_millis(1)),
                }
            }
            self.bells[number].awake();
            let before = received;
            while let Some(job) = replies.pop() {
                received += 1;
                sum += *job;
            }
            if received == before && !jobs.is_empty() && self.slow_every > 0 {
                self.roster.suspect(seen);
            }
            seen = self.roster.progress();
        }
        assert_eq!((sum, jobs.len()), (JOBS * (JOBS - 1) / 2, 0));
    }
}

/// Runs the jobs of all reactors through one worker.
fn check(slow_every: usize) {
    let (done, finished) = mpsc::channel();
    let mut ends = Ends { jobs: Vec::new(), replies: Vec::new() };
    let (mut bells, mut starts) = (Vec::new(), Vec::new());
    for number in 0..REACTORS {
        let ((jobs, jobs_end), (replies_end, replies)) = (ring(8), ring(8));
        ends.jobs.push(jobs_end);
        ends.replies.push(replies_end);
        let (start, started) = mpsc::channel::<Arc<Worker>>();
        starts.push(start);
        let done = done.clone();
        let reactor = thread::spawn(move || {
            started.recv().unwrap().reactor(number, jobs, replies);
            done.send(()).unwrap();
        });
        bells.push(Doorbell::new(move || reactor.thread().unpark()));
    }
    let (roster, ends) = (Roster::new(LANES), Mutex::new(ends));
    let worker = Arc::new(Worker { roster, ends, bells, slow_every });
    let lane = |_| {
        let (worker, seat) = (worker.clone(), worker.roster.seat());
        thread::spawn(move || worker.lane(seat))
    };
    let lanes: Vec<_> = (0..LANES).map(lane).collect();
    starts.iter().for_each(|start| start.send(worker.clone()).unwrap());
    for _ in 0..REACTORS {
        finished.recv_timeout(DEADLINE).expect("somebody waits for ever");
    }
    worker.roster.close();
    lanes.into_iter().for_each(|lane| lane.join().unwrap());
    assert_eq!((worker.roster.free(), worker.roster.progress()), (0, (REACTORS * JOBS) as u64));
}

#[test]
fn no_wake_up_is_lost() {
    check(0);
}

#[test]
fn slow_jobs_leave_the_others_a_lane() {
    check(200);
}

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

/// Steps that look random, the same in each run.
struct Dice(u64);

impl Dice {
    /// Whether a throw of a die with `sides` sides shows the first.
    fn one_in(&mut self, sides: u64) -> bool {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33).is_multiple_of(sides)
    }
}

/// Items are what they were when pushed, and no side sees one twice or an older one later.
fn check_order(items: &[[u64; 4]]) {
    assert!(items.iter().all(|item| item.iter().all(|word| *word == item[0])));
    assert!(items.is_sorted_by(|before, after| before[0] < after[0]));
}

/// Pushes every item and takes some back, in the end those that are left or, if `leaves`, none. Gives
/// what was taken back.
fn push_and_take_back(mut producer: Producer<Box<[u64; 4]>>, leaves: bool) -> Vec<[u64; 4]> {
    let (mut dice, mut back) = (Dice(1), Vec::new());
    for number in 0..ITEMS {
        let mut item = Box::new([number; 4]);
        while let Err(Full(refused)) = producer.push(item) {
            item = refused;
            if producer.is_abandoned() || dice.one_in(8) {
                back.extend(producer.take_back().map(|item| *item));
            } else {
                thread::yield_now();
            }
        }
        if dice.one_in(3) {
            back.extend(producer.take_back().map(|item| *item));
        }
    }
    while !leaves && let Some(item) = producer.take_back() {
        back.push(*item);
    }
    back
}

/// Both ends of a ring take items out. The consumer leaves after `popped_max`.
fn check_shares(capacity: usize, popped_max: u64) {
    let (producer, mut consumer) = ring(capacity);
    let leaves = popped_max == ITEMS;
    let producing = thread::spawn(move || push_and_take_back(producer, leaves));
    let (mut dice, mut popped) = (Dice(2), Vec::new());
    while (popped.len() as u64) < popped_max {
        match consumer.pop() {
            Some(item) => popped.push(*item),
            // What came between the last pop and the producer's end is still inside.
            None if consumer.is_abandoned() => match consumer.pop() {
                Some(item) => popped.push(*item),
                None => break,
            },
            None => thread::yield_now(),
        }
        if dice.one_in(64) {
            thread::yield_now();
        }
    }
    drop(consumer);
    let back = producing.join().unwrap();
    check_order(&popped);
    check_order(&back);
    assert!(!popped.is_empty() && !back.is_empty(), "one side had no share");
    let mut all: Vec<_> = popped.iter().chain(&back).map(|item| item[0]).collect();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..ITEMS));
}

#[test]
fn each_item_goes_to_one_side() {
    for capacity in [1, 2, 8, 64] {
        check_shares(capacity, ITEMS);
    }
}

#[test]
fn a_producer_gets_the_rest_of_a_consumer_that_leaves() {
    for capacity in [2, 8] {
        check_shares(capacity, ITEMS / 3);
    }
}
