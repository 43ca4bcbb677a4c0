//! One reactor's dispatch with real rings and rosters. The lanes are acted here, and so is the clock.

use super::*;
use crate::dispatch::link::ARRIVAL_MS;
use pyre_interp::ring::{Consumer, LaneSeat, Producer, Roster, ring};

/// Rings hold as many.
const DEPTH: usize = 8;

/// The lanes of a worker, and its ends of this reactor's rings.
struct Worker {
    seats: Vec<LaneSeat>,
    jobs: Consumer<Box<Job>>,
    replies: Producer<Box<Job>>,
}

/// The first worker is home.
struct Scene {
    dispatch: Workers,
    workers: Vec<Worker>,
}

impl Scene {
    /// Each worker is given by what its lanes do, a letter each:
    /// - `p`: it is parked.
    /// - `l`: it counts as looking, and sits in a handler that another reactor has sent.
    /// - `b`: it sits in such a handler and is known to be blocked.
    /// - `c`: it has been called, and does not arrive. Only beside `b` and `p`.
    fn new(pool: Pool, workers: &[&str]) -> Self {
        let (links, workers) = workers.iter().map(|lanes| worker(pool, lanes)).unzip();
        Self { dispatch: Workers::new(links, 0, DEPTH), workers }
    }

    /// A turn that sends so many jobs.
    fn turn(&mut self, now_ms: u64, sent: usize) {
        for _ in 0..sent {
            let pool = self.dispatch.links[0].pool;
            self.dispatch.send(Job::new(), pool, now_ms).expect("there is room");
        }
        self.dispatch.notify(now_ms);
    }

    /// A lane takes the next job of this reactor, which must be that one in the order of all sent.
    fn take(&mut self, worker: usize, lane: usize, order: u64) -> Box<Job> {
        let Worker { seats, jobs, .. } = &mut self.workers[worker];
        let job = jobs.pop().expect("a job is in the ring");
        seats[lane].took();
        assert_eq!(job.order, order);
        job
    }

    /// A lane gives a job back, and the reactor gets it.
    fn answer(&mut self, worker: usize, job: Box<Job>) {
        self.workers[worker].replies.push(job).expect("a lane finds room for its reply");
        self.dispatch.take_reply().expect("a reply is there");
    }

    /// A lane that has found nothing to do sleeps.
    fn park(&mut self, worker: usize, lane: usize) {
        let Worker { seats, jobs, .. } = &mut self.workers[worker];
        seats[lane].announce();
        assert!(jobs.is_empty());
    }

    /// How many jobs each worker has queued, of how many lanes that are not known to be blocked; and
    /// how many wait for a free lane.
    fn shown(&self) -> String {
        let links = self.dispatch.links.iter();
        let mut shown: String =
            links.map(|link| format!("{}/{} ", link.jobs.len(), link.roster.free())).collect();
        let waiting = self.dispatch.waiting.iter().map(VecDeque::len).sum::<usize>();
        shown += &format!("+{waiting}");
        shown
    }
}

fn worker(pool: Pool, lanes: &str) -> (Link, Worker) {
    let roster = Roster::new(lanes.len());
    let mut seats: Vec<_> = lanes.chars().map(|_| roster.seat()).collect();
    assert!(!roster.suspect(roster.progress()), "all are blocked");
    for (letter, acts) in [
        ('c', LaneSeat::announce as fn(&mut LaneSeat)),
        ('p', LaneSeat::announce),
        ('l', LaneSeat::took),
    ] {
        for (seat, _) in seats.iter_mut().zip(lanes.chars()).filter(|(_, lane)| *lane == letter) {
            acts(seat);
            assert_eq!(letter == 'c', letter == 'c' && roster.notify());
        }
    }
    let (to_worker, jobs) = ring(DEPTH);
    let (replies, from_worker) = ring(DEPTH);
    let link = Link::new(to_worker, from_worker, roster, pool, lanes.len(), DEPTH);
    (link, Worker { seats, jobs, replies })
}

/// Sends so many jobs in the first of some turns, a millisecond each, in which no lane does anything.
fn check(workers: &[&str], sent: usize, expected: &[&str]) {
    check_in(Pool::Workers, workers, sent, expected);
}

fn check_in(pool: Pool, workers: &[&str], sent: usize, expected: &[&str]) {
    let mut scene = Scene::new(pool, workers);
    for (now_ms, expected) in expected.iter().enumerate() {
        scene.turn(now_ms as u64, if now_ms == 0 { sent } else { 0 });
        assert_eq!(scene.shown(), *expected, "{workers:?} with {sent} jobs after {now_ms} ms");
    }
}

