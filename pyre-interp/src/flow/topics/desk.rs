//! The order in which things are published and subscribed to, and how much may be on its way.

use std::sync::Arc;
use std::time::Instant;

use super::super::sync::{Condvar, Mutex, MutexGuard, wait_until};

/// So much may be published that not all reactors have written to their subscribers; one publication may
/// go beyond that.
#[cfg(not(pyre_loom))]
pub const PUBLISHED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// In models one publication fills it.
#[cfg(pyre_loom)]
pub const PUBLISHED_BYTES_MAX: usize = 1;

/// What a publication counts besides its bytes: they may be few.
const PUBLICATION_BYTES: usize = 512;

/// The order and the bound of publications.
pub(super) struct Desk {
    state: Mutex<State>,
    /// Threads that wait for room.
    room: Condvar,
}

/// What is behind the lock.
#[derive(Default)]
pub(crate) struct State {
    /// What the last publication or subscription was given.
    order: u64,
    /// How much is on its way.
    bytes: usize,
    /// How many threads wait.
    waiting: usize,
    published: u64,
    is_closed: bool,
}

impl State {
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    pub(super) fn has_room(&self) -> bool {
        self.bytes < PUBLISHED_BYTES_MAX
    }

    /// One publication, of which nobody is to hear.
    pub(super) fn count(&mut self) {
        self.published += 1;
    }

    pub(super) fn next_order(&mut self) -> u64 {
        self.order += 1;
        self.order
    }
}

impl Default for Desk {
    fn default() -> Self {
        Self { state: Mutex::new(State::default()), room: Condvar::new() }
    }
}

impl Desk {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Waits for room until then. Tells whether it is worth looking again.
    pub(super) fn wait(&self, state: &mut MutexGuard<'_, State>, until: Option<Instant>) -> bool {
        state.waiting += 1;
        let timed_out = wait_until(&self.room, state, until);
        state.waiting -= 1;
        !timed_out || state.has_room() || state.is_closed
    }

    pub(super) fn published(&self) -> u64 {
        self.lock().published
    }

    /// Publishes nothing any more.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        if state.waiting > 0 {
            self.room.notify_all();
        }
    }
}

/// What one publication takes of the room, for as long as it is on its way; and its place in the order.
pub(super) struct Charge {
    desk: Arc<Desk>,
    bytes: usize,
    pub(super) order: u64,
}

impl Charge {
    pub(super) fn new(desk: &Arc<Desk>, state: &mut State, bytes: usize) -> Self {
        let bytes = bytes + PUBLICATION_BYTES;
        state.bytes += bytes;
        state.published += 1;
        Self { desk: desk.clone(), bytes, order: state.next_order() }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let mut state = self.desk.lock();
        state.bytes -= self.bytes;
        if state.waiting > 0 && state.has_room() {
            self.desk.room.notify_all();
        }
    }
}
