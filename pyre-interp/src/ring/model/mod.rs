//! What loom checks: every interleaving, and every value a relaxed read may see, of small programs
//! that use the ring as reactors and lanes do.
//!
//! A model is a function that panics, races on a cell, or gets stuck, if a sentence of the contract
//! is broken; a wake-up that is lost shows as a deadlock. Each model runs as it stands, where it must
//! hold, and with one [`Site`] weakened, where it must break. `scripts/loom` runs them all.
//!
//! Loom 0.7 looks for races between a thread's access and the last access before it, and a thread's
//! own read hides what others read before. So the thread whose writes matter is the first one, which
//! loom runs first.

/// Rings: order, reuse of slots, taking back, dropping either side.
mod rings;

/// Doorbells: sleeping against ringing.
mod bells;

/// Rosters: parking, calling, suspecting, leaving.
mod lanes;

/// Batons: leaving, coming back, taking.
mod batons;

/// Loans: lending a reactor by its baton, and what becomes of it.
mod loans;

/// Flows: pieces, room for them, and who is told of either.
mod flows;

/// Bodies on their way to who reads them.
mod bodies;
/// Inboxes: messages, room for them, and who is told of either.
mod inboxes;

/// Topics: publications, subscriptions, room, and who is told.
mod topics;

use super::sync::{Site, weakening};
use std::{env, fmt::Debug, process::Command};

/// What a model does wrong on purpose where a lock keeps things together, which no [`Site`] can tell
/// apart.
#[derive(Clone, Copy, Debug)]
enum Mistake {
    /// A reactor that has found nothing says so when it no longer has the lock.
    ToldApart,
    /// A sender that has found no room lies down when it has let go of the lock in between.
    RoomAskedApart,
    /// A reactor that has found no room says that it waits when it has let go of the lock in between.
    PausedApart,
    /// A stream that leaves those which hear by themselves enters the board when it has let go of the
    /// lock in between.
    EnteredApart,
}

/// Whether this process makes this mistake.
fn makes(mistake: Mistake) -> bool {
    weakening::is_named(&format!("{mistake:?}"))
}

/// Runs `model` in every interleaving with at most so many preemptions, or `LOOM_MAX_PREEMPTIONS`.
fn check(model: fn(), preemptions: usize) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(preemptions);
    builder.check(model);
}

/// The test called `name` fails as soon as a site is weakened, or a mistake is made.
///
/// It runs in a process of its own: a model that breaks may well abort, when what it broke is dropped.
fn breaks(what: impl Debug, name: &str) {
    let run = Command::new(env::current_exe().unwrap())
        .args(["--exact", &format!("ring::model::{name}"), "--nocapture"])
        .env(weakening::VARIABLE, format!("{what:?}"))
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(out.contains("running 1 test"), "no test is called {name}");
    assert!(!run.status.success(), "{what:?} is weakened, and {name} holds");
    // The first panic is the finding; its text stands below the line that says where.
    let finding = err.lines().skip_while(|line| !line.contains("panicked at")).nth(1);
    println!("{what:?} weakened: {name} fails: {}", finding.unwrap_or("no reason given"));
}

/// A test for each model as it stands, with at most so many preemptions.
macro_rules! hold {
    ($preemptions:literal: $($name:ident: $model:path;)+) => {
        $(
            #[test]
            fn $name() {
                check($model, $preemptions);
            }
        )+
    };
}

/// Sites that also hold what another model says.
#[test]
fn weak_fences_of_a_lane_that_retires() {
    breaks(Site::RosterPushed, "roster_recall_wakes_a_lane_that_retires");
    breaks(Site::RosterPushed, "roster_close_wakes_a_lane_that_retires");
    breaks(Site::RosterClosed, "roster_close_wakes_a_lane_that_retires");
}

