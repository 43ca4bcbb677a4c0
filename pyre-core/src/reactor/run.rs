//! The turn: poll, inbound, outbound, deadlines. Hot path.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use mio::{Events, Poll, Token};
use pyre_http::h1::serialize::ResponseHeads;
use pyre_interp::ring::Doorbell;
use pyre_interp::worker::departures::Departures;

use crate::connection::jobs::Jobs;
use crate::connection::slots::Connections;
use crate::connection::state::Phase;
use crate::connection::timers::Timers;
use crate::dispatch::admission::Admission;
use crate::dispatch::errands::Errands;
use crate::dispatch::workers::Dispatch;
use crate::inbound::accept::Acceptor;
use crate::inbound::listener::Listener;
use crate::metrics::ledger::Ledger;
use crate::settings::bounds::EVENTS_PER_TURN_MAX;
use crate::shared::control::{Control, Stage};
use crate::shared::frozen::Frozen;
use crate::sys::Clock;

/// Token of the doorbell; connections have their slot, listeners count down from here.
pub(crate) const DOORBELL: Token = Token(usize::MAX);

/// Resolution of deadlines.
const TIMER_MS: u64 = 100;

/// All sockets of one core, and what serving them takes.
pub(crate) struct Reactor {
    pub(crate) index: u32,
    pub(crate) poll: Poll,
    pub(crate) acceptor: Acceptor,
    pub(crate) connections: Connections,
    /// Connections to read from in this turn; each stands here at most once.
    pub(crate) ready: Vec<u32>,
    pub(crate) jobs: Jobs,
    pub(crate) dispatch: Dispatch,
    pub(crate) admission: Admission,
    pub(crate) departures: Arc<Departures>,
    pub(crate) timers: Timers,
    pub(crate) clock: Clock,
    pub(crate) heads: ResponseHeads,
    pub(crate) ledger: Ledger,
    pub(crate) frozen: Arc<Frozen>,
    pub(crate) control: Arc<Control>,
    pub(crate) doorbell: Arc<Doorbell>,
    /// Requests that came in this turn.
    pub(crate) requests: u64,
    counts_requests: bool,
    /// The stage this reactor has acted upon.
    pub(crate) stage: Stage,
    /// What the poll told; kept between turns for its memory.
    events: Events,
    /// Swapped with `ready` when a turn begins, so that what is read can add to that; and how many of
    /// them have been read.
    reading: Vec<u32>,
    read: usize,
    /// A turn has begun and not ended.
    pub(crate) is_in_turn: bool,
    /// When the turn began, and whether it has taken so long that the lane runs the rest in the next one.
    pub(crate) turn_began_us: u64,
    pub(crate) is_late: bool,
    /// Why it cannot go on.
    pub(crate) failure: Option<io::Error>,
    /// What it takes to run jobs without rings, if a lane may carry it.
    pub(crate) errands: Option<Errands>,
    /// Alarms that went off in this turn.
    pub(crate) due: Vec<(u32, u32)>,
}

/// What a reactor is made of that is its own.
pub(crate) struct Parts {
    pub(crate) poll: Poll,
    pub(crate) dispatch: Dispatch,
    pub(crate) admission: Admission,
    pub(crate) ledger: Ledger,
    /// What it takes to run jobs without rings, if a lane may carry it.
    pub(crate) errands: Option<Errands>,
}

impl Reactor {
    pub(crate) fn new(
        index: u32,
        parts: Parts,
        listeners: Vec<Listener>,
        frozen: Arc<Frozen>,
        control: Arc<Control>,
    ) -> io::Result<Self> {
        let Parts { poll, dispatch, admission, ledger, errands } = parts;
        let doorbell = control.doorbell(index);
        let acceptor = Acceptor::new(listeners, poll.registry())?;
        let heads = ResponseHeads::new(frozen.settings.server_header);
        let counts_requests = control.is_limited();
        Ok(Self {
            index,
            poll,
            acceptor,
            connections: Connections::default(),
            ready: Vec::new(),
            jobs: Jobs::default(),
            dispatch,
            admission,
            departures: control.departures(),
            timers: Timers::new(TIMER_MS),
            clock: Clock::new(),
            heads,
            ledger,
            frozen,
            control,
            doorbell,
            requests: 0,
            counts_requests,
            stage: Stage::Serving,
            events: Events::with_capacity(EVENTS_PER_TURN_MAX),
            reading: Vec::new(),
            read: 0,
            is_in_turn: false,
            turn_began_us: 0,
            is_late: false,
            failure: None,
            errands,
            due: Vec::new(),
        })
    }

