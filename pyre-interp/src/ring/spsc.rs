//! The ring: one producer, one consumer, bounded, never blocks. Steps 5 and 10. Hot path.
//!
//! Contract:
//! - *Who.* [`Producer`] and [`Consumer`] are `Send`, not `Clone`, and change only by `&mut self`. The
//!   lanes of a worker share one `Consumer` by taking turns: whoever holds their interpreter's GIL
//!   has it, and the GIL orders one turn after the other.
//! - *Full.* [`Producer::push`] gives the item back. *Empty.* [`Consumer::pop`] is `None`. Neither
//!   waits, and neither wakes anybody: that is for `Doorbell` and
//!   `Roster`, once a turn.
//! - *Taken back.* [`Producer::take_back`] takes the oldest item that the consumer has not taken, be
//!   the consumer alive or gone. Each item goes to one of the two, and each gets its own in order.
//! - *Gone.* Each side can ask whether the other was dropped. A consumer goes on popping what is left;
//!   a producer takes it back.
//! - *Who drops.* What is still inside when both sides are gone is dropped with the ring, by the
//!   side that went last.
//!
//! An index counts items for ever and wraps with `usize`; the slot is the index modulo the capacity,
//! so full and empty differ without a slot left free. The slots between head and tail are full.
//!
//! The tail is the producer's: it fills a slot and then publishes the new tail. The head belongs to
//! whoever moves it: to take an item means to read the pointer in its slot, and then to move the head
//! past it by a compare-and-swap. As an index never comes back, a swap that succeeds says that the
//! item was inside all the while; one that fails says that the other side was faster, and what was
//! read is forgotten. (With 32 bits an index comes back after 2^32 items, which would have to pass
//! between two instructions of the other side.)
//!
//! So the pointer was the right one:
//! - *Not older.* The consumer reads a slot below a tail that it acquired, so after it was filled. The
//!   producer reads what it wrote itself.
//! - *Not newer.* A slot is filled again by a producer that acquired a head past it. If the consumer
//!   moved the head past it, it did so with Release, after reading. If the producer did, the consumer
//!   may be reading at that time, and its swap fails. Between the consumer's swap and the producer's
//!   look there may be swaps of the producer: they need no ordering, since what acquires a
//!   read-modify-write acquires the release that it built upon.
//!
//! Each side reads the other's line only when the ring seems full, or empty: it keeps what it saw
//! last. These copies may be behind, never ahead. The consumer's copy of the head is one of them, as
//! the producer may have moved the head; a failing swap puts it right.
#![expect(unsafe_code, reason = "an item passes through a slot as a pointer")]

use super::{
    slot::{Item, Slot, slots},
    sync::{Arc, AtomicBool, AtomicUsize, Line, Site, order},
};
use std::{
    fmt,
    marker::PhantomData,
    sync::atomic::Ordering::{Acquire, Relaxed, Release},
};

/// Makes a ring for at most `capacity` items.
///
/// Memory for the slots is reserved at once and touched as they are first used.
///
/// # Panics
/// If `capacity` is not a power of two.
pub fn ring<T: Item>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    assert!(capacity.is_power_of_two(), "the capacity of a ring is a power of two");
    let shared = Arc::new(Shared {
        slots: slots(capacity),
        head: Line(Side::new()),
        tail: Line(Side::new()),
        items: PhantomData,
    });
    let producer = Producer { shared: shared.clone(), tail: 0, head_seen: 0 };
    (producer, Consumer { shared, head: 0, tail_seen: 0 })
}

/// What both sides reach.
struct Shared<T: Item> {
    slots: Box<[Slot<T::Target>]>,
    /// First full slot. Moved on by whoever takes the item in it.
    head: Line<Side>,
    /// First empty slot. Written by the producer.
    tail: Line<Side>,
    items: PhantomData<T>,
}

/// What one side publishes.
struct Side {
    index: AtomicUsize,
    gone: AtomicBool,
}

// SAFETY: an item is put in by one thread and taken out or dropped by another, hence `T: Send`. Nobody
// gets a reference to an item inside, so `T: Sync` is not needed. Slots are accessed atomically only.
unsafe impl<T: Item + Send> Sync for Shared<T> {}

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

impl<T: Item> Shared<T> {
    #[inline(always)]
    fn slot(&self, index: usize) -> &Slot<T::Target> {
        // A power of two: the mask is the modulo, and shows the compiler that the slot exists.
        &self.slots[index & (self.slots.len() - 1)]
    }
}

impl<T: Item> Drop for Shared<T> {
    fn drop(&mut self) {
        // Both sides are gone, and the `Arc` ordered all they did before this.
        let tail = self.tail.index.load(Relaxed);
        let mut head = self.head.index.load(Relaxed);
        while head != tail {
            // SAFETY: slots from head to tail are full.
            let item = unsafe { self.slot(head).read_own() };
            // SAFETY: nobody took it, `&mut self` makes us the only one here, and the index moves on.
            drop(unsafe { T::from_raw(item) });
            head = head.wrapping_add(1);
        }
    }
}

/// The side that puts items in.
///
/// # Threads
/// May be sent to another thread. A reactor holds one for each worker, and the lanes of a worker one
/// for each reactor, which they use in turn.
pub struct Producer<T: Item> {
    shared: Arc<Shared<T>>,
    /// The next slot to fill; the shared index is a copy.
    tail: usize,
    /// The head when last read: never ahead of the true one.
    head_seen: usize,
}

