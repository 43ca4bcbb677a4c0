//! A flow inward: the body of one request, from the reactor of its connection to its handler.
//!
//! ```text
//!   open ── end (the reactor): all of it has come ───────────────▶ ended: what is there is still read
//!     │ ─── cut (the reactor): nothing more comes ───────────────▶ cut:   so is this, but for a client
//!     │                                                                   that was answered
//!     └──── all readers are gone: what comes is thrown away ─────▶ unread
//! ```
//! The reactor stops reading the socket when the flow is full, and is told when half of it is taken.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::sync::{Condvar, Mutex, MutexGuard, wait_until};
use super::{FLOW_BYTES_MAX, Reader, Waker};

/// Why a body ends before its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cut {
    /// The client has gone.
    Gone,
    /// Its request has been answered.
    Answered,
    /// It has broken a rule or a bound, or was too slow: what it is told, if nothing else is.
    Refused(u16),
}

/// What a reader finds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// Bytes.
    Some,
    /// None yet.
    Nothing,
    /// The end.
    End,
    /// That nothing more comes, although something should.
    Cut(Cut),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Open,
    Ended,
    Cut(Cut),
    /// Nobody reads it any more.
    Unread,
}

/// A flow from a connection to the program.
///
/// # Threads
/// One reactor sends. Any number take, each piece going to one of them.
struct Inflow {
    state: Mutex<State>,
    /// Threads that wait for a piece.
    some: Condvar,
}

struct State {
    stage: Stage,
    /// What has come; before `taken` lies what was taken of it.
    bytes: Vec<u8>,
    taken: usize,
    /// Where its reactor looks, once it is attached to a connection.
    reactor: Option<Reader>,
    /// The reactor waits for room, or for somebody who reads.
    is_paused: bool,
    /// The client sends nothing before it is told to, which it is when somebody reads.
    is_held: bool,
    /// Somebody reads, so that the client is to be told.
    is_wanted: bool,
    /// Something was taken.
    is_begun: bool,
    /// Those who wait are roused when so many bytes are there, or nothing more comes.
    expected: usize,
    readers: usize,
    /// How many threads wait for a piece.
    waiting: usize,
    waker: Option<Waker>,
    /// A coroutine behind the waker waits for a piece.
    wakes_for_some: bool,
}

/// A flow with nothing in it: the reactor's end, and that of the handler. `is_held` if the client waits to
/// be told that the body is wanted.
#[must_use]
pub fn inflow(is_held: bool) -> (Upstream, Intake) {
    let state = State {
        stage: Stage::Open,
        bytes: Vec::new(),
        taken: 0,
        reactor: None,
        is_paused: false,
        is_held,
        is_wanted: false,
        is_begun: false,
        expected: 1,
        readers: 1,
        waiting: 0,
        waker: None,
        wakes_for_some: false,
    };
    let flow = Arc::new(Inflow { state: Mutex::new(state), some: Condvar::new() });
    (Upstream(flow.clone()), Intake(flow))
}

impl Inflow {
    /// Has those look again who wait for something to find.
    fn rouse(&self, mut state: MutexGuard<'_, State>) {
        if state.awaited() == Found::Nothing {
            return;
        }
        if state.waiting > 0 {
            self.some.notify_all();
        }
        if std::mem::take(&mut state.wakes_for_some)
            && let Some(waker) = state.waker.clone()
        {
            // As in `State::tell`.
            drop(state);
            waker.wake();
        }
    }

    fn finish(&self, stage: Stage) {
        let mut state = self.state.lock();
        if state.stage == Stage::Open {
            state.stage = stage;
            if stage == Stage::Cut(Cut::Answered) {
                state.forget();
            }
            self.rouse(state);
        }
    }
}

impl State {
    fn forget(&mut self) {
        self.bytes = Vec::new();
        self.taken = 0;
    }

    fn left(&self) -> usize {
        self.bytes.len() - self.taken
    }

    fn found(&self) -> Found {
        match self.stage {
            _ if self.left() > 0 => Found::Some,
            Stage::Open => Found::Nothing,
            Stage::Ended => Found::End,
            Stage::Cut(cut) => Found::Cut(cut),
            Stage::Unread => Found::Cut(Cut::Answered),
        }
    }

    /// What those find who wait.
    fn awaited(&self) -> Found {
        if self.stage == Stage::Open && self.left() < self.expected {
            return Found::Nothing;
        }
        self.found()
    }

