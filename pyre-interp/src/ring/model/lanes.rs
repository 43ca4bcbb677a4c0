//! Models of the roster.

use crate::ring::{
    roster::{LaneSeat, Rest, Roster},
    spsc::ring,
    sync::{AtomicUsize, thread},
};
use std::sync::{
    Arc,
    atomic::Ordering::{Acquire, Relaxed, Release},
};

/// A worker: a roster, and for a ring, which its lanes would take turns at, a count of jobs.
pub(super) struct Worker {
    pub(super) roster: Arc<Roster>,
    jobs: AtomicUsize,
    pub(super) taken: AtomicUsize,
}

impl Worker {
    pub(super) fn new(lanes: usize) -> Arc<Self> {
        let (jobs, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self { roster: Roster::new(lanes), jobs, taken })
    }

    /// A reactor's turn that pushes one job.
    pub(super) fn push(&self) {
        self.jobs.fetch_add(1, Release);
        self.roster.notify();
    }

    /// Takes a job, if one is seen.
    pub(super) fn pop(&self) -> bool {
        let seen = self.jobs.load(Acquire);
        seen > 0 && self.jobs.compare_exchange(seen, seen - 1, Acquire, Relaxed).is_ok()
    }

    /// A lane's next step: a job, or sleep. Tells how the sleep ended, also if it did before it began.
    pub(super) fn step(&self, seat: &mut LaneSeat) -> Option<Rest> {
        if !seat.steps_aside() && self.pop() {
            seat.took();
            self.taken.fetch_add(1, Relaxed);
            return None;
        }
        seat.announce();
        let cancelled = if self.has_jobs() { seat.cancel() } else { None };
        Some(cancelled.unwrap_or_else(|| seat.block()))
    }

    /// Whether there is something to take.
    pub(super) fn has_jobs(&self) -> bool {
        self.jobs.load(Acquire) > 0
    }

    /// A lane that works until the roster is closed.
    fn lane(&self, seat: &mut LaneSeat) {
        while self.step(seat) != Some(Rest::Closed) {}
    }

    /// Has lanes announce themselves, on a thread that ends: parked, without taking part.
    pub(super) fn park(seats: Vec<LaneSeat>) -> Vec<LaneSeat> {
        let parking = thread::spawn(move || {
            let mut seats = seats;
            seats.iter_mut().for_each(LaneSeat::announce);
            seats
        });
        parking.join().unwrap()
    }
}

/// A job that is pushed while the only lane parks is not left lying.
pub(super) fn wakes_a_lane_that_parks() {
    let worker = Worker::new(1);
    let lane = working_lane(&worker);
    worker.push();
    lane.join().unwrap();
}

/// A lane that takes one job and ends.
fn working_lane(worker: &Arc<Worker>) -> thread::JoinHandle<()> {
    let (worker, mut seat) = (worker.clone(), worker.roster.seat());
    thread::spawn(move || {
        while worker.taken.load(Relaxed) == 0 {
            worker.step(&mut seat);
        }
    })
}

/// A lane that was called sees what it was called for when it first looks.
pub(super) fn called_lane_finds_its_message() {
    let roster = Roster::new(1);
    let (mut jobs, mut consumer) = ring(2);
    let mut seats = Worker::park(vec![roster.seat()]);
    let lane = thread::spawn({
        let roster = roster.clone();
        // The lane does not park, as being unparked would order it after the reactor.
        move || {
            while roster.called() == 0 {
                thread::yield_now();
            }
            assert_eq!(seats[0].block(), Rest::Called);
            assert_eq!(consumer.pop(), Some(Box::new(1)));
        }
    });
    jobs.push(Box::new(1)).unwrap();
    assert!(roster.notify());
    lane.join().unwrap();
}

