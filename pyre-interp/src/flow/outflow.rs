//! A flow outward: from any thread of the program to the reactor of one connection.
//!
//! ```text
//!            attach (a lane)         end, fail (a sender)        all is taken
//!   early ─────────────────▶ open ─────────────────────▶ ending ─────────────▶ over
//!     │                        └── disconnect (the reactor) ──▶ gone
//!     └── disconnect: nobody is to read it ─────────────────────▲
//! ```
//! Before a lane has attached it to a connection, pieces are kept as they are: how they are framed
//! depends on the request that it answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use pyre_http::h1::chunk;
use pyre_http::h1::serialize::Delimited;

use super::{Mailbox, Wakes};
use crate::job::ConnectionId;

/// As much waits for the reactor before a sender has to. One piece may go beyond that.
pub const FLOW_BYTES_MAX: usize = 256 * 1024;

/// A buffer that is larger is freed when it is empty: a stream that is silent keeps little.
const KEPT_BYTES_MAX: usize = 16 * 1024;

/// Who takes the pieces of a flow.
pub struct Reader {
    /// The connection that they are for.
    pub connection: ConnectionId,
    /// Where its reactor looks.
    pub mailbox: Arc<Mailbox>,
}

/// A sender on an event loop, which is not to wait.
pub struct Waker {
    /// Where its loop looks.
    pub wakes: Arc<Wakes>,
    /// What the loop knows it by.
    pub number: u64,
}

/// What became of a piece.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pushed {
    /// It is on its way, and there is room for another one.
    Taken,
    /// It is on its way; the next one has to wait.
    Filled,
    /// There is no room.
    Full,
    /// More than the answer has said; the answer ends here.
    TooMuch,
    /// The sender has ended the flow before.
    Ended,
    /// Nobody reads it any more.
    Gone,
}

/// Whether a sender can go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Room {
    /// There is room.
    Some,
    /// Not yet.
    None,
    /// Nobody reads it any more.
    Gone,
}

/// What the reactor has found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Taken {
    /// Pieces, and there may be more: it is to look again once these are written.
    Pieces,
    /// Nothing. It is told when there is.
    Nothing,
    /// The end, and the pieces before it.
    End,
    /// That the answer breaks off behind these pieces.
    Break,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Open,
    /// The sender has ended it.
    Ended,
    /// It breaks off: the sender has failed, or said too little or too much.
    Failed,
    /// The other end has gone.
    Gone,
}

/// A flow from the program to a connection.
///
/// # Threads
/// Any number send. A lane attaches it once; from then on the reactor takes.
pub struct Outflow {
    state: Mutex<State>,
    /// Threads that wait for room.
    room: Condvar,
}

struct State {
    stage: Stage,
    /// Framed for the wire, once it is attached.
    pieces: Vec<u8>,
    /// Lengths of the pieces, as long as it is not.
    early: Vec<usize>,
    delimited: Delimited,
    reader: Option<Reader>,
    /// The reactor looks again by itself.
    is_told: bool,
    /// How many threads wait for room.
    waiting: usize,
    waker: Option<Waker>,
    /// The sender behind the waker waits for room.
    wakes_for_room: bool,
    /// Bytes of all pieces, without what frames them.
    bytes: u64,
}

impl Default for Outflow {
    fn default() -> Self {
        let state = State {
            stage: Stage::Open,
            pieces: Vec::new(),
            early: Vec::new(),
            delimited: Delimited::Close,
            reader: None,
            is_told: false,
            waiting: 0,
            waker: None,
            wakes_for_room: false,
            bytes: 0,
        };
        Self { state: Mutex::new(state), room: Condvar::new() }
    }
}

impl Outflow {
    /// Sends a piece, if there is room. One that `may_overfill` finds room up to twice the bound: so
    /// that who is told to wait and does not costs memory only once.
    pub fn push(&self, piece: &[u8], may_overfill: bool) -> Pushed {
        let mut state = self.state.lock();
        match state.stage {
            Stage::Open => {}
            Stage::Ended => return Pushed::Ended,
            Stage::Failed | Stage::Gone => return Pushed::Gone,
        }
        if piece.is_empty() {
            return Pushed::Taken;
        }
        let bytes_max = if may_overfill { 2 * FLOW_BYTES_MAX } else { FLOW_BYTES_MAX };
        if state.pieces.len() >= bytes_max {
            return Pushed::Full;
        }
        if !state.append(piece) {
            state.stage = Stage::Failed;
            self.tell(state);
            return Pushed::TooMuch;
        }
        state.bytes += piece.len() as u64;
        let is_filled = state.pieces.len() >= FLOW_BYTES_MAX;
        self.tell(state);
        if is_filled { Pushed::Filled } else { Pushed::Taken }
    }

    /// Whether a sender can go on.
    #[must_use]
    pub fn room(&self) -> Room {
        self.state.lock().room()
    }

    /// Waits until there is room, but not longer than that.
    ///
    /// # Threads
    /// Blocks the calling thread, which must not be attached to an interpreter.
    #[must_use]
    pub fn wait(&self, at_most: Duration) -> Room {
        let until = Instant::now() + at_most;
        let mut state = self.state.lock();
        loop {
            let room = state.room();
            if room != Room::None {
                return room;
            }
            state.waiting += 1;
            let timed_out = self.room.wait_until(&mut state, until).timed_out();
            state.waiting -= 1;
            if timed_out {
                return state.room();
            }
        }
    }

    /// Whoever sends is on an event loop: he is woken by this when the other end goes, and when there is
    /// room that he has asked for.
    pub fn set_waker(&self, waker: Waker) {
        let mut state = self.state.lock();
        if state.stage == Stage::Gone {
            waker.wakes.put(waker.number);
        }
        state.waker = Some(waker);
    }

