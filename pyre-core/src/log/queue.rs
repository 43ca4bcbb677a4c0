//! What is logged on its way to the one thread that takes it, from any number of threads.
//!
//! What always holds:
//! - Whoever pushes never waits. Beyond a bound in bytes an entry comes back, for its owner to count.
//! - An entry that was pushed comes out once, and those of one thread in their order.
//! - No wake-up is lost, and none is spent on a thread that is awake: the thread that takes sleeps by
//!   the contract of [`Doorbell`], whose models hold here too.
//!
//! The entries are in a `SegQueue`, which takes memory as they come. An `ArrayQueue` is bounded by
//! itself, but in entries: room for as many of the smallest as the bytes allow would take megabytes
//! that most servers never need, and with less room a flood of short lines would be cut off early.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_queue::SegQueue;
use parking_lot::{Condvar, Mutex};
use pyre_interp::ring::Doorbell;

/// Something that waits in a queue.
pub(crate) trait Weigh {
    /// About as many bytes as it has in memory; stays the same while it waits. Only what its sender
    /// waits for weighs nothing.
    fn weight(&self) -> usize;
}

/// A queue that is bounded in bytes.
///
/// # Threads
/// Any number push; one takes.
pub(crate) struct Queue<T> {
    entries: SegQueue<T>,
    /// Bytes of what waits.
    bytes: AtomicUsize,
    bytes_max: usize,
    closed: AtomicBool,
    bell: Doorbell,
    alarm: Arc<Alarm>,
}

/// Why nothing was taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Nothing {
    /// The moment has come.
    Yet,
    /// The queue is empty, and closed.
    AnyMore,
}

impl<T: Weigh> Queue<T> {
    pub(crate) fn new(bytes_max: usize) -> Self {
        let alarm = Arc::new(Alarm::default());
        let bell = {
            let alarm = alarm.clone();
            Doorbell::new(move || alarm.ring())
        };
        Self {
            entries: SegQueue::new(),
            bytes: AtomicUsize::new(0),
            bytes_max,
            closed: AtomicBool::new(false),
            bell,
            alarm,
        }
    }

    /// Adds an entry and wakes who takes, if that one sleeps.
    ///
    /// # Errors
    /// The entry: there is no room for it.
    pub(crate) fn push(&self, entry: T) -> Result<(), T> {
        let weight = entry.weight();
        let with_it = |bytes: usize| bytes.checked_add(weight).filter(|sum| *sum <= self.bytes_max);
        // Relaxed: a bound on memory, which orders nothing.
        if self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, with_it).is_err() {
            return Err(entry);
        }
        self.entries.push(entry);
        self.bell.notify();
        Ok(())
    }

    /// Takes the oldest entry, if there is one.
    pub(crate) fn try_take(&self) -> Option<T> {
        let entry = self.entries.pop()?;
        self.bytes.fetch_sub(entry.weight(), Ordering::Relaxed);
        Some(entry)
    }

    /// Takes the oldest entry, waiting for one until the moment has come; no moment means for ever.
    ///
    /// # Errors
    /// There is nothing yet, or nothing any more.
    ///
    /// # Threads
    /// Blocks the caller.
    pub(crate) fn take(&self, moment: Option<Instant>) -> Result<T, Nothing> {
        loop {
            // Acquire: what was pushed before it was closed is there. Pairs with `close`. Read first, as
            // what is pushed between the two looks may be the last.
            let closed = self.closed.load(Ordering::Acquire);
            if let Some(entry) = self.try_take() {
                return Ok(entry);
            }
            if closed {
                return Err(Nothing::AnyMore);
            }
            self.bell.announce();
            let nothing = self.entries.is_empty() && !self.closed.load(Ordering::Relaxed);
            let rung = !nothing || self.alarm.wait(moment);
            self.bell.awake();
            if !rung {
                return self.try_take().ok_or(Nothing::Yet);
            }
        }
    }

    /// Lets so much time pass, or less if the queue is [hurried](Self::hurry). What is pushed meanwhile
    /// wakes nobody.
    ///
    /// # Threads
    /// Blocks the caller.
    pub(crate) fn rest(&self, time: Duration) {
        self.alarm.wait(Some(Instant::now() + time));
    }

    /// Ends the rest of who takes, or the next one.
    pub(crate) fn hurry(&self) {
        self.alarm.ring();
    }

    /// Nothing is pushed any more.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.bell.notify();
    }
}

/// Ends the sleep of a thread, or keeps the next one from beginning. Nobody comes here unless that
/// thread sleeps or somebody hurries it.
#[derive(Default)]
struct Alarm {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Alarm {
    fn ring(&self) {
        *self.rung.lock() = true;
        self.changed.notify_one();
    }

