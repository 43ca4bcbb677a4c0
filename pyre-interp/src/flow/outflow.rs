//! A flow outward: from any thread of the program to the reactor of one connection.
//!
//! ```text
//!            attach (a lane)         end, fail (a sender)        all is taken
//!   early ─────────────────▶ open ─────────────────────▶ ending ─────────────▶ over
//!     │                        └─── disconnect (the reactor) ──┴──▶ gone
//!     └── abandon, disconnect: nobody is to read it ────────────────▲
//! ```
//! Before a lane has attached it to a connection, pieces are kept as they are: how they are framed
//! depends on the request that it answers.

mod encoding; // pieces that are compressed
mod offers; // what is published to many goes between
mod subscriptions; // which topics it has subscribed to

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use pyre_http::event_stream;
use pyre_http::h1::chunk;
use pyre_http::h1::serialize::Delimited;

use super::sync::{Condvar, Mutex, MutexGuard, wait_until};
use super::{KEPT_BYTES_MAX, Known, Pushed, Reader, Room, Taken, Waker};
use encoding::Coder;
use offers::Offers;
use subscriptions::Subscriptions;

pub use offers::Offered;
pub use subscriptions::Subscribed;

/// As much waits for the reactor before a sender has to. One piece may go beyond that.
pub const FLOW_BYTES_MAX: usize = 256 * 1024;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Open,
    /// The sender has ended it.
    Ended,
    /// It breaks off: the sender has failed, or said too little or too much.
    Failed,
    /// The other end has all of it.
    Over,
    /// The other end has gone, and would have got more.
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
    subscriptions: Mutex<Subscriptions>,
    /// What its pieces are compressed with.
    coder: OnceLock<Coder>,
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
    /// What the reactor is to know of the pieces.
    known: Known,
    /// What the last piece ended with.
    tail: [u8; 3],
    /// What is published to it.
    offers: Offers,
    /// Nobody of the program has it any more.
    is_let_go: bool,
    /// There is an encoder, whose turn it is.
    is_encoded: bool,
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
            known: Known::default(),
            tail: event_stream::BEGIN,
            offers: Offers::default(),
            is_let_go: false,
            is_encoded: false,
        };
        let subscriptions = Mutex::new(Subscriptions::default());
        let coder = OnceLock::new();
        Self { state: Mutex::new(state), room: Condvar::new(), subscriptions, coder }
    }
}

impl Outflow {
    /// Sends a piece, if there is room.
    pub fn push(&self, piece: &[u8]) -> Pushed {
        let mut state = self.state.lock();
        if state.is_encoded
            && let Some(coder) = self.coder.get()
        {
            drop(state);
            return self.push_encoded(coder, piece);
        }
        match state.stage {
            Stage::Open => {}
            Stage::Ended | Stage::Failed | Stage::Over => return Pushed::Ended,
            Stage::Gone => return Pushed::Gone,
        }
        if piece.is_empty() {
            return Pushed::Taken;
        }
        if state.pieces.len() >= FLOW_BYTES_MAX {
            return Pushed::Full;
        }
        if !state.append(piece) {
            self.close(state, Stage::Failed);
            return Pushed::TooMuch;
        }
        state.known.add(piece.len());
        state.note_tail(piece);
        state.release_held();
        self.tell(state);
        Pushed::Taken
    }

