//! Models of flows: who sends pieces, and the reactor that sleeps until there are some.
//!
//! The flow, its mailbox and its wakes are the real ones, with the locks and queues of `flow/sync.rs`.
//! What a mutex of theirs is needed for no ordering can take away. So a sketch of each such place
//! stands beside them, which holds as the flow does it, and breaks if a mistake is made on purpose.

use super::{Mistake, makes};
use crate::{
    flow::{
        Downstream, FLOW_BYTES_MAX, Mailbox, Outflow, Pushed, Reader, Room, Taken, Terms, Waker,
        Wakes,
    },
    job::ConnectionId,
    ring::{
        roster::Roster,
        spsc::ring,
        sync::{AtomicBool, AtomicUsize, thread},
        wake::Doorbell,
    },
};
use loom::sync::{Condvar, Mutex};
use pyre_http::{
    compression::{Compression, Decoder, Encoder},
    files::coding::Coding,
    h1::serialize::Delimited,
};
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

pub(super) const CONNECTION: ConnectionId = ConnectionId { reactor: 0, slot: 0, generation: 0 };

/// The bell of the calling thread, which sleeps by parking.
pub(super) fn bell() -> Arc<Doorbell> {
    let sleeper = thread::current();
    Arc::new(Doorbell::new(move || sleeper.unpark()))
}

fn attach(flow: &Arc<Outflow>, mailbox: &Arc<Mailbox>) -> Downstream {
    flow.attach(Reader { connection: CONNECTION, mailbox: mailbox.clone() }, Delimited::Close);
    Downstream::new(flow.clone(), Terms::default())
}

/// Takes until there is nothing, as a reactor does that was told. Tells how many bytes that was, and
/// whether the flow has ended.
fn take_all(downstream: &mut Downstream) -> (usize, bool) {
    let mut bytes = 0;
    loop {
        let mut pieces = Vec::new();
        let taken = downstream.take(&mut pieces, 0);
        bytes += pieces.len();
        match taken {
            Taken::Pieces => {}
            Taken::Nothing => return (bytes, false),
            Taken::End => return (bytes, true),
            Taken::Break => panic!("nobody broke it off"),
        }
    }
}

/// A reactor that has these bytes to come, if `until_end` up to the end of the flow.
fn receive(
    mut downstream: Downstream,
    mailbox: &Mailbox,
    bell: &Doorbell,
    expected: usize,
    until_end: bool,
) {
    let (mut bytes, mut has_ended) = take_all(&mut downstream);
    while bytes < expected || until_end && !has_ended {
        bell.announce();
        if mailbox.is_empty() {
            thread::park();
        }
        bell.awake();
        while let Some(connection) = mailbox.take() {
            assert_eq!(connection, CONNECTION);
            let (more, ends) = take_all(&mut downstream);
            (bytes, has_ended) = (bytes + more, has_ended || ends);
        }
    }
    assert_eq!(bytes, expected);
}

/// Pieces of two senders that come while the reactor falls asleep are not left lying.
pub(super) fn wakes_a_reactor_for_a_piece() {
    let reactor = || {
        let bell = bell();
        let mailbox = Arc::new(Mailbox::new(bell.clone()));
        let flow = Arc::new(Outflow::default());
        let downstream = attach(&flow, &mailbox);
        for _ in 0..2 {
            let flow = flow.clone();
            thread::spawn(move || assert_eq!(flow.push(b"a"), Pushed::Taken));
        }
        receive(downstream, &mailbox, &bell, 2, false);
    };
    thread::spawn(reactor).join().unwrap();
}

