//! What becomes of lanes, step by step.

use super::*;
use std::{sync::mpsc, thread, time::Duration};

/// What a wake-up may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(10);

fn seats<const COUNT: usize>(roster: &Arc<Roster>) -> [LaneSeat; COUNT] {
    [(); COUNT].map(|()| roster.seat())
}

/// The state of each lane, by its first letter.
fn check(roster: &Roster, expected: &str) {
    let states = States(roster.states.load(Relaxed));
    let state = |lane| match (states.is_looking(lane), states.is_parked(lane)) {
        (true, _) => 'l',
        (_, true) => 'p',
        _ if states.called() & 1 << lane != 0 => 'c',
        _ => 'b',
    };
    let lanes = roster.lanes.len() as u32;
    assert_eq!((0..lanes).map(state).collect::<String>(), expected);
    let free = expected.chars().filter(|state| *state != 'b').count();
    assert_eq!(roster.free(), free);
}

/// What ends the sleep of a lane that was called or chosen: it does not sleep.
fn rest(seat: &mut LaneSeat) -> Rest {
    let states = States(seat.roster.states.load(Relaxed));
    assert!(!states.is_parked(seat.lane), "lane {} would sleep", seat.lane);
    seat.block()
}

#[test]
fn a_push_wakes_one_lane_and_only_if_none_looks() {
    let roster = Roster::new(3);
    check(&roster, "bbb");
    assert!(!roster.notify());
    let [mut a, mut b, mut c] = seats(&roster);
    check(&roster, "lll");
    assert!(!roster.notify());
    a.announce();
    b.announce();
    assert!(!roster.notify());
    check(&roster, "ppl");
    c.announce();
    assert!(roster.notify());
    check(&roster, "cpp");
    assert!(!roster.notify());
    assert_eq!(a.block(), Rest::Called);
    a.took();
    check(&roster, "lpp");
    assert!(!roster.notify());
}

#[test]
fn a_suspicion_blocks_those_that_look_and_wakes_one() {
    let roster = Roster::new(3);
    let [mut a, mut b, mut c] = seats(&roster);
    b.announce();
    c.announce();
    a.took();
    let seen = roster.progress();
    assert!(roster.suspect(seen));
    check(&roster, "bcp");
    // Nobody else is woken while the called lane is on its way.
    assert!(roster.suspect(seen) && roster.suspect(seen));
    check(&roster, "bcp");
    b.took();
    // Somebody took something since.
    assert!(roster.suspect(seen));
    check(&roster, "blp");
    assert!(roster.suspect(roster.progress()));
    check(&roster, "bbc");
    c.took();
    assert!(!roster.suspect(roster.progress()));
    check(&roster, "bbb");
    assert!(!roster.suspect(roster.progress()) && !roster.notify());
    // Those that come back look again, or park and can be called.
    a.took();
    b.announce();
    check(&roster, "lpb");
    assert_eq!(roster.progress(), 4);
}

#[test]
fn a_lane_is_waking_alone_if_no_other_one_does_anything() {
    let roster = Roster::new(2);
    let [mut a, mut b] = seats(&roster);
    a.announce();
    b.announce();
    assert!(!roster.is_waking() && roster.is_idle());
    assert!(roster.notify());
    assert!(roster.is_waking() && !roster.is_idle());
    a.took();
    assert!(!roster.is_waking());
    // Called beside one that is blocked, it may have to wait for the GIL.
    assert!(roster.suspect(roster.progress()));
    check(&roster, "bc");
    assert!(!roster.is_waking());
}

#[test]
fn a_lane_that_finds_something_after_all_looks_on() {
    let roster = Roster::new(1);
    let mut seat = roster.seat();
    seat.announce();
    assert_eq!(seat.cancel(), Some(Rest::Called));
    check(&roster, "l");
    seat.announce();
    assert!(roster.notify());
    assert_eq!(seat.cancel(), Some(Rest::Called));
    check(&roster, "l");
    // The wake-up that it did not need does no harm later.
    seat.announce();
    check(&roster, "p");
    roster.close();
    assert_eq!(seat.block(), Rest::Closed);
}