#[test]
fn weak_fences_of_a_reserve() {
    breaks(Site::RosterPushed, "roster_reserve_is_called_when_another_lane_carries");
    breaks(Site::RosterAnnounced, "roster_reserve_is_called_when_another_lane_carries");
}

#[test]
fn weak_fences_of_a_keeper_that_sleeps() {
    breaks(Site::BellPushed, "baton_leaving_wakes_a_keeper_that_sleeps");
    breaks(Site::BellAnnounced, "baton_leaving_wakes_a_keeper_that_sleeps");
}

#[test]
fn weak_choice_of_a_lane() {
    for site in [Site::RosterPushed, Site::RosterAnswered] {
        breaks(site, "baton_chosen_lane_that_parks_finds_the_offer");
        breaks(site, "baton_chosen_lane_that_cancels_finds_the_offer");
    }
}

#[test]
fn weak_ways_of_a_value() {
    for site in [Site::BatonLeft, Site::BatonTaken] {
        breaks(site, "baton_shows_who_is_away");
        breaks(site, "baton_goes_to_one_who_accepts_or_back");
        breaks(site, "baton_reply_comes_home_to_whoever_has_the_reactor");
        breaks(site, "baton_is_dropped_once_wherever_it_is");
    }
}

#[test]
fn weak_fences_of_a_reactor_that_awaits_pieces() {
    for site in [Site::BellPushed, Site::BellAnnounced] {
        breaks(site, "flow_wakes_a_reactor_for_a_piece");
        breaks(site, "flow_attaching_loses_no_piece");
    }
}

#[test]
fn weak_fences_of_an_event_loop_that_awaits_room() {
    for site in [Site::RosterPushed, Site::RosterAnnounced] {
        breaks(site, "flow_wakes_an_event_loop_for_room");
        breaks(site, "flow_wakes_an_event_loop_when_the_client_goes");
    }
}

#[test]
fn weak_fences_of_an_event_loop_that_awaits_a_message() {
    for site in [Site::RosterPushed, Site::RosterAnnounced] {
        breaks(site, "inbox_wakes_an_event_loop_for_a_message");
        breaks(site, "inbox_wakes_an_event_loop_at_the_end");
    }
}

#[test]
fn weak_fences_of_a_reactor_that_awaits_room() {
    for site in [Site::BellPushed, Site::BellAnnounced] {
        breaks(site, "inbox_wakes_a_reactor_for_room");
    }
}

#[test]
fn weak_fences_of_a_reactor_that_awaits_what_is_published() {
    for site in [Site::BellPushed, Site::BellAnnounced] {
        breaks(site, "topic_wakes_a_reactor_and_a_publisher");
    }
}

#[test]
fn weak_locks_of_flows() {
    breaks(Mistake::ToldApart, "flow_told_within_the_lock_loses_no_piece");
    breaks(Mistake::RoomAskedApart, "flow_room_asked_within_the_lock_is_told_of");
    breaks(Mistake::EnteredApart, "topic_attaching_within_the_lock_loses_nothing");
    breaks(Mistake::PausedApart, "body_paused_within_the_lock_is_told_of");
}

/// A test for each site, with a model that breaks when the site is weakened. A site without one does
/// not compile.
macro_rules! break_when_weakened {
    ($($site:ident: $test:ident, $model:ident;)+) => {
        $(
            #[test]
            fn $test() {
                let _exists: fn() = $model;
                breaks(Site::$site, stringify!($model));
            }
        )+

        const _: fn(Site) = |site| match site {
            $(Site::$site => (),)+
        };
    };
}

