//! What connections wait for, and how long. The wheel is set at most once a wait, and a request that
//! comes in time only moves a number. Hot path.

use pyre_interp::job::Job;

use crate::connection::state::{Awaiting, Outbound, Phase};
use crate::connection::table::Connections;
use crate::settings::Settings;
use crate::settings::bounds::{
    DELIVERY_LOOK_MS, DRAIN_HEAD_MS, HALF_CLOSED_MS, LINGER_IDLE_MS, SOCKET_LOOK_MS,
};
use crate::shared::frozen::{FOR_EVER_MS, unlimited};

/// How long waits may be that users can set, in milliseconds.
pub(crate) struct Spans {
    pub(crate) request_ms: u64,
    pub(crate) head_ms: u64,
    pub(crate) body_ms: u64,
    /// How long an answer in pieces may be silent.
    pub(crate) stream_idle_ms: u64,
    pub(crate) sockets: SocketTerms,
}

/// What holds of all WebSockets.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SocketTerms {
    /// How long a peer may be silent before it is pinged, in milliseconds.
    pub(crate) ping_ms: u64,
    pub(crate) message_bytes_max: usize,
}

impl Spans {
    /// Each of them that long; no pings, and messages without bytes.
    #[cfg(test)]
    pub(crate) const fn all(span_ms: u64) -> Self {
        Self {
            request_ms: span_ms,
            head_ms: span_ms,
            body_ms: span_ms,
            stream_idle_ms: span_ms,
            sockets: SocketTerms { ping_ms: FOR_EVER_MS, message_bytes_max: 0 },
        }
    }

    pub(crate) fn of(settings: &Settings) -> Self {
        Self {
            request_ms: settings.keep_alive_timeout_ms,
            head_ms: settings.head_timeout_ms,
            body_ms: settings.body_timeout_ms,
            stream_idle_ms: unlimited(settings.stream_idle_timeout_ms),
            sockets: SocketTerms {
                ping_ms: unlimited(settings.ws_ping_ms),
                message_bytes_max: settings.message_bytes_max,
            },
        }
    }
}

impl Connections {
    /// How long an answer in pieces may be silent.
    pub(crate) fn stream_idle_ms(&self) -> u64 {
        self.spans.stream_idle_ms
    }

    /// How long a body may make no progress, be it because of a client or of a disk.
    pub(crate) fn body_ms(&self) -> u64 {
        self.spans.body_ms
    }

    /// What holds of all WebSockets.
    pub(crate) fn socket_terms(&self) -> SocketTerms {
        self.spans.sockets
    }

    /// Starts a wait of a connection, or goes on with one of the same kind.
    ///
    /// Waits for a head and for a next request are counted from their start, the others from the
    /// last progress, which is when this is called.
    pub(crate) fn await_next(&mut self, slot: u32, awaiting: Awaiting) {
        let span_ms = match awaiting {
            Awaiting::Request => self.spans.request_ms,
            Awaiting::First | Awaiting::Head => self.spans.head_ms,
            Awaiting::Body => self.spans.body_ms,
            Awaiting::Writable => self.writable_ms(slot),
            Awaiting::End if self.is_ending() => DELIVERY_LOOK_MS,
            Awaiting::End => LINGER_IDLE_MS,
            Awaiting::Reply | Awaiting::Piece => FOR_EVER_MS,
        };
        let is_head = awaiting == Awaiting::Head;
        let is_hurried = is_head && self.is_ending();
        let span_ms = if is_hurried { span_ms.min(DRAIN_HEAD_MS) } else { span_ms };
        let now_ms = self.clock.now_ms();
        let Some(connection) = self.get(slot) else { return };
        let mut deadline_ms = now_ms.saturating_add(span_ms).min(connection.linger_until_ms);
        if is_head && connection.awaiting == Awaiting::Head {
            deadline_ms = deadline_ms.min(connection.deadline_ms);
        }
        connection.awaiting = awaiting;
        connection.deadline_ms = deadline_ms;
        if deadline_ms < connection.alarm_ms {
            self.set_alarm(slot, deadline_ms);
        }
    }

    /// How long it takes at most until a peer that takes nothing is looked at, which has just taken something.
    #[cold]
    fn writable_ms(&mut self, slot: u32) -> u64 {
        let (body_ms, now_ms) = (self.spans.body_ms, self.clock.now_ms());
        let is_ending = self.is_ending();
        let Some(connection) = self.get(slot) else { return body_ms };
        if let Some(socket) = connection.protocol.socket() {
            socket.takes(now_ms);
            return body_ms.min(SOCKET_LOOK_MS);
        }
        if is_ending && !connection.has_stream() { body_ms.min(LINGER_IDLE_MS) } else { body_ms }
    }

