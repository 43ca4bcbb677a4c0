//! What happens when a connection has waited too long. The wheel is set at most once a wait, and
//! a request that comes in time only moves a number.

use pyre_http::h1::refuse::write_error;
use pyre_http::h1::serialize::Connection as Persistence;
use pyre_http::method::Method;
use pyre_interp::job::ConnectionId;

use crate::connection::state::{Awaiting, Phase};
use crate::direct::identity;
use crate::reactor::run::Reactor;
use crate::settings::bounds::{DELIVERY_LOOK_MS, DRAIN_HEAD_MS, HALF_CLOSED_MS, LINGER_IDLE_MS};
use crate::shared::counters::Label;
use crate::shared::frozen::FOR_EVER_MS;

impl Reactor {
    /// Starts a wait of a connection, or goes on with one of the same kind.
    ///
    /// Waits for a head and for a next request are counted from their start, the others from the
    /// last progress, which is when this is called.
    pub(crate) fn await_next(&mut self, slot: u32, awaiting: Awaiting) {
        let settings = &self.frozen.settings;
        let span_ms = match awaiting {
            Awaiting::Request => settings.keep_alive_timeout_ms,
            Awaiting::First | Awaiting::Head => settings.head_timeout_ms,
            Awaiting::Body | Awaiting::Writable => settings.body_timeout_ms,
            Awaiting::End if self.is_ending() => DELIVERY_LOOK_MS,
            Awaiting::End => LINGER_IDLE_MS,
            Awaiting::Reply => FOR_EVER_MS,
        };
        let is_head = awaiting == Awaiting::Head;
        let is_hurried = is_head && self.is_ending();
        let span_ms = if is_hurried { span_ms.min(DRAIN_HEAD_MS) } else { span_ms };
        let now_ms = self.clock.now_ms();
        let Some(connection) = self.connections.get(slot) else { return };
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

    /// The client has closed its side while it waits for a handler. It may have said all it wanted to
    /// (RFC 9112 section 9.6 lets it), or be gone; so it counts as gone a little later.
    #[cold]
    pub(crate) fn note_closed_side(&mut self, slot: u32, is_broken: bool) {
        let now_ms = self.clock.now_ms();
        let Some(connection) = self.connections.get(slot) else { return };
        let departs_ms = if is_broken { now_ms } else { now_ms + HALF_CLOSED_MS };
        if departs_ms < connection.departs_ms {
            connection.departs_ms = departs_ms;
            let deadline_ms = departs_ms.min(connection.reply_until_ms);
            self.set_deadline(slot, deadline_ms);
        }
    }

    /// Sets when a wait ends, and the alarm if it would come too late.
    fn set_deadline(&mut self, slot: u32, deadline_ms: u64) {
        let Some(connection) = self.connections.get(slot) else { return };
        connection.deadline_ms = deadline_ms;
        if deadline_ms < connection.alarm_ms {
            self.set_alarm(slot, deadline_ms);
        }
    }

    /// Sets when a connection is looked at.
    #[cold]
    pub(crate) fn set_alarm(&mut self, slot: u32, moment_ms: u64) {
        let generation = self.connections.generation(slot);
        let Some(connection) = self.connections.get(slot) else { return };
        if moment_ms < FOR_EVER_MS {
            connection.alarm_ms = moment_ms;
            self.timers.arm(slot, generation, moment_ms);
        }
    }

    /// Ends the waits that are over.
    pub(crate) fn expire(&mut self) {
        let now_ms = self.clock.now_ms();
        if self.timers.next_deadline_ms().is_none_or(|deadline_ms| deadline_ms > now_ms) {
            return;
        }
        let mut due = std::mem::take(&mut self.due);
        self.timers.expire(now_ms, |slot, generation| due.push((slot, generation)));
        for (slot, generation) in due.drain(..) {
            let Some(connection) = self.connections.get_exactly(slot, generation) else { continue };
            connection.alarm_ms = u64::MAX;
            if connection.deadline_ms > now_ms {
                // Something happened since the wheel was set: look again later.
                let deadline_ms = connection.deadline_ms;
                self.set_deadline(slot, deadline_ms);
                continue;
            }
            self.give_up(slot);
        }
        self.due = due;
    }

    /// Ends a connection whose deadline has passed.
    fn give_up(&mut self, slot: u32) {
        let is_ending = self.is_ending();
        let now_ms = self.clock.now_ms();
        let Some(connection) = self.connections.get(slot) else { return };
        if connection.awaiting == Awaiting::Reply && connection.phase == Phase::Answering {
            return self.give_up_reply(slot);
        }
        if connection.awaiting == Awaiting::End
            && is_ending
            && connection.linger_until_ms > now_ms
            && connection.transport.sent_bytes() > 0
        {
            // The peer has not got all of the last answer yet.
            return self.await_next(slot, Awaiting::End);
        }
        let is_late = matches!(connection.awaiting, Awaiting::Head | Awaiting::Body);
        if !is_late || connection.phase != Phase::Reading {
            self.close(slot);
            return;
        }
        // RFC 9110 section 15.5.9: the request was not complete in time.
        connection.last = true;
        let mut job = connection.inbound.take().unwrap_or_else(|| self.jobs.take());
        job.clear();
        job.client = connection.client;
        let id = self.frozen.routes.gives_ids.then(identity::made);
        let extra = identity::header(id.as_deref());
        let extra = extra.as_slice();
        write_error(&self.heads, &mut job.reply, 408, Persistence::Close, extra, false);
        let id = id.as_deref().unwrap_or_default();
        self.ledger.answered(&job, None, Label::Unmatched, 408, job.reply.len(), id);
        self.flush(slot, job, 0);
    }

    /// The client of a request has gone, or has waited for a handler as long as it may.
    #[cold]
    fn give_up_reply(&mut self, slot: u32) {
        let now_ms = self.clock.now_ms();
        let generation = self.connections.generation(slot);
        self.departures.insert(ConnectionId { reactor: self.index, slot, generation });
        self.dispatch.tell_departure();
        let Some(connection) = self.connections.get(slot) else { return };
        if now_ms < connection.reply_until_ms {
            connection.departs_ms = FOR_EVER_MS;
            let deadline_ms = connection.reply_until_ms;
            return self.set_deadline(slot, deadline_ms);
        }
        if connection.is_pipelined {
            // Some of its requests may have been answered, but the answers are where nobody can
            // reach them, and this one would be taken for the first of those.
            return self.close(slot);
        }
        // RFC 9110 section 15.6.5. The answer of the handler, if there ever is one, meets another
        // generation and is dropped.
        connection.last = true;
        connection.phase = Phase::Reading;
        connection.alarm_ms = u64::MAX;
        let is_head = connection.awaited.method == Method::Head;
        let mut job = self.jobs.take();
        let id = Some(&connection.awaited.id[..]).filter(|id| !id.is_empty());
        let extra = identity::header(id);
        let extra = extra.as_slice();
        write_error(&self.heads, &mut job.reply, 504, Persistence::Close, extra, is_head);
        self.ledger.overran(connection.client, &connection.awaited, job.reply.len());
        self.connections.renew(slot);
        self.flush(slot, job, 0);
    }
}