    /// Has the reactor look, if it waits for a reader and one has come so far.
    fn tell(mut guard: MutexGuard<'_, Self>) {
        let state = &mut *guard;
        let is_news = std::mem::take(&mut state.is_held) && state.stage == Stage::Open;
        let has_room = state.left() <= FLOW_BYTES_MAX / 2;
        if !(is_news || state.is_paused && has_room) {
            return;
        }
        state.is_wanted |= is_news;
        state.is_paused = false;
        let Some(reactor) = state.reactor.clone() else { return };
        // Ringing may take a system call, for which nobody is to wait.
        drop(guard);
        reactor.tell();
    }
}

/// The handler's end of a flow. When the last copy of it is dropped, nobody reads it any more.
pub struct Intake(Arc<Inflow>);

impl Intake {
    /// Takes at most so many bytes, as many as there are; `into` is empty.
    pub fn take(&self, bytes_max: usize, into: &mut Vec<u8>) -> Found {
        debug_assert!(into.is_empty());
        let mut state = self.0.state.lock();
        let found = state.found();
        match found {
            Found::Some => {
                state.is_begun = true;
                if state.taken == 0 && state.bytes.len() <= bytes_max {
                    std::mem::swap(&mut state.bytes, into);
                } else {
                    let from = state.taken;
                    let to = from + state.left().min(bytes_max);
                    into.extend_from_slice(&state.bytes[from..to]);
                    state.taken = to;
                    if to == state.bytes.len() {
                        state.forget();
                    }
                }
                State::tell(state);
            }
            Found::Nothing => State::tell(state),
            Found::End | Found::Cut(_) => {}
        }
        found
    }

    /// Takes all that has come and puts it behind what `into` has. Tells what is found then: nothing
    /// yet, the end, or that nothing more comes.
    pub fn drain(&self, into: &mut Vec<u8>) -> Found {
        let mut state = self.0.state.lock();
        into.extend_from_slice(&state.bytes[state.taken..]);
        state.forget();
        let found = state.found();
        if found == Found::Nothing {
            State::tell(state);
        }
        found
    }

    /// Waits until there is something to find, but not longer than that.
    ///
    /// # Threads
    /// Blocks the calling thread, which must not be attached to an interpreter.
    pub fn wait(&self, at_most: Duration) -> Found {
        // A span that no clock can add is for ever.
        let until = Instant::now().checked_add(at_most);
        let mut state = self.0.state.lock();
        loop {
            let found = state.awaited();
            if found != Found::Nothing {
                return found;
            }
            state.waiting += 1;
            let timed_out = wait_until(&self.0.some, &mut state, until);
            state.waiting -= 1;
            if timed_out {
                return state.awaited();
            }
        }
    }

    /// Whoever waits goes on when so many bytes are there, which are no more than a flow holds, or
    /// nothing more comes. One who is asked for what there is gets it as ever.
    pub fn expect(&self, bytes: usize) {
        debug_assert!((1..=FLOW_BYTES_MAX).contains(&bytes));
        let mut state = self.0.state.lock();
        state.expected = bytes;
        self.0.rouse(state);
    }

    /// Coroutines that read are woken by this, when there is something that one has asked for.
    pub fn set_waker(&self, waker: Waker) {
        self.0.state.lock().waker = Some(waker);
    }

    /// What coroutines that read are known by on their event loop, if there is a waker.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        self.0.state.lock().waker.as_ref().map(|waker| waker.number)
    }

    /// Asks to be woken when there is something. Tells whether there is nothing, so that it is worth
    /// waiting.
    #[must_use]
    pub fn ask_for_some(&self) -> bool {
        let mut state = self.0.state.lock();
        let is_empty = state.awaited() == Found::Nothing;
        state.wakes_for_some |= is_empty;
        is_empty
    }

    /// Whether nothing is missing any more, be it taken or not.
    #[must_use]
    pub fn has_come(&self) -> bool {
        self.0.state.lock().stage == Stage::Ended
    }

    /// Whether a part of it was taken.
    #[must_use]
    pub fn is_begun(&self) -> bool {
        self.0.state.lock().is_begun
    }
}

impl Clone for Intake {
    fn clone(&self) -> Self {
        self.0.state.lock().readers += 1;
        Self(self.0.clone())
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.readers -= 1;
        if state.readers > 0 {
            return;
        }
        state.forget();
        if state.stage == Stage::Open {
            state.stage = Stage::Unread;
            // Who is not to send before somebody reads is not told to.
            state.is_held = false;
            State::tell(state);
        }
    }
}

impl std::fmt::Debug for Intake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Intake").finish_non_exhaustive()
    }
}

/// The reactor's end of a flow. When it is dropped before the end, the client has gone.
pub struct Upstream(Arc<Inflow>);

