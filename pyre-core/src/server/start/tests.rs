//! Turns of workers that start, and their outcomes.

use std::sync::Barrier;
use std::thread;

use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

fn outcome(arrivals: &mut Arrivals) -> Result<Vec<Moves>, String> {
    loop {
        if let Some(found) = arrivals.wait(PATIENCE)? {
            return Ok(found);
        }
    }
}

#[test]
fn workers_in_turn_begin_when_the_one_before_lets_them() {
    let (tickets, mut arrivals) = prepare(4, Order::InTurn);
    let order = Arc::new(Mutex::new(Vec::new()));
    let threads: Vec<_> = tickets
        .into_iter()
        .rev()
        .map(|mut ticket| {
            let order = order.clone();
            thread::spawn(move || {
                assert!(ticket.wait_for_turn());
                order.lock().push(ticket.index());
                if ticket.index() % 2 == 0 {
                    ticket.pass_turn();
                }
                ticket.end(Ok(Moves::default()));
            })
        })
        .collect();
    assert_eq!(outcome(&mut arrivals).unwrap().len(), 4);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(*order.lock(), [0, 1, 2, 3]);
}

#[test]
fn workers_together_load_when_all_are_made() {
    let (tickets, mut arrivals) = prepare(3, Order::Together);
    let made = Arc::new(Mutex::new(Vec::new()));
    let all_load = Arc::new(Barrier::new(3));
    let threads: Vec<_> = tickets
        .into_iter()
        .rev()
        .map(|mut ticket| {
            let (made, all_load) = (made.clone(), all_load.clone());
            thread::spawn(move || {
                assert!(ticket.wait_for_turn());
                made.lock().push(ticket.index());
                assert!(ticket.wait_for_others());
                assert_eq!(*made.lock(), [0, 1, 2]);
                all_load.wait();
                ticket.end(Ok(Moves::default()));
            })
        })
        .collect();
    assert_eq!(outcome(&mut arrivals).unwrap().len(), 3);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn the_first_failure_is_told_and_ends_the_start() {
    for order in [Order::Together, Order::InTurn] {
        let (mut tickets, mut arrivals) = prepare(3, order);
        let mut failing = tickets.remove(0);
        let waiting: Vec<_> = tickets
            .into_iter()
            .map(|ticket| thread::spawn(move || ticket.wait_for_turn() && ticket.wait_for_others()))
            .collect();
        assert!(failing.wait_for_turn());
        failing.end(Err("LookupError".to_owned()));
        assert_eq!(outcome(&mut arrivals).unwrap_err(), "LookupError");
        assert!(waiting.into_iter().all(|thread| !thread.join().unwrap()));
    }
}

#[test]
fn a_worker_that_vanishes_is_missed() {
    let (tickets, mut arrivals) = prepare(2, Order::Together);
    drop(tickets);
    assert!(outcome(&mut arrivals).unwrap_err().contains("before it could serve"));
}

#[test]
fn nobody_begins_once_nobody_waits() {
    let (tickets, arrivals) = prepare(2, Order::InTurn);
    drop(arrivals);
    assert!(tickets.iter().all(|ticket| !ticket.wait_for_turn()));
}

#[test]
fn a_start_without_workers_is_done() {
    let (_, mut arrivals) = prepare(0, Order::Together);
    assert!(outcome(&mut arrivals).unwrap().is_empty());
}
