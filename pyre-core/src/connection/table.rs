//! All connections of a reactor, and what goes with each whatever it is doing: an alarm, empty jobs, a
//! place on the list of those to read from. Hot path.

use mio::Token;
use pyre_interp::job::Job;

use crate::connection::jobs::Jobs;
use crate::connection::slots::Slots;
use crate::connection::state::{Awaiting, Connection, Outbound, Phase};
use crate::connection::timers::Timers;
use crate::connection::waits::Spans;
use crate::settings::Settings;
use crate::settings::bounds::{LINGER_IDLE_MS, LINGER_MS_MAX};
use crate::shared::control::Stage;
use crate::sys::Clock;

/// Token of the doorbell; connections have their slot, listeners count down from here.
pub(crate) const DOORBELL: Token = Token(usize::MAX);

/// Resolution of deadlines.
const TIMER_MS: u64 = 100;

/// The connections of one reactor.
pub(crate) struct Connections {
    slots: Slots,
    pub(super) timers: Timers,
    pub(super) spans: Spans,
    /// Alarms that went off in this turn; kept between turns for its memory.
    pub(super) due: Vec<(u32, u32)>,
    pub(crate) jobs: Jobs,
    pub(crate) clock: Clock,
    /// The stage that has been acted upon.
    pub(crate) stage: Stage,
    /// Those to read from in the next turn; each stands here at most once.
    ready: Vec<u32>,
    /// Those to read from in this turn, and how many of them have been read.
    reading: Vec<u32>,
    read: usize,
}

impl Connections {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            slots: Slots::default(),
            timers: Timers::new(TIMER_MS),
            spans: Spans::of(settings),
            due: Vec::new(),
            jobs: Jobs::default(),
            clock: Clock::new(),
            stage: Stage::Serving,
            ready: Vec::new(),
            reading: Vec::new(),
            read: 0,
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

    /// Puts a connection into a free slot.
    pub(crate) fn insert(&mut self, connection: Connection) -> u32 {
        self.slots.insert(connection).0
    }

    /// The connection in a slot, if there is one.
    #[inline]
    pub(crate) fn get(&mut self, slot: u32) -> Option<&mut Connection> {
        self.slots.get(slot)
    }

    /// As `get`, with the empty jobs beside it.
    #[inline]
    pub(crate) fn get_with_jobs(&mut self, slot: u32) -> Option<(&mut Connection, &mut Jobs)> {
        Some((self.slots.get(slot)?, &mut self.jobs))
    }

    /// The connection in a slot, if it is still the one of that generation.
    #[inline]
    pub(crate) fn get_exactly(&mut self, slot: u32, generation: u32) -> Option<&mut Connection> {
        self.slots.get_exactly(slot, generation)
    }

    /// The generation that a slot is in.
    #[inline]
    pub(crate) fn generation(&self, slot: u32) -> u32 {
        self.slots.generation(slot)
    }

    /// Lets a connection go on with the next generation: a reply for the one before is a stranger's.
    pub(crate) fn renew(&mut self, slot: u32) {
        self.slots.renew(slot);
    }

    /// How many connections are open.
    pub(crate) fn open(&self) -> usize {
        self.slots.open()
    }

    /// Notes of every connection how much has been received: the server begins to leave.
    pub(crate) fn note_what_is_owed(&mut self) {
        self.slots.note_what_is_owed();
    }

    /// Puts a connection on the list of those to read from, if it may be read from.
    pub(crate) fn list(&mut self, slot: u32) {
        if let Some(connection) = self.slots.get(slot)
            && !connection.listed
            && connection.wants_reading()
        {
            connection.listed = true;
            self.ready.push(slot);
        }
    }

    /// Whether any is to be read from in the next turn.
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// What is on the list is read in the turn that begins; what comes on it meanwhile waits for the
    /// next one.
    pub(crate) fn begin_reading(&mut self) {
        std::mem::swap(&mut self.reading, &mut self.ready);
    }

    /// The next connection to read from in this turn.
    #[inline]
    pub(crate) fn next_to_read(&mut self) -> Option<u32> {
        while let Some(&slot) = self.reading.get(self.read) {
            self.read += 1;
            if let Some(connection) = self.slots.get(slot) {
                connection.listed = false;
                return Some(slot);
            }
        }
        None
    }

    /// Everything was read that is to be read in this turn.
    pub(crate) fn end_reading(&mut self) {
        self.reading.clear();
        self.read = 0;
    }

    /// Looks for a request that came before the end; without one the connection ends.
    pub(crate) fn read_last(&mut self, slot: u32) {
        if let Some(connection) = self.slots.get(slot) {
            connection.readable = true;
            self.list(slot);
        }
    }

    /// As `read_last`, of every connection.
    pub(crate) fn read_last_of_all(&mut self) {
        for slot in self.slots.slots() {
            self.read_last(slot);
        }
    }

    /// The answers that wait for the socket, which may take more now.
    pub(crate) fn take_outbound(&mut self, slot: u32) -> Option<Outbound> {
        self.slots.get(slot)?.outbound.take()
    }

    /// Ends our side after the last answer and lets the peer read it.
    ///
    /// RFC 9112 section 9.6: closing at once, while the peer still sends, makes its system drop
    /// the answer that it has not read yet.
    pub(crate) fn linger(&mut self, slot: u32) {
        let now_ms = self.clock.now_ms();
        let span_ms = if self.is_ending() { LINGER_IDLE_MS } else { LINGER_MS_MAX };
        let Some(connection) = self.slots.get(slot) else { return };
        if connection.read_closed || connection.transport.finish_sending().is_err() {
            return self.close(slot);
        }
        connection.phase = Phase::Lingering;
        connection.linger_until_ms = now_ms + span_ms;
        connection.readable = true;
        if let Some(job) = connection.inbound.take() {
            self.jobs.give_back(job);
        }
        self.await_next(slot, Awaiting::End);
        self.list(slot);
    }

    /// Closes a connection and frees its slot.
    pub(crate) fn close(&mut self, slot: u32) {
        if let Some(mut connection) = self.slots.remove(slot) {
            self.timers.disarm(slot);
            if let Some(job) = connection.inbound.take() {
                self.jobs.give_back(job);
            }
            if let Some(outbound) = connection.outbound.take() {
                self.jobs.give_back(outbound.job);
            }
        }
    }

    /// Leaves what lies behind the last whole request with the connection.
    pub(crate) fn keep_rest(&mut self, slot: u32, job: &mut Job) {
        let Some(connection) = self.slots.get(slot) else { return };
        let position = connection.protocol.position();
        if position < job.bytes.len() && !connection.last {
            let mut rest = self.jobs.take();
            rest.bytes.extend_from_slice(&job.bytes[position..]);
            connection.inbound = Some(rest);
        }
        connection.protocol.rebase();
    }
}
