//! Access records on their way to a program that has handlers of its own for `pyre.access`. A thread
//! of the main interpreter takes them; they never wait for it, and beyond a bound they are dropped.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::log::entry::AccessBatch;
use crate::log::writer::{self, QUEUED_BYTES_MAX};

/// A bounded queue of batches.
#[derive(Default)]
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    filled: Condvar,
}

#[derive(Default)]
struct Queue {
    batches: VecDeque<Box<AccessBatch>>,
    bytes: usize,
    closed: bool,
}

impl Outbox {
    /// Adds a batch, or drops it if the queue is full.
    pub(crate) fn push(&self, batch: Box<AccessBatch>) {
        let mut queue = self.queue.lock();
        let weight = batch.weight();
        if queue.bytes + weight > QUEUED_BYTES_MAX {
            drop(queue);
            writer::count_dropped(batch.entries.len());
            return;
        }
        queue.bytes += weight;
        queue.batches.push_back(batch);
        drop(queue);
        self.filled.notify_one();
    }

    /// The oldest batch, waiting for one at most so long. `Err`: the outbox is closed and empty.
    ///
    /// # Threads
    /// Blocks the caller.
    pub(crate) fn take(&self, patience: Duration) -> Result<Option<Box<AccessBatch>>, Closed> {
        let deadline = Instant::now() + patience;
        let mut queue = self.queue.lock();
        loop {
            if let Some(batch) = queue.batches.pop_front() {
                queue.bytes -= batch.weight();
                return Ok(Some(batch));
            }
            if queue.closed {
                return Err(Closed);
            }
            if self.filled.wait_until(&mut queue, deadline).timed_out() {
                return Ok(None);
            }
        }
    }

    /// Nothing comes any more.
    pub(crate) fn close(&self) {
        self.queue.lock().closed = true;
        self.filled.notify_all();
    }
}

/// The outbox is closed and empty.
#[derive(Debug)]
pub(crate) struct Closed;
