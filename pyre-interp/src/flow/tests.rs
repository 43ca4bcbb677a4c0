//! Flows outward: what becomes of pieces, and who is told.

mod early; // streams that have subscribed before they are an answer
mod topics; // what is published, and who hears it
mod threads; // senders and a reactor on real threads
mod wire; // whatever is sent, and whenever: what comes out

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use pyre_http::event_stream::KEEP_ALIVE;
use pyre_http::h1::serialize::Delimited;

use super::*;
use crate::job::ConnectionId;
use crate::ring::{Doorbell, Roster};

const CONNECTION: ConnectionId = ConnectionId { reactor: 0, slot: 3, generation: 5 };

/// A flow, and what its reactor has.
struct Rig {
    flow: Arc<Outflow>,
    mailbox: Arc<Mailbox>,
    bell: Arc<Doorbell>,
    rung: Arc<AtomicUsize>,
}

impl Rig {
    fn new() -> Self {
        let rung = Arc::new(AtomicUsize::new(0));
        let bell = Arc::new(Doorbell::new({
            let rung = rung.clone();
            move || {
                rung.fetch_add(1, Relaxed);
            }
        }));
        let mailbox = Arc::new(Mailbox::new(bell.clone()));
        Self { flow: Arc::default(), mailbox, bell, rung }
    }

    fn reader(&self) -> Reader {
        Reader { connection: CONNECTION, mailbox: self.mailbox.clone() }
    }

    fn attach(&self, delimited: Delimited) -> Downstream {
        self.flow.attach(self.reader(), delimited);
        Downstream::new(self.flow.clone(), Terms::default())
    }

    /// One that is attached, and whose reactor has found nothing.
    fn attached(delimited: Delimited) -> (Self, Downstream) {
        let rig = Self::new();
        let mut downstream = rig.attach(delimited);
        assert_eq!(taken(&mut downstream), (Taken::Nothing, String::new()));
        (rig, downstream)
    }

    /// As many entries as the mailbox has.
    fn told(&self) -> usize {
        std::iter::from_fn(|| self.mailbox.take()).inspect(|it| assert_eq!(*it, CONNECTION)).count()
    }

    /// Fills it to the bound.
    fn fill(&self) {
        assert_eq!(self.flow.push(&vec![b'x'; FLOW_BYTES_MAX]), Pushed::Taken);
        assert_eq!(self.flow.room(), Room::None);
    }
}

fn taken(downstream: &mut Downstream) -> (Taken, String) {
    let mut into = Vec::new();
    let taken = downstream.take(&mut into, 7);
    (taken, String::from_utf8(into).unwrap())
}

fn waker() -> (Arc<Wakes>, Waker) {
    let wakes = Arc::new(Wakes::new(Roster::new(1)));
    (wakes.clone(), Waker { wakes, number: 9 })
}

#[test]
fn the_first_piece_of_a_batch_tells_the_reactor_and_no_other_one() {
    let (rig, mut downstream) = Rig::attached(Delimited::Close);
    rig.bell.announce();
    for piece in ["a", "b", "", "c"] {
        assert_eq!(rig.flow.push(piece.as_bytes()), Pushed::Taken);
    }
    assert_eq!((rig.told(), rig.rung.load(Relaxed)), (1, 1));
    assert_eq!(taken(&mut downstream), (Taken::Pieces, "abc".to_owned()));
    // It looks again by itself.
    rig.flow.push(b"d");
    assert_eq!(rig.told(), 0);
    assert_eq!(taken(&mut downstream), (Taken::Pieces, "d".to_owned()));
    assert_eq!(taken(&mut downstream).0, Taken::Nothing);
    rig.flow.push(b"e");
    assert_eq!(rig.told(), 1);
}

#[test]
fn nothing_is_no_piece() {
    let (rig, mut downstream) = Rig::attached(Delimited::Chunked);
    assert_eq!(rig.flow.push(b""), Pushed::Taken);
    assert_eq!((rig.told(), taken(&mut downstream).0), (0, Taken::Nothing));
}

