//! Models of the doorbell. The reactor's poll is `park`, and to ring is to unpark.

use crate::ring::{
    spsc::{Consumer, ring},
    sync::{Arc, AtomicUsize, thread},
    wake::Doorbell,
};
use std::sync::atomic::Ordering::Relaxed;

/// A reactor that waits for one reply from each of `lanes` lanes, and how often it was rung for and
/// how often it slept.
fn reactor(lanes: usize) -> (usize, usize) {
    let rung = Arc::new(AtomicUsize::new(0));
    let bell = {
        let (rung, sleeper) = (rung.clone(), thread::current());
        Arc::new(Doorbell::new(move || {
            rung.fetch_add(1, Relaxed);
            sleeper.unpark();
        }))
    };
    let lane = |_| {
        let (mut producer, consumer) = ring(2);
        let bell = bell.clone();
        thread::spawn(move || {
            producer.push(Box::new(7)).unwrap();
            bell.notify();
        });
        consumer
    };
    let mut rings: Vec<Consumer<Box<usize>>> = (0..lanes).map(lane).collect();
    let (mut replies, mut announced) = (0, 0);
    loop {
        replies += rings.iter_mut().filter_map(Consumer::pop).count();
        if replies == lanes {
            return (rung.load(Relaxed), announced);
        }
        announced += 1;
        bell.announce();
        if rings.iter().all(Consumer::is_empty) {
            thread::park();
        }
        bell.awake();
    }
}

/// A reply that is pushed while the reactor falls asleep is not left lying.
pub(super) fn wakes_a_reactor_that_sleeps() {
    thread::spawn(|| reactor(1)).join().unwrap();
}

/// However many lanes push, the bell rings at most once for each time the reactor lay down.
pub(super) fn rings_once_for_each_sleep() {
    let (rung, announced) = thread::spawn(|| reactor(2)).join().unwrap();
    assert!(rung <= announced, "rung {rung} times for {announced} sleeps");
}