    /// Sleeps until it is rung, or the moment has come; tells whether it was rung.
    fn wait(&self, moment: Option<Instant>) -> bool {
        let mut rung = self.rung.lock();
        while !*rung {
            match moment {
                Some(moment) if self.changed.wait_until(&mut rung, moment).timed_out() => break,
                Some(_) => (),
                None => self.changed.wait(&mut rung),
            }
        }
        std::mem::take(&mut *rung)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// How long a failure takes.
    const LONG: Duration = Duration::from_secs(60);

    /// A thread's number, and how many came from it before.
    type Entry = (usize, usize);

    impl Weigh for Entry {
        fn weight(&self) -> usize {
            10
        }
    }

    fn soon() -> Option<Instant> {
        Some(Instant::now() + LONG)
    }

    #[test]
    fn what_finds_no_room_comes_back_and_room_is_given_back() {
        let queue = Queue::new(25);
        assert_eq!(queue.push((0, 0)), Ok(()));
        assert_eq!(queue.push((0, 1)), Ok(()));
        assert_eq!(queue.push((0, 2)), Err((0, 2)));
        assert_eq!(queue.try_take(), Some((0, 0)));
        assert_eq!(queue.push((0, 3)), Ok(()));
        assert_eq!(queue.push((0, 4)), Err((0, 4)));
        assert_eq!([queue.take(soon()), queue.take(soon())], [Ok((0, 1)), Ok((0, 3))]);
        assert_eq!(queue.try_take(), None);
        assert_eq!(queue.bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn an_entry_that_weighs_nothing_finds_room_in_a_full_queue() {
        struct Light(usize);
        impl Weigh for Light {
            fn weight(&self) -> usize {
                self.0
            }
        }
        let queue = Queue::new(10);
        assert!(queue.push(Light(10)).is_ok() && queue.push(Light(0)).is_ok());
        assert!(queue.push(Light(1)).is_err() && queue.push(Light(usize::MAX)).is_err());
    }

    #[test]
    fn there_is_nothing_yet_or_nothing_any_more() {
        let queue = Queue::<Entry>::new(10);
        assert_eq!(queue.take(Some(Instant::now())), Err(Nothing::Yet));
        queue.push((0, 0)).unwrap();
        queue.close();
        assert_eq!(queue.take(None), Ok((0, 0)));
        assert_eq!(queue.take(None), Err(Nothing::AnyMore));
    }

    #[test]
    fn a_rest_ends_when_it_is_hurried_but_not_for_an_entry() {
        let queue = Queue::new(10);
        queue.push((0, 0)).unwrap();
        let began = Instant::now();
        queue.rest(Duration::from_millis(20));
        assert!(began.elapsed() >= Duration::from_millis(20));
        queue.hurry();
        let began = Instant::now();
        queue.rest(LONG);
        assert!(began.elapsed() < LONG);
    }

    /// The taker runs dry again and again: a wake-up that is lost shows as a moment that comes.
    #[test]
    fn many_threads_push_and_nothing_is_lost_or_out_of_order() {
        const THREADS: usize = 4;
        const ENTRIES: usize = 20_000;
        let queue = Queue::new(usize::MAX);
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let queue = &queue;
                scope.spawn(move || {
                    for entry in 0..ENTRIES {
                        queue.push((thread, entry)).unwrap();
                        if entry % 16 == 0 {
                            thread::yield_now();
                        }
                    }
                });
            }
            let mut came = [0; THREADS];
            let end = Instant::now() + LONG;
            for _ in 0..THREADS * ENTRIES {
                let (thread, entry) = queue.take(Some(end)).expect("all of them come");
                assert_eq!(entry, came[thread], "those of one thread come in their order");
                came[thread] += 1;
            }
            assert!(Instant::now() < end, "a wake-up was lost");
        });
        assert_eq!(queue.try_take(), None);
    }

    /// Each entry is pushed a little later after the one before was taken than the last time: while
    /// the taker looks, falls asleep, or sleeps.
    #[test]
    fn an_entry_is_found_however_it_meets_the_sleep() {
        let (there, back) = (Queue::new(usize::MAX), Queue::new(usize::MAX));
        thread::scope(|scope| {
            scope.spawn(|| {
                // Longer than the other side waits, which is the one to tell.
                while let Ok(entry) = there.take(Some(Instant::now() + 2 * LONG)) {
                    back.push(entry).unwrap();
                }
            });
            for round in 0..20_000 {
                (0..round % 200).for_each(|_| std::hint::spin_loop());
                there.push((0, round)).unwrap();
                let began = Instant::now();
                let answer = loop {
                    if let Some(answer) = back.try_take() {
                        break answer;
                    }
                    assert!(began.elapsed() < LONG, "the wake-up of round {round} was lost");
                };
                assert_eq!(answer, (0, round));
            }
            there.close();
        });
    }
}
