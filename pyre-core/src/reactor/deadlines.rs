//! What happens when a connection has waited too long.

use pyre_http::event_stream;
use pyre_interp::job::{ConnectionId, Entry, Job};

use crate::connection::socket::Overdue;
use crate::connection::state::{Awaiting, Outbound, Phase};
use crate::outbound::stream;
use crate::reactor::run::Reactor;

impl Reactor {
    /// Ends the waits that are over.
    pub(super) fn expire(&mut self) {
        let Some(mut due) = self.connections.take_due() else { return };
        for (slot, generation) in due.drain(..) {
            if self.connections.is_overdue(slot, generation) {
                self.give_up(slot);
            }
        }
        self.connections.keep_due(due);
    }

    /// Ends a connection whose deadline has passed.
    fn give_up(&mut self, slot: u32) {
        let is_ending = self.connections.is_ending();
        let now_ms = self.connections.clock.now_ms();
        let Some(connection) = self.connections.get(slot) else { return };
        if connection.upload.is_some()
            && matches!(connection.phase, Phase::Answering | Phase::Streaming)
        {
            self.expire_upload(slot);
        }
        let Some((connection, jobs)) = self.connections.get_with_jobs(slot) else { return };
        if connection.awaiting == Awaiting::Reply && connection.phase == Phase::Answering {
            return self.give_up_reply(slot);
        }
        if connection.awaiting == Awaiting::Piece && connection.phase == Phase::Streaming {
            return self.no_piece(slot);
        }
        if connection.phase == Phase::Writing && connection.protocol.is_socket() {
            if self.connections.has_taken_nothing(slot) {
                self.end_stream(slot);
            }
            return;
        }
        if connection.phase == Phase::Writing
            && connection.sends_file()
            && connection.is_delivering()
        {
            // A socket tells that it has room only when much of it is free.
            return self.connections.await_next(slot, Awaiting::Writable);
        }
        if connection.phase == Phase::Lingering && connection.linger_until_ms > now_ms {
            // While the server drains it looks often, and at the time alone.
            let is_delivering = connection.is_delivering();
            if is_delivering || is_ending && connection.undelivered_bytes > 0 {
                return self.connections.await_next(slot, Awaiting::End);
            }
        }
        if connection.phase == Phase::Reading && connection.awaiting == Awaiting::Request {
            return self.connections.end_idle(slot);
        }
        let is_late = matches!(connection.awaiting, Awaiting::Head | Awaiting::Body);
        if !is_late || connection.phase != Phase::Reading {
            return self.end_stream(slot);
        }
        // The request was not complete in time.
        connection.last = true;
        connection.timed_out = true;
        let mut job = connection.inbound.take().unwrap_or_else(|| jobs.take());
        job.client = connection.client;
        self.responder.refuse_late(&mut job, connection.protocol.position());
        self.write(slot, job, 0);
    }

    /// No piece of an answer has come for as long as may be: its client has gone, or is to know that the
    /// stream is alive.
    #[cold]
    fn no_piece(&mut self, slot: u32) {
        let now_ms = self.connections.clock.now_ms();
        let idle_ms = self.connections.stream_idle_ms();
        let Some(connection) = self.connections.get(slot) else { return };
        if connection.look.is_some() {
            return self.give_up_look(slot);
        }
        let body_ms = connection.body_deadline_ms();
        let is_socket = connection.protocol.is_socket();
        let Some(Outbound { job, .. }) = &mut connection.outbound else { return };
        let Job { flow: Some(flow), reply, .. } = &mut **job else { return };
        if flow.file.is_some() {
            // Its disk does not answer.
            return self.end_stream(slot);
        }
        let keeps_too_long = now_ms >= flow.kept_until_ms;
        if keeps_too_long {
            flow.slim(reply);
        }
        if is_socket {
            return self.socket_overdue(slot);
        }
        let deadline_ms = stream::deadline_ms(job, idle_ms).min(body_ms);
        if keeps_too_long && now_ms < deadline_ms {
            return self.connections.set_deadline(slot, deadline_ms);
        }
        let Some(flow) = &mut job.flow else { return };
        if flow.upgrade.is_some() && now_ms < flow.disconnects_ms {
            return self.give_up_handshake(slot);
        }
        if now_ms >= flow.disconnects_ms || now_ms >= flow.piece_ms.saturating_add(idle_ms) {
            return self.end_stream(slot);
        }
        if flow.terms.keep_alive_ms > 0 && now_ms >= flow.sent_ms + flow.terms.keep_alive_ms {
            flow.sent_ms = now_ms;
            flow.push_comment(event_stream::KEEP_ALIVE);
        }
        let deadline_ms = stream::deadline_ms(job, idle_ms).min(body_ms);
        self.connections.set_deadline(slot, deadline_ms);
    }