impl<T: Item> Producer<T> {
    /// Puts an item in. It can be taken out at once; whoever should is not woken.
    ///
    /// A ring whose consumer is gone takes items until it is full: [`Self::take_back`] returns them.
    ///
    /// # Errors
    /// [`Full`] gives the item back.
    #[inline]
    pub fn push(&mut self, item: T) -> Result<(), Full<T>> {
        if self.is_full() {
            return Err(Full(item));
        }
        // `is_full` saw that this slot was left (Acquire), and `&mut self` makes us its only writer.
        self.shared.slot(self.tail).fill(item.into_raw());
        self.tail = self.tail.wrapping_add(1);
        // Publishes the slot to `Consumer::has_next` and `Consumer::is_empty`.
        self.shared.tail.index.store(self.tail, order(Site::RingPublished, Release));
        Ok(())
    }

    /// Takes back the oldest item that the consumer has not taken; `None` if there is none.
    ///
    /// The consumer may be alive and popping: each item goes to one of the two.
    pub fn take_back(&mut self) -> Option<T> {
        // Relaxed, here and below: a head that is behind makes the swap fail, and what we take we wrote
        // ourselves. Where it matters that the consumer left a slot, `is_full` acquires that.
        let mut head = self.shared.head.index.load(Relaxed);
        while head != self.tail {
            let slot = self.shared.slot(head);
            // SAFETY: we filled the slots of all indices before the tail.
            let item = unsafe { slot.read_own() };
            let next = head.wrapping_add(1);
            match self.shared.head.index.compare_exchange(head, next, Relaxed, Relaxed) {
                Ok(_) => {
                    slot.taken_back();
                    // SAFETY: the swap made this item ours alone, and it is the one of this index,
                    // since we filled in none for the slot's next.
                    return Some(unsafe { T::from_raw(item) });
                }
                Err(now) => head = now,
            }
        }
        None
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
        // Pairs with the Release in `Consumer::pop`: the slot was read before.
        self.head_seen = self.shared.head.index.load(order(Site::RingReused, Acquire));
        self.tail.wrapping_sub(self.head_seen) == capacity
    }
}

impl<T: Item> Drop for Producer<T> {
    fn drop(&mut self) {
        self.shared.tail.leave();
    }
}

/// The side that takes items out.
///
/// # Threads
/// May be sent to another thread; see [`Producer`].
pub struct Consumer<T: Item> {
    shared: Arc<Shared<T>>,
    /// The head when last read or moved: never ahead of the true one.
    head: usize,
    /// The producer's index when last read: never ahead of the true one.
    tail_seen: usize,
}

impl<T: Item> Consumer<T> {
    /// Takes the oldest item out; `None` if there is none now.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        while self.has_next() {
            // SAFETY: `has_next` saw that this slot was filled (Acquire).
            let item = unsafe { self.shared.slot(self.head).read() };
            let next = self.head.wrapping_add(1);
            // Release gives the slot back to `Producer::is_full`.
            let vacated = order(Site::RingVacated, Release);
            match self.shared.head.index.compare_exchange(self.head, next, vacated, Relaxed) {
                Ok(_) => {
                    self.head = next;
                    // SAFETY: the swap made this item ours alone, and it is the one of this index,
                    // since none was filled in for the slot's next.
                    return Some(unsafe { T::from_raw(item) });
                }
                // The producer took it back.
                Err(now) => self.head = now,
            }
        }
        None
    }

    /// Whether nothing is inside. Always reads the producer's index, so that it can stand between
    /// announcing sleep and falling asleep.
    #[inline]
    pub fn is_empty(&self) -> bool {
        let tail = self.tail_now();
        // What the producer took back counts as well, and our copy does not know of it. A head that is
        // behind makes the ring seem full, and the next `pop` finds out.
        !is_before(self.head, tail) || !is_before(self.shared.head.index.load(Relaxed), tail)
    }

    /// Whether the producer was dropped. If so, the next `None` of [`Self::pop`] is the last word.
    pub fn is_abandoned(&self) -> bool {
        self.shared.tail.is_gone()
    }

    /// Whether a slot is full. Reads the producer's line only if none was when last seen.
    #[inline(always)]
    fn has_next(&mut self) -> bool {
        if is_before(self.head, self.tail_seen) {
            return true;
        }
        self.tail_seen = self.tail_now();
        is_before(self.head, self.tail_seen)
    }

    /// The producer's index. Pairs with the Release store in `Producer::push`: the slot was filled
    /// before.
    #[inline(always)]
    fn tail_now(&self) -> usize {
        self.shared.tail.index.load(order(Site::RingTaken, Acquire))
    }
}

impl<T: Item> Drop for Consumer<T> {
    fn drop(&mut self) {
        self.shared.head.leave();
    }
}

/// Whether a slot lies between the head and the tail as they were seen. Both may be behind the true
/// ones, each by as much as it likes, so a head may be ahead of a tail.
#[inline(always)]
fn is_before(head: usize, tail: usize) -> bool {
    tail.wrapping_sub(head).cast_signed() > 0
}

/// The ring was full; the item comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Full<T>(pub T);

impl<T> fmt::Debug for Full<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Full(..)")
    }
}

impl<T: Item> fmt::Debug for Producer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl<T: Item> fmt::Debug for Consumer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("is_empty", &self.is_empty()).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(not(pyre_loom))]
mod tests;
