//! Messages inward: from the reactor of one connection to whoever receives there, whole, in their order.
//!
//! The reactor pushes each message as it is complete; who receives takes all that are there at once, so
//! that a batch costs one lock on each side. Once the bound is reached the reactor stops reading, which
//! is the back-pressure on the peer, and is told when there is room again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pyre_http::websocket::receive::Kind;

use super::sync::{Condvar, Mutex, wait_until};
use super::{Bells, Reader, Waker};

/// As much waits before the reactor stops reading. One message may go beyond that.
pub const INBOX_BYTES_MAX: usize = 256 * 1024;

/// What a message counts besides its bytes: messages may be empty.
const MESSAGE_BYTES: usize = 64;

/// A buffer that is larger is freed when it is empty: a connection that is silent keeps little.
const KEPT_BYTES_MAX: usize = 4 * 1024;

/// Why nothing more comes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ending {
    /// The code (RFC 6455 section 7.1.5): 1005 if the peer has given none, 1006 if it has gone.
    pub code: u16,
    /// The reason, often empty.
    pub reason: String,
    /// The peer has broken a rule: it is to be told so.
    pub is_failure: bool,
}

/// What whoever receives has found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Received {
    /// Messages.
    Messages,
    /// Nothing, now.
    Nothing,
    /// Nothing, and nothing will come.
    End,
}

/// Messages that were taken, to be given out one by one.
#[derive(Default)]
pub struct Batch {
    bytes: Vec<u8>,
    messages: Vec<(Kind, usize)>,
    /// Messages that were given out, and their bytes.
    next: usize,
    start: usize,
}

impl Batch {
    /// Whether all of it was given out.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.next == self.messages.len()
    }

    /// The next message.
    #[inline]
    pub fn take(&mut self) -> Option<(Kind, &[u8])> {
        let (kind, length) = *self.messages.get(self.next)?;
        let start = self.start;
        self.next += 1;
        self.start += length;
        Some((kind, &self.bytes[start..self.start]))
    }

    fn clear(&mut self) {
        self.messages.clear();
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES_MAX);
        self.messages.shrink_to(KEPT_BYTES_MAX / size_of::<(Kind, usize)>());
        self.next = 0;
        self.start = 0;
    }
}

/// Messages of one connection on their way to the program.
///
/// # Threads
/// The reactor pushes; any number receive, one at a time, in one interpreter.
pub struct Inbox {
    state: Mutex<State>,
    /// Threads that wait for a message.
    come: Condvar,
}

#[derive(Default)]
struct State {
    come: Batch,
    ending: Option<Ending>,
    /// The code of a close frame that the server itself has sent.
    said: Option<u16>,
    /// The peer has gone, or has closed its side, behind messages that are still to come.
    has_left: bool,
    /// Whom to tell of room.
    reader: Option<Reader>,
    /// The reactor has stopped reading.
    wants_room: bool,
    /// How many threads wait.
    waiting: usize,
    waker: Option<Waker>,
    /// The receiver behind the waker waits for a message.
    wakes: bool,
}

impl State {
    fn is_full(&self) -> bool {
        let Batch { bytes, messages, .. } = &self.come;
        bytes.len() + messages.len() * MESSAGE_BYTES >= INBOX_BYTES_MAX
    }

    /// Who waits on an event loop, to be woken once the lock is gone.
    fn take_waker(&mut self) -> Option<Waker> {
        if std::mem::take(&mut self.wakes) { self.waker.clone() } else { None }
    }
}

impl Default for Inbox {
    fn default() -> Self {
        Self { state: Mutex::new(State::default()), come: Condvar::new() }
    }
}

impl Inbox {
    /// The reactor of this connection is told when there is room again.
    pub fn attach(&self, reader: Reader) {
        self.state.lock().reader = Some(reader);
    }

