//! Which reactors a lane has to wake at the end of its batch. Hot path.

use std::sync::Arc;

use crate::ring::Doorbell;

/// The reactors to wake at the end of a batch.
pub(crate) struct Unrung {
    reactors: Vec<usize>,
}

impl Unrung {
    pub(super) fn new(reactors: usize) -> Self {
        Self { reactors: Vec::with_capacity(reactors) }
    }

    pub(super) fn add(&mut self, reactor: usize) {
        if !self.reactors.contains(&reactor) {
            self.reactors.push(reactor);
        }
    }

    pub(crate) fn ring(&mut self, doorbells: &[Arc<Doorbell>]) {
        for reactor in self.reactors.drain(..) {
            doorbells[reactor].notify();
        }
    }
}
