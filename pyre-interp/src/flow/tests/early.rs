//! Topics: streams that have subscribed before they are an answer, and what a program sends half.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use pyre_http::h1::serialize::Delimited;

use super::topics::{deliver, lone, publish, topics};
use super::{CONNECTION, taken};
use crate::flow::*;

#[test]
fn what_is_published_while_a_stream_becomes_an_answer_is_never_taken_for_unheard() {
    let (topics, mailboxes) = topics(1);
    for _ in 0..50 {
        let flow: Arc<Outflow> = Arc::default();
        // What is framed meanwhile takes a while.
        flow.push(":\n\n".repeat(60_000).as_bytes());
        assert_eq!(flow.subscribe("becomes", None), Subscribed::Yes);
        let is_attached = AtomicBool::new(false);
        let (published, mut downstream) = thread::scope(|scope| {
            let publisher = scope.spawn(|| {
                let mut number = 0;
                while number == 0 || !is_attached.load(Relaxed) && number < 10_000 {
                    publish(&topics, "becomes", &number.to_string());
                    number += 1;
                }
                number
            });
            let (flow, downstream) = {
                let reader = Reader { connection: CONNECTION, mailbox: mailboxes[0].clone() };
                flow.attach_to(reader, Delimited::Close, &topics);
                (flow.clone(), Downstream::new(flow.clone(), Terms::default()))
            };
            is_attached.store(true, Relaxed);
            let published = publisher.join().unwrap();
            drop(flow);
            (published, downstream)
        });
        deliver(topics.board(0));
        let expected: String = (0..published).map(|it| format!("data: {it}\n\n")).collect();
        let (_, heard) = taken(&mut downstream);
        assert_eq!(heard.trim_start_matches(":\n\n"), expected);
    }
}

#[test]
fn what_was_heard_before_a_stream_is_an_answer_is_sent_though_it_has_left_the_topic() {
    let (topics, mailboxes) = topics(1);
    let flow: Arc<Outflow> = Arc::default();
    flow.subscribe("left early", None);
    publish(&topics, "left early", "a");
    flow.unsubscribe("left early");
    publish(&topics, "left early", "not for it");
    let reader = Reader { connection: CONNECTION, mailbox: mailboxes[0].clone() };
    flow.attach_to(reader, Delimited::Close, &topics);
    let mut downstream = Downstream::new(flow, Terms::default());
    assert_eq!(taken(&mut downstream), (Taken::Pieces, "data: a\n\n".to_owned()));
}

#[test]
fn what_waits_for_the_end_of_an_event_counts_until_it_is_taken() {
    let (topics, _mailbox, flow, mut downstream) = lone(Delimited::Close);
    flow.subscribe("t", None);
    for expected in [Offered::Taken, Offered::Full] {
        // An event that goes on and on.
        flow.push(b"data");
        publish(&topics, "t", &"x".repeat(FLOW_BYTES_MAX));
        assert_eq!(deliver(topics.board(0)), [expected]);
        assert_eq!(taken(&mut downstream), (Taken::Pieces, "data".to_owned()));
    }
    flow.push(b"\n\n");
    assert_eq!(taken(&mut downstream).1.len(), "\n\ndata: \n\n".len() + FLOW_BYTES_MAX);
    publish(&topics, "t", "a");
    assert_eq!(deliver(topics.board(0)), [Offered::Taken]);
}