    /// Asks to be woken when there is room. Tells whether there is none, so that it is worth waiting.
    #[must_use]
    pub fn ask_for_room(&self) -> bool {
        let mut state = self.state.lock();
        let is_full = state.room() == Room::None;
        state.wakes_for_room |= is_full;
        is_full
    }

    /// Nothing follows. Tells whether that is news.
    pub fn end(&self) -> bool {
        let mut state = self.state.lock();
        if state.stage != Stage::Open {
            return false;
        }
        let is_short = state.reader.is_some() && matches!(state.delimited, Delimited::Length(1..));
        state.stage = if is_short { Stage::Failed } else { Stage::Ended };
        self.tell(state);
        true
    }

    /// Nothing follows although something should. Tells whether that is news.
    pub fn fail(&self) -> bool {
        let mut state = self.state.lock();
        if state.stage != Stage::Open {
            return false;
        }
        state.stage = Stage::Failed;
        self.tell(state);
        true
    }

    /// The pieces are for this connection from now on. What has been sent so far is framed.
    pub fn attach(&self, reader: Reader, delimited: Delimited) {
        let mut state = self.state.lock();
        debug_assert!(state.reader.is_none(), "a flow is attached once");
        let early = std::mem::take(&mut state.pieces);
        let lengths = std::mem::take(&mut state.early);
        state.delimited = delimited;
        state.reader = Some(reader);
        // The reactor gets the answer itself, and looks then.
        state.is_told = true;
        let mut rest = early.as_slice();
        for length in lengths {
            let (piece, behind) = rest.split_at(length);
            rest = behind;
            if !state.append(piece) {
                state.stage = Stage::Failed;
                break;
            }
        }
        if state.stage == Stage::Ended && matches!(state.delimited, Delimited::Length(1..)) {
            state.stage = Stage::Failed;
        }
    }

    /// Nobody reads it any more. Senders are told.
    pub fn disconnect(&self) {
        let mut state = self.state.lock();
        if state.stage == Stage::Gone {
            return;
        }
        state.stage = Stage::Gone;
        state.pieces = Vec::new();
        state.early = Vec::new();
        state.reader = None;
        if let Some(waker) = state.waker.take() {
            waker.wakes.put(waker.number);
        }
        if state.waiting > 0 {
            self.room.notify_all();
        }
    }

    /// Whether nobody reads it any more.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.state.lock().stage == Stage::Gone
    }

    /// How many bytes are missing of an answer that is said to have so many, if more can be sent.
    #[must_use]
    pub fn missing(&self, length: u64) -> u64 {
        let state = self.state.lock();
        if state.stage == Stage::Open { length.saturating_sub(state.bytes) } else { 0 }
    }

    /// Whether a piece can still be sent, now or later.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state.lock().stage == Stage::Open
    }

    /// Sends something of the server's own, which counts for nothing, if nothing else is on its way.
    fn push_comment(&self, comment: &[u8]) {
        let mut state = self.state.lock();
        if state.stage == Stage::Open && state.pieces.is_empty() && state.append(comment) {
            self.tell(state);
        }
    }

    /// Takes all that is there, for the reactor; `into` is empty. Says how many bytes that makes in all.
    fn take(&self, into: &mut Vec<u8>, bytes: &mut u64) -> Taken {
        debug_assert!(into.is_empty());
        let mut state = self.state.lock();
        *bytes = state.bytes;
        if state.pieces.is_empty() && into.capacity() > KEPT_BYTES_MAX {
            *into = Vec::new();
        }
        std::mem::swap(&mut state.pieces, into);
        let taken = match state.stage {
            Stage::Open if into.is_empty() => {
                state.is_told = false;
                Taken::Nothing
            }
            Stage::Open => Taken::Pieces,
            Stage::Ended => {
                if state.delimited == Delimited::Chunked {
                    into.extend_from_slice(chunk::LAST_CHUNK);
                }
                Taken::End
            }
            Stage::Failed | Stage::Gone => Taken::Break,
        };
        if std::mem::take(&mut state.wakes_for_room)
            && let Some(waker) = &state.waker
        {
            waker.wakes.put(waker.number);
        }
        if state.waiting > 0 {
            self.room.notify_all();
        }
        taken
    }

    /// Tells the reactor of what has changed, unless it looks anyway.
    fn tell(&self, mut state: MutexGuard<'_, State>) {
        if std::mem::replace(&mut state.is_told, true) {
            return;
        }
        let Some(reader) = &state.reader else {
            state.is_told = false;
            return;
        };
        let (connection, mailbox) = (reader.connection, reader.mailbox.clone());
        // Ringing may take a system call, for which nobody is to wait.
        drop(state);
        mailbox.put(connection);
    }
}

impl State {
    /// Frames a piece. Tells whether it is one that the answer may have.
    fn append(&mut self, piece: &[u8]) -> bool {
        if self.reader.is_none() {
            self.pieces.extend_from_slice(piece);
            self.early.push(piece.len());
        } else {
            match &mut self.delimited {
                Delimited::Chunked => chunk::write(&mut self.pieces, piece),
                Delimited::Close => self.pieces.extend_from_slice(piece),
                Delimited::Length(left) => match left.checked_sub(piece.len() as u64) {
                    Some(behind) => {
                        *left = behind;
                        self.pieces.extend_from_slice(piece);
                    }
                    None => return false,
                },
            }
        }
        true
    }

    fn room(&self) -> Room {
        match self.stage {
            Stage::Gone => Room::Gone,
            Stage::Open if self.pieces.len() >= FLOW_BYTES_MAX => Room::None,
            Stage::Open | Stage::Ended | Stage::Failed => Room::Some,
        }
    }
}

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
