//! The end of a flow outward that the reactor has, with what it has to know of its connection.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;
use pyre_http::files::answer::Piece;
use pyre_http::websocket::extension::Agreed;

use super::topics::{Form, Publication};
use super::{Feed, Inbox, KEPT_BYTES_MAX, Kept, Offered, OpenFile, Outflow, Spare, Taken};

/// What an answer in pieces keeps of the buffer that is written while it is silent.
const SLIM_REPLY_BYTES: usize = 1024;

/// What an answer in pieces asks of the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Terms {
    /// A comment is sent after so many milliseconds of silence; none if that is 0.
    pub keep_alive_ms: u64,
    /// The end of the answer is the end of the connection, so one that breaks off must not end like that.
    pub ends_with_connection: bool,
}

/// What the reactor knows of the pieces that it has taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Known {
    /// Their bytes, without what frames them.
    pub bytes: u64,
    /// How many there were.
    pub count: u64,
    /// The connection speaks WebSocket.
    pub is_upgraded: bool,
    /// What the buffers have room for that were found empty last.
    pub spare_bytes: usize,
    /// The status of the answer, if that was not known when the flow began.
    pub status: Option<u16>,
}

impl Known {
    /// One more piece, of so many bytes.
    pub(super) fn add(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        self.count += 1;
    }
}

/// What a connection gets with the handshake of a WebSocket, for the case that it is accepted.
pub struct Upgrade {
    /// Where its messages go.
    pub feed: Feed,
    /// How they are compressed, if they are.
    pub agreed: Option<Agreed>,
    /// How long the handler may take to answer, in milliseconds; 0 for as long as it likes.
    pub timeout_ms: u64,
}

/// What has come of something that a file on its way waits for.
pub enum Fetched {
    /// It goes on, or tries again.
    Ready,
    /// The bytes that stand where it is; or why they cannot be read.
    Bytes(io::Result<Vec<u8>>),
}

/// A file that is on its way, or parts of it.
pub struct Transfer {
    /// Open for reading; nobody uses its position.
    pub file: Arc<OpenFile>,
    /// What is left to be sent.
    pub pieces: VecDeque<Piece>,
    /// What of it has been read into memory for this answer.
    pub warm: Range<u64>,
    /// Where that will be put which is waited for.
    pub awaited: Option<Arc<Mutex<Option<Fetched>>>>,
    /// Others read its bytes, who may wait: the reactor cannot send from it.
    pub is_copied: bool,
}

impl Transfer {
    /// A file of which this is to be sent.
    #[must_use]
    pub fn new(file: Arc<OpenFile>, pieces: impl IntoIterator<Item = Piece>) -> Self {
        let pieces = pieces.into_iter().collect();
        let is_copied = !file.is_local();
        Self { file, pieces, warm: 0..0, awaited: None, is_copied }
    }

    /// So many bytes of the part that it stands at are sent.
    pub fn has_sent(&mut self, bytes: u64) {
        if let Some(Piece::Part(at, left)) = self.pieces.front_mut() {
            *at += bytes;
            *left -= bytes;
        }
    }
}

/// The reactor's end of a flow. When it is dropped, nobody reads it any more.
pub struct Downstream {
    flow: Arc<Outflow>,
    /// What is sent is a file: nothing comes by the flow.
    pub file: Option<Box<Transfer>>,
    /// It may become that of a WebSocket.
    pub upgrade: Option<Box<Upgrade>>,
    /// What comes the other way, once it has.
    pub inbox: Option<Arc<Inbox>>,
    /// What it asks of the connection.
    pub terms: Terms,
    /// When anything was last sent, in milliseconds of the reactor's clock.
    pub sent_ms: u64,
    /// When a piece of the program's was.
    pub piece_ms: u64,
    /// What is known of the pieces that were taken.
    pub known: Known,
    /// When the peer counts as gone, as it has closed its side.
    pub disconnects_ms: u64,
    /// Its begin is counted.
    pub is_counted: bool,
    /// It keeps large buffers for its next pieces.
    kept: Option<Kept>,
    /// Until when it does, if none come.
    pub kept_until_ms: u64,
}

impl Downstream {
    /// The end of this flow.
    #[must_use]
    pub fn new(flow: Arc<Outflow>, terms: Terms) -> Self {
        Self {
            flow,
            file: None,
            upgrade: None,
            inbox: None,
            terms,
            sent_ms: 0,
            piece_ms: 0,
            known: Known::default(),
            disconnects_ms: u64::MAX,
            is_counted: false,
            kept: None,
            kept_until_ms: u64::MAX,
        }
    }

    /// A file, in place of pieces that somebody makes.
    #[must_use]
    pub fn of_file(transfer: Transfer) -> Box<Self> {
        let mut flow = Self::new(Arc::default(), Terms::default());
        flow.file = Some(Box::new(transfer));
        Box::new(flow)
    }

    /// The flow itself, for what the server says last.
    #[must_use]
    pub fn flow(&self) -> &Arc<Outflow> {
        &self.flow
    }

    /// Sends something of the server's own, if nothing else is on its way.
    pub fn push_comment(&self, comment: &[u8]) {
        self.flow.push_comment(comment);
    }

    /// Offers a publication to it, while nothing of its connection waits to be written.
    pub fn offer(&mut self, form: Form, publication: &Publication, now_ms: u64) -> Offered {
        let offered = self.flow.offer_to(form, publication, Some(&mut self.known));
        if offered == Offered::Write {
            (self.sent_ms, self.piece_ms) = (now_ms, now_ms);
        }
        offered
    }

    /// Takes all that is there at this moment; `into` is empty.
    pub fn take(&mut self, into: &mut Vec<u8>, now_ms: u64) -> Taken {
        let before = self.known.bytes;
        let taken = self.flow.take(into, &mut self.known);
        if !into.is_empty() {
            self.sent_ms = now_ms;
        }
        if self.known.bytes != before {
            self.piece_ms = now_ms;
        }
        taken
    }

    /// Nothing was there to be taken. It keeps its buffers until then, `reply` among them, if the flows of
    /// its reactor do not keep more than `most` together; else it frees what is large.
    pub fn rest(&mut self, reply: &mut Vec<u8>, spare: &Spare, most: usize, until_ms: u64) {
        let bytes = self.known.spare_bytes;
        if bytes <= KEPT_BYTES_MAX {
            return self.slim(reply);
        }
        if !self.kept.as_ref().is_some_and(|kept| kept.covers(bytes)) {
            // What it has kept so far is a part of that.
            self.kept = None;
            self.kept = spare.keep(bytes, most);
        }
        match self.kept {
            Some(_) => self.kept_until_ms = until_ms,
            None => self.slim(reply),
        }
    }

    /// Keeps little from now on, as nothing comes.
    pub fn slim(&mut self, reply: &mut Vec<u8>) {
        if self.kept.is_some() || self.known.spare_bytes > KEPT_BYTES_MAX {
            self.flow.slim();
        }
        if reply.is_empty() && reply.capacity() > SLIM_REPLY_BYTES {
            *reply = Vec::new();
        }
        self.kept = None;
        self.kept_until_ms = u64::MAX;
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