#[test]
fn early_pieces_are_framed_when_a_lane_attaches_them() {
    for (delimited, expected, end) in [
        (Delimited::Chunked, "2\r\nab\r\n1\r\nc\r\n", "0\r\n\r\n"),
        (Delimited::Close, "abc", ""),
        (Delimited::Length(3), "abc", ""),
    ] {
        let rig = Rig::new();
        rig.flow.push(b"ab");
        rig.flow.push(b"c");
        let mut downstream = rig.attach(delimited);
        assert_eq!(rig.told(), 0, "the reactor gets the answer, and looks then");
        assert_eq!(taken(&mut downstream), (Taken::Pieces, expected.to_owned()));
        assert!(rig.flow.end());
        assert_eq!(taken(&mut downstream), (Taken::End, end.to_owned()));
        assert_eq!(downstream.known.bytes, 3);
    }
}

#[test]
fn one_that_ended_early_is_whole() {
    let rig = Rig::new();
    rig.flow.push(b"ab");
    assert!(rig.flow.end());
    assert!(!rig.flow.end(), "that is no news");
    let mut downstream = rig.attach(Delimited::Chunked);
    assert_eq!(taken(&mut downstream), (Taken::End, "2\r\nab\r\n0\r\n\r\n".to_owned()));
}

#[test]
fn more_than_the_answer_has_said_breaks_it_off() {
    let (rig, mut downstream) = Rig::attached(Delimited::Length(3));
    assert_eq!(rig.flow.push(b"ab"), Pushed::Taken);
    assert_eq!(rig.flow.push(b"cd"), Pushed::TooMuch);
    assert_eq!(rig.flow.push(b"c"), Pushed::Ended);
    assert_eq!(rig.told(), 1);
    assert_eq!(taken(&mut downstream), (Taken::Break, "ab".to_owned()));
    assert_eq!(downstream.known.bytes, 2);
}

#[test]
fn more_than_the_answer_says_later_breaks_it_off_when_it_is_attached() {
    let rig = Rig::new();
    for piece in ["ab", "cd", "e"] {
        assert_eq!(rig.flow.push(piece.as_bytes()), Pushed::Taken);
    }
    let mut downstream = rig.attach(Delimited::Length(3));
    assert_eq!(taken(&mut downstream), (Taken::Break, "ab".to_owned()));
    assert_eq!(downstream.known.bytes, 2);
}

#[test]
fn less_than_the_answer_has_said_breaks_it_off() {
    let (rig, mut downstream) = Rig::attached(Delimited::Length(3));
    rig.flow.push(b"ab");
    assert!(rig.flow.end());
    assert_eq!(taken(&mut downstream), (Taken::Break, "ab".to_owned()));

    let rig = Rig::new();
    rig.flow.push(b"ab");
    rig.flow.end();
    assert_eq!(taken(&mut rig.attach(Delimited::Length(3))), (Taken::Break, "ab".to_owned()));
}

#[test]
fn a_sender_that_fails_breaks_it_off() {
    let (rig, mut downstream) = Rig::attached(Delimited::Chunked);
    rig.flow.push(b"ab");
    assert!(rig.flow.fail());
    assert!(!rig.flow.fail() && !rig.flow.end());
    assert_eq!(rig.told(), 1);
    assert_eq!(taken(&mut downstream), (Taken::Break, "2\r\nab\r\n".to_owned()));
    assert_eq!(rig.flow.push(b"c"), Pushed::Ended);
}

#[test]
fn one_of_which_all_is_taken_has_no_client_that_went() {
    for ends in [Outflow::end, Outflow::fail] {
        let (rig, mut downstream) = Rig::attached(Delimited::Close);
        let (wakes, waker) = waker();
        rig.flow.set_waker(waker);
        rig.flow.push(b"a");
        ends(&rig.flow);
        taken(&mut downstream);
        drop(downstream);
        assert!(!rig.flow.is_gone() && !rig.flow.is_open());
        assert_eq!(rig.flow.push(b"b"), Pushed::Ended);
        assert_eq!(rig.flow.room(), Room::Some);
        assert!(wakes.is_empty());
    }
}

#[test]
fn one_of_which_something_was_left_has_a_client_that_went() {
    let (rig, downstream) = Rig::attached(Delimited::Close);
    rig.flow.push(b"a");
    rig.flow.end();
    drop(downstream);
    assert!(rig.flow.is_gone());
}

