//! The baton: the right to use a value that travels between threads, one of which may go away with
//! a promise to come back and find it taken. Steps 5 and 10. Hot path.
//!
//! The value is a reactor. Its *keeper* is the thread that it was given to; a lane *carries* it for
//! a while, and runs handlers in between. Whoever may touch the value has a [`Hold`], of which there
//! is never more than one. It goes through one word, of two bits that say where it is and a count of
//! all its steps:
//! ```text
//!              offer (keeper)                 accept (a lane)
//!      HELD ─────────────────▶ OFFERED ─────────────────────▶ HELD ──┐
//!     by the ◀──── withdraw ──────┘                          by the  │ leave (before Python)
//!     keeper ◀──── reclaim ─── RETURNED ◀── give_back ─────── lane ◀─┤ back
//!        ▲                                                           ▼
//!        └────────────────────── take (the keeper) ──────────────── AWAY
//! ```
//! - *held*: somebody has the `Hold`, and nobody else may change the word.
//! - *away*: the lane is inside Python, or waits to get in. The value is whole and nobody's. Two may
//!   try to have it: the lane that comes back, and the keeper, who has found that the lane takes too
//!   long. One compare-and-swap decides, and the loser touches the value no more.
//! - *offered*, *returned*: on the way from the keeper to a lane, and home.
//!
//! The count never repeats, so the keeper can tell one absence from the next: it takes only what it
//! has seen away for a while.
//!
//! The keeper looks at the word now and then. When nothing has happened for long it sleeps, and the
//! lane that leaves next wakes it: the lane leaves, puts a fence, and looks whether the keeper
//! sleeps; the keeper announces its sleep, puts a fence, and looks at the word.
#![expect(unsafe_code, reason = "a value passes from one thread to another without moving")]

use super::{
    sync::{AtomicPtr, AtomicU64, Line, OnceLock, Site, order, park_until, thread},
    wake::Doorbell,
};
use std::{
    fmt,
    marker::PhantomData,
    ops::{Deref, DerefMut},
    ptr,
    sync::{
        Arc,
        atomic::Ordering::{Acquire, Relaxed, Release},
    },
    time::{Duration, Instant},
};

/// Where the value is: the two low bits of the word.
const PHASE: u64 = 0b11;
const HELD: u64 = 0b00;
const AWAY: u64 = 0b01;
const OFFERED: u64 = 0b10;
const RETURNED: u64 = 0b11;

/// One step further in the count.
const STEP: u64 = PHASE + 1;

/// The road that one value travels on.
///
/// # Threads
/// Shared by the keeper and by all lanes that may carry the value.
pub struct Baton<T> {
    word: Line<AtomicU64>,
    /// The value, once there is one. It stays where it is; what travels is the right to use it.
    value: AtomicPtr<T>,
    keeper: Arc<OnceLock<thread::Thread>>,
    /// Rings for the keeper, if it sleeps.
    bell: Doorbell,
}

/// What the word said at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Glance(u64);

impl Glance {
    /// Whether the lane is inside Python, or waits to get in.
    #[must_use]
    pub fn is_away(self) -> bool {
        self.0 & PHASE == AWAY
    }

    /// Whether the value is on its way to a lane.
    #[must_use]
    pub fn is_offered(self) -> bool {
        self.0 & PHASE == OFFERED
    }
}