/// A piece and the end that come while a lane attaches the flow and gives the answer back are found by
/// the reactor, be it with the answer or behind it.
pub(super) fn attaching_loses_no_piece() {
    let reactor = || {
        let bell = bell();
        let mailbox = Arc::new(Mailbox::new(bell.clone()));
        let flow = Arc::new(Outflow::default());
        let (mut producer, mut answers) = ring(1);
        let lane = {
            let (flow, mailbox, bell) = (flow.clone(), mailbox.clone(), bell.clone());
            move || {
                producer.push(Box::new(attach(&flow, &mailbox))).unwrap();
                bell.notify();
            }
        };
        thread::spawn(lane);
        thread::spawn(move || {
            assert_eq!(flow.push(b"a"), Pushed::Taken);
            assert!(flow.end());
        });
        let downstream = loop {
            if let Some(downstream) = answers.pop() {
                break *downstream;
            }
            bell.announce();
            if answers.is_empty() {
                thread::park();
            }
            bell.awake();
        };
        receive(downstream, &mailbox, &bell, 1, true);
    };
    thread::spawn(reactor).join().unwrap();
}

/// Pieces that are sent while a lane has a flow compressed and the reactor lets its peer know that it lives:
/// each comes out once, in its place, and nobody waits for another one for ever.
pub(super) fn compressing_loses_no_piece() {
    let reactor = || {
        let bell = bell();
        let mailbox = Arc::new(Mailbox::new(bell.clone()));
        let flow = Arc::new(Outflow::default());
        let sender = {
            let flow = flow.clone();
            thread::spawn(move || {
                assert_eq!(flow.push(b"a"), Pushed::Taken);
                assert!(flow.end());
            })
        };
        let terms = Compression::parse(["coding gzip 1"].into_iter()).unwrap();
        flow.encode(Encoder::new(&terms, Coding::Gzip));
        let mut downstream = attach(&flow, &mailbox);
        downstream.push_comment(b"");
        let mut encoded = Vec::new();
        loop {
            let mut pieces = Vec::new();
            let taken = downstream.take(&mut pieces, 0);
            encoded.append(&mut pieces);
            match taken {
                Taken::Pieces => {}
                Taken::End => break,
                Taken::Break => panic!("nobody broke it off"),
                Taken::Nothing => {
                    bell.announce();
                    if mailbox.is_empty() {
                        thread::park();
                    }
                    bell.awake();
                    while mailbox.take().is_some() {}
                }
            }
        }
        sender.join().unwrap();
        let mut decoder = Decoder::new(Coding::Gzip, 8);
        let mut plain = Vec::new();
        decoder.push(&encoded, usize::MAX, &mut plain).unwrap();
        assert_eq!(plain, b"a");
    };
    thread::spawn(reactor).join().unwrap();
}

/// A flow without room for another piece.
fn full() -> (Arc<Outflow>, Downstream) {
    let mailbox = Arc::new(Mailbox::new(Arc::new(Doorbell::new(|| {}))));
    let flow = Arc::new(Outflow::default());
    let downstream = attach(&flow, &mailbox);
    assert_eq!(flow.push(&vec![0; FLOW_BYTES_MAX]), Pushed::Taken);
    (flow, downstream)
}

/// A thread that waits for room has it once the reactor has taken what was there.
pub(super) fn wakes_a_thread_for_room() {
    let (flow, mut downstream) = full();
    let reactor = thread::spawn(move || {
        // The next piece may be among them.
        assert!(take_all(&mut downstream).0 >= FLOW_BYTES_MAX);
        downstream
    });
    assert_eq!(flow.wait(Duration::MAX), Room::Some);
    assert_eq!(flow.push(b"a"), Pushed::Taken);
    drop(reactor.join().unwrap());
}

/// Threads that wait for room are woken when the other end goes.
pub(super) fn wakes_threads_when_the_client_goes() {
    let (flow, downstream) = full();
    let sender = {
        let flow = flow.clone();
        thread::spawn(move || assert_eq!(flow.wait(Duration::MAX), Room::Gone))
    };
    let reactor = thread::spawn(move || drop(downstream));
    assert_eq!(flow.wait(Duration::MAX), Room::Gone);
    sender.join().unwrap();
    reactor.join().unwrap();
}

/// A thread that waits for room is woken when another one ends the flow.
pub(super) fn wakes_a_thread_at_the_end() {
    let (flow, downstream) = full();
    let ends = {
        let flow = flow.clone();
        thread::spawn(move || assert!(flow.end()))
    };
    assert_eq!(flow.wait(Duration::MAX), Room::Some);
    assert_eq!(flow.push(b"a"), Pushed::Ended);
    ends.join().unwrap();
    drop(downstream);
}

