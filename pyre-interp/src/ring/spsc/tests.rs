//! The ring on one thread, and what crosses it whole on two.

use super::*;
use std::{fs, iter, rc::Rc, thread};

#[test]
fn keeps_order_around_every_capacity() {
    for capacity in [1, 2, 4, 64] {
        let (mut producer, mut consumer) = ring(capacity);
        let (mut pushed, mut popped) = (0..1000, 0..1000);
        // Fill and empty by steps that do not divide the capacity, so that it wraps everywhere.
        while !popped.is_empty() {
            for _ in 0..capacity.min(3) {
                let Some(item) = pushed.next() else { break };
                producer.push(Box::new(item)).unwrap();
            }
            assert_eq!(producer.is_empty(), consumer.is_empty());
            while let Some(item) = consumer.pop() {
                assert_eq!(Some(*item), popped.next());
            }
            assert!(producer.is_empty() && consumer.is_empty());
        }
    }
}

#[test]
fn a_full_ring_gives_the_item_back() {
    let (mut producer, mut consumer) = ring(2);
    let mut push = |item| producer.push(Box::new(item)).map_err(|full| *full.0);
    assert_eq!([1, 2, 3].map(&mut push), [Ok(()), Ok(()), Err(3)]);
    assert_eq!(consumer.pop().as_deref(), Some(&1));
    assert_eq!([3, 4].map(&mut push), [Ok(()), Err(4)]);
    assert_eq!((producer.len(), producer.capacity()), (2, 2));
    let popped: Vec<_> = iter::from_fn(|| consumer.pop()).collect();
    assert_eq!(popped, [2, 3].map(Box::new));
}

#[test]
#[should_panic(expected = "power of two")]
fn other_capacities_are_refused() {
    ring::<Box<u8>>(3);
}

#[test]
fn items_without_a_size_keep_their_count() {
    let (mut producer, mut consumer) = ring(2);
    assert_eq!([(); 3].map(|()| producer.push(Box::new(())).is_ok()), [true, true, false]);
    let taken = [consumer.pop(), producer.take_back(), consumer.pop()];
    assert_eq!(taken, [Some(Box::new(())), Some(Box::new(())), None]);
}

#[test]
fn indices_wrap_with_usize() {
    let (mut producer, mut consumer) = ring(2);
    let near_the_end = usize::MAX - 2;
    (producer.tail, producer.head_seen) = (near_the_end, near_the_end);
    (consumer.head, consumer.tail_seen) = (near_the_end, near_the_end);
    producer.shared.tail.index.store(near_the_end, Relaxed);
    producer.shared.head.index.store(near_the_end, Relaxed);
    for item in 0..8 {
        producer.push(Box::new(item)).unwrap();
        producer.push(Box::new(item + 100)).unwrap();
        assert!(producer.push(Box::new(0)).is_err());
        let popped = if item % 3 == 0 { consumer.pop() } else { producer.take_back() };
        assert_eq!((popped.as_deref(), producer.len()), (Some(&item), 1));
        assert!(!consumer.is_empty());
        let popped = if item % 2 == 0 { consumer.pop() } else { producer.take_back() };
        assert_eq!((popped.as_deref(), producer.len()), (Some(&(item + 100)), 0));
        assert!(consumer.is_empty() && consumer.pop().is_none());
        assert!(producer.take_back().is_none());
    }
}

#[test]
fn what_is_left_is_dropped_once_whoever_goes_first() {
    for producer_first in [true, false] {
        let item = Rc::new(());
        let (mut producer, mut consumer) = ring(4);
        // Wrapped, so that what is left lies across the end.
        for _ in 0..3 {
            producer.push(Box::new(item.clone())).unwrap();
            drop(consumer.pop());
        }
        for _ in 0..4 {
            producer.push(Box::new(item.clone())).unwrap();
        }
        drop(consumer.pop());
        drop(producer.take_back());
        if producer_first {
            drop(producer);
            assert!(consumer.is_abandoned());
            assert_eq!(Rc::strong_count(&item), 3);
            drop(consumer);
        } else {
            drop(consumer);
            assert!(producer.is_abandoned());
            assert_eq!(Rc::strong_count(&item), 3);
            drop(producer);
        }
        assert_eq!(Rc::strong_count(&item), 1);
    }
}

#[test]
fn a_producer_takes_back_the_oldest() {
    let (mut producer, mut consumer) = ring(4);
    assert!(producer.take_back().is_none());
    (1..=4).for_each(|item| producer.push(Box::new(item)).unwrap());
    assert_eq!(*consumer.pop().unwrap(), 1);
    assert_eq!(*producer.take_back().unwrap(), 2);
    // The consumer's copy of the head is behind by one, and then by more than is inside.
    assert_eq!(*consumer.pop().unwrap(), 3);
    assert_eq!(*producer.take_back().unwrap(), 4);
    assert!(consumer.is_empty() && consumer.pop().is_none());
    // What was taken back makes room, and can go in again.
    (5..=8).for_each(|item| producer.push(Box::new(item)).unwrap());
    assert!(producer.push(Box::new(9)).is_err());
    let back = producer.take_back().unwrap();
    producer.push(back).unwrap();
    let popped: Vec<_> = iter::from_fn(|| consumer.pop()).collect();
    assert_eq!(popped, [6, 7, 8, 5].map(Box::new));
}

#[test]
fn a_consumer_far_behind_catches_up() {
    let (mut producer, mut consumer) = ring(2);
    for item in 0..100 {
        producer.push(Box::new(item)).unwrap();
        if item < 99 {
            assert_eq!(*producer.take_back().unwrap(), item);
            assert!(consumer.is_empty());
        }
    }
    assert_eq!(*consumer.pop().unwrap(), 99);
    assert!(consumer.is_empty() && producer.is_empty());
}

#[test]
fn a_producer_takes_back_what_a_consumer_left() {
    let (mut producer, mut consumer) = ring(4);
    (1..=3).for_each(|item| producer.push(Box::new(item)).unwrap());
    assert_eq!(*consumer.pop().unwrap(), 1);
    drop(consumer);
    producer.push(Box::new(4)).unwrap();
    let left: Vec<_> = iter::from_fn(|| producer.take_back()).collect();
    assert_eq!((left, producer.len()), ([2, 3, 4].map(Box::new).into(), 0));
}

#[test]
fn items_cross_threads_whole_and_in_order() {
    let item_count = if cfg!(miri) { 200 } else { 200_000 };
    let (mut producer, mut consumer) = ring(4);
    let pushing = thread::spawn(move || {
        for number in 0..item_count {
            let mut item = Box::new([number; 4]);
            while let Err(Full(refused)) = producer.push(item) {
                item = refused;
                thread::yield_now();
            }
        }
    });
    let mut expected = 0;
    while expected < item_count {
        match consumer.pop() {
            Some(item) => {
                assert_eq!(*item, [expected; 4]);
                expected += 1;
            }
            None => thread::yield_now(),
        }
    }
    pushing.join().unwrap();
    assert!(consumer.is_abandoned() && consumer.pop().is_none());
}

/// Resident memory in bytes.
fn resident() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[test]
#[cfg_attr(
    any(miri, pyre_tsan, not(target_os = "linux")),
    ignore = "asks Linux for resident memory"
)]
fn an_unused_ring_costs_address_space_only() {
    let before = resident();
    let rings: Vec<_> = (0..2 * 16 * 16).map(|_| ring::<Box<u8>>(4096)).collect();
    let grown = resident().saturating_sub(before);
    // The slots of all rings are 16 MiB.
    assert!(grown < 4 << 20, "{} rings made {grown} bytes resident", rings.len());
}