impl Upstream {
    /// The reactor of this connection sends. Before anybody reads.
    pub fn attach(&self, reactor: Reader) {
        self.0.state.lock().reactor = Some(reactor);
    }

    /// What has come goes on its way. What nobody reads is thrown away.
    pub fn push(&self, bytes: &[u8]) {
        let mut state = self.0.state.lock();
        if state.stage != Stage::Open || bytes.is_empty() {
            return;
        }
        state.is_held = false;
        if state.taken > state.left() {
            // What is moved is less than what was taken, so each byte is moved once at most.
            let taken = std::mem::take(&mut state.taken);
            state.bytes.drain(..taken);
        }
        state.bytes.extend_from_slice(bytes);
        self.0.rouse(state);
    }

    /// Whether there is room. If not, the reactor is told when there is.
    #[must_use]
    pub fn has_room(&self) -> bool {
        let mut state = self.0.state.lock();
        state.is_paused = state.stage == Stage::Open && state.left() >= FLOW_BYTES_MAX;
        !state.is_paused
    }

    /// Whether the client is to be told that its body is wanted; asked once.
    #[must_use]
    pub fn take_wanted(&self) -> bool {
        std::mem::take(&mut self.0.state.lock().is_wanted)
    }

    /// Whether the client waits to be told, and somebody may read what it sends then. It is told now.
    #[must_use]
    pub fn take_held(&self) -> bool {
        let mut state = self.0.state.lock();
        let (is_held, is_wanted) = (state.is_held, state.is_wanted);
        (state.is_held, state.is_wanted) = (false, false);
        (is_held || is_wanted) && state.stage == Stage::Open
    }

    /// Whether the client waits to be told.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.0.state.lock().is_held
    }

    /// Whether anybody may read what comes.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.0.state.lock().stage == Stage::Open
    }

    /// All of it has come.
    pub fn end(&self) {
        self.0.finish(Stage::Ended);
    }

    /// Nothing more comes.
    pub fn cut(&self, why: Cut) {
        self.0.finish(Stage::Cut(why));
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.cut(Cut::Gone);
    }
}