#[test]
fn a_client_that_goes_is_told_of_to_whoever_sends() {
    let (rig, downstream) = Rig::attached(Delimited::Close);
    let (wakes, waker) = waker();
    rig.flow.set_waker(waker.clone());
    rig.fill();
    drop(downstream);
    assert_eq!((wakes.take(), wakes.take()), (Some(9), None));
    assert_eq!(rig.flow.push(b"b"), Pushed::Gone);
    assert_eq!((rig.flow.room(), rig.flow.wait(Duration::MAX)), (Room::Gone, Room::Gone));
    assert!(!rig.flow.ask_for_room() && !rig.flow.end() && !rig.flow.fail());
    // Whoever comes later hears of it at once.
    rig.flow.set_waker(waker);
    assert_eq!(wakes.take(), Some(9));
}

#[test]
fn one_that_is_no_answer_after_all_is_read_by_nobody() {
    let rig = Rig::new();
    rig.flow.abandon();
    assert_eq!(rig.flow.push(b"a"), Pushed::Gone);

    let (rig, mut downstream) = Rig::attached(Delimited::Close);
    rig.flow.push(b"a");
    rig.flow.abandon();
    assert_eq!(taken(&mut downstream), (Taken::Pieces, "a".to_owned()), "it is one");
}

#[test]
fn pieces_wait_up_to_the_bound() {
    let early = Rig::new();
    early.fill();
    assert_eq!(early.flow.push(b"b"), Pushed::Full);

    let (rig, mut downstream) = Rig::attached(Delimited::Close);
    rig.fill();
    assert_eq!(rig.flow.push(b"b"), Pushed::Full);
    assert_eq!(taken(&mut downstream).1.len(), FLOW_BYTES_MAX);
    assert_eq!(rig.flow.push(b"c"), Pushed::Taken);
}

#[test]
fn a_wait_for_room_ends() {
    let (rig, _downstream) = Rig::attached(Delimited::Close);
    assert_eq!(rig.flow.wait(Duration::MAX), Room::Some);
    rig.fill();
    assert_eq!(rig.flow.wait(Duration::ZERO), Room::None);
}

#[test]
fn an_event_loop_is_told_of_room_once_for_each_time_it_asks() {
    let (rig, mut downstream) = Rig::attached(Delimited::Close);
    let (wakes, waker) = waker();
    rig.flow.set_waker(waker);
    assert!(!rig.flow.ask_for_room(), "there is some");
    rig.fill();
    taken(&mut downstream);
    assert!(wakes.is_empty(), "it has not asked");
    rig.fill();
    assert!(rig.flow.ask_for_room() && rig.flow.ask_for_room());
    taken(&mut downstream);
    taken(&mut downstream);
    assert_eq!((wakes.take(), wakes.take()), (Some(9), None));
}

#[test]
fn an_event_loop_that_waits_for_room_is_told_of_the_end() {
    for ends in [Outflow::end, Outflow::fail] {
        let (rig, _downstream) = Rig::attached(Delimited::Close);
        let (wakes, waker) = waker();
        rig.flow.set_waker(waker);
        rig.fill();
        assert!(rig.flow.ask_for_room());
        ends(&rig.flow);
        assert_eq!(wakes.take(), Some(9));
    }
}

/// Sends more than a silent flow keeps, and takes it all.
fn rush(downstream: &mut Downstream) -> Vec<u8> {
    let mut into = Vec::new();
    for expected in [Taken::Pieces, Taken::Pieces, Taken::Nothing] {
        into.clear();
        if expected == Taken::Pieces {
            downstream.flow().push(&[b'x'; FLOW_BYTES_MAX]);
        }
        assert_eq!(downstream.take(&mut into, 0), expected);
    }
    into
}

