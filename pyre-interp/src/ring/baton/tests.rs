//! Who has the value, step by step, and whom that wakes.

use super::*;

#[test]
fn who_leaves_comes_back_unless_the_keeper_was_first() {
    let baton = Baton::new();
    let mut hold = baton.begin(Box::new(1));
    *hold += 1;
    let away = hold.leave();
    let seen = baton.glance();
    assert!(seen.is_away());
    let hold = away.back().unwrap();
    // What was seen is over, though the lane is away again.
    let away = hold.leave();
    assert!(baton.take(seen).is_none());
    let taken = baton.take(baton.glance()).unwrap();
    assert!(away.back().is_none());
    assert_eq!(*taken, 2);
}

#[test]
fn an_offer_is_accepted_or_withdrawn() {
    let baton = Baton::new();
    let hold = baton.begin(Box::new(1));
    assert!(baton.accept().is_none() && baton.reclaim().is_none());
    hold.offer();
    assert!(baton.glance().is_offered());
    let hold = baton.accept().unwrap();
    assert!(baton.withdraw().is_none());
    hold.give_back();
    baton.doze(Duration::MAX);
    baton.sleep();
    let hold = baton.reclaim().unwrap();
    hold.offer();
    assert_eq!(baton.withdraw().map(|hold| *hold), Some(1));
}

#[test]
fn who_is_woken_for_what_is_over_dozes_on() {
    const PAUSE: Duration = Duration::from_millis(5);
    let baton = Baton::new();
    let hold = baton.begin(Box::new(1));
    // It comes home while the keeper does not doze.
    hold.give_back();
    let hold = baton.reclaim().unwrap();
    hold.offer();
    let began = Instant::now();
    baton.doze(PAUSE);
    assert!(began.elapsed() >= PAUSE);
}

#[test]
#[should_panic(expected = "only the keeper waits for a baton")]
fn nobody_else_waits_for_it() {
    let baton = Baton::new();
    let keeper = baton.clone();
    let _hold = thread::spawn(move || keeper.begin(Box::new(1))).join().unwrap();
    baton.sleep();
}

#[test]
fn the_value_is_dropped_once_wherever_it_is() {
    type End = fn(Hold<Arc<()>>);
    let ends: [End; 5] = [
        drop,
        |hold| drop(hold.leave()),
        |hold| hold.offer(),
        |hold| hold.give_back(),
        |hold| {
            let baton = hold.baton.clone();
            let away = hold.leave();
            drop(baton.take(baton.glance()));
            assert!(away.back().is_none());
        },
    ];
    for end in ends {
        let value = Arc::new(());
        end(Baton::new().begin(Box::new(value.clone())));
        assert_eq!(Arc::strong_count(&value), 1);
    }
}