/// Two reactors that push at once wake one lane, since the second knows of the first.
pub(super) fn calls_one_lane_for_two_reactors() {
    let roster = Roster::new(2);
    let seats = Worker::park(vec![roster.seat(), roster.seat()]);
    let other = thread::spawn({
        let roster = roster.clone();
        move || roster.notify()
    });
    let woken = [roster.notify(), other.join().unwrap()];
    assert_eq!(woken.iter().filter(|woken| **woken).count(), 1);
    assert_eq!((roster.called(), roster.free()), (1, 2));
    drop(seats);
}

/// Two reactors that suspect the same lane wake one other, and both know that help is coming.
pub(super) fn calls_one_lane_for_one_suspicion() {
    let roster = Roster::new(3);
    let stuck = roster.seat();
    let seats = Worker::park(vec![roster.seat(), roster.seat()]);
    let seen = roster.progress();
    let other = thread::spawn({
        let roster = roster.clone();
        move || roster.suspect(seen)
    });
    assert!(roster.suspect(seen));
    assert!(other.join().unwrap());
    assert_eq!((roster.called(), roster.free()), (1, 2));
    drop((stuck, seats));
}

/// A reactor whose suspicion is old does not mark a lane that was called meanwhile and has taken
/// its first message.
pub(super) fn sees_that_a_called_lane_arrived() {
    let roster = Roster::new(3);
    let stuck = roster.seat();
    let mut seats = Worker::park(vec![roster.seat(), roster.seat()]);
    let seen = roster.progress();
    assert!(roster.suspect(seen));
    let other = thread::spawn({
        let roster = roster.clone();
        move || assert!(roster.suspect(seen))
    });
    seats[0].took();
    other.join().unwrap();
    assert_eq!((roster.called(), roster.free()), (0, 2));
    drop((stuck, seats));
}

/// A lane that is suspected comes back at that moment: whoever takes the job, it is taken, once, and
/// all lanes find their rest.
pub(super) fn suspicion_races_with_return() {
    let worker = Worker::new(2);
    let lanes = [worker.roster.seat(), worker.roster.seat()].map(|mut seat| {
        let worker = worker.clone();
        thread::spawn(move || {
            while worker.step(&mut seat) != Some(Rest::Closed) {
                if worker.taken.load(Relaxed) == 1 {
                    worker.roster.close();
                }
            }
        })
    });
    worker.push();
    worker.roster.suspect(0);
    lanes.into_iter().for_each(|lane| lane.join().unwrap());
    assert_eq!((worker.taken.load(Relaxed), worker.roster.free()), (1, 0));
}

/// A job that was left to a lane which goes without looking falls to another.
pub(super) fn lane_that_leaves_calls_another() {
    let worker = Worker::new(2);
    let leaver = worker.roster.seat();
    let lane = working_lane(&worker);
    let leaving = thread::spawn(move || drop(leaver));
    worker.push();
    leaving.join().unwrap();
    lane.join().unwrap();
}

/// A lane that parks while the roster closes does not sleep for ever.
pub(super) fn close_wakes_a_lane_that_parks() {
    let worker = Worker::new(1);
    let mut seat = worker.roster.seat();
    let lane = thread::spawn({
        let worker = worker.clone();
        move || worker.lane(&mut seat)
    });
    worker.roster.close();
    lane.join().unwrap();
    assert_eq!(worker.roster.free(), 0);
}

/// A lane that parks while a reactor takes its job back is not left lying when the next one comes.
pub(super) fn taking_back_takes_no_wake_up() {
    let roster = Roster::new(1);
    let (mut jobs, mut consumer) = ring::<Box<usize>>(2);
    let mut seat = roster.seat();
    let lane = thread::spawn(move || {
        loop {
            if let Some(job) = consumer.pop() {
                seat.took();
                return *job;
            }
            seat.announce();
            if !consumer.is_empty() {
                seat.cancel();
                continue;
            }
            seat.block();
        }
    });
    jobs.push(Box::new(1)).unwrap();
    roster.notify();
    let back = jobs.take_back();
    if back.is_some() {
        jobs.push(Box::new(2)).unwrap();
        roster.notify();
    }
    assert_eq!(lane.join().unwrap(), if back.is_some() { 2 } else { 1 });
}