    /// Adds a message. Tells whether there is room for another one; if not, the reactor is told when
    /// there is. An event loop that waits for it is woken when `bells` are rung.
    pub fn push(&self, kind: Kind, data: &[u8], bells: &mut Bells) -> bool {
        let mut state = self.state.lock();
        if state.ending.is_some() {
            // Nobody receives any more.
            return true;
        }
        state.come.bytes.extend_from_slice(data);
        state.come.messages.push((kind, data.len()));
        let is_full = state.is_full();
        state.wants_room |= is_full;
        if state.waiting > 0 {
            self.come.notify_all();
        }
        if std::mem::take(&mut state.wakes)
            && let Some(waker) = &state.waker
        {
            bells.leave(waker);
        }
        !is_full
    }

    /// Whether there is room; if not, the reactor is told when there is.
    #[must_use]
    pub fn ask_for_room(&self) -> bool {
        let mut state = self.state.lock();
        let is_full = state.is_full() && state.ending.is_none();
        state.wants_room |= is_full;
        !is_full
    }

    /// Nothing more comes, for the first reason that is given. What has come is received.
    pub fn close(&self, code: u16, reason: &str) {
        self.end(Ending { code, reason: reason.to_owned(), is_failure: false });
    }

    /// The server itself has sent a close frame with that code, which stands if the peer then goes without
    /// a word.
    pub fn has_said(&self, code: u16) {
        self.state.lock().said = Some(code);
    }

    /// As `close`, as the peer has broken a rule.
    pub fn fail(&self, code: u16, reason: &str) {
        self.end(Ending { code, reason: reason.to_owned(), is_failure: true });
    }

    fn end(&self, ending: Ending) {
        let mut state = self.state.lock();
        if state.ending.is_some() {
            return;
        }
        state.ending = Some(ending);
        if state.waiting > 0 {
            self.come.notify_all();
        }
        let waker = state.take_waker();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The peer has gone, or has closed its side. What it has sent before may still come.
    pub fn leave(&self) {
        self.state.lock().has_left = true;
    }

    /// Whether the peer has gone, or has said that nothing follows.
    #[must_use]
    pub fn has_left(&self) -> bool {
        let state = self.state.lock();
        state.has_left || state.ending.is_some()
    }

    /// Why nothing more comes, once that is so.
    #[must_use]
    pub fn ending(&self) -> Option<Ending> {
        self.state.lock().ending.clone()
    }

    /// The code of the first reason why nothing more comes. Without one the peer has gone.
    #[must_use]
    pub fn close_code(&self) -> u16 {
        let state = self.state.lock();
        state.ending.as_ref().map_or(state.said.unwrap_or(GONE), |ending| ending.code)
    }

    /// Takes all that has come; `into` has been given out.
    pub fn take(&self, into: &mut Batch) -> Received {
        debug_assert!(into.is_empty());
        into.clear();
        let mut state = self.state.lock();
        if state.come.is_empty() {
            return if state.ending.is_some() { Received::End } else { Received::Nothing };
        }
        std::mem::swap(&mut state.come, into);
        let told = if std::mem::take(&mut state.wants_room) { state.reader.clone() } else { None };
        drop(state);
        if let Some(reader) = told {
            reader.tell();
        }
        Received::Messages
    }

    /// Whoever receives is on an event loop, and is woken by this.
    pub fn set_waker(&self, waker: Waker) {
        self.state.lock().waker = Some(waker);
    }

    /// Asks to be woken when something has come. Tells whether nothing has, so that it is worth waiting.
    #[must_use]
    pub fn ask(&self) -> bool {
        let mut state = self.state.lock();
        let is_empty = state.come.is_empty() && state.ending.is_none();
        state.wakes |= is_empty;
        is_empty
    }

    /// Waits until something has come, but not longer than that. Tells whether it has.
    ///
    /// # Threads
    /// Blocks the calling thread, which must not be attached to an interpreter.
    #[must_use]
    pub fn wait(&self, at_most: Duration) -> bool {
        // A span that no clock can add is for ever.
        let until = Instant::now().checked_add(at_most);
        let mut state = self.state.lock();
        while state.come.is_empty() && state.ending.is_none() {
            state.waiting += 1;
            let timed_out = wait_until(&self.come, &mut state, until);
            state.waiting -= 1;
            if timed_out {
                return !state.come.is_empty() || state.ending.is_some();
            }
        }
        true
    }
}

/// The reactor's end. When it is dropped, the peer has gone.
pub struct Feed(Arc<Inbox>);

impl Feed {
    /// The end of this inbox.
    #[must_use]
    pub fn new(inbox: Arc<Inbox>) -> Self {
        Self(inbox)
    }

