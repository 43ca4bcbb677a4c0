//! A ring whose both ends take items out at once.

use super::Dice;
use crate::ring::{Full, Producer, ring};
use std::thread;

/// What each producer pushes that also takes back.
const ITEMS: u64 = if cfg!(miri) { 300 } else { 300_000 };

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
