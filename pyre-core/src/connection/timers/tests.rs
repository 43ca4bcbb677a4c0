//! Alarms that go off once, and in time: against a plain map of them.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn expired(timers: &mut Timers, now_ms: u64) -> Vec<(u32, u32)> {
    let mut expired = Vec::new();
    timers.expire(now_ms, |key, generation| expired.push((key, generation)));
    expired.sort_unstable();
    expired
}

#[test]
fn fires_once_with_the_generation_last_armed() {
    let mut timers = Timers::new(100);
    timers.arm(3, 7, 250);
    timers.arm(1, 1, 250);
    timers.arm(3, 8, 260);
    assert_eq!(timers.next_deadline_ms(), Some(300));
    assert_eq!(expired(&mut timers, 299), []);
    assert_eq!(expired(&mut timers, 300), [(1, 1), (3, 8)]);
    assert_eq!(expired(&mut timers, 100_000), []);
    assert_eq!(timers.next_deadline_ms(), None);
}

#[test]
fn disarmed_or_moved_entries_do_not_fire() {
    let mut timers = Timers::new(100);
    timers.arm(0, 0, 1000);
    timers.disarm(0);
    timers.disarm(9);
    timers.arm(1, 0, 1000);
    timers.arm(1, 0, 5000);
    timers.arm(2, 0, 90_000);
    timers.arm(2, 0, 500);
    assert_eq!(expired(&mut timers, 1000), [(2, 0)]);
    assert_eq!(expired(&mut timers, 4999), []);
    assert_eq!(expired(&mut timers, 5000), [(1, 0)]);
    assert_eq!(timers.next_deadline_ms(), None);
}

#[test]
fn deadlines_beyond_the_wheel_and_pauses_longer_than_it() {
    let mut timers = Timers::new(100);
    timers.arm(0, 0, 75_000);
    assert!(timers.next_deadline_ms().unwrap() <= 75_000);
    assert_eq!(expired(&mut timers, 74_999), []);
    assert_eq!(timers.next_deadline_ms(), Some(75_000));
    assert_eq!(expired(&mut timers, 75_000), [(0, 0)]);
    timers.arm(0, 1, 80_000);
    timers.arm(1, 1, 1_000_100);
    assert_eq!(expired(&mut timers, 1_000_000), [(0, 1)]);
    assert_eq!(expired(&mut timers, 1_000_100), [(1, 1)]);
    timers.arm(0, 2, 5);
    assert_eq!(expired(&mut timers, 1_000_200), [(0, 2)], "past already: with the next tick");
}

#[test]
fn arming_a_known_key_again_keeps_the_memory() {
    let mut timers = Timers::new(100);
    timers.arm(99, 0, 1000);
    let capacity = timers.entries.capacity();
    for now in 0..100_000 {
        timers.arm(now as u32 % 100, 0, now + 30_000);
        timers.expire(now, |_, _| panic!("always moved away in time"));
    }
    assert_eq!(timers.entries.capacity(), capacity);
}

#[derive(Clone, Debug)]
enum Step {
    Arm { key: u32, after_ms: u64 },
    Disarm { key: u32 },
    Advance { by_ms: u64 },
    AdvanceToNext,
}

fn step() -> impl Strategy<Value = Step> {
    let after_ms = prop_oneof![0..20_u64, 0..800_u64, 0..20_000_u64];
    prop_oneof![
        4 => (0..12_u32, after_ms).prop_map(|(key, after_ms)| Step::Arm { key, after_ms }),
        1 => (0..12_u32).prop_map(|key| Step::Disarm { key }),
        2 => prop_oneof![0..30_u64, 0..12_000_u64].prop_map(|by_ms| Step::Advance { by_ms }),
        2 => Just(Step::AdvanceToNext),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn agrees_with_a_map(steps in prop::collection::vec(step(), 1..200), start in 0..10_000_u64) {
        const GRANULARITY_MS: u64 = 10;
        let mut timers = Timers::new(GRANULARITY_MS);
        let mut now_ms = start;
        timers.expire(now_ms, |_, _| panic!("nothing is armed"));
        let mut armed = BTreeMap::new();
        for (generation, step) in (0..).zip(steps) {
            match step {
                Step::Arm { key, after_ms } => {
                    timers.arm(key, generation, now_ms + after_ms);
                    armed.insert(key, (generation, now_ms + after_ms));
                    continue;
                }
                Step::Disarm { key } => {
                    timers.disarm(key);
                    armed.remove(&key);
                    continue;
                }
                Step::Advance { by_ms } => now_ms += by_ms,
                Step::AdvanceToNext => {
                    let next_ms = timers.next_deadline_ms();
                    if let Some(first) = armed.values().map(|(_, deadline)| *deadline).min() {
                        let next_tick = now_ms / GRANULARITY_MS + 1;
                        let latest = first.div_ceil(GRANULARITY_MS).max(next_tick);
                        prop_assert!(next_ms.unwrap() <= latest * GRANULARITY_MS);
                    }
                    now_ms = next_ms.unwrap_or(now_ms);
                }
            }
            let mut fired = Vec::new();
            let tick_before = timers.tick;
            timers.expire(now_ms, |key, generation| fired.push((key, generation)));
            for (key, generation) in fired {
                let (expected, deadline_ms) = armed.remove(&key).unwrap();
                prop_assert_eq!(generation, expected);
                prop_assert!(deadline_ms <= now_ms);
            }
            let tick = now_ms / GRANULARITY_MS;
            for (_, deadline_ms) in armed.values() {
                let was_past = deadline_ms.div_ceil(GRANULARITY_MS) <= tick_before;
                let late = *deadline_ms <= tick * GRANULARITY_MS;
                prop_assert!(!late || (was_past && tick == tick_before));
            }
        }
    }
}
