//! The steps of a request, one after the other: what one leaves to be done, the next one does. Hot path.

use pyre_interp::flow::topics::BOARD;
use pyre_interp::job::{ConnectionId, Job};

use crate::connection::state::{Outbound, Phase};
use crate::inbound::read::{Read, read};
use crate::inbound::submit::submit;
use crate::outbound::collect::collect;
use crate::outbound::flush::flush;
use crate::outbound::stream;
use crate::reactor::run::Reactor;
use crate::settings::bounds::{HALF_CLOSED_MS, READS_PER_TURN_MAX, STREAMS_US_MAX};

impl Reactor {
    /// Reads from a connection and serves every request that is whole.
    pub(super) fn read(&mut self, slot: u32) {
        for _ in 0..READS_PER_TURN_MAX {
            match read(&mut self.connections, &mut self.responder, slot) {
                Read::Requests(job) => return self.submit(slot, job),
                Read::Upload(job) => return self.submit_upload(slot, job),
                Read::Body => return self.read_upload(slot),
                Read::Answers(job) => self.write(slot, job, 0),
                Read::More => {}
                Read::News => self.resume_writing_in(Phase::Streaming, slot),
                Read::Gone => return self.end_stream(slot),
                Read::Nothing => return,
            }
        }
        // A fast sender: the others first.
        self.connections.list(slot);
    }

    /// Hands a job over, or writes the answers that it has got at once.
    #[inline(always)]
    pub(super) fn submit(&mut self, slot: u32, job: Box<Job>) {
        if let Some(job) = self.hand_over(slot, job) {
            self.write(slot, job, 0);
            // What has been received behind it may never be told of again.
            self.connections.list(slot);
        }
    }

    #[inline]
    fn hand_over(&mut self, slot: u32, job: Box<Job>) -> Option<Box<Job>> {
        let Self { index, connections, responder, dispatch, .. } = self;
        let generation = connections.generation(slot);
        let to = ConnectionId { reactor: *index, slot, generation };
        submit(connections, responder, dispatch, to, job)
    }

    /// Writes what a job holds, from `written` on, and hands over what is left in it.
    pub(super) fn write(&mut self, slot: u32, mut job: Box<Job>, mut written: usize) {
        while let Some(left) =
            flush(&mut self.connections, &mut self.responder.ledger, slot, job, written)
        {
            let Some(answered) = self.hand_over(slot, left) else { return };
            (job, written) = (answered, 0);
        }
    }

    /// Goes on writing when the socket takes more.
    pub(super) fn resume_writing(&mut self, slot: u32) {
        if let Some(Outbound { job, written }) = self.connections.take_outbound(slot) {
            self.write(slot, job, written);
            self.connections.list(slot);
        }
    }

    /// Goes on writing if the connection is in this phase.
    pub(super) fn resume_writing_in(&mut self, phase: Phase, slot: u32) {
        let connection = self.connections.get(slot);
        if connection.is_some_and(|connection| connection.phase == phase) {
            self.resume_writing(slot);
        }
    }

    /// Takes all replies that lanes have given back by rings.
    pub(super) fn collect_replies(&mut self) {
        while let Some(job) = self.dispatch.take_reply() {
            self.reply_to(job);
        }
        self.dispatch.send_waiting(self.connections.clock.now_ms());
    }

    /// Writes the pieces of answers that have come since the last turn.
    #[inline]
    pub(super) fn collect_pieces(&mut self) {
        if !self.connections.mailbox.is_empty() {
            self.collect_each_piece();
            // Requests have a time of their own behind that, however much of the turn it took.
            self.turn_began_us = self.connections.clock.now_us();
        }
    }

    fn collect_each_piece(&mut self) {
        // What comes back meanwhile is for the next turn.
        for _ in 0..self.connections.mailbox.len() {
            let Some(to) = self.connections.mailbox.take() else { return };
            let Some(connection) = self.connections.get_exactly(to.slot, to.generation) else {
                if to == BOARD {
                    self.fan_out();
                }
                continue;
            };
            if let Some(socket) = connection.protocol.socket() {
                socket.look_for_room();
            }
            let (phase, has_upload) = (connection.phase, connection.upload.is_some());
            if has_upload {
                self.look_after_upload(to.slot);
            }
            match phase {
                Phase::Streaming => self.resume_writing(to.slot),
                _ => self.connections.list(to.slot),
            }
            self.connections.clock.tick();
            if self.connections.clock.now_us() - self.turn_began_us >= STREAMS_US_MAX {
                // Others wait for this turn to end.
                return;
            }
        }
    }

    /// The peer of an answer in pieces has closed its side, or is gone: then its sender is told.
    #[cold]
    pub(super) fn reader_closed(&mut self, slot: u32, is_broken: bool) {
        if is_broken {
            return self.end_stream(slot);
        }
        let disconnects_ms = self.connections.clock.now_ms() + HALF_CLOSED_MS;
        let idle_ms = self.connections.stream_idle_ms();
        let Some(connection) = self.connections.get(slot) else { return };
        let Some(Outbound { job, .. }) = &mut connection.outbound else { return };
        let Some(flow) = &mut job.flow else { return };
        if flow.file.is_some() {
            // It reads on, perhaps; sending tells.
            return;
        }
        flow.disconnects_ms = disconnects_ms;
        let deadline_ms = stream::deadline_ms(job, idle_ms);
        self.connections.set_deadline(slot, deadline_ms);
    }

    /// Ends a connection, and the answer in pieces that it may have.
    #[cold]
    pub(super) fn end_stream(&mut self, slot: u32) {
        if let Some(Outbound { mut job, .. }) = self.connections.take_outbound(slot) {
            // To one who reads on that must not look like the end of it.
            if job.flow.as_ref().is_some_and(|flow| flow.terms.ends_with_connection)
                && let Some(connection) = self.connections.get(slot)
            {
                connection.transport.reset_on_close();
            }
            stream::end(&mut self.responder.ledger, &mut job);
            self.connections.jobs.give_back(job);
        }
        self.connections.close(slot);
    }

    /// A job is back, with answers for its connection.
    #[inline]
    pub(super) fn reply_to(&mut self, job: Box<Job>) {
        let Self { connections, responder, dispatch, .. } = self;
        if let Some(job) = collect(connections, &mut responder.ledger, dispatch, job) {
            let slot = job.reply_to.slot;
            self.write(slot, job, 0);
            self.connections.list(slot);
        }
    }
}