#[test]
fn a_stream_that_rests_keeps_its_buffers_for_a_while() {
    let (rig, mut downstream) = Rig::attached(Delimited::Close);
    let spare = Spare::default();
    let mut reply = rush(&mut downstream);
    downstream.rest(&mut reply, &spare, 4 * FLOW_BYTES_MAX, 1_000);
    assert_eq!(downstream.kept_until_ms, 1_000);
    assert!(reply.capacity() >= FLOW_BYTES_MAX);
    assert!(rig.flow.buffer_bytes() >= FLOW_BYTES_MAX);
    // Again, with what it has already.
    let mut reply = rush(&mut downstream);
    downstream.rest(&mut reply, &spare, 4 * FLOW_BYTES_MAX, 2_000);
    assert_eq!(downstream.kept_until_ms, 2_000);
    // Nothing comes.
    downstream.slim(&mut reply);
    assert_eq!((downstream.kept_until_ms, reply.capacity()), (u64::MAX, 0));
    assert!(rig.flow.buffer_bytes() <= KEPT_BYTES_MAX);
    assert!(spare.keep(4 * FLOW_BYTES_MAX, 4 * FLOW_BYTES_MAX).is_some(), "all is given back");
}

#[test]
fn a_stream_that_rests_keeps_little_where_others_keep_much() {
    let (rig, mut downstream) = Rig::attached(Delimited::Close);
    let spare = Spare::default();
    let others = spare.keep(FLOW_BYTES_MAX, 2 * FLOW_BYTES_MAX).unwrap();
    let mut reply = rush(&mut downstream);
    downstream.rest(&mut reply, &spare, 2 * FLOW_BYTES_MAX, 1_000);
    assert_eq!((downstream.kept_until_ms, reply.capacity()), (u64::MAX, 0));
    assert!(rig.flow.buffer_bytes() <= KEPT_BYTES_MAX);
    drop(others);
    let mut reply = rush(&mut downstream);
    downstream.rest(&mut reply, &spare, 2 * FLOW_BYTES_MAX, 1_000);
    assert_eq!(downstream.kept_until_ms, 1_000);
    drop(downstream);
    assert!(spare.keep(2 * FLOW_BYTES_MAX, 2 * FLOW_BYTES_MAX).is_some(), "all is given back");
}

#[test]
fn what_has_been_read_to_its_end_keeps_nothing() {
    let (rig, mut downstream) = Rig::attached(Delimited::Close);
    rush(&mut downstream);
    rig.flow.push(b"x");
    rig.flow.end();
    assert_eq!(taken(&mut downstream).0, Taken::End);
    assert_eq!(rig.flow.buffer_bytes(), 0);
}

#[test]
fn a_comment_goes_between_two_events_and_nowhere_else() {
    let (rig, mut downstream) = Rig::attached(Delimited::Close);
    let comment = String::from_utf8(KEEP_ALIVE.to_vec()).unwrap();
    downstream.push_comment(KEEP_ALIVE);
    assert_eq!((rig.told(), taken(&mut downstream)), (1, (Taken::Pieces, comment.clone())));
    assert_eq!(downstream.known.bytes, 0, "it is none of the program's");
    for (piece, is_between) in
        [("data: a", false), ("\n", false), ("\n", true), ("id: 1\r\n\r\n", true), (":\n", false)]
    {
        rig.flow.push(piece.as_bytes());
        downstream.push_comment(KEEP_ALIVE);
        assert_eq!(taken(&mut downstream).1, piece, "something else is on its way");
        downstream.push_comment(KEEP_ALIVE);
        let expected = if is_between { comment.clone() } else { String::new() };
        assert_eq!(taken(&mut downstream).1, expected, "behind {piece:?}");
    }
}

#[test]
fn when_something_was_sent_and_when_a_piece_was() {
    let (rig, mut downstream) = Rig::attached(Delimited::Chunked);
    let mut into = Vec::new();
    rig.flow.push(b"a");
    downstream.take(&mut into, 10);
    assert_eq!((downstream.sent_ms, downstream.piece_ms), (10, 10));
    into.clear();
    rig.flow.push(b"\n\n");
    downstream.take(&mut into, 20);
    downstream.push_comment(KEEP_ALIVE);
    into.clear();
    downstream.take(&mut into, 30);
    assert_eq!((downstream.sent_ms, downstream.piece_ms), (30, 20));
    into.clear();
    downstream.take(&mut into, 40);
    assert_eq!((downstream.sent_ms, downstream.piece_ms), (30, 20));
}