/// A lane that retires without ever having slept, while the roster closes, does not sleep for ever.
pub(super) fn close_wakes_a_lane_that_retires() {
    let roster = Roster::new(1);
    let mut seat = roster.seat();
    let lane = thread::spawn(move || assert_eq!(seat.retire(), Rest::Closed));
    roster.close();
    lane.join().unwrap();
    assert_eq!(roster.free(), 0);
}

/// A lane that has retired without ever having slept is woken when it is recalled.
pub(super) fn recall_wakes_a_lane_that_retires() {
    let roster = Roster::new(1);
    let mut seat = roster.seat();
    let lane = thread::spawn(move || assert_eq!(seat.retire(), Rest::Called));
    while !roster.recall() {
        thread::yield_now();
    }
    lane.join().unwrap();
}

/// Of two that recall the one lane that has retired, one does.
pub(super) fn recalls_each_lane_once() {
    let roster = Roster::new(2);
    let mut seat = roster.seat();
    let lane = thread::spawn(move || seat.retire());
    let other = thread::spawn({
        let roster = roster.clone();
        move || roster.recall()
    });
    let recalled = [roster.recall(), other.join().unwrap()];
    assert!(recalled != [true, true]);
    roster.close();
    let rest = lane.join().unwrap();
    // Recalled just before the end, it may see either first.
    assert!(rest == Rest::Closed || recalled.contains(&true));
}

/// A job that was left to a lane which retires falls to another.
pub(super) fn lane_that_retires_calls_another() {
    let worker = Worker::new(2);
    let mut leaver = worker.roster.seat();
    let lane = working_lane(&worker);
    let leaving = thread::spawn(move || leaver.retire());
    worker.push();
    lane.join().unwrap();
    worker.roster.close();
    assert_eq!(leaving.join().unwrap(), Rest::Closed);
}

/// A lane that is recalled as the roster closes finds its rest all the same.
pub(super) fn recall_races_with_close() {
    let worker = Worker::new(1);
    let mut seat = worker.roster.seat();
    let lane = thread::spawn({
        let worker = worker.clone();
        move || {
            if seat.retire() == Rest::Called {
                worker.lane(&mut seat);
            }
        }
    });
    let recalling = thread::spawn({
        let worker = worker.clone();
        move || worker.roster.recall()
    });
    worker.roster.close();
    recalling.join().unwrap();
    lane.join().unwrap();
    assert_eq!(worker.roster.free(), 0);
}

/// A lane that would be the reserve, beside one that was chosen and now begins to carry a reactor,
/// takes the job that comes at that moment.
pub(super) fn reserve_is_called_when_another_lane_carries() {
    let worker = Worker::new(2);
    worker.roster.vacate();
    let mut chosen = Worker::park(vec![worker.roster.seat()]);
    assert!(worker.roster.choose());
    let lane = working_lane(&worker);
    let other = thread::spawn({
        let worker = worker.clone();
        move || worker.push()
    });
    chosen[0].begin_carrying();
    other.join().unwrap();
    lane.join().unwrap();
}

/// Two lanes that both would be the reserve: one stays parked, and the other takes the job.
pub(super) fn one_lane_is_the_reserve() {
    let worker = Worker::new(2);
    worker.roster.vacate();
    worker.push();
    let lanes = [worker.roster.seat(), worker.roster.seat()].map(|mut seat| {
        let worker = worker.clone();
        thread::spawn(move || {
            while worker.step(&mut seat) != Some(Rest::Closed) {
                if worker.taken.load(Relaxed) == 1 {
                    worker.roster.close();
                }
            }
        })
    });
    lanes.into_iter().for_each(|lane| lane.join().unwrap());
    assert_eq!(worker.taken.load(Relaxed), 1);
}
