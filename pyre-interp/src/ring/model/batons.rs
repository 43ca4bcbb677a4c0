//! Models of the baton alone: who has the value, and who is woken for it. A lane's time in Python is
//! any moment between leaving and coming back.

use super::lanes::Worker;
use crate::ring::{
    baton::{Baton, Hold},
    roster::{LaneSeat, Rest, Roster},
    sync::{AtomicUsize, thread},
};
use loom::cell::UnsafeCell;
use std::{
    sync::{
        Arc,
        atomic::{self, Ordering::Relaxed},
    },
    time::Duration,
};

/// What travels. Loom sees a race, if one who has it, or drops it, is not ordered after the one before.
pub(super) struct Value<T = ()> {
    witness: UnsafeCell<()>,
    steps: usize,
    pub(super) inside: T,
    drops: Drops,
}

/// How many values were dropped. Not known to loom, which would take it for a way to order things.
#[derive(Clone, Default)]
pub(super) struct Drops(Arc<atomic::AtomicUsize>);

impl Drops {
    /// A value that is counted here, on its way.
    fn value<T: Send>(&self, inside: T) -> (Arc<Baton<Value<T>>>, Hold<Value<T>>) {
        let baton = Baton::new();
        let hold = self.begin(&baton, inside);
        (baton, hold)
    }

    pub(super) fn begin<T: Send>(&self, baton: &Arc<Baton<Value<T>>>, inside: T) -> Hold<Value<T>> {
        let value = Value { witness: UnsafeCell::new(()), steps: 0, inside, drops: self.clone() };
        baton.begin(Box::new(value))
    }

    /// The value is gone, now that the last of its batons is. What that does, the standard library's
    /// `Arc` orders after all else; loom does not know of it, so all threads have ended.
    pub(super) fn check<T>(&self, last: Arc<Baton<Value<T>>>) {
        assert_eq!(Arc::strong_count(&last), 1);
        drop(last);
        assert_eq!(self.0.load(Relaxed), 1, "the value is dropped once");
    }
}

impl<T> Value<T> {
    /// Does something with the value. Tells how often that was done.
    pub(super) fn step(&mut self) -> usize {
        self.witness.with_mut(|_| ());
        self.steps += 1;
        self.steps
    }
}

impl<T> Drop for Value<T> {
    fn drop(&mut self) {
        self.witness.with_mut(|_| ());
        self.drops.0.fetch_add(1, Relaxed);
    }
}

/// A lane comes back while the keeper takes the value: one of them has it, and sees what was done with
/// it before.
pub(super) fn goes_to_the_lane_or_to_the_keeper() {
    let drops = Drops::default();
    let (baton, mut hold) = drops.value(());
    let keeper = thread::spawn({
        let baton = baton.clone();
        move || baton.take(baton.glance()).map(|mut hold| hold.step())
    });
    hold.step();
    let back = hold.leave().back().map(|mut hold| hold.step());
    let taken = keeper.join().unwrap();
    assert!(matches!((back, taken), (Some(2), None) | (None, Some(2))), "{back:?}, {taken:?}");
    drops.check(baton);
}

/// Whoever sees that a lane is away sees what that one wrote down before, such as which lane it is.
pub(super) fn shows_who_is_away() {
    let (baton, hold) = Drops::default().value(());
    let carrier = Arc::new(AtomicUsize::new(0));
    let keeper = thread::spawn({
        let (baton, carrier) = (baton.clone(), carrier.clone());
        move || assert!(!baton.glance().is_away() || carrier.load(Relaxed) == 1)
    });
    carrier.store(1, Relaxed);
    drop(hold.leave());
    keeper.join().unwrap();
}

/// What the keeper has seen away is not taken once the lane has been back, though it is away again.
pub(super) fn takes_nothing_for_an_old_glance() {
    let drops = Drops::default();
    let (baton, hold) = drops.value(());
    let mut away = hold.leave();
    let seen = baton.glance();
    let lane = thread::spawn(move || {
        for errand in 1..=2 {
            let Some(mut hold) = away.back() else { return errand };
            hold.step();
            away = hold.leave();
        }
        3
    });
    // Steps that had been done when it was taken.
    let taken = baton.take(seen).map(|hold| hold.steps);
    let errand = lane.join().unwrap();
    assert!(matches!((taken, errand), (Some(0), 1) | (None, 3)), "{taken:?}, errand {errand}");
    drops.check(baton);
}

