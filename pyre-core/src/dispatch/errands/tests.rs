//! Which jobs a reactor keeps for the lane that carries it, and what it learns of them. The lanes are
//! acted here.

use super::*;
use pyre_http::header::HeaderRange;
use pyre_http::message::{BodyFraming, Request};
use pyre_http::method::Method;
use pyre_http::span::Span;
use pyre_http::version::Version;
use pyre_interp::job::{Call, Pool, RouteId, Stint};
use pyre_interp::ring::LaneSeat;

const SHORT: Target = Target::Route(RouteId(0));
const ALSO_SHORT: Target = Target::Route(RouteId(1));
const LONG: Target = Target::Route(RouteId(2));

/// Errands of a reactor whose worker has lanes that look, and which knows two routes to be short.
fn errands(lanes: usize) -> (Errands, Vec<LaneSeat>) {
    let classes = Arc::new(Classes::new(&[true, true, true, false], 1, 1000));
    classes.note(SHORT, 5);
    classes.note(ALSO_SHORT, 5);
    let roster = Roster::new(lanes);
    roster.vacate();
    let seats = (0..lanes).map(|_| roster.seat()).collect();
    let lanes = CarryingLanes {
        roster,
        watches: (0..lanes).map(|_| Arc::default()).collect(),
        carrier: Arc::default(),
        waiting_max: 2,
    };
    (Errands::new(classes, lanes), seats)
}

fn job(targets: &[Target]) -> Box<Job> {
    let span = Span { start: 0, end: 0 };
    let request = Request {
        method: Method::Get,
        version: Version::Http11,
        keep_alive: true,
        expects_continue: false,
        method_span: span,
        target: span,
        path: span,
        query: span,
        host: span,
        headers: HeaderRange::default(),
        body: span,
        framing: BodyFraming::None,
    };
    let mut job = Job::new();
    let call = |&target| Entry::Call(Call::new(request, (0, 0), target, Pool::Workers));
    job.entries.extend(targets.iter().map(call));
    job
}

/// The lane runs a job of one call.
fn run(errands: &mut Errands, target: Target, took_us: u32) {
    errands.admit(job(&[target])).expect("it is short");
    let mut job = errands.next().expect("it waits for the lane");
    let running = errands.running.take().expect("it is being run");
    if job.is_timed {
        job.stints.push(Stint { target, took_us });
    }
    job.next = 1;
    errands.judge_errand(&mut job, running, u64::from(took_us), 1);
}

#[test]
fn the_lane_gets_what_is_short_up_to_the_first_call_that_is_not() {
    let check = |targets: &[Target], expected: Option<usize>| {
        let (mut errands, _seats) = errands(1);
        errands.is_carried = true;
        let until = errands.admit(job(targets)).ok().and_then(|()| errands.next());
        assert_eq!(until.map(|job| job.until), expected, "{targets:?}");
    };
    check(&[SHORT], Some(1));
    check(&[SHORT, ALSO_SHORT, SHORT], Some(3));
    check(&[SHORT, SHORT, LONG, SHORT], Some(2));
    check(&[LONG], None);
    check(&[LONG, SHORT], None);
    check(&[Target::Fallback], None);
}

#[test]
fn the_lane_gets_no_more_than_others_may_wait_for() {
    let (mut errands, _seats) = errands(1);
    errands.is_carried = true;
    let mut run = |took_us: u32, calls: usize| {
        (0..200).for_each(|_| errands.classes.note(SHORT, took_us));
        errands.admit(job(&vec![SHORT; calls])).expect("it is short");
        errands.next().expect("it waits for the lane").until
    };
    assert_eq!(run(0, 256), 256);
    assert_eq!(run(20, 64), 64);
    for took_us in [20, 100, SHORT_US] {
        let until = run(took_us, 256);
        // The mean is rounded up.
        let most = (ERRAND_US_MAX / took_us) as usize;
        assert!((most / 2..=most).contains(&until), "{until} calls of {took_us} us");
    }
}

#[test]
fn what_is_too_much_for_the_lane_goes_into_a_ring() {
    let (mut errands, _seats) = errands(1);
    errands.is_carried = true;
    let mut send = || errands.admit(job(&[SHORT])).is_ok();
    assert_eq!([send(), send(), send()], [true, true, false]);
    assert!(errands.next().is_some());
    assert!(errands.admit(job(&[SHORT])).is_ok());
}

#[test]
fn what_goes_into_a_ring_is_timed() {
    let (mut errands, _seats) = errands(1);
    for target in [SHORT, LONG] {
        let job = errands.admit(job(&[target])).expect_err("no lane has the reactor");
        assert!(job.is_timed);
        assert_eq!(job.until, usize::MAX);
    }
}

#[test]
fn a_lane_is_wanted_for_what_is_short_until_one_has_the_reactor() {
    let (mut errands, mut seats) = errands(1);
    assert!(errands.admit(job(&[LONG])).is_err());
    seats[0].announce();
    assert!(!errands.wants_lane());
    assert_eq!(seats[0].cancel(), None, "it is the reserve");
    assert!(errands.admit(job(&[SHORT])).is_err());
    // Turn after turn: who was offered the reactor may not have come.
    assert!(errands.wants_lane() && errands.wants_lane());
    errands.is_carried = true;
    assert!(!errands.wants_lane());
}

#[test]
fn a_lane_is_wanted_as_soon_as_one_is_free() {
    let (mut errands, mut seats) = errands(1);
    assert!(errands.admit(job(&[SHORT])).is_err());
    assert!(!errands.wants_lane());
    seats[0].announce();
    assert!(errands.wants_lane());
}

#[test]
fn while_no_lane_gets_on_nobody_else_waits_for_the_gil() {
    let (mut errands, mut seats) = errands(2);
    seats[0].announce();
    errands.stalled_at = Some(errands.pieces());
    assert!(errands.admit(job(&[SHORT])).is_err());
    assert!(!errands.wants_lane());
    errands.lanes.watches[1].begin_callbacks();
    assert!(errands.wants_lane());
}

#[test]
fn a_route_that_takes_long_is_found_out_beside_one_that_does_not() {
    let (mut errands, _seats) = errands(1);
    errands.is_carried = true;
    let turns = (1..1000).find(|_| {
        run(&mut errands, SHORT, 5);
        run(&mut errands, ALSO_SHORT, 2000);
        errands.classes.short_us(ALSO_SHORT).is_none()
    });
    assert!(turns.is_some_and(|turns| turns < 200), "{turns:?}");
    assert!(errands.classes.short_us(SHORT).is_some());
}

#[test]
fn time_that_a_lane_waits_is_no_handlers_fault() {
    let (mut errands, _seats) = errands(1);
    errands.is_carried = true;
    for _ in 0..1000 {
        errands.admit(job(&[SHORT])).expect("it is short");
        let mut job = errands.next().expect("it waits for the lane");
        let running = errands.running.take().expect("it is being run");
        if job.is_timed {
            job.stints.push(Stint { target: SHORT, took_us: 5 });
        }
        job.next = 1;
        errands.judge_errand(&mut job, running, 500, 1);
        assert!(errands.classes.short_us(SHORT).is_some());
    }
}