// `Send`, as any of them may come to have the value, and drop it.
impl<T: Send> Baton<T> {
    /// A road with nothing on it.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let keeper: Arc<OnceLock<thread::Thread>> = Arc::new(OnceLock::new());
        let sleeper = keeper.clone();
        Arc::new(Self {
            word: Line(AtomicU64::new(HELD)),
            value: AtomicPtr::new(ptr::null_mut()),
            keeper,
            bell: Doorbell::new(move || {
                if let Some(keeper) = sleeper.get() {
                    keeper.unpark();
                }
            }),
        })
    }

    /// Brings the value. The calling thread is its keeper from now on.
    ///
    /// # Panics
    /// If there has been one already.
    pub fn begin(self: &Arc<Self>, value: Box<T>) -> Hold<T> {
        let value = Box::into_raw(value);
        // Relaxed: whoever reads it has a `Hold`, or the word from one who had.
        let set = self.value.compare_exchange(ptr::null_mut(), value, Relaxed, Relaxed);
        assert!(set.is_ok(), "a baton is for one value");
        self.keeper.get_or_init(thread::current);
        Hold::new(self.clone(), HELD)
    }

    /// What the word says now. Whoever sees a lane away sees what it wrote before it left.
    #[must_use]
    pub fn glance(&self) -> Glance {
        // Pairs with the Release in `Hold::part`.
        Glance(self.word.load(order(Site::BatonTaken, Acquire)))
    }

    /// A lane takes what is offered, unless it was withdrawn.
    pub fn accept(self: &Arc<Self>) -> Option<Hold<T>> {
        self.receive(OFFERED)
    }

    /// The keeper takes back what it has offered and nobody has accepted.
    pub fn withdraw(self: &Arc<Self>) -> Option<Hold<T>> {
        self.receive(OFFERED)
    }

    /// The keeper takes what a lane has returned.
    pub fn reclaim(self: &Arc<Self>) -> Option<Hold<T>> {
        self.receive(RETURNED)
    }

    /// The keeper takes the value from a lane that is still as far away as it was at that glance.
    pub fn take(self: &Arc<Self>, seen: Glance) -> Option<Hold<T>> {
        if seen.is_away() { self.change(seen.0) } else { None }
    }

    fn receive(self: &Arc<Self>, phase: u64) -> Option<Hold<T>> {
        let word = self.word.load(Relaxed);
        if word & PHASE == phase { self.change(word) } else { None }
    }

    /// Makes the value ours, if the word still says so.
    fn change(self: &Arc<Self>, seen: u64) -> Option<Hold<T>> {
        let held = (seen & !PHASE) + STEP;
        // Acquire: we see all that the last one did with the value. Pairs with the Release in
        // `Hold::part`.
        let taking = order(Site::BatonTaken, Acquire);
        let changed = self.word.compare_exchange(seen, held, taking, Relaxed);
        changed.is_ok().then(|| Hold::new(self.clone(), held))
    }

    /// The keeper sleeps for so long, or until the value comes home.
    ///
    /// # Panics
    /// If the caller is not the keeper.
    pub fn doze(&self, pause: Duration) {
        self.check_keeper();
        let end = Instant::now().checked_add(pause);
        // It may be unparked for what is over: a bell that rings late, a return that it saw before.
        // Whoever judges by what has changed in a pause relies on its length.
        while self.glance().0 & PHASE != RETURNED && park_until(end) {}
    }

    /// The keeper sleeps until a lane leaves, or returns the value. Returns at once if one is away.
    ///
    /// # Panics
    /// If the caller is not the keeper.
    pub fn sleep(&self) {
        self.check_keeper();
        self.bell.announce();
        if matches!(self.glance().0 & PHASE, HELD | OFFERED) {
            thread::park();
        }
        self.bell.awake();
    }

    fn check_keeper(&self) {
        let keeper = self.keeper.get().map(thread::Thread::id);
        assert_eq!(keeper, Some(thread::current().id()), "only the keeper waits for a baton");
    }
}

impl<T> Drop for Baton<T> {
    fn drop(&mut self) {
        let value = self.value.load(Relaxed);
        // A `Hold` drops the value with itself; what nobody holds is left to us.
        if !value.is_null() && self.word.load(Relaxed) & PHASE != HELD {
            // SAFETY: `begin` made it from a box, and no `Hold`, which alone gives access, exists:
            // there is one only while the word says HELD, and it keeps the baton alive.
            drop(unsafe { Box::from_raw(value) });
        }
    }
}

impl<T> fmt::Debug for Baton<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.word.load(Relaxed);
        let phase = ["held", "away", "offered", "returned"][(word & PHASE) as usize];
        f.debug_struct("Baton").field("phase", &phase).field("steps", &(word / STEP)).finish()
    }
}