    /// The inbox itself, for whoever wants to know in the end why it has ended.
    #[must_use]
    pub fn inbox(&self) -> &Arc<Inbox> {
        &self.0
    }
}

impl std::ops::Deref for Feed {
    type Target = Inbox;

    fn deref(&self) -> &Inbox {
        &self.0
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.0.close(self.0.close_code(), "");
    }
}

/// The code that stands for a peer that has gone without a word (RFC 6455 section 7.4.1).
pub const GONE: u16 = 1006;

/// The code for one that does not read what is published to it, as IANA has it: try again later.
pub const TOO_SLOW: u16 = 1013;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Mailbox;
    use crate::job::ConnectionId;
    use crate::ring::Doorbell;

    const CONNECTION: ConnectionId = ConnectionId { reactor: 0, slot: 3, generation: 1 };

    fn attached() -> (Inbox, Arc<Mailbox>) {
        let mailbox = Arc::new(Mailbox::new(Arc::new(Doorbell::new(|| {}))));
        let inbox = Inbox::default();
        inbox.attach(Reader { connection: CONNECTION, mailbox: mailbox.clone() });
        (inbox, mailbox)
    }

    #[test]
    fn messages_are_received_in_their_order_and_then_the_end() {
        let (inbox, _) = attached();
        let mut batch = Batch::default();
        assert_eq!(inbox.take(&mut batch), Received::Nothing);
        assert!(inbox.push(Kind::Text, b"one", &mut Bells::default()));
        assert!(inbox.push(Kind::Binary, b"", &mut Bells::default()));
        assert_eq!(inbox.close_code(), GONE);
        inbox.close(1000, "bye");
        assert_eq!(inbox.close_code(), 1000);
        inbox.close(1006, "");
        assert!(inbox.push(Kind::Text, b"late", &mut Bells::default()));
        assert_eq!(inbox.take(&mut batch), Received::Messages);
        assert_eq!(batch.take(), Some((Kind::Text, &b"one"[..])));
        assert_eq!(batch.take(), Some((Kind::Binary, &b""[..])));
        assert_eq!(batch.take(), None);
        assert_eq!(inbox.take(&mut batch), Received::End);
        let ending = Ending { code: 1000, reason: "bye".to_owned(), is_failure: false };
        assert_eq!(inbox.ending(), Some(ending));
    }

    #[test]
    fn a_full_inbox_tells_its_reactor_once_there_is_room() {
        let (inbox, mailbox) = attached();
        assert!(!inbox.push(Kind::Binary, &vec![0; INBOX_BYTES_MAX], &mut Bells::default()));
        assert!(!inbox.ask_for_room());
        assert!(mailbox.is_empty());
        let mut batch = Batch::default();
        assert_eq!(inbox.take(&mut batch), Received::Messages);
        assert_eq!(mailbox.take(), Some(CONNECTION));
        assert_eq!(mailbox.take(), None);
        assert!(inbox.ask_for_room());
        // Empty messages are bounded as well.
        let mut pushed = 1;
        while inbox.push(Kind::Text, b"", &mut Bells::default()) {
            pushed += 1;
        }
        assert_eq!(pushed, INBOX_BYTES_MAX / MESSAGE_BYTES);
    }

    #[test]
    fn a_peer_that_goes_ends_the_wait_of_a_thread() {
        let inbox = Arc::new(Inbox::default());
        let feed = Feed::new(inbox.clone());
        assert!(!inbox.wait(Duration::ZERO));
        let waiting = std::thread::spawn(move || inbox.wait(Duration::from_secs(60)));
        drop(feed);
        assert!(waiting.join().unwrap());
    }
}
