//! A place for one item of a ring, and what an item is. Hot path.
//!
//! Items are owned pointers, so that a slot is one atomic word: whoever reads it and then loses the
//! race for the item has read a pointer, old or new, which it forgets, and nothing torn.
//!
//! A slot orders nothing: all its accesses are relaxed, and the indices of the ring say who may read
//! what when. Under loom each slot carries a witness, a cell that finds out whether they do.
#![expect(unsafe_code, reason = "a slot keeps what a `Box` owned as a pointer")]

use super::sync::AtomicPtr;
#[cfg(not(pyre_loom))]
use std::mem::MaybeUninit;
use std::sync::atomic::Ordering::Relaxed;

/// What travels in a ring: something that owns what a pointer points to, and fits into one. Only
/// `Box` is.
pub trait Item: sealed::Sealed {
    /// What it owns.
    type Target;

    /// The pointer, which owns the target from now on. Never null.
    fn into_raw(self) -> *mut Self::Target;

    /// Takes ownership back.
    ///
    /// # Safety
    /// The pointer comes from [`Self::into_raw`], and each one of those is used once.
    unsafe fn from_raw(raw: *mut Self::Target) -> Self;
}

mod sealed {
    /// What may be an item.
    pub trait Sealed {}

    impl<U> Sealed for Box<U> {}
}

impl<U> Item for Box<U> {
    type Target = U;

    #[inline(always)]
    fn into_raw(self) -> *mut U {
        Self::into_raw(self)
    }

    #[inline(always)]
    unsafe fn from_raw(raw: *mut U) -> Self {
        // SAFETY: the caller has it from `into_raw`, and uses it once.
        unsafe { Self::from_raw(raw) }
    }
}

/// A place for one item. Uninitialised until it is first filled; the pointer of an item that was taken
/// stays, without a meaning.
#[cfg(not(pyre_loom))]
#[repr(transparent)]
pub(super) struct Slot<U>(MaybeUninit<AtomicPtr<U>>);

#[cfg(not(pyre_loom))]
impl<U> Slot<U> {
    /// The slot as it is always accessed. It may be loaded from only once it was filled.
    #[inline(always)]
    fn atomic(&self) -> &AtomicPtr<U> {
        // SAFETY: the pointer is aligned and valid for reads and, as an atomic is inside, for writes, as
        // long as `self` is, and nobody accesses the slot but through here.
        unsafe { AtomicPtr::from_ptr(self.0.as_ptr().cast_mut().cast()) }
    }

    /// The producer puts an item in.
    #[inline(always)]
    pub(super) fn fill(&self, item: *mut U) {
        self.atomic().store(item, Relaxed);
    }

    /// What the consumer gets, if it wins the race for this slot's index.
    ///
    /// # Safety
    /// The slot was filled, and that happened before this.
    #[inline(always)]
    pub(super) unsafe fn read(&self) -> *mut U {
        self.atomic().load(Relaxed)
    }

    /// What the producer gets, if it wins the race for this slot's index.
    ///
    /// # Safety
    /// The slot was filled, and that happened before this.
    #[inline(always)]
    pub(super) unsafe fn read_own(&self) -> *mut U {
        self.atomic().load(Relaxed)
    }

    /// The producer won the race.
    #[inline(always)]
    pub(super) fn taken_back(&self) {}
}

/// Empty slots. Their memory is reserved and not touched, so it costs nothing until it is used.
#[cfg(not(pyre_loom))]
pub(super) fn slots<U>(slot_count: usize) -> Box<[Slot<U>]> {
    // Not zeroed memory either: the C library zeroes blocks of this size by hand.
    let slots = Box::<[Slot<U>]>::new_uninit_slice(slot_count);
    // SAFETY: a `Slot` is, through a transparent layer, a `MaybeUninit`, which any bytes make,
    // uninitialised ones too.
    unsafe { slots.assume_init() }
}

/// A place for one item, with its witness.
#[cfg(pyre_loom)]
pub(super) struct Slot<U> {
    item: AtomicPtr<U>,
    /// Read by the consumer each time it reads the item, written by the producer when it fills the
    /// slot, unless it emptied the slot itself: then the consumer may be reading, and will lose.
    /// So loom sees a race, if filling is not ordered before the pop, or popping before the refill.
    witness: loom::cell::UnsafeCell<()>,
    /// Whether the producer emptied the slot. Only the producer looks.
    is_taken_back: std::sync::atomic::AtomicBool,
}

#[cfg(pyre_loom)]
impl<U> Slot<U> {
    pub(super) fn fill(&self, item: *mut U) {
        if !self.is_taken_back.swap(false, Relaxed) {
            self.witness.with_mut(|_| ());
        }
        self.item.store(item, Relaxed);
    }

    pub(super) unsafe fn read(&self) -> *mut U {
        self.witness.with(|_| ());
        let item = self.item.load(Relaxed);
        assert!(!item.is_null(), "a slot is read that was never filled");
        item
    }

    pub(super) unsafe fn read_own(&self) -> *mut U {
        self.item.load(Relaxed)
    }

    pub(super) fn taken_back(&self) {
        self.is_taken_back.store(true, Relaxed);
    }
}

/// Empty slots, each known to loom.
#[cfg(pyre_loom)]
pub(super) fn slots<U>(slot_count: usize) -> Box<[Slot<U>]> {
    let slot = |_| Slot {
        item: AtomicPtr::new(std::ptr::null_mut()),
        witness: loom::cell::UnsafeCell::new(()),
        is_taken_back: std::sync::atomic::AtomicBool::new(false),
    };
    (0..slot_count).map(slot).collect()
}
