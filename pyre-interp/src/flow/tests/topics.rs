//! Topics: who hears what, in which order, and what becomes of those who do not read.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use proptest::prelude::*;
use pyre_http::h1::serialize::Delimited;
use pyre_http::websocket::receive::Kind;

use super::{CONNECTION, taken};
use crate::flow::topics::*;
use crate::flow::*;
use crate::job::ConnectionId;
use crate::ring::Doorbell;

pub(super) fn topics(reactors: usize) -> (Arc<Topics>, Vec<Arc<Mailbox>>) {
    let mailbox = || Arc::new(Mailbox::new(Arc::new(Doorbell::new(|| {}))));
    let mailboxes: Vec<_> = (0..reactors).map(|_| mailbox()).collect();
    (Topics::new(&mailboxes), mailboxes)
}

fn message(topic: &str, text: &str) -> Message {
    Message::new(topic, Kind::Text, text.into(), None, None).unwrap()
}

pub(super) fn publish(topics: &Topics, topic: &str, text: &str) {
    assert!(topics.publish(topics.encode(message(topic, text)), Duration::ZERO).is_ok());
}

/// A flow of a connection, and the end that its reactor has.
pub(super) fn attached(
    topics: &Arc<Topics>,
    mailbox: &Arc<Mailbox>,
    connection: ConnectionId,
    delimited: Delimited,
) -> (Arc<Outflow>, Downstream) {
    let flow: Arc<Outflow> = Arc::default();
    flow.attach_to(Reader { connection, mailbox: mailbox.clone() }, delimited, topics);
    (flow.clone(), Downstream::new(flow, Terms::default()))
}

/// One of a reactor that is the only one.
pub(super) fn lone(delimited: Delimited) -> (Arc<Topics>, Arc<Mailbox>, Arc<Outflow>, Downstream) {
    let (topics, mailboxes) = topics(1);
    let (flow, mut downstream) = attached(&topics, &mailboxes[0], CONNECTION, delimited);
    assert_eq!(taken(&mut downstream).0, Taken::Nothing);
    (topics, mailboxes[0].clone(), flow, downstream)
}

/// Delivers all that lies on a board, as a reactor does that has other things to write first.
pub(super) fn deliver(board: &Board) -> Vec<Offered> {
    let mut offered = Vec::new();
    while let Some(publication) = board.next() {
        let mut behind = 0;
        loop {
            let mut hearers = Vec::new();
            board.hearers(&publication, behind, 2, &mut hearers);
            let Some((last, _)) = hearers.last() else { break };
            behind = *last;
            for (_, member) in &hearers {
                offered.push(member.flow.offer(member.form, &publication));
            }
        }
    }
    offered
}

#[test]
fn a_reactor_is_told_once_for_a_batch_and_not_if_nobody_there_listens() {
    let (topics, mailboxes) = topics(2);
    publish(&topics, "t", "nobody");
    let (flow, _downstream) = attached(&topics, &mailboxes[0], CONNECTION, Delimited::Close);
    assert_eq!(flow.subscribe("t", Some(Form::Frame)), Subscribed::Yes);
    assert_eq!(flow.subscribe("t", Some(Form::Frame)), Subscribed::Yes);
    assert_eq!((topics.subscriptions(), topics.published()), (1, 1));
    for text in ["a", "b"] {
        publish(&topics, "t", text);
    }
    assert_eq!((mailboxes[0].take(), mailboxes[0].take()), (Some(BOARD), None));
    assert!(mailboxes[1].is_empty());
    let board = topics.board(0);
    assert!(board.next().is_some() && board.next().is_some());
    publish(&topics, "t", "c");
    assert!(mailboxes[0].is_empty(), "it looks again by itself");
    assert!(board.next().is_some() && board.next().is_none());
    publish(&topics, "t", "d");
    assert_eq!(mailboxes[0].take(), Some(BOARD));
}

