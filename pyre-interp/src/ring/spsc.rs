//! The ring: one producer, one consumer, bounded, never blocks. Steps 5 and 10. Hot path.
//!
//! Contract:
//! - *Who.* [`Producer`] and [`Consumer`] are `Send`, not `Clone`, and change only by `&mut self`. The
//!   lanes of a worker share one `Consumer` by taking turns: whoever holds their interpreter's GIL
//!   has it, and the GIL orders one turn after the other.
//! - *Full.* [`Producer::push`] gives the item back. *Empty.* [`Consumer::pop`] is `None`. Neither
//!   waits, and neither wakes anybody: that is for [`Doorbell`](super::Doorbell) and
//!   [`Roster`](super::Roster), once a turn.
//! - *Gone.* Each side can ask whether the other was dropped. A consumer goes on popping what is left;
//!   a producer takes it back with [`Producer::reclaim`].
//! - *Who drops.* What is still inside when both sides are gone is dropped with the ring, by the
//!   side that went last.
//!
//! An index counts items for ever and wraps with `usize`; the slot is the index modulo the capacity,
//! so full and empty differ without a slot left free. Each side keeps its own index, and of the other
//! one what it saw last: it reads the other's line only when the ring seems full, or empty. The slots
//! between head and tail are full and belong to the consumer, the others to the producer.
#![expect(unsafe_code, reason = "slots are shared between two threads, one index apart")]

use super::sync::{Arc, AtomicBool, AtomicUsize, Line, Site, Slot, order, slots};
use std::{
    fmt,
    mem::MaybeUninit,
    sync::atomic::Ordering::{Acquire, Relaxed, Release},
};

/// Makes a ring for at most `capacity` items.
///
/// Memory for the slots is reserved at once and touched as they are first used.
///
/// # Panics
/// If `capacity` is not a power of two.
pub fn ring<T>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    assert!(capacity.is_power_of_two(), "the capacity of a ring is a power of two");
    let shared = Arc::new(Shared {
        slots: slots(capacity),
        head: Line(Side::new()),
        tail: Line(Side::new()),
    });
    let producer = Producer { shared: shared.clone(), tail: 0, head_seen: 0 };
    (producer, Consumer { shared, head: 0, tail_seen: 0 })
}

/// What both sides reach.
struct Shared<T> {
    slots: Box<[Slot<T>]>,
    /// First full slot. Written by the consumer, or by the producer once the consumer is gone.
    head: Line<Side>,
    /// First empty slot. Written by the producer.
    tail: Line<Side>,
}

/// What one side publishes.
struct Side {
    index: AtomicUsize,
    gone: AtomicBool,
}

// SAFETY: an item is put in by one thread and taken out or dropped by another, hence `T: Send`. A
// slot is touched by the side that the indices give it to and by no other; nobody gets a reference
// to an item inside, so `T: Sync` is not needed.
unsafe impl<T: Send> Sync for Shared<T> {}

impl Side {
    fn new() -> Self {
        Self { index: AtomicUsize::new(0), gone: AtomicBool::new(false) }
    }

    /// Whether this side was dropped. If so, all it did is visible.
    fn is_gone(&self) -> bool {
        self.gone.load(order(Site::RingAbandoned, Acquire))
    }

    /// Says that this side is gone. It touches neither slots nor index from here on.
    fn leave(&self) {
        self.gone.store(true, order(Site::RingLeft, Release));
    }
}

impl<T> Shared<T> {
    #[inline(always)]
    fn slot(&self, index: usize) -> &Slot<T> {
        // A power of two: the mask is the modulo, and shows the compiler that the slot exists.
        &self.slots[index & (self.slots.len() - 1)]
    }

    /// Moves the item at `index` out.
    ///
    /// # Safety
    /// The slot is full, the caller alone may touch it, and treats it as empty from now on.
    #[inline(always)]
    unsafe fn take(&self, index: usize) -> T {
        self.slot(index).with_mut(|slot| {
            // SAFETY: the caller may touch this slot, and no one else does.
            let slot = unsafe { &*slot };
            // SAFETY: the slot is full, and the caller will not read it again.
            unsafe { slot.assume_init_read() }
        })
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // Both sides are gone, and the `Arc` ordered all they did before this.
        let tail = self.tail.index.load(Relaxed);
        let mut head = self.head.index.load(Relaxed);
        while head != tail {
            // SAFETY: slots from head to tail are full, `&mut self` makes us the only one here, and
            // the index moves on.
            drop(unsafe { self.take(head) });
            head = head.wrapping_add(1);
        }
    }
}

