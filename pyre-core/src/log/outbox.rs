//! Access records on their way to a program that has handlers of its own for `pyre.access`. A thread
//! of the main interpreter takes them; they never wait for it, and beyond a bound they are dropped.

use std::time::{Duration, Instant};

use crate::log::entry::AccessBatch;
use crate::log::queue::{Nothing, Queue, Weigh};
use crate::log::writer::{self, QUEUED_BYTES_MAX};

impl Weigh for Box<AccessBatch> {
    fn weight(&self) -> usize {
        AccessBatch::weight(self)
    }
}

/// A bounded queue of batches.
///
/// # Threads
/// Any number push; one takes.
pub(crate) struct Outbox(Queue<Box<AccessBatch>>);

impl Default for Outbox {
    fn default() -> Self {
        Self(Queue::new(QUEUED_BYTES_MAX))
    }
}

impl Outbox {
    /// Adds a batch, or drops it if the queue is full.
    pub(crate) fn push(&self, batch: Box<AccessBatch>) {
        if let Err(batch) = self.0.push(batch) {
            writer::count_dropped(batch.entries.len());
        }
    }

    /// The oldest batch, waiting for one at most so long. `Err`: the outbox is closed and empty.
    ///
    /// # Threads
    /// Blocks the caller.
    pub(crate) fn take(&self, patience: Duration) -> Result<Option<Box<AccessBatch>>, Closed> {
        match self.0.take(Some(Instant::now() + patience)) {
            Ok(batch) => Ok(Some(batch)),
            Err(Nothing::Yet) => Ok(None),
            Err(Nothing::AnyMore) => Err(Closed),
        }
    }

    /// Nothing comes any more.
    pub(crate) fn close(&self) {
        self.0.close();
    }
}

/// The outbox is closed and empty.
#[derive(Debug)]
pub(crate) struct Closed;