#[test]
fn a_job_behind_the_work_of_another_reactor_goes_to_an_idle_worker() {
    check(&["l", "p"], 1, &["1/1 0/1 +0", "0/1 1/1 +0", "0/1 1/1 +0"]);
    check(&["lp", "pp"], 1, &["1/2 0/2 +0", "0/2 1/2 +0", "0/2 1/2 +0"]);
    check(&["ll", "l", "p"], 1, &["1/2 0/1 0/1 +0", "0/2 0/1 1/1 +0", "0/2 0/1 1/1 +0"]);
    // The lane that is idle stands beside one that is known to be blocked.
    check(&["lp", "bp"], 1, &["1/2 0/1 +0", "0/2 1/1 +0", "0/2 1/1 +0"]);
    // Someone has called a lane of it, which waits for the GIL.
    check(&["bc", "pp"], 1, &["1/1 0/2 +0", "0/1 1/2 +0", "0/1 1/2 +0"]);
    // All its lanes are known to be blocked: it does not even get the job.
    check(&["bb", "pp"], 1, &["0/0 1/2 +0", "0/0 1/2 +0"]);
}

#[test]
fn what_the_idle_worker_cannot_take_as_well_makes_the_home_worker_suspect() {
    check(&["lp", "p"], 2, &["2/2 0/1 +0", "1/1 1/1 +0", "1/1 1/1 +0"]);
    // The third waits behind the first: at home one job is enough for one lane that is left.
    check(&["lp", "p"], 3, &["3/2 0/1 +0", "1/1 2/1 +0", "1/1 2/1 +0"]);
    check(&["lp", "p", "p"], 3, &["3/2 0/1 0/1 +0", "1/1 1/1 1/1 +0"]);
    // No lane is left at home.
    check(&["l", "p"], 2, &["2/1 0/1 +0", "0/0 2/1 +0", "0/0 2/1 +0"]);
}

#[test]
fn a_worker_is_suspected_if_no_other_one_is_idle() {
    check(&["lp", "l"], 1, &["1/2 0/1 +0", "1/1 0/1 +0", "1/1 0/1 +0"]);
    // The lane that looks may be the blocked one's neighbour: one is called after the other.
    check(&["lpp"], 2, &["2/3 +0", "2/2 +0", "2/2 +0"]);
    // Whoever is known to be blocked is passed over, and all wait when all are. One stands in line.
    check(&["l", "l"], 1, &["1/1 0/1 +0", "0/0 1/1 +0", "1/0 0/0 +0", "1/0 0/0 +0"]);
    check(&["l", "b"], 3, &["3/1 0/0 +0", "1/0 1/0 +1", "1/0 1/0 +1"]);
}

#[test]
fn a_loop_that_is_stuck_is_passed_over() {
    let check = |workers: &[&str], expected: &[&str]| {
        check_in(Pool::WorkerLoops, workers, 1, expected);
    };
    check(&["l", "p"], &["1/1 0/1 +0", "0/0 1/1 +0", "0/0 1/1 +0"]);
    check(&["l", "l"], &["1/1 0/1 +0", "0/0 1/1 +0", "1/0 0/0 +0", "1/0 0/0 +0"]);
}

#[test]
fn a_loop_that_goes_on_is_home_again() {
    let mut scene = Scene::new(Pool::WorkerLoops, &["l", "p"]);
    scene.turn(0, 1);
    scene.turn(1, 0);
    let job = scene.take(1, 0, 1);
    scene.answer(1, job);
    scene.park(1, 0);
    // It steps coroutines, and takes nothing as there is nothing.
    scene.park(0, 0);
    scene.workers[0].seats[0].cancel();
    scene.turn(2, 1);
    assert_eq!(scene.shown(), "1/1 0/1 +0");
}

#[test]
fn a_lane_that_is_on_its_way_is_given_time() {
    // Nothing runs there. It may be the event loop that has the GIL, so not for ever.
    let stays = ["1/2 0/2 +0"; ARRIVAL_MS as usize];
    check(&["pp", "pp"], 1, &[&stays[..], &["0/2 1/2 +0"]].concat());
}

#[test]
fn two_workers_with_late_lanes_do_not_pass_a_job_on_for_ever() {
    let mut scene = Scene::new(Pool::Workers, &["bp", "bp"]);
    scene.turn(0, 1);
    assert_eq!(scene.shown(), "1/1 0/1 +0");
    scene.turn(1, 0);
    assert_eq!(scene.shown(), "0/1 1/1 +0");
    // Too late: the job has gone.
    scene.park(0, 1);
    for now_ms in 2..ARRIVAL_MS {
        scene.turn(now_ms, 0);
        assert_eq!(scene.shown(), "0/1 1/1 +0");
    }
    // The other lane does not get the GIL at all, it seems.
    scene.turn(ARRIVAL_MS, 0);
    assert_eq!(scene.shown(), "1/1 0/1 +0");
    scene.take(0, 1, 1);
}