#[cfg(test)]
#[cfg(not(pyre_loom))]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::flow::Mailbox;
    use crate::job::ConnectionId;
    use crate::ring::Doorbell;

    const CONNECTION: ConnectionId = ConnectionId { reactor: 0, slot: 3, generation: 1 };

    fn flow(is_held: bool) -> (Upstream, Intake, Arc<Mailbox>) {
        let mailbox = Arc::new(Mailbox::new(Arc::new(Doorbell::new(|| {}))));
        let (upstream, intake) = inflow(is_held);
        upstream.attach(Reader { connection: CONNECTION, mailbox: mailbox.clone() });
        (upstream, intake, mailbox)
    }

    fn take(intake: &Intake, bytes_max: usize) -> (Found, Vec<u8>) {
        let mut into = Vec::new();
        (intake.take(bytes_max, &mut into), into)
    }

    #[test]
    fn what_was_sent_is_taken_in_order_and_then_its_end() {
        let (upstream, intake, _) = flow(false);
        assert_eq!(take(&intake, 9).0, Found::Nothing);
        assert!(!intake.is_begun());
        upstream.push(b"hello");
        assert_eq!(take(&intake, 2), (Found::Some, b"he".to_vec()));
        upstream.push(b" world");
        upstream.end();
        assert!(intake.has_come() && intake.is_begun());
        assert_eq!(take(&intake, 4), (Found::Some, b"llo ".to_vec()));
        assert_eq!(take(&intake, 100), (Found::Some, b"world".to_vec()));
        assert_eq!(take(&intake, 100), (Found::End, vec![]));
    }

    #[test]
    fn a_reactor_that_waits_for_room_is_told_once_half_is_taken() {
        let (upstream, intake, mailbox) = flow(false);
        upstream.push(&vec![7; FLOW_BYTES_MAX]);
        assert!(!upstream.has_room());
        assert_eq!(take(&intake, FLOW_BYTES_MAX / 2 - 1).0, Found::Some);
        assert!(mailbox.is_empty());
        assert_eq!(take(&intake, 1).0, Found::Some);
        assert_eq!(mailbox.take(), Some(CONNECTION));
        assert!(upstream.has_room());
        assert_eq!(take(&intake, 1).0, Found::Some);
        assert!(mailbox.is_empty());
    }

    #[test]
    fn a_client_that_waits_is_told_when_somebody_reads() {
        let (upstream, intake, mailbox) = flow(true);
        assert!(upstream.is_held() && mailbox.is_empty());
        assert_eq!(take(&intake, 1).0, Found::Nothing);
        assert_eq!(mailbox.take(), Some(CONNECTION));
        assert!(upstream.take_wanted() && !upstream.take_wanted());
        // It sends without having been told.
        let (upstream, intake, mailbox) = flow(true);
        upstream.push(b"x");
        assert!(!upstream.is_held() && !upstream.take_wanted());
        assert_eq!(take(&intake, 1).0, Found::Some);
        assert!(mailbox.is_empty());
    }

    #[test]
    fn one_who_expects_much_is_roused_by_much_or_by_the_end() {
        let (upstream, intake, _) = flow(false);
        intake.expect(10);
        upstream.push(b"123456789");
        assert_eq!(intake.wait(Duration::ZERO), Found::Nothing);
        assert!(intake.ask_for_some());
        upstream.push(b"0");
        assert_eq!(intake.wait(Duration::ZERO), Found::Some);
        assert!(!intake.ask_for_some());
        assert_eq!(take(&intake, 9).0, Found::Some);
        assert!(intake.ask_for_some());
        intake.expect(1);
        assert!(!intake.ask_for_some());
        intake.expect(10);
        upstream.end();
        assert_eq!(intake.wait(Duration::from_secs(60)), Found::Some);
        assert_eq!(take(&intake, 9), (Found::Some, b"0".to_vec()));
        assert_eq!(intake.wait(Duration::from_secs(60)), Found::End);
    }

    #[test]
    fn what_nobody_reads_is_thrown_away() {
        let (upstream, intake, mailbox) = flow(false);
        let other = intake.clone();
        upstream.push(&vec![7; FLOW_BYTES_MAX]);
        assert!(!upstream.has_room());
        drop(intake);
        assert!(mailbox.is_empty());
        drop(other);
        assert_eq!(mailbox.take(), Some(CONNECTION));
        upstream.push(&vec![7; 2 * FLOW_BYTES_MAX]);
        assert!(upstream.has_room());
    }

    #[test]
    fn a_client_whose_body_nobody_reads_is_not_told_to_send_it() {
        let (upstream, intake, mailbox) = flow(true);
        drop(intake);
        assert!(mailbox.is_empty() && !upstream.take_wanted());
    }

    #[test]
    fn what_came_before_a_cut_is_read_unless_it_was_answered() {
        for (cut, left) in [(Cut::Gone, true), (Cut::Refused(413), true), (Cut::Answered, false)] {
            let (upstream, intake, _) = flow(false);
            upstream.push(b"x");
            upstream.cut(cut);
            upstream.end();
            assert!(!intake.has_come());
            if left {
                assert_eq!(take(&intake, 9).0, Found::Some);
            }
            assert_eq!(take(&intake, 9).0, Found::Cut(cut));
        }
        let (upstream, intake, _) = flow(false);
        drop(upstream);
        assert_eq!(take(&intake, 9).0, Found::Cut(Cut::Gone));
    }

    #[test]
    fn one_who_waits_is_woken_by_a_piece_and_by_the_end() {
        let (upstream, intake, _) = flow(false);
        let (told, tells) = std::sync::mpsc::channel();
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            loop {
                match intake.wait(Duration::from_secs(60)) {
                    Found::Some => all.extend(take(&intake, usize::MAX).1),
                    found => return (found, all),
                }
                told.send(()).unwrap();
            }
        });
        for _ in 0..3 {
            upstream.push(b"abc");
            tells.recv().unwrap();
        }
        upstream.end();
        assert_eq!(reader.join().unwrap(), (Found::End, b"abcabcabc".to_vec()));
    }

    proptest! {
        #[test]
        fn nothing_is_lost_doubled_or_out_of_order(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..30),
            takes in prop::collection::vec((0_usize..3, 1_usize..60), 1..40),
        ) {
            let (upstream, intake, _) = flow(false);
            let sent = pieces.concat();
            let mut got = Vec::new();
            let mut pieces = pieces.iter();
            // One row that pushes, or it might go on for ever.
            for &(pushes, bytes_max) in takes.iter().chain([&(1, 1)]).cycle() {
                for piece in pieces.by_ref().take(pushes) {
                    upstream.push(piece);
                }
                if pieces.len() == 0 {
                    upstream.end();
                }
                if bytes_max % 7 == 0 {
                    if intake.drain(&mut got) == Found::End {
                        break;
                    }
                    continue;
                }
                let (found, piece) = take(&intake, bytes_max);
                prop_assert!(piece.len() <= bytes_max);
                prop_assert_eq!(found == Found::Some, !piece.is_empty());
                got.extend(piece);
                if found == Found::End {
                    break;
                }
            }
            prop_assert_eq!(got, sent);
        }
    }
}