    /// Sends a frame of this many bytes, without its head, which is written into the buffer as it is; if
    /// it `may_wait`, only if there is room.
    pub fn push_frame(
        &self,
        bytes: usize,
        may_wait: bool,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Pushed {
        let mut state = self.state.lock();
        match state.stage {
            Stage::Open => {}
            Stage::Ended | Stage::Failed | Stage::Over => return Pushed::Ended,
            Stage::Gone => return Pushed::Gone,
        }
        if may_wait && state.pieces.len() >= FLOW_BYTES_MAX {
            return Pushed::Full;
        }
        write(&mut state.pieces);
        state.known.add(bytes);
        self.tell(state);
        Pushed::Taken
    }

    /// Answers a handshake: the connection speaks WebSocket behind this head.
    pub fn upgrade(&self, head: &[u8]) {
        let mut state = self.state.lock();
        if state.stage == Stage::Open {
            state.pieces.extend_from_slice(head);
            state.known.is_upgraded = true;
            state.known.status = Some(101);
            self.tell(state);
        }
    }

    /// Answers a handshake with something else, which is whole.
    pub fn refuse(&self, status: u16, answer: &[u8]) {
        let mut state = self.state.lock();
        if state.stage == Stage::Open {
            state.pieces.extend_from_slice(answer);
            state.known.add(answer.len());
            state.known.status = Some(status);
            self.close(state, Stage::Ended);
        }
    }

    /// Nothing follows but what is written here. Tells whether that is news.
    pub fn finish(&self, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let mut state = self.state.lock();
        if state.stage != Stage::Open {
            return false;
        }
        write(&mut state.pieces);
        self.close(state, Stage::Ended);
        true
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
        // A span that no clock can add is for ever.
        let until = Instant::now().checked_add(at_most);
        let mut state = self.state.lock();
        loop {
            let room = state.room();
            if room != Room::None {
                return room;
            }
            state.waiting += 1;
            let timed_out = wait_until(&self.room, &mut state, until);
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
            drop(state);
            return waker.wake();
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

    /// All pieces together are so long. Said before the first one.
    pub fn declare(&self, bytes: u64) {
        self.state.lock().delimited = Delimited::Length(bytes);
    }

    /// Nothing follows. Tells whether that is news.
    pub fn end(&self) -> bool {
        let state = self.state.lock();
        if state.stage != Stage::Open {
            return false;
        }
        if state.is_encoded
            && let Some(coder) = self.coder.get()
        {
            drop(state);
            return self.end_encoded(coder);
        }
        let is_short = state.reader.is_some() && matches!(state.delimited, Delimited::Length(1..));
        self.close(state, if is_short { Stage::Failed } else { Stage::Ended });
        true
    }

    /// Nothing follows although something should. Tells whether that is news.
    pub fn fail(&self) -> bool {
        let state = self.state.lock();
        if state.stage != Stage::Open {
            return false;
        }
        self.close(state, Stage::Failed);
        self.give_encoder_up();
        true
    }

    /// The pieces are for this connection from now on. What has been sent so far is framed.
    pub fn attach(&self, reader: Reader, delimited: Delimited) {
        self.attach_for(reader, delimited, 0);
    }

    /// As `attach`, with what the app of this number has published so far.
    fn attach_for(&self, reader: Reader, delimited: Delimited, app: u64) {
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
            if !state.append(piece) {
                state.known.bytes -= rest.len() as u64;
                state.stage = Stage::Failed;
                break;
            }
            rest = behind;
        }
        state.take_early(app);
        if state.stage == Stage::Ended && matches!(state.delimited, Delimited::Length(1..)) {
            state.stage = Stage::Failed;
        }
        if state.stage == Stage::Failed {
            self.rouse(state);
        }
    }

    /// Nobody reads it any more. Senders are told, unless all of it has been read.
    pub fn disconnect(&self) {
        self.go(self.state.lock());
        self.end_subscriptions();
    }

    /// Nobody is ever to read it, unless it has a reader already. Senders are told.
    pub fn abandon(&self) {
        let state = self.state.lock();
        if state.reader.is_none() {
            self.go(state);
            self.end_subscriptions();
        }
    }

    fn go(&self, mut state: MutexGuard<'_, State>) {
        state.reader = None;
        if matches!(state.stage, Stage::Over | Stage::Gone) {
            return;
        }
        state.stage = Stage::Gone;
        state.pieces = Vec::new();
        state.early = Vec::new();
        // Whoever has a waker hears of this although he waits for no room.
        state.wakes_for_room = true;
        self.rouse(state);
        self.give_encoder_up();
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
        if state.stage == Stage::Open { length.saturating_sub(state.known.bytes) } else { 0 }
    }

    /// Whether a piece can still be sent, now or later.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state.lock().stage == Stage::Open
    }

    /// Sends a comment of the server's own, which counts for nothing, if nothing else is on its way
    /// and no event is half sent: it would become a part of that.
    pub(super) fn push_comment(&self, comment: &[u8]) {
        if let Some(coder) = self.coder.get() {
            return self.push_comment_encoded(coder, comment);
        }
        let mut state = self.state.lock();
        if state.stage == Stage::Open && state.takes_comment() && state.append(comment) {
            self.tell(state);
        }
    }

    /// Takes all that is there, for the reactor; `into` is empty. Says what is known of it.
    pub(super) fn take(&self, into: &mut Vec<u8>, known: &mut Known) -> Taken {
        debug_assert!(into.is_empty());
        let mut state = self.state.lock();
        *known = state.known;
        state.offers.are_taken();
        std::mem::swap(&mut state.pieces, into);
        let taken = match state.stage {
            Stage::Open if into.is_empty() => {
                state.is_told = false;
                known.spare_bytes = into.capacity() + state.pieces.capacity();
                Taken::Nothing
            }
            Stage::Open => Taken::Pieces,
            Stage::Ended => {
                if state.delimited == Delimited::Chunked {
                    into.extend_from_slice(chunk::LAST_CHUNK);
                }
                state.stage = Stage::Over;
                Taken::End
            }
            Stage::Failed => {
                state.stage = Stage::Over;
                Taken::Break
            }
            Stage::Over | Stage::Gone => Taken::Break,
        };
        if matches!(taken, Taken::End | Taken::Break) {
            // The program may have it for long.
            state.pieces = Vec::new();
        }
        self.rouse(state);
        taken
    }

    /// What it has room for without asking the allocator.
    #[cfg(all(test, not(pyre_loom)))]
    pub(super) fn buffer_bytes(&self) -> usize {
        self.state.lock().pieces.capacity()
    }

    /// Frees a large buffer, if nothing is in it.
    pub(super) fn slim(&self) {
        let mut state = self.state.lock();
        if state.pieces.is_empty() && state.pieces.capacity() > KEPT_BYTES_MAX {
            state.pieces = Vec::new();
        }
    }

    /// Nothing follows. Those who wait for room learn of it as the reactor does.
    fn close(&self, mut state: MutexGuard<'_, State>, stage: Stage) {
        state.stage = stage;
        self.tell(state);
        self.rouse(self.state.lock());
    }

    /// Has those look again who wait for room.
    fn rouse(&self, mut state: MutexGuard<'_, State>) {
        if state.waiting > 0 {
            self.room.notify_all();
        }
        if std::mem::take(&mut state.wakes_for_room)
            && let Some(waker) = state.waker.clone()
        {
            // As in `tell`.
            drop(state);
            waker.wake();
        }
    }

    /// Tells the reactor of what has changed, unless it looks anyway.
    fn tell(&self, mut state: MutexGuard<'_, State>) {
        if std::mem::replace(&mut state.is_told, true) {
            return;
        }
        let Some(reader) = state.reader.clone() else {
            state.is_told = false;
            return;
        };
        // Ringing may take a system call, for which nobody is to wait.
        drop(state);
        reader.tell();
    }
}

impl State {
    /// Frames a piece. Tells whether it is one that the answer may have.
    fn append(&mut self, piece: &[u8]) -> bool {
        if !self.spend(piece.len()) {
            return false;
        }
        if self.reader.is_none() {
            self.early.push(piece.len());
        } else if self.delimited == Delimited::Chunked {
            chunk::write(&mut self.pieces, piece);
            return true;
        }
        self.pieces.extend_from_slice(piece);
        true
    }

    /// Notes what a piece ends with.
    fn note_tail(&mut self, piece: &[u8]) {
        for &byte in &piece[piece.len().saturating_sub(3)..] {
            self.tail = [self.tail[1], self.tail[2], byte];
        }
    }

    /// Whether nothing else is on its way, and no event half sent.
    fn takes_comment(&self) -> bool {
        self.pieces.is_empty() && event_stream::is_between_events(self.tail)
    }

    fn room(&self) -> Room {
        match self.stage {
            Stage::Gone => Room::Gone,
            Stage::Open if self.pieces.len() >= FLOW_BYTES_MAX => Room::None,
            Stage::Open | Stage::Ended | Stage::Failed | Stage::Over => Room::Some,
        }
    }
}
