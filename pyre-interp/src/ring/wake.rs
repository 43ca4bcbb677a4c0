//! Waking a reactor, but only one that sleeps. Between steps 10 and 11. Hot path.
//!
//! Contract: a lane calls [`Doorbell::notify`] after the pushes of a batch. The reactor, before it
//! sleeps, calls [`Doorbell::announce`], looks at its rings once more, and sleeps only if all are
//! empty; then it calls [`Doorbell::awake`]. If the reactor missed the push when it looked, `notify`
//! sees that it was announced, and rings. Of several lanes that find it asleep, one rings.

use super::sync::{AtomicBool, Line, Site, fence};
use std::{fmt, sync::atomic::Ordering::Relaxed};

/// A reactor's bell: rung only when the reactor said that it sleeps.
///
/// # Threads
/// One thread sleeps; any number notify.
pub struct Doorbell {
    asleep: Line<AtomicBool>,
    ring: Box<dyn Fn() + Send + Sync>,
}

impl Doorbell {
    /// Makes a bell that is rung by `ring`, which must end the reactor's poll, or keep the next one
    /// from sleeping. A bell may ring late, when the reactor is awake again.
    pub fn new(ring: impl Fn() + Send + Sync + 'static) -> Self {
        Self { asleep: Line(AtomicBool::new(false)), ring: Box::new(ring) }
    }

    /// Something was pushed: wakes the reactor if it sleeps.
    ///
    /// Costs a fence and a load while the reactor is awake.
    #[inline]
    pub fn notify(&self) {
        // Pairs with the fence in `announce`: either we see the announcement, or the reactor, which
        // looks after it, sees what was pushed before.
        fence(Site::BellPushed);
        if self.asleep.load(Relaxed) {
            self.wake();
        }
    }

    /// Says that the reactor is about to sleep. It must look at its rings after this, and may sleep
    /// only if it finds nothing.
    #[inline]
    pub fn announce(&self) {
        self.asleep.store(true, Relaxed);
        // Pairs with the fence in `notify`.
        fence(Site::BellAnnounced);
    }

    /// Says that the reactor no longer sleeps, whether or not it did.
    #[inline]
    pub fn awake(&self) {
        self.asleep.store(false, Relaxed);
    }

    #[cold]
    fn wake(&self) {
        // Only the one that takes the announcement away rings for it. One that comes too late writes
        // nothing, so that it cannot take away the next.
        if self.asleep.compare_exchange(true, false, Relaxed, Relaxed).is_ok() {
            (self.ring)();
        }
    }
}

impl fmt::Debug for Doorbell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asleep = self.asleep.load(Relaxed);
        f.debug_struct("Doorbell").field("asleep", &asleep).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(not(pyre_loom))]
mod tests {
    use super::*;
    use std::sync::{Arc, atomic::AtomicUsize};

    #[test]
    fn rings_once_and_only_for_a_sleeper() {
        let rung = Arc::new(AtomicUsize::new(0));
        let bell = Doorbell::new({
            let rung = rung.clone();
            move || {
                rung.fetch_add(1, Relaxed);
            }
        });
        type Step = fn(&Doorbell);
        let steps: [(Step, usize); 7] = [
            (Doorbell::notify, 0),
            (Doorbell::announce, 0),
            (Doorbell::notify, 1),
            (Doorbell::notify, 1),
            (Doorbell::announce, 1),
            (Doorbell::awake, 1),
            (Doorbell::notify, 1),
        ];
        for (number, (step, expected)) in steps.into_iter().enumerate() {
            step(&bell);
            assert_eq!(rung.load(Relaxed), expected, "after step {number}");
        }
    }
}