#[test]
fn a_worker_that_was_late_gets_jobs_as_soon_as_it_has_taken_another_one() {
    let mut scene = Scene::new(Pool::Workers, &["bp", "bp"]);
    scene.turn(0, 1);
    scene.turn(1, 0);
    scene.workers[0].seats[1].took();
    scene.park(0, 1);
    scene.turn(2, 0);
    assert_eq!(scene.shown(), "1/1 0/1 +0");
}

#[test]
fn later_jobs_keep_away_from_a_home_worker_until_it_gets_on() {
    let parks: fn(&mut Scene) = |scene| scene.park(0, 0);
    let takes_from_another_reactor: fn(&mut Scene) = |scene| scene.workers[0].seats[0].took();
    for gets_on in [parks, takes_from_another_reactor] {
        let mut scene = Scene::new(Pool::Workers, &["lp", "p"]);
        scene.turn(0, 1);
        scene.turn(1, 0);
        for order in 1..=8 {
            assert_eq!(scene.shown(), "0/2 1/1 +0");
            let job = scene.take(1, 0, order);
            scene.answer(1, job);
            scene.park(1, 0);
            scene.turn(1 + order, 1);
        }
        let job = scene.take(1, 0, 9);
        scene.answer(1, job);
        scene.park(1, 0);
        gets_on(&mut scene);
        scene.turn(10, 1);
        assert_eq!(scene.shown(), "1/2 0/1 +0");
    }
}

#[test]
fn a_later_job_wakes_another_lane_at_home_if_the_idle_worker_is_idle_no_more() {
    let mut scene = Scene::new(Pool::Workers, &["lp", "p"]);
    scene.turn(0, 1);
    scene.turn(1, 0);
    scene.take(1, 0, 1);
    scene.turn(2, 1);
    assert_eq!(scene.shown(), "1/1 0/1 +0");
    // That lane does for home.
    for order in 2..10 {
        let job = scene.take(0, 1, order);
        scene.answer(0, job);
        scene.turn(1 + order, 1);
        assert_eq!(scene.shown(), "1/1 0/1 +0");
    }
}

#[test]
fn a_home_worker_that_gets_on_with_another_lane_is_home_again() {
    let mut scene = Scene::new(Pool::Workers, &["lpp", "p"]);
    scene.turn(0, 4);
    scene.turn(1, 0);
    assert_eq!(scene.shown(), "2/2 2/1 +0");
    let jobs = [1, 4].map(|order| scene.take(1, 0, order));
    jobs.into_iter().for_each(|job| scene.answer(1, job));
    scene.park(1, 0);
    // The next one keeps away as long as the lane that was called is on its way.
    scene.turn(1, 1);
    assert_eq!(scene.shown(), "2/2 1/1 +0");
    let job = scene.take(1, 0, 5);
    scene.answer(1, job);
    scene.park(1, 0);
    scene.take(0, 1, 2);
    scene.turn(2, 0);
    scene.turn(2, 1);
    assert_eq!(scene.shown(), "2/2 0/1 +0");
}

#[test]
fn a_job_comes_back_from_an_idle_worker_that_another_reactor_has_got_first() {
    let mut scene = Scene::new(Pool::Workers, &["lp", "p"]);
    scene.turn(0, 1);
    scene.turn(1, 0);
    scene.workers[1].seats[0].took();
    for (now_ms, expected) in [(2, "0/2 1/1 +0"), (3, "1/1 0/0 +0"), (4, "1/1 0/0 +0")] {
        scene.turn(now_ms, 0);
        assert_eq!(scene.shown(), expected, "after {now_ms} ms");
    }
    scene.take(0, 1, 1);
}

#[test]
fn what_comes_back_goes_out_again_with_the_oldest_first() {
    let mut scene = Scene::new(Pool::Workers, &["lp", "p"]);
    scene.turn(0, 5);
    scene.turn(1, 0);
    assert_eq!(scene.shown(), "1/1 4/1 +0");
    scene.take(0, 1, 2);
    for order in [1, 3, 4, 5] {
        scene.take(1, 0, order);
    }
}

#[test]
fn what_somebody_else_does_not_want_is_sent_again() {
    let mut scene = Scene::new(Pool::Workers, &["b", "b"]);
    scene.turn(0, 5);
    // One stands in line at each worker.
    scene.turn(1, 0);
    assert_eq!(scene.shown(), "1/0 1/0 +3");
    let mut offered = Vec::new();
    scene.dispatch.take_back(Pool::Workers, 1, |job| {
        offered.push(job.order);
        if job.order % 2 == 0 { Ok(()) } else { Err(job) }
    });
    assert_eq!(offered, [1, 2, 3, 4, 5]);
    assert_eq!(scene.shown(), "1/0 1/0 +1");
    assert_eq!(scene.dispatch.running(), 3);
    scene.take(0, 0, 1);
    scene.take(1, 0, 3);
}