/// The right to use the value: the only one there is. Dropped, the value is gone.
///
/// # Threads
/// As a `Box` of the value: it may be sent if the value may, and shared only if the value may be.
///
/// ```compile_fail,E0277
/// fn f(hold: &pyre_interp::ring::Hold<std::cell::Cell<u8>>) {
///     std::thread::scope(|scope| drop(scope.spawn(|| hold.set(1))));
/// }
/// ```
pub struct Hold<T> {
    baton: Arc<Baton<T>>,
    /// What the word says as long as this exists.
    word: u64,
    /// A baton alone could be shared whatever the value is, as it gives no access.
    value: PhantomData<Box<T>>,
}

impl<T> Hold<T> {
    /// For whoever has just made the word say this.
    fn new(baton: Arc<Baton<T>>, word: u64) -> Self {
        Self { baton, word, value: PhantomData }
    }

    /// Goes away, into Python: the value is nobody's from now on.
    #[inline]
    pub fn leave(self) -> Away<T> {
        let word = self.word + AWAY;
        let baton = self.part(word);
        // The keeper must not sleep while somebody is away. Puts a fence.
        baton.bell.notify();
        Away { baton, word }
    }

    /// Sends the value to whoever accepts it first.
    pub fn offer(self) {
        let word = self.word + OFFERED;
        drop(self.part(word));
    }

    /// Sends the value home.
    pub fn give_back(self) {
        let word = self.word + RETURNED;
        let baton = self.part(word);
        if let Some(keeper) = baton.keeper.get() {
            keeper.unpark();
        }
    }

    /// Gives the right up, and says so.
    #[inline]
    fn part(self, word: u64) -> Arc<Baton<T>> {
        let this = std::mem::ManuallyDrop::new(self);
        // SAFETY: `this` is not used again, nor dropped, so the reference moves out of it.
        let baton = unsafe { ptr::read(&raw const this.baton) };
        // Release: whoever takes the value sees what we did with it. Pairs with the Acquire in
        // `Baton::change`.
        baton.word.store(word, order(Site::BatonLeft, Release));
        baton
    }
}

impl<T> Deref for Hold<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: `begin` set the pointer before the first `Hold` was made, to a box that only the
        // drop of a `Hold`, or of the baton without one, frees. There is one `Hold` at a time: each
        // is made of a change of the word to HELD that succeeded, or by `begin`, which does once; it
        // ends before the word changes again; and only its owner changes a word that says HELD. What
        // the one before did with the value is done: it left with Release and we came by an Acquire,
        // or are the thread that left it.
        unsafe { &*self.baton.value.load(Relaxed) }
    }
}

impl<T> DerefMut for Hold<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`; and this is the only `Hold`, borrowed for as long as the result.
        unsafe { &mut *self.baton.value.load(Relaxed) }
    }
}

impl<T> Drop for Hold<T> {
    fn drop(&mut self) {
        // SAFETY: as in `deref_mut`. Nobody can have the value after us: the word says HELD for ever.
        drop(unsafe { Box::from_raw(self.baton.value.load(Relaxed)) });
    }
}

/// The promise of a lane that has left to come back. Dropped, it is for the keeper to take the value.
#[must_use]
pub struct Away<T> {
    baton: Arc<Baton<T>>,
    /// What the word says unless the keeper has taken the value.
    word: u64,
}

impl<T> Away<T> {
    /// Comes back. None: the keeper has the value.
    #[inline]
    #[must_use]
    pub fn back(self) -> Option<Hold<T>> {
        let held = self.word - AWAY + STEP;
        // Relaxed: if it succeeds, nobody else has touched the value since this thread left it.
        let changed = self.baton.word.compare_exchange(self.word, held, Relaxed, Relaxed);
        changed.is_ok().then(|| Hold::new(self.baton, held))
    }
}

#[cfg(test)]
#[cfg(not(pyre_loom))]
mod tests;