/// An event loop whose sender has found no room: it sleeps until it is told, while `reactor` goes on.
fn event_loop(reactor: fn(Downstream)) -> Room {
    let (flow, downstream) = full();
    let roster = Roster::new(1);
    let sleeper = thread::current();
    let mut seat = roster.seat_with_bell(move || sleeper.unpark());
    let wakes = Arc::new(Wakes::new(roster));
    flow.set_waker(Waker { wakes: wakes.clone(), number: 7 });
    let reactor = thread::spawn(move || reactor(downstream));
    if flow.ask_for_room() {
        while wakes.take().is_none() {
            seat.announce();
            if wakes.is_empty() {
                thread::park();
            }
            seat.look();
        }
    }
    let room = flow.room();
    reactor.join().unwrap();
    room
}

/// An event loop whose sender waits for room is woken once there is some.
pub(super) fn wakes_an_event_loop_for_room() {
    let room = thread::spawn(|| {
        event_loop(|mut downstream| {
            take_all(&mut downstream);
            std::mem::forget(downstream);
        })
    });
    assert_eq!(room.join().unwrap(), Room::Some);
}

/// An event loop whose sender waits for room is woken when the other end goes.
pub(super) fn wakes_an_event_loop_when_the_client_goes() {
    let room = thread::spawn(|| event_loop(drop));
    assert_eq!(room.join().unwrap(), Room::Gone);
}

/// That a reactor was told, as a sketch: what [`Outflow`] keeps of it, and nothing else.
pub(super) fn told_within_the_lock_loses_no_piece() {
    let reactor = || {
        let bell = bell();
        // Pieces, under a lock; whether the reactor looks by itself; whether it was told to.
        let flow = Arc::new((Mutex::new(0), AtomicBool::new(false), AtomicUsize::new(0)));
        for _ in 0..2 {
            let (flow, bell) = (flow.clone(), bell.clone());
            thread::spawn(move || {
                let (pieces, is_told, entries) = &*flow;
                let mut pieces = pieces.lock().unwrap();
                *pieces += 1;
                let was_told = is_told.swap(true, Relaxed);
                drop(pieces);
                if !was_told {
                    entries.fetch_add(1, Relaxed);
                    bell.notify();
                }
            });
        }
        let (pieces, is_told, entries) = &*flow;
        let mut came = 0;
        while came < 2 {
            bell.announce();
            if entries.load(Relaxed) == 0 {
                thread::park();
            }
            bell.awake();
            if entries.load(Relaxed) == 0 {
                continue;
            }
            entries.fetch_sub(1, Relaxed);
            loop {
                let mut there = pieces.lock().unwrap();
                let taken = std::mem::take(&mut *there);
                came += taken;
                if taken > 0 {
                    continue;
                }
                if makes(Mistake::ToldApart) {
                    drop(there);
                }
                is_told.store(false, Relaxed);
                break;
            }
        }
    };
    thread::spawn(reactor).join().unwrap();
}

/// That a sender waits for room, as a sketch: it looks and lies down under one lock.
pub(super) fn room_asked_within_the_lock_is_told_of() {
    let flow = Arc::new((Mutex::new((true, 0)), Condvar::new()));
    let reactor = {
        let flow = flow.clone();
        thread::spawn(move || {
            let (state, room) = &*flow;
            let mut state = state.lock().unwrap();
            state.0 = false;
            if state.1 > 0 {
                room.notify_all();
            }
        })
    };
    let (state, room) = &*flow;
    let mut held = state.lock().unwrap();
    while held.0 {
        if makes(Mistake::RoomAskedApart) {
            drop(held);
            held = state.lock().unwrap();
        }
        held.1 += 1;
        held = room.wait(held).unwrap();
        held.1 -= 1;
    }
    drop(held);
    reactor.join().unwrap();
}