hold! {
    2:
    ring_keeps_order_and_reuses_slots: rings::keeps_order_and_reuses_slots;
    ring_gives_each_item_to_one_side: rings::gives_each_item_to_one_side;
    ring_refills_what_it_took_back: rings::refills_what_it_took_back;
    ring_catches_up_from_far_behind: rings::catches_up_from_far_behind;
    ring_drops_every_item_once: rings::drops_every_item_once;
    ring_gives_back_what_a_consumer_left: rings::gives_back_what_a_consumer_left;
    ring_ends_after_the_last_item: rings::ends_after_the_last_item;
    bell_wakes_a_reactor_that_sleeps: bells::wakes_a_reactor_that_sleeps;
    bell_rings_once_for_each_sleep: bells::rings_once_for_each_sleep;
    roster_wakes_a_lane_that_parks: lanes::wakes_a_lane_that_parks;
    roster_taking_back_takes_no_wake_up: lanes::taking_back_takes_no_wake_up;
    roster_called_lane_finds_its_message: lanes::called_lane_finds_its_message;
    roster_calls_one_lane_for_two_reactors: lanes::calls_one_lane_for_two_reactors;
    roster_calls_one_lane_for_one_suspicion: lanes::calls_one_lane_for_one_suspicion;
    roster_sees_that_a_called_lane_arrived: lanes::sees_that_a_called_lane_arrived;
    roster_suspicion_races_with_return: lanes::suspicion_races_with_return;
    roster_lane_that_leaves_calls_another: lanes::lane_that_leaves_calls_another;
    roster_close_wakes_a_lane_that_parks: lanes::close_wakes_a_lane_that_parks;
    roster_close_wakes_a_lane_that_retires: lanes::close_wakes_a_lane_that_retires;
    roster_recall_wakes_a_lane_that_retires: lanes::recall_wakes_a_lane_that_retires;
    roster_recalls_each_lane_once: lanes::recalls_each_lane_once;
    roster_lane_that_retires_calls_another: lanes::lane_that_retires_calls_another;
    roster_recall_races_with_close: lanes::recall_races_with_close;
    roster_reserve_is_called_when_another_lane_carries:
        lanes::reserve_is_called_when_another_lane_carries;
    roster_one_lane_is_the_reserve: lanes::one_lane_is_the_reserve;
    flow_wakes_a_reactor_for_a_piece: flows::wakes_a_reactor_for_a_piece;
    flow_attaching_loses_no_piece: flows::attaching_loses_no_piece;
    flow_compressing_loses_no_piece: flows::compressing_loses_no_piece;
    flow_wakes_a_thread_for_room: flows::wakes_a_thread_for_room;
    flow_wakes_threads_when_the_client_goes: flows::wakes_threads_when_the_client_goes;
    flow_wakes_a_thread_at_the_end: flows::wakes_a_thread_at_the_end;
    flow_wakes_an_event_loop_for_room: flows::wakes_an_event_loop_for_room;
    flow_wakes_an_event_loop_when_the_client_goes: flows::wakes_an_event_loop_when_the_client_goes;
    inbox_wakes_a_thread_for_a_message: inboxes::wakes_a_thread_for_a_message;
    inbox_wakes_an_event_loop_for_a_message: inboxes::wakes_an_event_loop_for_a_message;
    inbox_wakes_an_event_loop_at_the_end: inboxes::wakes_an_event_loop_at_the_end;
    inbox_wakes_a_reactor_for_room: inboxes::wakes_a_reactor_for_room;
    flow_told_within_the_lock_loses_no_piece: flows::told_within_the_lock_loses_no_piece;
    flow_room_asked_within_the_lock_is_told_of: flows::room_asked_within_the_lock_is_told_of;
    body_wakes_a_thread: bodies::wakes_a_thread;
    body_wakes_threads_when_the_client_goes: bodies::wakes_threads_when_the_client_goes;
    body_wakes_a_reactor_for_room: bodies::wakes_a_reactor_for_room;
    body_wakes_a_reactor_when_readers_go: bodies::wakes_a_reactor_when_readers_go;
    body_wakes_a_reactor_for_the_first_reader: bodies::wakes_a_reactor_for_the_first_reader;
    body_wakes_an_event_loop: bodies::wakes_an_event_loop;
    body_paused_within_the_lock_is_told_of: bodies::paused_within_the_lock_is_told_of;
    topic_wakes_a_reactor_and_a_publisher: topics::wakes_a_reactor_and_a_publisher;
    topic_end_wakes_a_publisher: topics::the_end_wakes_a_publisher;
    topic_stream_that_becomes_an_answer_misses_nothing:
        topics::a_stream_that_becomes_an_answer_misses_nothing;
    topic_who_subscribes_hears_what_he_publishes: topics::who_subscribes_hears_what_he_publishes;
    topic_attaching_within_the_lock_loses_nothing: topics::attaching_within_the_lock_loses_nothing;
}