    /// Begins a turn: sleeps until something happens, and takes note of it.
    ///
    /// # Errors
    /// Only if the poll itself fails, which no peer can cause.
    pub(crate) fn begin_turn(&mut self) -> io::Result<()> {
        let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        let waited = self.wait(&mut events);
        self.begin_time();
        self.heads.set_now(self.clock.wall_s());
        for event in &events {
            self.note(event);
        }
        self.events = events;
        self.follow_stage();
        if self.stage == Stage::Stopping {
            return waited;
        }
        self.accept_pending();
        self.collect_replies();
        std::mem::swap(&mut self.reading, &mut self.ready);
        waited
    }

    /// The time of a turn runs from now on.
    #[inline]
    pub(crate) fn begin_time(&mut self) {
        self.read_clock();
        self.turn_began_us = self.clock.now_us();
        self.is_late = false;
    }

    /// Reads the clock, for deadlines and for what is noted of answers.
    #[inline]
    pub(crate) fn read_clock(&mut self) {
        self.clock.tick();
        self.ledger.begin_turn(&self.clock);
    }

    /// The next connection to read from in this turn. Those that come on the list meanwhile wait for
    /// the next turn, unless replies of this turn made room for them.
    #[inline]
    pub(crate) fn next_to_read(&mut self) -> Option<u32> {
        while let Some(&slot) = self.reading.get(self.read) {
            self.read += 1;
            if let Some(connection) = self.connections.get(slot) {
                connection.listed = false;
                return Some(slot);
            }
        }
        None
    }

    /// Ends a turn: everything was read that was ready.
    pub(crate) fn end_turn(&mut self) {
        self.reading.clear();
        self.read = 0;
        self.dispatch.notify(self.clock.now_ms());
        self.expire();
        self.show();
        if self.counts_requests && self.requests > 0 {
            self.control.count_requests(std::mem::take(&mut self.requests));
        }
        if self.is_draining() {
            self.report_drain();
        }
    }

    /// Shows those who read metrics and logs how things stand at the end of a turn.
    fn show(&mut self) {
        self.ledger.end_turn();
        let counters = &self.ledger.counters;
        counters.open.set(self.connections.open() as u64);
        self.dispatch.show(counters, self.errands_left());
    }

    /// Tells the server what is left to drain.
    fn report_drain(&self) {
        self.control.set_running(self.index, self.dispatch.running() + self.errands_left());
        if self.connections.open() == 0 {
            self.control.reactor_drained(self.index);
        }
    }

    /// Sleeps until something happens. Workers ring the doorbell only of a reactor that sleeps.
    fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        let mut timeout = self.timeout();
        if timeout != Some(Duration::ZERO) {
            self.doorbell.announce();
            if self.dispatch.has_replies() || self.control.stage() != self.stage {
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
        if !self.ready.is_empty() || self.acceptor.has_more() || self.is_late {
            return Some(Duration::ZERO);
        }
        let now_ms = self.clock.now_ms();
        let earlier = |one: u64, other: Option<u64>| other.map_or(one, |other| other.min(one));
        let deadline_ms = earlier(u64::MAX, self.timers.next_deadline_ms());
        let deadline_ms = earlier(deadline_ms, self.dispatch.next_look_ms(now_ms));
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
        if connection.phase == Phase::Answering && (event.is_read_closed() || event.is_error()) {
            let is_broken = event.is_error() || event.is_write_closed();
            connection.end_seen = true;
            connection.readable = true;
            return self.note_closed_side(slot, is_broken);
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            connection.readable = true;
            connection.end_seen |= event.is_read_closed() || event.is_error();
        }
        if event.is_writable() && connection.outbound.is_some() {
            self.resume_writing(slot);
        } else {
            self.list(slot);
        }
    }

    /// Puts a connection on the list of those to read from, if it may be read from.
    pub(crate) fn list(&mut self, slot: u32) {
        if let Some(connection) = self.connections.get(slot)
            && !connection.listed
            && connection.wants_reading()
        {
            connection.listed = true;
            self.ready.push(slot);
        }
    }

    /// Acts when the server begins to leave, to drain or to stop.
    fn follow_stage(&mut self) {
        let stage = self.control.stage();
        if stage != self.stage {
            self.stage = stage;
            if stage == Stage::Draining {
                self.accept_backlog();
            }
            self.connections.note_what_is_owed();
            match stage {
                // What waits in the backlog is left to the process that has the sockets now.
                Stage::Leaving => self.acceptor.close(self.poll.registry()),
                Stage::Draining => self.begin_drain(),
                Stage::Serving | Stage::Stopping => {}
            }
        }
    }

    /// Whether new requests are the last of their connections.
    pub(crate) fn is_draining(&self) -> bool {
        self.stage != Stage::Serving
    }

    /// Whether connections end that have no request.
    pub(crate) fn is_ending(&self) -> bool {
        self.stage >= Stage::Draining
    }

    /// Stops accepting; what waited in the backlog has been taken in. Connections without a request
    /// end; the others end with the answer to the last request that had been received.
    fn begin_drain(&mut self) {
        self.acceptor.close(self.poll.registry());
        for slot in self.connections.slots() {
            self.read_last(slot);
        }
    }
}
