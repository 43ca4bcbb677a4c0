//! The turn: poll, inbound, outbound, deadlines. Hot path.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use mio::{Events, Poll};
use pyre_interp::ring::Doorbell;

use crate::connection::state::Phase;
use crate::connection::table::{Connections, DOORBELL};
use crate::connection::waits::Spans;
use crate::direct::files::pool::Pool;
use crate::direct::responder::Responder;
use crate::dispatch::hand_over::Dispatch;
use crate::inbound::accept::Acceptor;
use crate::inbound::listener::Listener;
use crate::reactor::fan_out::FanOut;
use crate::settings::bounds::{EVENTS_PER_TURN_MAX, OWED_MS_MAX};
use crate::shared::control::{Control, Holding, Left, Stage};

/// All sockets of one core, and what serving them takes. Each part knows nothing of the others; the
/// steps take those they work on.
pub(crate) struct Reactor {
    pub(super) index: u32,
    poll: Poll,
    acceptor: Acceptor,
    pub(super) connections: Connections,
    pub(super) responder: Responder,
    pub(super) dispatch: Dispatch,
    pub(super) fan_out: FanOut,
    /// By when those have to be told who are to be told that the server leaves.
    goodbye_by_ms: Option<u64>,
    control: Arc<Control>,
    doorbell: Arc<Doorbell>,
    counts_requests: bool,
    /// What the poll told; kept between turns for its memory.
    events: Events,
    /// A turn has begun and not ended.
    pub(super) is_in_turn: bool,
    /// When the turn began, and whether it has taken so long that the lane runs the rest in the next one.
    pub(super) turn_began_us: u64,
    pub(super) is_late: bool,
    /// Why it cannot go on.
    pub(super) failure: Option<io::Error>,
}

impl Reactor {
    pub(crate) fn new(
        index: u32,
        poll: Poll,
        listeners: Vec<Listener>,
        responder: Responder,
        dispatch: Dispatch,
        control: Arc<Control>,
        disk: Arc<Pool>,
    ) -> io::Result<Self> {
        let spans = Spans::of(&responder.frozen.settings);
        let mut connections = Connections::new(spans, control.mailbox(index));
        connections.disk = disk;
        Ok(Self {
            index,
            acceptor: Acceptor::new(listeners, poll.registry())?,
            poll,
            connections,
            responder,
            dispatch,
            fan_out: FanOut::new(control.topics().board(index).clone()),
            goodbye_by_ms: None,
            doorbell: control.doorbell(index),
            counts_requests: control.is_limited(),
            control,
            events: Events::with_capacity(EVENTS_PER_TURN_MAX),
            is_in_turn: false,
            turn_began_us: 0,
            is_late: false,
            failure: None,
        })
    }

    /// Begins a turn: sleeps until something happens, and takes note of it.
    ///
    /// # Errors
    /// Only if the poll itself fails, which no peer can cause.
    pub(super) fn begin_turn(&mut self) -> io::Result<()> {
        let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        let waited = self.wait(&mut events);
        self.begin_time();
        self.responder.heads.set_now(self.connections.clock.wall_s());
        for event in &events {
            self.note(event);
        }
        self.events = events;
        self.follow_stage();
        if self.connections.stage == Stage::Stopping {
            return waited;
        }
        let registry = self.poll.registry();
        let counters = &self.responder.ledger.counters;
        self.acceptor.accept_pending(&mut self.connections, registry, counters);
        self.collect_replies();
        self.collect_pieces();
        self.connections.begin_reading();
        waited
    }

    /// The time of a turn runs from now on.
    #[inline]
    pub(super) fn begin_time(&mut self) {
        self.read_clock();
        self.turn_began_us = self.connections.clock.now_us();
        self.is_late = false;
    }

    /// Reads the clock, for deadlines and for what is noted of answers.
    #[inline]
    pub(super) fn read_clock(&mut self) {
        self.connections.clock.tick();
        self.responder.ledger.begin_turn(&self.connections.clock);
    }

    /// Ends a turn: everything was read that was ready.
    pub(super) fn end_turn(&mut self) {
        self.connections.end_reading();
        self.connections.bells.ring();
        self.dispatch.workers.notify(self.connections.clock.now_ms());
        self.expire();
        self.show();
        if self.counts_requests {
            let requests = self.responder.ledger.take_came_in();
            if requests > 0 {
                self.control.count_requests(requests);
            }
        }
        if self.connections.is_draining() {
            self.say_goodbye();
            self.report_drain();
        }
    }

    /// Shows those who read metrics and logs how things stand at the end of a turn.
    fn show(&mut self) {
        self.responder.ledger.end_turn();
        let counters = &self.responder.ledger.counters;
        counters.open.set(self.connections.open() as u64);
        self.dispatch.show(counters, self.errands_left());
    }

