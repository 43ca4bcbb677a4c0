//! Models of the ring. It has two slots, so that three items wrap around.

use crate::ring::{
    Full,
    spsc::ring,
    sync::{Arc, AtomicUsize, thread},
};
use std::sync::atomic::Ordering::Relaxed;

/// An item that counts how many of its kind were dropped. Its place on the heap belongs to loom, so
/// a lost one shows as a leak.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// Items come out as they went in, whole, each once; a full ring gives the item back.
pub(super) fn keeps_order_and_reuses_slots() {
    let (mut producer, mut consumer) = ring::<usize>(2);
    let pushing = thread::spawn(move || {
        let outcomes: Vec<_> = (0..3).map(|item| producer.push(item)).collect();
        assert_eq!(outcomes[..2], [Ok(()), Ok(())]);
        assert!(matches!(outcomes[2], Ok(()) | Err(Full(2))));
        if outcomes[2].is_ok() { 3 } else { 2 }
    });
    let mut popped: Vec<_> = (0..2).filter_map(|_| consumer.pop()).collect();
    let pushed = pushing.join().unwrap();
    popped.extend(std::iter::from_fn(|| consumer.pop()));
    assert_eq!(popped, (0..pushed).collect::<Vec<_>>());
}

/// What is left inside is dropped, once, by whichever side goes last.
pub(super) fn drops_every_item_once() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let (mut producer, mut consumer) = ring(2);
    let counter = dropped.clone();
    let pushing = thread::spawn(move || {
        for _ in 0..3 {
            // A refused item comes back in the error and is dropped here.
            let _ = producer.push(Counted(counter.clone()));
        }
    });
    drop(consumer.pop());
    drop(consumer);
    pushing.join().unwrap();
    assert_eq!(dropped.load(Relaxed), 3);
}

/// A producer whose consumer is gone gets back what was not taken, and nothing that was.
pub(super) fn gives_back_what_a_consumer_left() {
    let (mut producer, mut consumer) = ring::<usize>(2);
    producer.push(0).unwrap();
    producer.push(1).unwrap();
    let popping = thread::spawn(move || {
        assert_eq!(consumer.pop(), Some(0));
    });
    if producer.is_abandoned() {
        assert_eq!(producer.push(2), Ok(()));
        assert_eq!([producer.reclaim(), producer.reclaim()], [Some(1), Some(2)]);
    } else {
        // It may be gone by now, but then only the second item is left.
        assert!(matches!(producer.reclaim(), None | Some(1)));
    }
    popping.join().unwrap();
}

/// A consumer that sees its producer gone has every item before it sees `None`.
pub(super) fn ends_after_the_last_item() {
    let (mut producer, mut consumer) = ring::<usize>(2);
    let pushing = thread::spawn(move || {
        producer.push(0).unwrap();
        producer.push(1).unwrap();
    });
    if consumer.is_abandoned() {
        assert_eq!([consumer.pop(), consumer.pop(), consumer.pop()], [Some(0), Some(1), None]);
    }
    pushing.join().unwrap();
}