#[test]
fn each_form_is_made_once_and_right() {
    let (topics, mailboxes) = topics(1);
    let (flow, _downstream) = attached(&topics, &mailboxes[0], CONNECTION, Delimited::Close);
    flow.subscribe("t", Some(Form::Deflated(9)));
    let long = "again and ".repeat(100);
    let message =
        Message::new("t", Kind::Text, long.clone().into(), Some("e".into()), Some("7".into()));
    let made = topics.encode(message.unwrap());
    let event = format!("event: e\nid: 7\ndata: {long}\n\n");
    assert_eq!(made.form(Form::Event), Some(event.as_bytes()));
    let chunk = made.form(Form::Chunk).unwrap();
    assert_eq!(chunk, format!("{:x}\r\n{event}\r\n", event.len()).as_bytes());
    assert!(std::ptr::eq(chunk, made.form(Form::Chunk).unwrap()));
    let frame = made.form(Form::Frame).unwrap();
    assert_eq!((frame[0], frame.len()), (0x81, 4 + long.len()));
    let deflated = made.form(Form::Deflated(9)).unwrap();
    assert!(deflated[0] == 0xc1 && deflated.len() < 100);
    // A window that nobody had when it was encoded.
    assert_eq!(made.form(Form::Deflated(15)), Some(frame));
    assert_eq!((made.bytes(Form::Deflated(9)), made.bytes(Form::Chunk)), (long.len(), event.len()));
    let bytes = Message::new("t", Kind::Binary, vec![0xff], None, None).unwrap();
    assert!(!bytes.is_text());
    let made = topics.encode(bytes);
    assert_eq!((made.form(Form::Event), made.form(Form::Chunk)), (None, None));
    assert_eq!(made.form(Form::Frame), Some(&[0x82, 1, 0xff][..]));
    assert!(Message::new("t", Kind::Text, Vec::new(), Some("a\n".into()), None).is_err());
}

#[test]
fn what_has_no_room_is_given_back_and_room_comes_when_all_have_it() {
    let (topics, mailboxes) = topics(2);
    let mut flows = Vec::new();
    for (reactor, mailbox) in (0..).zip(&mailboxes) {
        let connection = ConnectionId { reactor, ..CONNECTION };
        let (flow, downstream) = attached(&topics, mailbox, connection, Delimited::Close);
        flow.subscribe("t", None);
        flows.push((flow, downstream));
    }
    let large = "x".repeat(PUBLISHED_BYTES_MAX);
    publish(&topics, "t", &large);
    let next = || topics.encode(message("t", "next"));
    let left = topics.publish(next(), Duration::ZERO).unwrap_err();
    assert_eq!(left.form(Form::Event), Some(&b"data: next\n\n"[..]));
    assert!(topics.publish(left, Duration::from_millis(1)).is_err());
    drop(topics.board(0).next());
    assert!(topics.publish(next(), Duration::ZERO).is_err(), "another reactor has it");
    let waits = {
        let topics = topics.clone();
        let publication = next();
        thread::spawn(move || topics.publish(publication, Duration::MAX).is_ok())
    };
    drop(topics.board(1).next());
    assert!(waits.join().unwrap());
    // At the end nobody waits any more.
    publish(&topics, "t", &large);
    let waits = {
        let topics = topics.clone();
        let publication = next();
        thread::spawn(move || topics.publish(publication, Duration::MAX).is_ok())
    };
    topics.close();
    assert!(waits.join().unwrap());
    publish(&topics, "t", &large);
    publish(&topics, "t", "nobody hears it");
    assert!(topics.board(0).next().is_none());
}

#[test]
fn a_reactor_writes_it_at_once_if_nothing_waits() {
    let (topics, mailbox, flow, mut downstream) = lone(Delimited::Chunked);
    flow.subscribe("t", None);
    publish(&topics, "t", "a");
    assert_eq!(mailbox.take(), Some(BOARD));
    let publication = topics.board(0).next().unwrap();
    assert_eq!(downstream.offer(Form::Chunk, &publication, 5), Offered::Write);
    assert_eq!((downstream.sent_ms, downstream.piece_ms), (5, 5));
    assert_eq!((downstream.known.bytes, downstream.known.count), (9, 1));
    flow.push(b"data: own\n\n");
    assert_eq!(downstream.offer(Form::Chunk, &publication, 6), Offered::Taken);
    let expected = "b\r\ndata: own\n\n\r\n9\r\ndata: a\n\n\r\n";
    assert_eq!(taken(&mut downstream), (Taken::Pieces, expected.to_owned()));
    assert_eq!((downstream.known.bytes, downstream.known.count), (29, 3));
}

#[test]
fn who_does_not_read_has_no_room_at_the_bound_and_again_once_it_reads() {
    let (topics, _mailbox, flow, mut downstream) = lone(Delimited::Close);
    flow.subscribe("t", None);
    // What the handler sends does not count: it waits for room itself.
    flow.push("own\n\n".repeat(FLOW_BYTES_MAX / 5 + 1).as_bytes());
    assert_eq!(flow.room(), Room::None);
    for expected in [Offered::Taken, Offered::Full, Offered::Full] {
        publish(&topics, "t", &"y".repeat(FLOW_BYTES_MAX));
        assert_eq!(deliver(topics.board(0)), [expected]);
    }
    taken(&mut downstream);
    publish(&topics, "t", "z");
    assert_eq!(deliver(topics.board(0)), [Offered::Taken]);
    assert!(flow.cut_short(|out| out.extend_from_slice(b"bye")));
    assert!(!flow.cut_short(|out| out.extend_from_slice(b"again")));
    assert_eq!(taken(&mut downstream), (Taken::End, "bye".to_owned()));
    publish(&topics, "t", "late");
    assert_eq!(deliver(topics.board(0)), [Offered::Over]);
    drop(downstream);
    assert_eq!(topics.subscriptions(), 0);
    assert_eq!(flow.subscribe("t", None), Subscribed::Over);
}