    /// Tells the server what is left to drain.
    fn report_drain(&self) {
        let running = self.dispatch.running() + self.errands_left() + self.connections.streams();
        self.control.set_running(self.index, running);
        let (stage, left) = (self.connections.stage, self.connections.left());
        // Before that idle connections are open too.
        let is_asked = stage == Stage::Draining && left == Left::Requests;
        let holding = if is_asked { self.connections.holding() } else { Holding::default() };
        self.control.set_left(self.index, stage, left, holding);
    }

    /// Sleeps until something happens. Workers ring the doorbell only of a reactor that sleeps.
    fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        let mut timeout = self.timeout();
        if timeout != Some(Duration::ZERO) {
            self.doorbell.announce();
            if self.dispatch.workers.has_replies()
                || self.control.stage() != self.connections.stage
                || !self.connections.mailbox.is_empty()
            {
                timeout = Some(Duration::ZERO);
            }
        }
        let polled = self.poll.poll(events, timeout);
        self.doorbell.awake();
        match polled {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        }
    }

    fn timeout(&mut self) -> Option<Duration> {
        if self.connections.has_ready() || self.acceptor.has_more() || self.is_late {
            return Some(Duration::ZERO);
        }
        let now_ms = self.connections.clock.now_ms();
        let earlier = |one: u64, other: Option<u64>| other.map_or(one, |other| other.min(one));
        let deadline_ms = earlier(u64::MAX, self.connections.next_deadline_ms());
        let deadline_ms = earlier(deadline_ms, self.dispatch.workers.next_look_ms(now_ms));
        let deadline_ms = earlier(deadline_ms, self.acceptor.resumes_ms());
        let is_set = deadline_ms != u64::MAX;
        is_set.then(|| Duration::from_millis(deadline_ms.saturating_sub(now_ms)))
    }

    fn note(&mut self, event: &mio::event::Event) {
        let token = event.token();
        if token == DOORBELL {
            return;
        }
        if self.acceptor.note(token) {
            return;
        }
        let slot = u32::try_from(token.0).expect("tokens of connections are slots");
        let Some(connection) = self.connections.get(slot) else { return };
        if connection.upload.is_some() {
            return self.note_upload(slot, event);
        }
        if connection.phase == Phase::Answering && (event.is_read_closed() || event.is_error()) {
            let is_broken = event.is_error() || event.is_write_closed();
            connection.end_seen = true;
            connection.readable = true;
            return self.connections.note_closed_side(slot, is_broken);
        }
        let is_pending = connection.phase == Phase::Streaming && !connection.protocol.is_socket();
        if is_pending && (event.is_read_closed() || event.is_error()) {
            connection.end_seen = true;
            connection.readable = true;
            return self.reader_closed(slot, event.is_error() || event.is_write_closed());
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            connection.readable = true;
            if (event.is_read_closed() || event.is_error())
                && connection.sees_end(event.is_error() || event.is_write_closed())
            {
                return self.end_stream(slot);
            }
        }
        if event.is_writable() && connection.phase == Phase::Writing {
            self.resume_writing(slot);
        } else {
            self.connections.list(slot);
        }
    }

    /// Acts when the server begins to leave, to drain or to stop.
    fn follow_stage(&mut self) {
        let stage = self.control.stage();
        if stage != self.connections.stage {
            self.connections.stage = stage;
            if stage == Stage::Draining {
                let registry = self.poll.registry();
                let counters = &self.responder.ledger.counters;
                self.acceptor.accept_backlog(&mut self.connections, registry, counters);
            }
            self.connections.note_what_is_owed();
            self.fan_out.note_what_is_owed();
            self.goodbye_by_ms = Some(self.connections.clock.now_ms() + OWED_MS_MAX);
            match stage {
                // What waits in the backlog is left to the process that has the sockets now.
                Stage::Leaving => self.acceptor.close(self.poll.registry()),
                Stage::Draining => self.begin_drain(),
                Stage::Serving | Stage::Stopping => {}
            }
        }
    }

    /// Takes leave, once all have heard what was published before.
    fn say_goodbye(&mut self) {
        let Some(by_ms) = self.goodbye_by_ms else { return };
        if self.fan_out.owes() && self.connections.clock.now_ms() < by_ms {
            return;
        }
        self.goodbye_by_ms = None;
        self.connections.say_goodbye();
    }

    /// Stops accepting; what waited in the backlog has been taken in. Connections without a request
    /// end; the others end with the answer to the last request that had been received.
    fn begin_drain(&mut self) {
        self.acceptor.close(self.poll.registry());
        self.connections.read_last_of_all();
    }
}
