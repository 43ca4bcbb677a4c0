//! Locks and queues of flows: those of every day, or under `--cfg pyre_loom` such as loom knows.
//!
//! What stands in for them has the same names and promises no more. So the models run the code of
//! flows as it is; that a lock locks, and a queue keeps what is put into it, they take for granted.

#[cfg(not(pyre_loom))]
pub(super) use crossbeam_queue::SegQueue;
#[cfg(not(pyre_loom))]
pub(super) use parking_lot::{Condvar, Mutex, MutexGuard};

#[cfg(pyre_loom)]
pub(super) use modelled::{Condvar, Mutex, MutexGuard, SegQueue};

use std::time::Instant;

/// Lets the lock go and waits to be notified, but no longer than until then; for ever if that is no
/// moment. Tells whether it is over.
pub(super) fn wait_until<T>(
    condvar: &Condvar,
    guard: &mut MutexGuard<'_, T>,
    until: Option<Instant>,
) -> bool {
    match until {
        Some(until) => condvar.wait_until(guard, until).timed_out(),
        None => {
            condvar.wait(guard);
            false
        }
    }
}

#[cfg(pyre_loom)]
mod modelled {
    use std::{
        collections::VecDeque,
        ops::{Deref, DerefMut},
        time::Instant,
    };

    use loom::sync::atomic::{
        AtomicUsize,
        Ordering::{Acquire, Relaxed, Release},
    };

    /// A lock that is never poisoned.
    #[derive(Debug)]
    pub(in crate::flow) struct Mutex<T>(loom::sync::Mutex<T>);

    /// Empty only while a [`Condvar`] has it.
    pub(in crate::flow) struct MutexGuard<'a, T>(Option<loom::sync::MutexGuard<'a, T>>);

    impl<T> Mutex<T> {
        pub(in crate::flow) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(in crate::flow) fn lock(&self) -> MutexGuard<'_, T> {
            MutexGuard(Some(self.0.lock().unwrap()))
        }

        pub(in crate::flow) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            self.0.try_lock().ok().map(|guard| MutexGuard(Some(guard)))
        }
    }

    impl<T> Deref for MutexGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            self.0.as_ref().unwrap()
        }
    }

    impl<T> DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            self.0.as_mut().unwrap()
        }
    }

    #[derive(Debug)]
    pub(in crate::flow) struct Condvar(loom::sync::Condvar);

    pub(in crate::flow) struct Waited;

    impl Waited {
        pub(in crate::flow) fn timed_out(&self) -> bool {
            false
        }
    }

    impl Condvar {
        pub(in crate::flow) fn new() -> Self {
            Self(loom::sync::Condvar::new())
        }

        pub(in crate::flow) fn notify_all(&self) {
            self.0.notify_all();
        }

        pub(in crate::flow) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
            guard.0 = guard.0.take().map(|inner| self.0.wait(inner).unwrap());
        }

        /// The moment never comes: who is not woken is stuck, and loom tells.
        pub(in crate::flow) fn wait_until<T>(
            &self,
            guard: &mut MutexGuard<'_, T>,
            _until: Instant,
        ) -> Waited {
            self.wait(guard);
            Waited
        }
    }

    /// A queue that orders no more than a lock-free one does. Above all, who looks whether it is empty
    /// takes no lock: that would order the look for him, and hide that it needs a fence.
    pub(in crate::flow) struct SegQueue<T> {
        items: loom::sync::Mutex<VecDeque<T>>,
        count: AtomicUsize,
    }

    impl<T> SegQueue<T> {
        pub(in crate::flow) fn new() -> Self {
            Self { items: loom::sync::Mutex::new(VecDeque::new()), count: AtomicUsize::new(0) }
        }

        pub(in crate::flow) fn push(&self, item: T) {
            self.items.lock().unwrap().push_back(item);
            self.count.fetch_add(1, Release);
        }

        pub(in crate::flow) fn pop(&self) -> Option<T> {
            if self.count.load(Acquire) == 0 {
                return None;
            }
            let item = self.items.lock().unwrap().pop_front();
            if item.is_some() {
                self.count.fetch_sub(1, Relaxed);
            }
            item
        }

        pub(in crate::flow) fn len(&self) -> usize {
            self.count.load(Relaxed)
        }

        pub(in crate::flow) fn is_empty(&self) -> bool {
            self.count.load(Relaxed) == 0
        }
    }
}
