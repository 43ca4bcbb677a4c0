//! Models of inboxes: who waits for a message, and the reactor that waits for room.
//!
//! The inbox is the real one, as flows are in `flows.rs`.

use super::flows::{CONNECTION, bell};
use crate::{
    flow::{
        Batch, Bells, Feed, GONE, INBOX_BYTES_MAX, Inbox, Mailbox, Reader, Received, Waker, Wakes,
    },
    ring::{roster::Roster, sync::thread},
};
use pyre_http::websocket::receive::Kind;
use std::{sync::Arc, time::Duration};

/// A thread that waits has the message, or the end.
pub(super) fn wakes_a_thread_for_a_message() {
    let inbox = Arc::new(Inbox::default());
    let feed = Feed::new(inbox.clone());
    let reactor = thread::spawn(move || {
        assert!(feed.push(Kind::Text, b"a", &mut Bells::default()));
        drop(feed);
    });
    let mut batch = Batch::default();
    let mut messages = 0;
    loop {
        assert!(inbox.wait(Duration::MAX));
        match inbox.take(&mut batch) {
            Received::Messages => {
                while batch.take().is_some() {
                    messages += 1;
                }
            }
            Received::Nothing => panic!("it was told of something"),
            Received::End => break,
        }
    }
    assert_eq!(messages, 1);
    assert_eq!(inbox.ending().unwrap().code, GONE);
    reactor.join().unwrap();
}

/// An event loop that waits for a message sleeps until it is told of one, or of the end.
fn event_loop(reactor: fn(Feed)) -> Received {
    let inbox = Arc::new(Inbox::default());
    let feed = Feed::new(inbox.clone());
    let roster = Roster::new(1);
    let sleeper = thread::current();
    let mut seat = roster.seat_with_bell(move || sleeper.unpark());
    let wakes = Arc::new(Wakes::new(roster));
    inbox.set_waker(Waker { wakes: wakes.clone(), number: 7 });
    let reactor = thread::spawn(move || reactor(feed));
    if inbox.ask() {
        while wakes.take().is_none() {
            seat.announce();
            if wakes.is_empty() {
                thread::park();
            }
            seat.look();
        }
    }
    let found = inbox.take(&mut Batch::default());
    reactor.join().unwrap();
    found
}

/// An event loop that waits for a message is woken by one.
pub(super) fn wakes_an_event_loop_for_a_message() {
    let found = thread::spawn(|| {
        event_loop(|feed| {
            let mut bells = Bells::default();
            assert!(feed.push(Kind::Text, b"a", &mut bells));
            bells.ring();
            std::mem::forget(feed);
        })
    });
    assert_eq!(found.join().unwrap(), Received::Messages);
}

/// An event loop that waits for a message is woken when the client goes.
pub(super) fn wakes_an_event_loop_at_the_end() {
    let found = thread::spawn(|| event_loop(drop));
    assert_eq!(found.join().unwrap(), Received::End);
}

/// A reactor that has stopped reading hears of room, though it falls asleep meanwhile.
pub(super) fn wakes_a_reactor_for_room() {
    let reactor = || {
        let bell = bell();
        let mailbox = Arc::new(Mailbox::new(bell.clone()));
        let inbox = Arc::new(Inbox::default());
        inbox.attach(Reader { connection: CONNECTION, mailbox: mailbox.clone() });
        let feed = Feed::new(inbox.clone());
        assert!(!feed.push(Kind::Binary, &vec![0; INBOX_BYTES_MAX], &mut Bells::default()));
        let receiver = thread::spawn(move || {
            assert_eq!(inbox.take(&mut Batch::default()), Received::Messages);
        });
        while !feed.ask_for_room() {
            bell.announce();
            if mailbox.is_empty() {
                thread::park();
            }
            bell.awake();
            while mailbox.take().is_some() {}
        }
        receiver.join().unwrap();
    };
    thread::spawn(reactor).join().unwrap();
}
