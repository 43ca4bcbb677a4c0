//! Models of flows inward: who reads a body, and the reactor that sleeps until there is room for more.
//!
//! The flow is the real one, as in `flows.rs`, where the sketches of its locks are.

use super::{
    Mistake,
    flows::{CONNECTION, bell},
    makes,
};
use crate::{
    flow::{Cut, FLOW_BYTES_MAX, Found, Intake, Mailbox, Reader, Upstream, Waker, Wakes, inflow},
    ring::{
        roster::Roster,
        sync::{AtomicUsize, thread},
        wake::Doorbell,
    },
};
use loom::sync::Mutex;
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

/// A flow of the reactor that this thread is, and what that sleeps with.
fn flow(is_held: bool) -> (Upstream, Intake, Arc<Mailbox>, Arc<Doorbell>) {
    let bell = bell();
    let mailbox = Arc::new(Mailbox::new(bell.clone()));
    let (upstream, intake) = inflow(is_held);
    upstream.attach(Reader { connection: CONNECTION, mailbox: mailbox.clone() });
    (upstream, intake, mailbox, bell)
}

/// Sleeps as a reactor does until the mailbox has this connection.
fn sleep(mailbox: &Mailbox, bell: &Doorbell) {
    loop {
        bell.announce();
        if mailbox.is_empty() {
            thread::park();
        }
        bell.awake();
        if mailbox.take().is_some() {
            return;
        }
    }
}

fn take(intake: &Intake) -> (Found, usize) {
    let mut into = Vec::new();
    let found = intake.take(usize::MAX, &mut into);
    (found, into.len())
}

/// A thread that reads is woken by each piece, and by the end.
pub(super) fn wakes_a_thread() {
    let (upstream, intake, _, _) = flow(false);
    let reactor = thread::spawn(move || {
        upstream.push(b"a");
        upstream.end();
    });
    let mut bytes = 0;
    while intake.wait(Duration::MAX) != Found::End {
        bytes += take(&intake).1;
    }
    assert_eq!(bytes, 1);
    reactor.join().unwrap();
}

/// All threads that read are woken when the client goes.
pub(super) fn wakes_threads_when_the_client_goes() {
    let (upstream, intake, _, _) = flow(false);
    let other = {
        let intake = intake.clone();
        thread::spawn(move || assert_eq!(intake.wait(Duration::MAX), Found::Cut(Cut::Gone)))
    };
    let reactor = thread::spawn(move || drop(upstream));
    assert_eq!(intake.wait(Duration::MAX), Found::Cut(Cut::Gone));
    other.join().unwrap();
    reactor.join().unwrap();
}

/// A reactor that waits for room is told once half of it is there, and reads on.
pub(super) fn wakes_a_reactor_for_room() {
    let reactor = || {
        let (upstream, intake, mailbox, bell) = flow(false);
        upstream.push(&vec![0; FLOW_BYTES_MAX]);
        let reader = thread::spawn(move || {
            assert_eq!(take(&intake), (Found::Some, FLOW_BYTES_MAX));
            intake
        });
        if !upstream.has_room() {
            sleep(&mailbox, &bell);
            assert!(upstream.has_room());
        }
        drop(reader.join().unwrap());
    };
    thread::spawn(reactor).join().unwrap();
}

/// So it is when nobody reads any more.
pub(super) fn wakes_a_reactor_when_readers_go() {
    let reactor = || {
        let (upstream, intake, mailbox, bell) = flow(false);
        upstream.push(&vec![0; FLOW_BYTES_MAX]);
        for intake in [intake.clone(), intake] {
            thread::spawn(move || drop(intake));
        }
        if !upstream.has_room() {
            sleep(&mailbox, &bell);
            assert!(upstream.has_room());
        }
    };
    thread::spawn(reactor).join().unwrap();
}

/// And when somebody reads for whom the client is to be told to send.
pub(super) fn wakes_a_reactor_for_the_first_reader() {
    let reactor = || {
        let (upstream, intake, mailbox, bell) = flow(true);
        let reader = thread::spawn(move || {
            assert_eq!(take(&intake).0, Found::Nothing);
            intake.wait(Duration::MAX)
        });
        sleep(&mailbox, &bell);
        assert!(upstream.take_wanted());
        upstream.push(b"a");
        assert_eq!(reader.join().unwrap(), Found::Some);
    };
    thread::spawn(reactor).join().unwrap();
}

/// An event loop whose reader has found nothing sleeps until there is something.
pub(super) fn wakes_an_event_loop() {
    let event_loop = || {
        let (upstream, intake) = inflow(false);
        let roster = Roster::new(1);
        let sleeper = thread::current();
        let mut seat = roster.seat_with_bell(move || sleeper.unpark());
        let wakes = Arc::new(Wakes::new(roster));
        intake.set_waker(Waker { wakes: wakes.clone(), number: 7 });
        let reactor = thread::spawn(move || {
            upstream.push(b"a");
            std::mem::forget(upstream);
        });
        if intake.ask_for_some() {
            while wakes.take().is_none() {
                seat.announce();
                if wakes.is_empty() {
                    thread::park();
                }
                seat.look();
            }
        }
        assert_eq!(take(&intake), (Found::Some, 1));
        reactor.join().unwrap();
    };
    thread::spawn(event_loop).join().unwrap();
}

/// That a reactor waits for room, as a sketch: what [`Upstream`] keeps of it, and nothing else. It looks and
/// says that it waits under one lock.
pub(super) fn paused_within_the_lock_is_told_of() {
    let reactor = || {
        let bell = bell();
        // Whether it is full, and whether the reactor waits for room, under a lock; whether it was told.
        let flow = Arc::new((Mutex::new((true, false)), AtomicUsize::new(0)));
        {
            let (flow, bell) = (flow.clone(), bell.clone());
            thread::spawn(move || {
                let (state, entries) = &*flow;
                let mut held = state.lock().unwrap();
                held.0 = false;
                let tells = std::mem::take(&mut held.1);
                drop(held);
                if tells {
                    entries.fetch_add(1, Relaxed);
                    bell.notify();
                }
            });
        }
        let (state, entries) = &*flow;
        let mut held = state.lock().unwrap();
        let is_full = held.0;
        if makes(Mistake::PausedApart) {
            drop(held);
            held = state.lock().unwrap();
        }
        held.1 = is_full;
        drop(held);
        while is_full {
            bell.announce();
            if entries.load(Relaxed) == 0 {
                thread::park();
            }
            bell.awake();
            if entries.load(Relaxed) > 0 {
                break;
            }
        }
    };
    thread::spawn(reactor).join().unwrap();
}