#[test]
fn only_a_parked_lane_is_chosen_the_last_one_first() {
    let roster = Roster::new(4);
    assert!(!roster.choose());
    let [mut a, mut b, mut c, _looks] = seats(&roster);
    assert!(!roster.choose());
    check(&roster, "llll");
    for seat in [&mut a, &mut b, &mut c] {
        seat.announce();
    }
    assert!(roster.choose());
    check(&roster, "ppbl");
    // Whoever looks is blocked, and the first that is parked called.
    assert!(roster.suspect(roster.progress()));
    check(&roster, "cpbb");
    assert!(roster.choose());
    check(&roster, "cbbb");
    // Neither one that is called, nor one that was chosen or is blocked.
    assert!(!roster.choose() && !roster.has_parked());
    check(&roster, "cbbb");
    assert_eq!([&mut a, &mut b, &mut c].map(rest), [Rest::Called, Rest::Chosen, Rest::Chosen]);
    // What was chosen for was gone.
    b.look();
    c.announce();
    check(&roster, "clpb");
    assert!(roster.choose());
}

#[test]
fn a_choice_wakes_the_lane() {
    let roster = Roster::new(1);
    let mut seat = roster.seat();
    let (ended, rest) = mpsc::channel();
    thread::spawn(move || {
        seat.announce();
        ended.send(seat.block()).unwrap();
    });
    while !roster.choose() {
        thread::yield_now();
    }
    assert_eq!(rest.recv_timeout(DEADLINE), Ok(Rest::Chosen));
}

#[test]
fn a_lane_that_is_chosen_is_not_called() {
    let roster = Roster::new(2);
    let [mut a, mut b] = seats(&roster);
    b.announce();
    assert!(roster.choose());
    check(&roster, "lb");
    a.announce();
    assert!(roster.is_idle() && roster.notify());
    check(&roster, "cb");
    a.took();
    // Nobody is left for what comes while this one does not come back.
    assert!(!roster.suspect(roster.progress()) && !roster.notify());
    check(&roster, "bb");
}

#[test]
fn a_chosen_lane_that_looks_on_knows_of_it() {
    let roster = Roster::new(2);
    let [mut a, mut b] = seats(&roster);
    a.announce();
    b.announce();
    assert!(roster.choose());
    assert_eq!(b.cancel(), Some(Rest::Chosen));
    check(&roster, "pl");
    // What it is relied on to find falls to another if it goes, and only then.
    assert!(!roster.notify());
    b.begin_carrying();
    check(&roster, "cb");
    b.look();
    assert_eq!(a.cancel(), Some(Rest::Called));
    check(&roster, "ll");
    b.announce();
    assert!(roster.choose());
    b.begin_carrying();
    check(&roster, "lb");
}

#[test]
fn a_lane_that_carries_is_not_busy() {
    let roster = Roster::new(3);
    let [mut a, mut b, mut c] = seats(&roster);
    a.announce();
    b.announce();
    assert_eq!(roster.busy(), 1);
    assert!(roster.choose());
    assert_eq!((roster.busy(), rest(&mut b)), (2, Rest::Chosen));
    b.begin_carrying();
    assert_eq!(roster.busy(), 1);
    // Its handler takes long, and the reactor goes on without it.
    roster.vacate();
    assert_eq!(roster.busy(), 2);
    assert!(roster.choose());
    assert_eq!((roster.busy(), rest(&mut a)), (3, Rest::Chosen));
    a.begin_carrying();
    assert_eq!(roster.busy(), 2);
    c.announce();
    b.look();
    b.announce();
    assert_eq!((roster.busy(), roster.free()), (0, 2));
}