#[test]
fn a_subscription_ends_with_its_flow_and_has_a_bound() {
    let (topics, _mailbox, flow, downstream) = lone(Delimited::Close);
    for number in 0..TOPICS_PER_CONNECTION_MAX {
        assert_eq!(flow.subscribe(&number.to_string(), Some(Form::Deflated(15))), Subscribed::Yes);
    }
    assert_eq!(flow.subscribe("more", None), Subscribed::TooMany);
    assert!(!topics.has_streams("3"));
    flow.unsubscribe("3");
    flow.unsubscribe("3");
    assert_eq!(flow.subscribe("3", None), Subscribed::Yes);
    assert!(topics.has_streams("3"));
    flow.unsubscribe("3");
    assert!(!topics.has_streams("3"));
    assert_eq!(topics.subscriptions(), TOPICS_PER_CONNECTION_MAX - 1);
    drop(downstream);
    assert_eq!(topics.subscriptions(), 0);
    assert_eq!(flow.subscribe("t", None), Subscribed::Gone);
    // So nothing is compressed for it any more.
    let made = topics.encode(message("t", &"long ".repeat(100)));
    assert_eq!(made.form(Form::Deflated(15)), made.form(Form::Frame));
}

#[test]
fn a_stream_hears_its_own_app_before_it_is_an_answer() {
    let ((topics, mailboxes), (others, _)) = (topics(1), topics(1));
    for (delimited, own, expected) in [
        (Delimited::Chunked, ":\n\n", "3\r\n:\n\n\r\n9\r\ndata: a\n\n\r\n9\r\ndata: b\n\n\r\n"),
        (Delimited::Close, "", "data: a\n\ndata: b\n\n"),
        (Delimited::Length(22), ":\n\n", ":\n\ndata: a\n\ndata: b\n\n"),
        // What is published waits for the end of its own event.
        (Delimited::Close, "data", "data"),
    ] {
        let flow: Arc<Outflow> = Arc::default();
        // A name that no other test has: all of a process see these streams.
        assert_eq!(flow.subscribe("early", None), Subscribed::Yes);
        publish(&topics, "early", "a");
        publish(&others, "early", "not for it");
        publish(&topics, "another", "not for it");
        flow.push(own.as_bytes());
        publish(&topics, "early", "b");
        let reader = Reader { connection: CONNECTION, mailbox: mailboxes[0].clone() };
        flow.attach_to(reader, delimited, &topics);
        let mut downstream = Downstream::new(flow.clone(), Terms::default());
        assert_eq!(taken(&mut downstream), (Taken::Pieces, expected.to_owned()));
        if own == "data" {
            flow.push(b"\n\n");
            let expected = "\n\ndata: a\n\ndata: b\n\n";
            assert_eq!(taken(&mut downstream), (Taken::Pieces, expected.to_owned()));
        }
        publish(&topics, "early", "c");
        let offered =
            if delimited == Delimited::Length(22) { Offered::Over } else { Offered::Taken };
        assert_eq!(deliver(topics.board(0)), [offered]);
        drop(downstream);
        assert_eq!(topics.subscriptions(), 0);
    }
}

#[test]
fn one_that_is_no_answer_after_all_hears_nothing_any_more() {
    let (topics, _) = topics(1);
    let ways: [fn(&Outflow); 3] = [Outflow::abandon, Outflow::disconnect, Outflow::let_go];
    for way in ways {
        let flow: Arc<Outflow> = Arc::default();
        flow.subscribe("abandoned", None);
        assert!(topics.has_streams("abandoned"));
        way(&flow);
        assert!(!topics.has_streams("abandoned"));
        assert_eq!(Arc::strong_count(&flow), 1);
    }
    // One that hears more than there is room for is given up.
    let flow: Arc<Outflow> = Arc::default();
    flow.subscribe("abandoned", None);
    for _ in 0..2 {
        publish(&topics, "abandoned", &"x".repeat(FLOW_BYTES_MAX));
    }
    assert_eq!((topics.dropped_early(), flow.is_open()), (1, false));
    flow.let_go();
}

