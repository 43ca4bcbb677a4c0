//! The end of a flow outward that the reactor has, with what it has to know of its connection.

use std::sync::Arc;

use super::{Outflow, Taken};

/// What an answer in pieces asks of the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Terms {
    /// A comment is sent after so many milliseconds of silence; none if that is 0.
    pub keep_alive_ms: u64,
    /// The end of the answer is the end of the connection, so one that breaks off must not end like that.
    pub ends_with_connection: bool,
}

/// The reactor's end of a flow. When it is dropped, nobody reads it any more.
pub struct Downstream {
    flow: Arc<Outflow>,
    /// What it asks of the connection.
    pub terms: Terms,
    /// When anything was last sent, in milliseconds of the reactor's clock.
    pub sent_ms: u64,
    /// When a piece of the program's was.
    pub piece_ms: u64,
    /// Bytes of the pieces that were taken, without what frames them.
    pub bytes: u64,
    /// When the peer counts as gone, as it has closed its side.
    pub disconnects_ms: u64,
    /// Its begin is counted.
    pub is_counted: bool,
}

impl Downstream {
    /// The end of this flow.
    #[must_use]
    pub fn new(flow: Arc<Outflow>, terms: Terms) -> Self {
        Self {
            flow,
            terms,
            sent_ms: 0,
            piece_ms: 0,
            bytes: 0,
            disconnects_ms: u64::MAX,
            is_counted: false,
        }
    }

    /// Sends something of the server's own, if nothing else is on its way.
    pub fn push_comment(&self, comment: &[u8]) {
        self.flow.push_comment(comment);
    }

    /// Takes all that is there at this moment; `into` is empty.
    pub fn take(&mut self, into: &mut Vec<u8>, now_ms: u64) -> Taken {
        let before = self.bytes;
        let taken = self.flow.take(into, &mut self.bytes);
        if !into.is_empty() {
            self.sent_ms = now_ms;
        }
        if self.bytes != before {
            self.piece_ms = now_ms;
        }
        taken
    }
}

impl Drop for Downstream {
    fn drop(&mut self) {
        self.flow.disconnect();
    }
}

impl std::fmt::Debug for Downstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Downstream").field("terms", &self.terms).finish_non_exhaustive()
    }
}