#[test]
fn the_last_lane_that_is_parked_is_kept_in_reserve() {
    let roster = Roster::new(3);
    let [mut a, mut b, mut c] = seats(&roster);
    roster.vacate();
    assert_eq!(roster.free(), 2);
    // None is left: the first that is about to take something parks, and stays so.
    assert!([&a, &b, &c].iter().all(|seat| seat.steps_aside()));
    a.announce();
    assert_eq!(a.cancel(), None);
    assert!(![&b, &c].iter().any(|seat| seat.steps_aside()));
    // It is neither called nor suspected.
    assert!(!roster.suspect(roster.progress()) && !roster.notify());
    assert_eq!((roster.free(), roster.has_parked(), roster.is_idle()), (0, true, false));
    // Beside another one it is called as ever, and need not stay.
    b.announce();
    assert!(roster.is_idle() && roster.notify() && !roster.notify());
    assert_eq!(rest(&mut a), Rest::Called);
    c.announce();
    assert_eq!(b.cancel(), Some(Rest::Called));
    // It is chosen, and is the reserve no more.
    assert!(roster.choose());
    assert_eq!((c.cancel(), roster.free()), (Some(Rest::Chosen), 2));
    c.begin_carrying();
    assert_eq!(roster.free(), 2);
    assert!(!a.steps_aside());
    a.announce();
    b.announce();
    assert!(roster.notify());
    assert_eq!([a.cancel(), b.cancel()], [Some(Rest::Called); 2]);
}

#[test]
fn the_reserve_is_called_for_what_was_left_when_another_lane_carries() {
    let roster = Roster::new(2);
    let [mut a, mut b] = seats(&roster);
    roster.vacate();
    b.announce();
    assert!(roster.choose());
    assert!(a.steps_aside());
    a.announce();
    assert_eq!(a.cancel(), None);
    assert!(!roster.notify());
    assert_eq!(rest(&mut b), Rest::Chosen);
    b.begin_carrying();
    assert_eq!(rest(&mut a), Rest::Called);
}

#[test]
fn a_closed_roster_keeps_no_reserve() {
    let roster = Roster::new(1);
    let mut seat = roster.seat();
    roster.vacate();
    roster.close();
    assert!(!seat.steps_aside());
    seat.announce();
    assert_eq!(seat.cancel(), Some(Rest::Called));
}

#[test]
fn a_lane_that_has_retired_is_not_busy_until_it_is_recalled() {
    let roster = Roster::new(2);
    let mut seat = roster.seat();
    assert_eq!(roster.busy(), 1);
    let lane = thread::spawn(move || (seat.retire(), seat));
    while roster.busy() > 0 {
        thread::yield_now();
    }
    assert_eq!((roster.free(), roster.seats_left()), (0, 1));
    assert!(roster.recall());
    assert!(!roster.recall());
    let (rest, _seat) = lane.join().unwrap();
    assert_eq!(rest, Rest::Called);
    assert_eq!((roster.busy(), roster.free()), (1, 1));
}

#[test]
fn a_lane_that_goes_leaves_its_call_to_another() {
    let roster = Roster::new(2);
    let [mut a, mut b] = seats(&roster);
    a.announce();
    b.announce();
    assert!(roster.notify());
    check(&roster, "cp");
    drop(a);
    check(&roster, "bc");
}

#[test]
fn a_closed_roster_lets_nobody_sleep() {
    let roster = Roster::new(LANES_MAX);
    let sleepers: Vec<_> = (0..LANES_MAX)
        .map(|_| {
            let mut seat = roster.seat();
            thread::spawn(move || {
                loop {
                    seat.announce();
                    if seat.block() == Rest::Closed {
                        return;
                    }
                }
            })
        })
        .collect();
    roster.close();
    sleepers.into_iter().for_each(|sleeper| sleeper.join().unwrap());
    assert_eq!(roster.free(), 0);
}

#[test]
#[should_panic(expected = "every lane has its seat")]
fn there_is_one_seat_for_each_lane() {
    let _seats: [LaneSeat; 3] = seats(&Roster::new(2));
}

#[test]
fn a_seat_stays_with_its_thread() {
    let mut seat = Roster::new(1).seat();
    seat.announce();
    seat.cancel();
    let moved = thread::spawn(move || seat.announce()).join();
    assert!(moved.is_err());
}

#[test]
fn a_seat_without_a_lane_is_given_back() {
    let roster = Roster::new(2);
    let first = roster.seat();
    for _ in 0..3 {
        roster.seat().give_back();
        assert_eq!(roster.seats_left(), 1);
    }
    // One that is not the last stays taken: the numbers of the others are theirs.
    let second = roster.seat();
    first.give_back();
    assert_eq!(roster.seats_left(), 0);
    drop(second);
}
