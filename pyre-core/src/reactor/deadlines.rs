//! What happens when a connection has waited too long. The wheel is set at most once a wait, and
//! a request that comes in time only moves a number.

use pyre_http::h1::refuse::write_error;
use pyre_http::h1::serialize::Connection as Persistence;

use crate::metrics::counters::Label;
use crate::reactor::connection::{Awaiting, Phase};
use crate::reactor::run::Reactor;
use crate::settings::{DRAIN_HEAD_MS, LINGER_IDLE_MS};

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
            Awaiting::End => LINGER_IDLE_MS,
            Awaiting::Reply => u64::MAX / 2,
        };
        let is_head = awaiting == Awaiting::Head;
        let is_hurried = is_head && self.is_ending();
        let span_ms = if is_hurried { span_ms.min(DRAIN_HEAD_MS) } else { span_ms };
        let now_ms = self.clock.now_ms();
        let generation = self.connections.generation(slot);
        let Some(connection) = self.connections.get(slot) else { return };
        let mut deadline_ms = now_ms.saturating_add(span_ms).min(connection.linger_until_ms);
        if is_head && connection.awaiting == Awaiting::Head {
            deadline_ms = deadline_ms.min(connection.deadline_ms);
        }
        connection.awaiting = awaiting;
        connection.deadline_ms = deadline_ms;
        if connection.deadline_ms < connection.alarm_ms && awaiting != Awaiting::Reply {
            connection.alarm_ms = connection.deadline_ms;
            self.timers.arm(slot, generation, connection.deadline_ms);
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
                // Something happened since the wheel was set: look again later. A connection
                // that waits for a lane is looked at again when its answer is written.
                if connection.awaiting != Awaiting::Reply {
                    connection.alarm_ms = connection.deadline_ms;
                    self.timers.arm(slot, generation, connection.deadline_ms);
                }
                continue;
            }
            self.give_up(slot);
        }
        self.due = due;
    }

    /// Ends a connection whose deadline has passed.
    fn give_up(&mut self, slot: u32) {
        let Some(connection) = self.connections.get(slot) else { return };
        let is_late = matches!(connection.awaiting, Awaiting::Head | Awaiting::Body);
        if !is_late || connection.phase != Phase::Reading {
            self.close(slot);
            return;
        }
        // RFC 9110 section 15.5.9: the request was not complete in time.
        connection.last = true;
        let mut job = connection.inbound.take().unwrap_or_else(|| self.jobs.take());
        job.clear();
        self.ledger.answered(None, Label::Unmatched, 408);
        write_error(&self.heads, &mut job.reply, 408, Persistence::Close, &[], false);
        self.flush(slot, job, 0);
    }
}