    /// A WebSocket has been silent for long, or does not come to its end.
    #[cold]
    fn socket_overdue(&mut self, slot: u32) {
        let now_ms = self.connections.clock.now_ms();
        let Some(connection) = self.connections.get(slot) else { return };
        let Some(socket) = connection.protocol.socket() else { return };
        let overdue = socket.overdue(now_ms);
        match overdue {
            Overdue::Ping => return self.resume_writing(slot),
            Overdue::End if !socket.has_closed() => return self.end_stream(slot),
            Overdue::End if !connection.is_delivering() => return self.end_stream(slot),
            Overdue::End | Overdue::Nothing => {}
        }
        let Some(socket) = connection.protocol.socket() else { return };
        if overdue == Overdue::End {
            // It still takes what was sent before our close frame. If it said anything behind the end of
            // the connection, its system would throw that away.
            socket.has_time_again(now_ms);
        }
        let deadline_ms = socket.deadline_ms();
        self.connections.set_deadline(slot, deadline_ms);
    }

    /// The handler of a WebSocket has not answered the handshake in time.
    #[cold]
    fn give_up_handshake(&mut self, slot: u32) {
        let Some(Outbound { mut job, .. }) = self.connections.take_outbound(slot) else { return };
        // Whatever it says from now on nobody hears.
        job.flow = None;
        self.responder.refuse_handshake(&mut job);
        self.write(slot, job, 0);
    }

    /// The disk that has the file of a request does not answer.
    #[cold]
    fn give_up_look(&mut self, slot: u32) {
        let Some(connection) = self.connections.get(slot) else { return };
        connection.look = None;
        connection.last = true;
        let Some(Outbound { mut job, .. }) = self.connections.take_outbound(slot) else { return };
        if let Some(Entry::Call(call)) = job.entries.get_mut(job.next) {
            call.request.keep_alive = false;
        }
        self.responder.refuse_file(&mut job, 504);
        job.next += 1;
        job.give_up_rest();
        self.write(slot, job, 0);
    }

    /// The client of a request has gone, or has waited for a handler as long as it may.
    #[cold]
    fn give_up_reply(&mut self, slot: u32) {
        let now_ms = self.connections.clock.now_ms();
        let Some(connection) = self.connections.get(slot) else { return };
        let body_ms = connection.body_deadline_ms();
        let due_ms = connection.protocol.exchange().due_ms();
        if now_ms < due_ms {
            // It was its body that was waited for.
            return self.connections.set_deadline(slot, due_ms.min(body_ms));
        }
        let generation = self.connections.generation(slot);
        self.dispatch.disconnected(ConnectionId { reactor: self.index, slot, generation });
        let Some((connection, jobs)) = self.connections.get_with_jobs(slot) else { return };
        let exchange = connection.protocol.exchange();
        if now_ms < exchange.until_ms {
            exchange.has_disconnected();
            let deadline_ms = exchange.until_ms.min(body_ms);
            return self.connections.set_deadline(slot, deadline_ms);
        }
        if exchange.is_pipelined {
            // Some of its requests may have been answered, but the answers are where nobody can
            // reach them, and this one would be taken for the first of those.
            self.connections.renew(slot);
            return self.connections.linger(slot);
        }
        // The answer of the handler, if there ever is one, meets another generation and is dropped.
        connection.last = true;
        connection.phase = Phase::Reading;
        connection.alarm_ms = u64::MAX;
        let mut job = jobs.take();
        connection.answered_early(&mut job);
        let exchange = connection.protocol.exchange();
        self.responder.answer_for(&exchange.awaited, connection.client, &mut job);
        self.connections.renew(slot);
        self.write(slot, job, 0);
    }
}
