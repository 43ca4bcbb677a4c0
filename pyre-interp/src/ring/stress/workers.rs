//! Reactors and the lanes of one worker, with rings, bells and a roster: a lost wake-up, or a lost job,
//! leaves somebody waiting, which a deadline ends.

use super::{BURST, DEADLINE, Ends, LANES};
use crate::ring::{Consumer, Doorbell, LaneSeat, Producer, Rest, Roster, ring};
use parking_lot::Mutex;
use std::{
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

const JOBS: usize = if cfg!(miri) { 40 } else { 20_000 };
const REACTORS: usize = 2;

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