#[test]
fn a_stream_that_the_program_forgets_goes_on_only_if_it_listens() {
    let (topics, _mailbox, flow, mut downstream) = lone(Delimited::Close);
    flow.subscribe("t", None);
    flow.end_if_let_go();
    assert!(flow.is_open());
    flow.let_go();
    publish(&topics, "t", "a");
    deliver(topics.board(0));
    assert_eq!(taken(&mut downstream), (Taken::Pieces, "data: a\n\n".to_owned()));
    flow.end_if_let_go();
    assert_eq!(taken(&mut downstream).0, Taken::End);

    let (_topics, _mailbox, flow, mut downstream) = lone(Delimited::Close);
    flow.subscribe("t", None);
    flow.unsubscribe("t");
    flow.let_go();
    assert_eq!(taken(&mut downstream).0, Taken::Break);
}

#[derive(Clone, Debug)]
enum Step {
    Publish,
    Subscribe(usize),
    Unsubscribe(usize),
    Deliver,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Publish),
        2 => (0..4_usize).prop_map(Step::Subscribe),
        1 => (0..4_usize).prop_map(Step::Unsubscribe),
        2 => Just(Step::Deliver),
    ]
}

proptest! {
    /// Whoever comes and goes, and whenever a reactor looks: each hears what is published while it has
    /// subscribed, once and in order; but when it ends that, what has not been delivered may be left out.
    #[test]
    fn each_hears_what_is_published_while_it_listens(steps in prop::collection::vec(step(), 1..60)) {
        let (topics, mailboxes) = topics(1);
        let mut listeners = Vec::new();
        for slot in 0..4 {
            let connection = ConnectionId { slot, ..CONNECTION };
            let (flow, downstream) =
                attached(&topics, &mailboxes[0], connection, Delimited::Close);
            // What it is to hear, and what of that may be left out.
            listeners.push((flow, downstream, false, Vec::new(), Vec::<String>::new()));
        }
        let mut waiting: Vec<String> = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Publish => {
                    publish(&topics, "t", &number.to_string());
                    let text = format!("data: {number}\n\n");
                    for (_, _, listens, expected, _) in &mut listeners {
                        if *listens {
                            expected.push(text.clone());
                        }
                    }
                    waiting.push(text);
                }
                Step::Subscribe(one) => {
                    prop_assert_eq!(listeners[one].0.subscribe("t", None), Subscribed::Yes);
                    listeners[one].2 = true;
                }
                Step::Unsubscribe(one) => {
                    let (flow, _, listens, expected, optional) = &mut listeners[one];
                    flow.unsubscribe("t");
                    *listens = false;
                    // All of it that is on its way is left out, as nothing is delivered in between.
                    optional.extend(waiting.iter().filter(|text| expected.contains(text)).cloned());
                }
                Step::Deliver => {
                    deliver(topics.board(0));
                    waiting.clear();
                }
            }
        }
        deliver(topics.board(0));
        for (_, downstream, _, expected, optional) in &mut listeners {
            let (_, heard) = taken(downstream);
            expected.retain(|text| !optional.contains(text));
            prop_assert_eq!(heard, expected.concat());
        }
    }

    /// However a program cuts its own events into pieces: what is published stands between them, whole.
    #[test]
    fn what_is_published_stands_between_whole_events(
        cuts in prop::collection::vec(1..9_usize, 1..20),
        chunked in any::<bool>(),
    ) {
        let delimited = if chunked { Delimited::Chunked } else { Delimited::Close };
        let (topics, _mailbox, flow, mut downstream) = lone(delimited);
        flow.subscribe("t", None);
        let own = "data: own\n\n".repeat(12);
        let (mut rest, mut number, mut out) = (own.as_bytes(), 0, String::new());
        for cut in cuts {
            let (piece, behind) = rest.split_at(cut.min(rest.len()));
            rest = behind;
            flow.push(piece);
            publish(&topics, "t", &format!("n{number}"));
            number += 1;
            deliver(topics.board(0));
            if number % 3 == 0 {
                out += &taken(&mut downstream).1;
            }
        }
        flow.push(rest);
        out += &taken(&mut downstream).1;
        if chunked {
            let mut plain = String::new();
            let mut left = out.as_str();
            while let Some((size, behind)) = left.split_once("\r\n") {
                let (data, behind) = behind.split_at(usize::from_str_radix(size, 16).unwrap());
                plain += data;
                left = behind.strip_prefix("\r\n").unwrap();
            }
            out = plain;
        }
        let events: Vec<&str> = out.split_terminator("\n\n").collect();
        let published = (0..number).map(|number| format!("data: n{number}")).collect::<Vec<_>>();
        let (own, heard): (Vec<&str>, Vec<&str>) =
            events.into_iter().partition(|event| *event == "data: own");
        prop_assert_eq!(own.len(), 12);
        prop_assert_eq!(heard, published);
    }
}