/// The side that puts items in.
///
/// # Threads
/// May be sent to another thread. A reactor holds one for each worker, and the lanes of a worker one
/// for each reactor, which they use in turn.
pub struct Producer<T> {
    shared: Arc<Shared<T>>,
    /// The next slot to fill; the shared index is a copy.
    tail: usize,
    /// The consumer's index when last read: never ahead of the true one.
    head_seen: usize,
}

impl<T> Producer<T> {
    /// Puts an item in. It can be taken out at once; whoever should is not woken.
    ///
    /// A ring whose consumer is gone takes items until it is full: [`Self::reclaim`] returns them.
    ///
    /// # Errors
    /// [`Full`] gives the item back.
    #[inline]
    pub fn push(&mut self, item: T) -> Result<(), Full<T>> {
        if self.is_full() {
            return Err(Full(item));
        }
        self.shared.slot(self.tail).with_mut(|slot| {
            // SAFETY: `is_full` saw that the consumer left this slot (Acquire), and `&mut self` makes
            // us its only writer, so nobody touches it before the Release store below.
            unsafe { slot.write(MaybeUninit::new(item)) }
        });
        self.tail = self.tail.wrapping_add(1);
        // Publishes the slot to `Consumer::has_next` and `Consumer::is_empty`.
        self.shared.tail.index.store(self.tail, order(Site::RingPublished, Release));
        Ok(())
    }

    /// Takes back the oldest item that a consumer left behind; `None` if there is none, or while the
    /// consumer lives.
    pub fn reclaim(&mut self) -> Option<T> {
        if !self.is_abandoned() {
            return None;
        }
        // Whatever the consumer did last is visible, as we saw that it is gone.
        let head = self.shared.head.index.load(Relaxed);
        if head == self.tail {
            return None;
        }
        // SAFETY: slots from head to tail are full; the consumer is gone, so they are ours, and the
        // next line moves the index past this one.
        let item = unsafe { self.shared.take(head) };
        self.shared.head.index.store(head.wrapping_add(1), Relaxed);
        Some(item)
    }

    /// How many items are inside, or a moment ago were. The consumer can only have made it fewer.
    pub fn len(&self) -> usize {
        self.tail.wrapping_sub(self.shared.head.index.load(Relaxed))
    }

    /// Whether nothing is inside. Once true, it stays so until the next push.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many items fit.
    pub fn capacity(&self) -> usize {
        self.shared.slots.len()
    }

    /// Whether the consumer was dropped.
    pub fn is_abandoned(&self) -> bool {
        self.shared.head.is_gone()
    }

    /// Whether no slot is free. Reads the consumer's line only if it was so when last seen.
    #[inline(always)]
    fn is_full(&mut self) -> bool {
        let capacity = self.shared.slots.len();
        if self.tail.wrapping_sub(self.head_seen) < capacity {
            return false;
        }
        // Pairs with the Release store in `Consumer::pop`: the item was moved out before.
        self.head_seen = self.shared.head.index.load(order(Site::RingReused, Acquire));
        self.tail.wrapping_sub(self.head_seen) == capacity
    }
}

impl<T> Drop for Producer<T> {
    fn drop(&mut self) {
        self.shared.tail.leave();
    }
}

/// The side that takes items out.
///
/// # Threads
/// May be sent to another thread; see [`Producer`].
pub struct Consumer<T> {
    shared: Arc<Shared<T>>,
    /// The next slot to empty; the shared index is a copy.
    head: usize,
    /// The producer's index when last read: never ahead of the true one.
    tail_seen: usize,
}

impl<T> Consumer<T> {
    /// Takes the oldest item out; `None` if there is none now.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        if !self.has_next() {
            return None;
        }
        // SAFETY: `has_next` saw that the producer filled this slot (Acquire), and `&mut self` makes
        // us its only reader. It counts as empty from the Release store below.
        let item = unsafe { self.shared.take(self.head) };
        self.head = self.head.wrapping_add(1);
        // Gives the slot back to `Producer::is_full`.
        self.shared.head.index.store(self.head, order(Site::RingVacated, Release));
        Some(item)
    }

    /// Whether nothing is inside. Always reads the producer's index, so that it can stand between
    /// announcing sleep and falling asleep.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.head == self.tail_seen && self.head == self.tail_now()
    }

    /// Whether the producer was dropped. If so, the next `None` of [`Self::pop`] is the last word.
    pub fn is_abandoned(&self) -> bool {
        self.shared.tail.is_gone()
    }

    /// Whether a slot is full. Reads the producer's line only if none was when last seen.
    #[inline(always)]
    fn has_next(&mut self) -> bool {
        if self.head != self.tail_seen {
            return true;
        }
        self.tail_seen = self.tail_now();
        self.head != self.tail_seen
    }

    /// The producer's index. Pairs with the Release store in `Producer::push`: the slot was filled
    /// before.
    #[inline(always)]
    fn tail_now(&self) -> usize {
        self.shared.tail.index.load(order(Site::RingTaken, Acquire))
    }
}