/// Two lanes come for what the keeper offers, wants back, and offers again: each time one of the three
/// has it, and a lane that is late for the first offer may have the second.
pub(super) fn goes_to_one_who_accepts_or_back() {
    let drops = Drops::default();
    let (baton, mut hold) = drops.value(());
    let lanes = [(); 2].map(|()| {
        let baton = baton.clone();
        thread::spawn(move || {
            let Some(mut hold) = baton.accept() else { return 0 };
            hold.step();
            drop(hold.leave());
            1
        })
    });
    hold.step();
    hold.offer();
    let mut steps = 1;
    if let Some(mut hold) = baton.withdraw() {
        steps = hold.step();
        hold.offer();
    }
    steps += lanes.map(|lane| lane.join().unwrap()).iter().sum::<usize>();
    let left = baton.withdraw().or_else(|| baton.take(baton.glance()));
    let mut hold = left.expect("nobody has it");
    assert_eq!(hold.step(), steps + 1);
    drop(hold);
    drops.check(baton);
}

/// A keeper that waits for the value sleeps no longer than until a lane lets go of it.
fn waits_for_a_lane(
    let_go: fn(Hold<Value>),
    have: fn(&Arc<Baton<Value>>) -> Option<Hold<Value>>,
    wait: fn(&Baton<Value>),
) {
    let drops = Drops::default();
    let (baton, mut hold) = drops.value(());
    let lane = thread::spawn(move || {
        hold.step();
        let_go(hold);
    });
    let mut hold = loop {
        match have(&baton) {
            Some(hold) => break hold,
            None => wait(&baton),
        }
    };
    assert_eq!(hold.step(), 2);
    drop(hold);
    lane.join().unwrap();
    drops.check(baton);
}

/// A keeper that dozes wakes when the value is returned, however long it meant to doze.
pub(super) fn return_wakes_a_keeper_that_dozes() {
    waits_for_a_lane(Hold::give_back, Baton::reclaim, |baton| baton.doze(Duration::MAX));
}

/// A keeper that sleeps wakes when the value is returned, and does not sleep again.
pub(super) fn return_wakes_a_keeper_that_sleeps() {
    waits_for_a_lane(Hold::give_back, Baton::reclaim, |baton| {
        baton.sleep();
        baton.sleep();
    });
}

/// A lane that leaves, and never comes back, wakes a keeper that goes to sleep at that moment.
pub(super) fn leaving_wakes_a_keeper_that_sleeps() {
    waits_for_a_lane(
        |hold| drop(hold.leave()),
        |baton| baton.take(baton.glance()),
        |baton| baton.sleep(),
    );
}

/// A lane that is chosen finds what was offered, if it has not been withdrawn.
fn chosen_lane_finds_the_offer(rest: fn(&mut LaneSeat) -> Option<Rest>) {
    let roster = Roster::new(1);
    let drops = Drops::default();
    let (baton, mut hold) = drops.value(());
    let mut seats = Worker::park(vec![roster.seat()]);
    let lane = thread::spawn({
        let (roster, baton) = (roster.clone(), baton.clone());
        // The lane does not park, as being unparked would order it after the keeper.
        move || {
            while roster.free() > 0 {
                thread::yield_now();
            }
            assert_eq!(rest(&mut seats[0]), Some(Rest::Chosen));
            let mut hold = baton.accept().expect("it was offered");
            assert_eq!(hold.step(), 2);
        }
    });
    hold.step();
    hold.offer();
    assert!(roster.choose());
    lane.join().unwrap();
    drops.check(baton);
}

/// A lane that has parked, or was about to.
pub(super) fn chosen_lane_that_parks_finds_the_offer() {
    chosen_lane_finds_the_offer(|seat| Some(seat.block()));
}

/// A lane that has found something to do after it announced itself.
pub(super) fn chosen_lane_that_cancels_finds_the_offer() {
    chosen_lane_finds_the_offer(LaneSeat::cancel);
}
