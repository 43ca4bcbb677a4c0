//! Models of the ring. It has two slots, so that three items wrap around.

use crate::ring::{
    Consumer, Producer,
    spsc::ring,
    sync::{Arc, AtomicUsize, thread},
};
use std::{iter, sync::atomic::Ordering::Relaxed};

/// An item that counts how many of its kind were dropped. Its place on the heap belongs to loom, so
/// a lost one shows as a leak.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// The ring with items 0 and 1 inside.
fn full_ring() -> (Producer<Box<usize>>, Consumer<Box<usize>>) {
    let (mut producer, consumer) = ring(2);
    (0..2).for_each(|item| producer.push(Box::new(item)).unwrap());
    (producer, consumer)
}

fn pop(consumer: &mut Consumer<Box<usize>>) -> Option<usize> {
    consumer.pop().map(|item| *item)
}

fn take_back(producer: &mut Producer<Box<usize>>) -> Option<usize> {
    producer.take_back().map(|item| *item)
}

/// Each of `0..pushed` came out once, and each side got its own in order.
fn check_shares(pushed: usize, popped: &[usize], taken_back: &[usize]) {
    assert!(popped.is_sorted() && taken_back.is_sorted(), "{popped:?} and {taken_back:?}");
    let mut all = [popped, taken_back].concat();
    all.sort_unstable();
    assert_eq!(all, (0..pushed).collect::<Vec<_>>());
}

/// Items come out as they went in, whole, each once; a full ring gives the item back.
pub(super) fn keeps_order_and_reuses_slots() {
    let (mut producer, mut consumer) = ring::<Box<usize>>(2);
    let pushing = thread::spawn(move || {
        let mut push = |item| producer.push(Box::new(item)).map_err(|full| *full.0);
        let outcomes = [push(0), push(1), push(2)];
        assert_eq!(outcomes[..2], [Ok(()), Ok(())]);
        assert!(matches!(outcomes[2], Ok(()) | Err(2)));
        if outcomes[2].is_ok() { 3 } else { 2 }
    });
    let mut popped: Vec<_> = (0..2).filter_map(|_| pop(&mut consumer)).collect();
    let pushed = pushing.join().unwrap();
    popped.extend(iter::from_fn(|| pop(&mut consumer)));
    assert_eq!(popped, (0..pushed).collect::<Vec<_>>());
}

/// Items that the producer takes back while the consumer pops go to one of the two, each in order.
pub(super) fn gives_each_item_to_one_side() {
    let (mut producer, mut consumer) = full_ring();
    let popping = thread::spawn(move || {
        let popped: Vec<_> = (0..2).filter_map(|_| pop(&mut consumer)).collect();
        (popped, consumer)
    });
    let back: Vec<_> = (0..2).filter_map(|_| take_back(&mut producer)).collect();
    let (popped, consumer) = popping.join().unwrap();
    // However four tries for two items meet, nothing is left.
    check_shares(2, &popped, &back);
    assert!(producer.is_empty() && consumer.is_empty());
}

/// A slot that was taken back is filled again while the consumer may still be reading it; one that
/// the consumer left, only after it was read, even if the producer moved the head meanwhile.
pub(super) fn refills_what_it_took_back() {
    let (mut producer, mut consumer) = full_ring();
    let popping = thread::spawn(move || {
        let popped: Vec<_> = (0..2).filter_map(|_| pop(&mut consumer)).collect();
        (popped, consumer)
    });
    let mut back = Vec::from_iter(take_back(&mut producer));
    let mut pushed = 2;
    while pushed < 4 && producer.push(Box::new(pushed)).is_ok() {
        pushed += 1;
    }
    back.extend(take_back(&mut producer));
    let (mut popped, mut consumer) = popping.join().unwrap();
    popped.extend(iter::from_fn(|| pop(&mut consumer)));
    check_shares(pushed, &popped, &back);
}

/// A consumer whose copies of the indices are behind by more than the ring holds takes no item twice,
/// and takes the ring for empty only if it is.
pub(super) fn catches_up_from_far_behind() {
    let (mut producer, mut consumer) = full_ring();
    // It knows the tail as it is now.
    assert_eq!(pop(&mut consumer), Some(0));
    let pushing = thread::spawn(move || {
        let mut back = Vec::from_iter(take_back(&mut producer));
        for item in 2..4 {
            producer.push(Box::new(item)).unwrap();
            back.extend(take_back(&mut producer));
        }
        back
    });
    let mut popped = vec![0];
    popped.extend(pop(&mut consumer));
    let was_empty = consumer.is_empty();
    let back = pushing.join().unwrap();
    popped.extend(iter::from_fn(|| pop(&mut consumer)));
    check_shares(4, &popped, &back);
    assert!(consumer.is_empty(), "full, though it was {was_empty} that it is empty");
}

/// What is left inside is dropped, once, by whichever side goes last.
pub(super) fn drops_every_item_once() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let (mut producer, mut consumer) = ring(2);
    let counter = dropped.clone();
    let pushing = thread::spawn(move || {
        for _ in 0..3 {
            // A refused item comes back in the error and is dropped here.
            let _ = producer.push(Box::new(Counted(counter.clone())));
        }
        drop(producer.take_back());
    });
    drop(consumer.pop());
    drop(consumer);
    pushing.join().unwrap();
    assert_eq!(dropped.load(Relaxed), 3);
}

/// A producer whose consumer is gone knows what is left, and gets it back.
pub(super) fn gives_back_what_a_consumer_left() {
    let (mut producer, mut consumer) = full_ring();
    let popping = thread::spawn(move || {
        assert!(matches!(pop(&mut consumer), Some(0 | 1)));
    });
    if producer.is_abandoned() {
        assert_eq!(producer.len(), 1);
        producer.push(Box::new(2)).unwrap();
        let left = [(); 3].map(|()| take_back(&mut producer));
        assert_eq!(left, [Some(1), Some(2), None]);
    } else {
        // The consumer gets the other one.
        assert!(matches!(take_back(&mut producer), Some(0 | 1)));
    }
    popping.join().unwrap();
}

/// A consumer that sees its producer gone has every item before it sees `None`.
pub(super) fn ends_after_the_last_item() {
    let (mut producer, mut consumer) = ring(2);
    let pushing = thread::spawn(move || {
        (0..2).for_each(|item| producer.push(Box::new(item)).unwrap());
    });
    if consumer.is_abandoned() {
        let popped = [(); 3].map(|()| pop(&mut consumer));
        assert_eq!(popped, [Some(0), Some(1), None]);
    }
    pushing.join().unwrap();
}
