//! A stream between the handler that has returned it and the head of its answer.

use std::ops::Deref;

use pyre_ffi::{Instance, Owned};

use super::Stream;

/// A stream that is to become the body of an answer. If it does not, as the request ends in another
/// way, nobody is going to read it, and whoever sends is told.
pub(crate) struct Promised<'py>(Owned<'py, Instance<Stream>>);

impl<'py> Promised<'py> {
    pub(crate) fn new(stream: Owned<'py, Instance<Stream>>) -> Self {
        Self(stream)
    }
}

impl<'py> Deref for Promised<'py> {
    type Target = Owned<'py, Instance<Stream>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Drop for Promised<'_> {
    fn drop(&mut self) {
        // Nothing if it has a reader.
        self.0.flow.abandon();
    }
}
