use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use pyre_http::h1::serialize::Delimited;

use super::{CONNECTION, Rig, taken};
use crate::flow::{
    Downstream, FLOW_BYTES_MAX, Mailbox, Outflow, Pushed, Reader, Room, Taken, Terms,
};
use crate::ring::Doorbell;

/// Longer than any of this takes: whoever waits so long was not woken.
const LONG: Duration = Duration::from_secs(60);

/// Runs `wakes` while a thread waits for room in a flow that is full, and returns what that found.
fn woken_by(wakes: impl FnOnce(&Outflow, Downstream)) -> Room {
    let (rig, downstream) = Rig::attached(Delimited::Close);
    rig.fill();
    let flow = rig.flow.clone();
    let (tell, told) = mpsc::channel();
    let waits = thread::spawn(move || {
        tell.send(()).unwrap();
        let began = Instant::now();
        let room = flow.wait(LONG);
        assert!(began.elapsed() < LONG, "nobody woke it");
        room
    });
    told.recv().unwrap();
    wakes(&rig.flow, downstream);
    waits.join().unwrap()
}

#[test]
fn a_thread_that_waits_for_room_is_woken_when_there_is_some() {
    let room = woken_by(|_, mut downstream| {
        assert_eq!(taken(&mut downstream).0, Taken::Pieces);
        std::mem::forget(downstream);
    });
    assert_eq!(room, Room::Some);
}

#[test]
fn a_thread_that_waits_for_room_is_woken_when_the_client_goes() {
    assert_eq!(woken_by(|_, downstream| drop(downstream)), Room::Gone);
}

#[test]
fn a_thread_that_waits_for_room_is_woken_when_another_one_ends_it() {
    for ends in [Outflow::end, Outflow::fail] {
        let room = woken_by(|flow, downstream| {
            assert!(ends(flow));
            std::mem::forget(downstream);
        });
        assert_eq!(room, Room::Some);
    }
}

/// A reactor that sleeps on its doorbell, and gives what it has taken when the flow has ended.
fn reactor(mut downstream: Downstream, mailbox: &Mailbox, bell: &Doorbell) -> Vec<u8> {
    let (mut came, mut buffer) = (Vec::new(), Vec::new());
    // As when its answer comes: it looks until it finds nothing.
    let mut looks = true;
    let until = Instant::now() + LONG;
    loop {
        while looks {
            buffer.clear();
            let taken = downstream.take(&mut buffer, 0);
            came.extend_from_slice(&buffer);
            match taken {
                Taken::Pieces => {}
                Taken::Nothing => looks = false,
                Taken::End => return came,
                Taken::Break => panic!("nobody broke it off"),
            }
        }
        bell.announce();
        if mailbox.is_empty() {
            thread::park_timeout(until.saturating_duration_since(Instant::now()));
        }
        bell.awake();
        assert!(Instant::now() < until, "a piece was slept through");
        while let Some(connection) = mailbox.take() {
            assert_eq!(connection, CONNECTION);
            looks = true;
        }
    }
}

/// Everybody at once: threads that send as fast as there is room, a lane that attaches meanwhile, a
/// reactor that sleeps whenever it finds nothing.
#[test]
fn what_threads_send_comes_out_whole() {
    const SENDERS: u8 = 4;
    const PIECES: usize = 400;
    const PIECE_BYTES: usize = 1009;
    for _round in 0..8 {
        let sleeper = thread::current();
        let bell = Arc::new(Doorbell::new(move || sleeper.unpark()));
        let mailbox = Arc::new(Mailbox::new(bell.clone()));
        let flow = Arc::new(Outflow::default());
        let send = |sender: u8| {
            let flow = flow.clone();
            thread::spawn(move || {
                for number in 0..PIECES {
                    // Some are small, so that the reactor finds nothing now and then.
                    let length = if number % 3 == 0 { 1 } else { PIECE_BYTES };
                    let piece = vec![sender; length];
                    while flow.push(&piece) == Pushed::Full {
                        assert_eq!(flow.wait(LONG), Room::Some, "nobody woke it");
                    }
                }
            })
        };
        let senders: Vec<_> = (0..SENDERS).map(send).collect();
        let reader = Reader { connection: CONNECTION, mailbox: mailbox.clone() };
        flow.attach(reader, Delimited::Close);
        let downstream = Downstream::new(flow.clone(), Terms::default());
        let ends = thread::spawn(move || {
            senders.into_iter().for_each(|sender| sender.join().unwrap());
            assert!(flow.end());
        });
        let came = reactor(downstream, &mailbox, &bell);
        ends.join().unwrap();
        let small = PIECES.div_ceil(3);
        let of_each = small + (PIECES - small) * PIECE_BYTES;
        assert!(of_each * usize::from(SENDERS) > FLOW_BYTES_MAX, "they have to wait");
        for sender in 0..SENDERS {
            let count = came.iter().filter(|&&byte| byte == sender).count();
            assert_eq!(count, of_each, "bytes of sender {sender}");
        }
        assert_eq!(came.len(), of_each * usize::from(SENDERS));
    }
}