    /// The peer of a WebSocket does not take what is written. Tells whether it has done so for long enough; if
    /// not, it is looked at again.
    #[cold]
    pub(crate) fn has_taken_nothing(&mut self, slot: u32) -> bool {
        let (body_ms, now_ms) = (self.spans.body_ms, self.clock.now_ms());
        let Some(connection) = self.get(slot) else { return false };
        let takes = connection.is_delivering();
        let Some(socket) = connection.protocol.socket() else { return true };
        if takes {
            socket.takes(now_ms);
        }
        let until_ms = socket.taken_until_ms(body_ms, now_ms);
        if now_ms < until_ms {
            self.set_deadline(slot, until_ms.min(now_ms + SOCKET_LOOK_MS));
        }
        now_ms >= until_ms
    }

    /// The client has closed its side while it waits for a handler. It may have said all it wanted to
    /// (RFC 9112 section 9.6 lets it), or be gone; so it counts as gone a little later.
    #[cold]
    pub(crate) fn note_closed_side(&mut self, slot: u32, is_broken: bool) {
        let now_ms = self.clock.now_ms();
        let Some(connection) = self.get(slot) else { return };
        let disconnects_ms = if is_broken { now_ms } else { now_ms + HALF_CLOSED_MS };
        if let Some(deadline_ms) = connection.protocol.exchange().disconnects(disconnects_ms) {
            self.set_deadline(slot, deadline_ms);
        }
    }

    /// More of a body has come, or there is room for it again: from now on its client may be silent for so
    /// long. While it is for the handler to go on, that is not counted.
    pub(crate) fn await_body(&mut self, slot: u32, is_for_client: bool) {
        let body_ms = if is_for_client { self.spans.body_ms } else { FOR_EVER_MS };
        let deadline_ms = self.clock.now_ms().saturating_add(body_ms);
        let Some(connection) = self.get(slot) else { return };
        let (phase, before_ms) = (connection.phase, connection.deadline_ms);
        let Some(upload) = &mut connection.upload else { return };
        upload.deadline_ms = deadline_ms;
        // A client that does not take its answer has that time as well. What is put off is found when the
        // time before is over.
        if phase != Phase::Writing && deadline_ms < before_ms {
            self.set_deadline(slot, deadline_ms);
        }
    }

    /// A connection waits for a disk, as long as a body may.
    #[cold]
    pub(crate) fn wait_for_disk(&mut self, slot: u32, job: Box<Job>) {
        let deadline_ms = self.clock.now_ms().saturating_add(self.body_ms());
        let Some(connection) = self.get(slot) else { return self.jobs.give_back(job) };
        connection.phase = Phase::Streaming;
        connection.awaiting = Awaiting::Piece;
        connection.outbound = Some(Outbound { job, written: 0 });
        self.set_deadline(slot, deadline_ms);
    }

    /// Sets when a wait ends, and the alarm if it would come too late.
    pub(crate) fn set_deadline(&mut self, slot: u32, deadline_ms: u64) {
        let Some(connection) = self.get(slot) else { return };
        connection.deadline_ms = deadline_ms;
        if deadline_ms < connection.alarm_ms {
            self.set_alarm(slot, deadline_ms);
        }
    }

    /// Sets when a connection is looked at.
    #[cold]
    pub(crate) fn set_alarm(&mut self, slot: u32, moment_ms: u64) {
        let generation = self.generation(slot);
        let Some(connection) = self.get(slot) else { return };
        if moment_ms < FOR_EVER_MS {
            connection.alarm_ms = moment_ms;
            self.timers.arm(slot, generation, moment_ms);
        }
    }

    /// When the first wait may be over.
    pub(crate) fn next_deadline_ms(&self) -> Option<u64> {
        self.timers.next_deadline_ms()
    }

    /// The connections whose alarm has gone off, by slot and generation; none mostly. What is taken is
    /// given back with `keep_due`.
    pub(crate) fn take_due(&mut self) -> Option<Vec<(u32, u32)>> {
        let now_ms = self.clock.now_ms();
        if self.timers.next_deadline_ms().is_none_or(|deadline_ms| deadline_ms > now_ms) {
            return None;
        }
        let mut due = std::mem::take(&mut self.due);
        self.timers.expire(now_ms, |slot, generation| due.push((slot, generation)));
        Some(due)
    }

    /// Takes back, for its memory, what `take_due` has returned.
    pub(crate) fn keep_due(&mut self, mut due: Vec<(u32, u32)>) {
        due.clear();
        self.due = due;
    }

    /// Whether the wait of a connection is over whose alarm has gone off. If not, the alarm is set anew.
    pub(crate) fn is_overdue(&mut self, slot: u32, generation: u32) -> bool {
        let now_ms = self.clock.now_ms();
        let Some(connection) = self.get_exactly(slot, generation) else { return false };
        connection.alarm_ms = u64::MAX;
        let deadline_ms = connection.deadline_ms;
        let is_over = deadline_ms <= now_ms;
        if !is_over {
            // Something happened since the wheel was set: look again later.
            self.set_deadline(slot, deadline_ms);
        }
        is_over
    }
}
