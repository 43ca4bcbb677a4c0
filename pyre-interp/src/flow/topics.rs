//! Topics: what is published once and heard by many connections, without Python between.
//!
//! ```text
//!   publish, any thread ──▶ desk: an order, room ──┬─▶ board of reactor 0 ──▶ its subscribers
//!                                                  └─▶ board of reactor 1 ──▶ its subscribers
//! ```
//! A publication is encoded once, and lies on the *board* of each reactor that has subscribers until that
//! one has written it to all of them. The *desk* gives publications and subscriptions their order: who
//! subscribes hears all that is published behind that, and nothing before. It also bounds how much is on
//! its way; a publisher that finds no room waits, or is told.
//!
//! Locks are taken in this order: topics of a flow, desk, early subscriptions, state of a flow, board.
//! None is held while anything is written or waited for, nor while a reactor is rung; an event loop may be, whose
//! stream breaks off under the desk.

mod board; // subscribers of one reactor, and what it has to write to them
mod desk; // the order and the bound of publications
pub(super) mod early; // streams that no reactor has yet
mod publication; // what is published, encoded

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use pyre_http::websocket::deflate::WINDOW_BITS;

use super::Mailbox;
use super::sync::MutexGuard;
use desk::Desk;

pub use board::{BOARD, Board, Member};
pub use desk::PUBLISHED_BYTES_MAX;
pub use publication::{Form, Message, Publication};

/// Topics that one connection may have subscribed to.
pub const TOPICS_PER_CONNECTION_MAX: usize = 128;

/// The longest name of a topic, in bytes of UTF-8.
pub const TOPIC_BYTES_MAX: usize = 256;

/// Sizes of windows that are told apart.
const WINDOWS: usize = (*WINDOW_BITS.end() - *WINDOW_BITS.start() + 1) as usize;

/// What the next app is known by to streams that no reactor has yet.
static NEXT_NUMBER: AtomicU64 = AtomicU64::new(1);

/// The topics of one app that is being served.
///
/// # Threads
/// Any number publish and subscribe; each board has one reactor.
pub struct Topics {
    number: u64,
    desk: Arc<Desk>,
    /// By reactor.
    boards: Vec<Arc<Board>>,
    /// Subscriptions whose messages may be compressed for many, by the size of the window.
    deflating: [AtomicUsize; WINDOWS],
    /// Streams that were given up before a reactor had them.
    dropped_early: AtomicU64,
}

impl Topics {
    /// The topics of the reactors that look into these mailboxes.
    #[must_use]
    pub fn new(mailboxes: &[Arc<Mailbox>]) -> Arc<Self> {
        Arc::new(Self {
            number: NEXT_NUMBER.fetch_add(1, Relaxed),
            desk: Arc::default(),
            boards: mailboxes.iter().cloned().map(|it| Arc::new(Board::new(it))).collect(),
            deflating: Default::default(),
            dropped_early: AtomicU64::new(0),
        })
    }

    /// What tells these topics from those of another app.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The board of a reactor.
    #[must_use]
    pub fn board(&self, reactor: u32) -> &Arc<Board> {
        &self.boards[reactor as usize]
    }

    /// Encodes a message as its subscribers hear it.
    #[must_use]
    pub fn encode(&self, message: Message) -> Box<Publication> {
        Box::new(Publication::new(message, &self.windows()))
    }

    /// Publishes something; waits for room, but not longer than that.
    ///
    /// # Errors
    /// There was no room for all that time; then nobody hears of it, and it is given back.
    ///
    /// # Threads
    /// May block the calling thread, which must then not be attached to an interpreter.
    pub fn publish(
        &self,
        publication: Box<Publication>,
        patience: Duration,
    ) -> Result<(), Box<Publication>> {
        // A span that no clock can add is for ever.
        let until = Instant::now().checked_add(patience);
        // Dropped behind the lock, which its charge takes again.
        let published;
        let mut told = Vec::new();
        let mut state = self.desk.lock();
        // Under the lock: meanwhile a stream that becomes an answer may stand nowhere.
        if self.subscriptions() == 0 && early::is_empty() {
            state.count();
            return Ok(());
        }
        loop {
            if state.is_closed() {
                // Nobody is left to hear it.
                return Ok(());
            }
            if state.has_room() {
                break;
            }
            if patience.is_zero() || !self.desk.wait(&mut state, until) {
                return Err(publication);
            }
        }
        published = Arc::new(publication.charged(&self.desk, &mut state));
        let given_up = early::offer(self.number, &published);
        self.dropped_early.fetch_add(given_up, Relaxed);
        for board in &self.boards {
            if board.has_members() && board.put(published.clone()) {
                told.push(board);
            }
        }
        drop(state);
        // Ringing may take a system call, for which nobody is to wait.
        told.into_iter().for_each(|board| board.tell());
        Ok(())
    }

    /// The sizes of windows that subscribers have for whom messages can be compressed once.
    fn windows(&self) -> Vec<u8> {
        let used = |(_, count): &(u8, &AtomicUsize)| count.load(Relaxed) > 0;
        WINDOW_BITS.zip(&self.deflating).filter(used).map(|(bits, _)| bits).collect()
    }

    /// How many of them have a window of so many bits.
    fn deflating(&self, bits: u8) -> &AtomicUsize {
        &self.deflating[usize::from(bits - WINDOW_BITS.start())]
    }

    /// A subscription among the others: it hears all that is published from now on.
    pub(super) fn enter(&self, topic: &Arc<str>, member: Member) -> u64 {
        self.enter_locked(&mut self.lock(), topic, member)
    }

    /// As `enter`; several that are entered under one lock stand together.
    pub(super) fn enter_locked(
        &self,
        state: &mut MutexGuard<'_, desk::State>,
        topic: &Arc<str>,
        member: Member,
    ) -> u64 {
        let order = state.next_order();
        if let Form::Deflated(bits) = member.form {
            self.deflating(bits).fetch_add(1, Relaxed);
        }
        self.board(member.connection.reactor).enter(topic, order, member);
        order
    }

    /// Ends a subscription.
    pub(super) fn leave(&self, reactor: u32, topic: &str, order: u64) {
        let left = self.board(reactor).leave(topic, order);
        if let Some(Member { form: Form::Deflated(bits), .. }) = left {
            self.deflating(bits).fetch_sub(1, Relaxed);
        }
    }

    /// Nothing is published while this is held.
    pub(super) fn lock(&self) -> MutexGuard<'_, desk::State> {
        self.desk.lock()
    }

    /// Whether event streams have subscribed to a topic, which cannot hear what is no text.
    #[must_use]
    pub fn has_streams(&self, topic: &str) -> bool {
        early::has(topic) || self.boards.iter().any(|board| board.has_streams(topic))
    }

    /// Nobody hears anything any more; who waits for room goes on.
    pub fn close(&self) {
        self.desk.close();
        self.boards.iter().for_each(|board| board.clear());
    }

    /// How many subscriptions there are.
    #[must_use]
    pub fn subscriptions(&self) -> usize {
        self.boards.iter().map(|board| board.count()).sum()
    }

    /// How many messages have been published.
    #[must_use]
    pub fn published(&self) -> u64 {
        self.desk.published()
    }

    /// How many streams were given up before a reactor had them.
    #[must_use]
    pub fn dropped_early(&self) -> u64 {
        self.dropped_early.load(Relaxed)
    }
}