// A value has to get to a lane before anything can happen to it there.
hold! {
    4:
    baton_goes_to_the_lane_or_to_the_keeper: batons::goes_to_the_lane_or_to_the_keeper;
    baton_shows_who_is_away: batons::shows_who_is_away;
    baton_takes_nothing_for_an_old_glance: batons::takes_nothing_for_an_old_glance;
    baton_goes_to_one_who_accepts_or_back: batons::goes_to_one_who_accepts_or_back;
    baton_return_wakes_a_keeper_that_dozes: batons::return_wakes_a_keeper_that_dozes;
    baton_return_wakes_a_keeper_that_sleeps: batons::return_wakes_a_keeper_that_sleeps;
    baton_leaving_wakes_a_keeper_that_sleeps: batons::leaving_wakes_a_keeper_that_sleeps;
    baton_chosen_lane_that_parks_finds_the_offer: batons::chosen_lane_that_parks_finds_the_offer;
    baton_chosen_lane_that_cancels_finds_the_offer:
        batons::chosen_lane_that_cancels_finds_the_offer;
    baton_choice_wakes_a_lane_that_parks: loans::choice_wakes_a_lane_that_parks;
    baton_comes_home_however_a_loan_ends: loans::comes_home_however_a_loan_ends;
    baton_lane_that_carries_calls_another: loans::lane_that_carries_calls_another;
    baton_reply_comes_home_to_whoever_has_the_reactor:
        loans::reply_comes_home_to_whoever_has_the_reactor;
    baton_comes_home_though_the_roster_closes: loans::comes_home_though_the_roster_closes;
    baton_is_dropped_once_wherever_it_is: loans::is_dropped_once_wherever_it_is;
}

break_when_weakened! {
    RingPublished: weak_ring_published, ring_keeps_order_and_reuses_slots;
    RingTaken: weak_ring_taken, ring_keeps_order_and_reuses_slots;
    RingVacated: weak_ring_vacated, ring_keeps_order_and_reuses_slots;
    RingReused: weak_ring_reused, ring_keeps_order_and_reuses_slots;
    RingLeft: weak_ring_left, ring_gives_back_what_a_consumer_left;
    RingAbandoned: weak_ring_abandoned, ring_ends_after_the_last_item;
    BellAnnounced: weak_bell_announced, bell_wakes_a_reactor_that_sleeps;
    BellPushed: weak_bell_pushed, bell_wakes_a_reactor_that_sleeps;
    RosterAnnounced: weak_roster_announced, roster_wakes_a_lane_that_parks;
    RosterPushed: weak_roster_pushed, roster_wakes_a_lane_that_parks;
    RosterClosed: weak_roster_closed, roster_close_wakes_a_lane_that_parks;
    RosterAnswered: weak_roster_answered, roster_called_lane_finds_its_message;
    RosterMoved: weak_roster_moved, roster_sees_that_a_called_lane_arrived;
    RosterSeen: weak_roster_seen, roster_sees_that_a_called_lane_arrived;
    RosterRecalled: weak_roster_recalled, roster_recall_wakes_a_lane_that_retires;
    BatonLeft: weak_baton_left, baton_goes_to_the_lane_or_to_the_keeper;
    BatonTaken: weak_baton_taken, baton_goes_to_the_lane_or_to_the_keeper;
}