impl<T> Drop for Consumer<T> {
    fn drop(&mut self) {
        self.shared.head.leave();
    }
}

/// The ring was full; the item comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Full<T>(pub T);

impl<T> fmt::Debug for Full<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Full(..)")
    }
}

impl<T> fmt::Debug for Producer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Consumer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("is_empty", &self.is_empty()).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(not(pyre_loom))]
mod tests {
    use super::*;
    use std::{fs, rc::Rc, thread};

    #[test]
    fn keeps_order_around_every_capacity() {
        for capacity in [1, 2, 4, 64] {
            let (mut producer, mut consumer) = ring(capacity);
            let (mut pushed, mut popped) = (0..1000, 0..1000);
            // Fill and empty by steps that do not divide the capacity, so that it wraps everywhere.
            while !popped.is_empty() {
                for _ in 0..capacity.min(3) {
                    let Some(item) = pushed.next() else { break };
                    producer.push(item).unwrap();
                }
                assert_eq!(producer.is_empty(), consumer.is_empty());
                while let Some(item) = consumer.pop() {
                    assert_eq!(Some(item), popped.next());
                }
                assert!(producer.is_empty() && consumer.is_empty());
            }
        }
    }

    #[test]
    fn a_full_ring_gives_the_item_back() {
        let (mut producer, mut consumer) = ring(2);
        assert_eq!([1, 2, 3].map(|item| producer.push(item)), [Ok(()), Ok(()), Err(Full(3))]);
        assert_eq!((producer.len(), producer.capacity()), (2, 2));
        assert_eq!(consumer.pop(), Some(1));
        assert_eq!([3, 4].map(|item| producer.push(item)), [Ok(()), Err(Full(4))]);
        assert_eq!([consumer.pop(), consumer.pop(), consumer.pop()], [Some(2), Some(3), None]);
    }

    #[test]
    #[should_panic(expected = "power of two")]
    fn other_capacities_are_refused() {
        ring::<u8>(3);
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
            producer.push(item).unwrap();
            producer.push(item + 100).unwrap();
            assert_eq!(producer.push(0), Err(Full(0)));
            assert_eq!((producer.len(), consumer.pop()), (2, Some(item)));
            assert_eq!((producer.len(), consumer.pop()), (1, Some(item + 100)));
            assert_eq!((consumer.pop(), consumer.is_empty()), (None, true));
        }
    }

    #[test]
    fn what_is_left_is_dropped_once_whoever_goes_first() {
        for producer_first in [true, false] {
            let item = Rc::new(());
            let (mut producer, mut consumer) = ring(4);
            // Wrapped, so that what is left lies across the end.
            for _ in 0..3 {
                producer.push(item.clone()).unwrap();
                drop(consumer.pop());
            }
            for _ in 0..3 {
                producer.push(item.clone()).unwrap();
            }
            drop(consumer.pop());
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
    fn a_producer_takes_back_only_what_a_consumer_left() {
        let (mut producer, mut consumer) = ring(4);
        (1..=3).for_each(|item| producer.push(item).unwrap());
        assert_eq!((consumer.pop(), producer.reclaim()), (Some(1), None));
        drop(consumer);
        producer.push(4).unwrap();
        let left: Vec<_> = std::iter::from_fn(|| producer.reclaim()).collect();
        assert_eq!((left, producer.len()), (vec![2, 3, 4], 0));
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
    #[cfg_attr(any(miri, not(target_os = "linux")), ignore = "asks Linux for resident memory")]
    fn an_unused_ring_costs_address_space_only() {
        let before = resident();
        let rings: Vec<_> = (0..2 * 16 * 16).map(|_| ring::<Box<u8>>(4096)).collect();
        let grown = resident().saturating_sub(before);
        // The slots of all rings are 16 MiB.
        assert!(grown < 4 << 20, "{} rings made {grown} bytes resident", rings.len());
    }
}
