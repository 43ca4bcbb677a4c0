//! Models of topics: who publishes, who subscribes meanwhile, and the reactor that sleeps until there is
//! something.
//!
//! Desk, board and flow are the real ones. As with flows, a sketch stands beside them for what one lock
//! keeps together, and breaks if a mistake is made on purpose.

use super::{Mistake, flows::CONNECTION, flows::bell, makes};
use crate::{
    flow::{
        Downstream, Mailbox, Offered, Outflow, Reader, Subscribed, Taken, Terms,
        topics::{BOARD, Board, Message, Topics},
    },
    ring::{sync::thread, wake::Doorbell},
};
use loom::sync::Mutex;
use pyre_http::{h1::serialize::Delimited, websocket::receive::Kind};
use std::{sync::Arc, time::Duration};

fn publish(topics: &Topics) {
    let message = Message::new("t", Kind::Text, Vec::new(), None, None).unwrap();
    assert!(topics.publish(topics.encode(message), Duration::MAX).is_ok());
}

fn attach(flow: &Arc<Outflow>, mailbox: &Arc<Mailbox>, topics: &Arc<Topics>) {
    let reader = Reader { connection: CONNECTION, mailbox: mailbox.clone() };
    flow.attach_to(reader, Delimited::Close, topics);
}

/// Delivers what lies on the board. Tells how much that was.
fn deliver(board: &Board) -> usize {
    let mut heard = 0;
    while let Some(publication) = board.next() {
        let mut hearers = Vec::new();
        board.hearers(&publication, 0, 2, &mut hearers);
        for (_, member) in hearers {
            assert_eq!(member.flow.offer(member.form, &publication), Offered::Taken);
            heard += 1;
        }
    }
    heard
}

/// A subscriber, and what its reactor has.
struct Rig {
    topics: Arc<Topics>,
    mailbox: Arc<Mailbox>,
    bell: Arc<Doorbell>,
    flow: Arc<Outflow>,
}

impl Rig {
    fn new() -> Self {
        let bell = bell();
        let mailbox = Arc::new(Mailbox::new(bell.clone()));
        let topics = Topics::new(&[mailbox.clone()]);
        Self { topics, mailbox, bell, flow: Arc::default() }
    }

    fn subscribed() -> Self {
        let rig = Self::new();
        attach(&rig.flow, &rig.mailbox, &rig.topics);
        assert_eq!(rig.flow.subscribe("t", None), Subscribed::Yes);
        rig
    }

    /// Sleeps until so many publications have been delivered.
    fn receive(&self, expected: usize) {
        let mut heard = 0;
        while heard < expected {
            self.bell.announce();
            if self.mailbox.is_empty() {
                thread::park();
            }
            self.bell.awake();
            while let Some(entry) = self.mailbox.take() {
                if entry == BOARD {
                    heard += deliver(self.topics.board(0));
                }
            }
        }
        assert_eq!(heard, expected);
    }

    /// The program is done with it.
    fn end(self) {
        self.flow.disconnect();
        self.topics.close();
    }
}

/// Publications of two threads that come while the reactor falls asleep are not left lying; one of them
/// waits for the room that the other one has.
pub(super) fn wakes_a_reactor_and_a_publisher() {
    let reactor = || {
        let rig = Rig::subscribed();
        for _ in 0..2 {
            let topics = rig.topics.clone();
            thread::spawn(move || publish(&topics));
        }
        rig.receive(2);
        rig.end();
    };
    thread::spawn(reactor).join().unwrap();
}

/// A publisher that waits for room goes on when the server ends.
pub(super) fn the_end_wakes_a_publisher() {
    let rig = Rig::subscribed();
    publish(&rig.topics);
    let waits = {
        let topics = rig.topics.clone();
        thread::spawn(move || publish(&topics))
    };
    rig.end();
    waits.join().unwrap();
}

/// What is published while a stream that has subscribed becomes an answer is heard once: from itself or
/// by its reactor.
pub(super) fn a_stream_that_becomes_an_answer_misses_nothing() {
    let rig = Rig::new();
    assert_eq!(rig.flow.subscribe("t", None), Subscribed::Yes);
    let publisher = {
        let topics = rig.topics.clone();
        thread::spawn(move || publish(&topics))
    };
    attach(&rig.flow, &rig.mailbox, &rig.topics);
    publisher.join().unwrap();
    deliver(rig.topics.board(0));
    let mut downstream = Downstream::new(rig.flow.clone(), Terms::default());
    let mut pieces = Vec::new();
    assert_eq!(downstream.take(&mut pieces, 0), Taken::Pieces);
    assert_eq!(pieces, b"data: \n\n");
    drop(downstream);
    rig.end();
}

/// Who subscribes and then publishes hears it, though another one leaves the topic meanwhile.
pub(super) fn who_subscribes_hears_what_he_publishes() {
    let rig = Rig::new();
    attach(&rig.flow, &rig.mailbox, &rig.topics);
    let other = Arc::new(Outflow::default());
    attach(&other, &rig.mailbox, &rig.topics);
    assert_eq!(other.subscribe("t", None), Subscribed::Yes);
    let leaves = thread::spawn(move || other.disconnect());
    assert_eq!(rig.flow.subscribe("t", None), Subscribed::Yes);
    publish(&rig.topics);
    let publication = rig.topics.board(0).next().unwrap();
    let mut hearers = Vec::new();
    rig.topics.board(0).hearers(&publication, 0, 2, &mut hearers);
    let hears = hearers.iter().any(|(_, member)| Arc::ptr_eq(&member.flow, &rig.flow));
    assert!(hears);
    drop((hearers, publication));
    leaves.join().unwrap();
    assert_eq!(rig.topics.subscriptions(), 1);
    rig.end();
}

/// How a stream that has subscribed becomes an answer, as a sketch: it leaves those that hear by
/// themselves, and enters the board, under one lock of the desk.
pub(super) fn attaching_within_the_lock_loses_nothing() {
    /// Whether the stream hears by itself, whether it stands on the board, and what it has heard.
    type Desk = Mutex<(bool, bool, usize)>;
    let desk: Arc<Desk> = Arc::new(Mutex::new((true, false, 0)));
    let publisher = {
        let desk = desk.clone();
        thread::spawn(move || {
            let (early, entered, heard) = &mut *desk.lock().unwrap();
            *heard += usize::from(*early) + usize::from(*entered);
        })
    };
    let mut held = desk.lock().unwrap();
    held.0 = false;
    if makes(Mistake::EnteredApart) {
        drop(held);
        held = desk.lock().unwrap();
    }
    held.1 = true;
    drop(held);
    publisher.join().unwrap();
    let heard = desk.lock().unwrap().2;
    assert_eq!(heard, 1);
}
