//! Bodies that go to their handlers as they come: what one side does, the other one is told.

use mio::event::Event;
use pyre_interp::flow::{Cut, Reader};
use pyre_interp::job::{ConnectionId, Job};

use crate::connection::state::Phase;
use crate::inbound::upload::{Got, read};
use crate::reactor::run::Reactor;
use crate::settings::bounds::READS_PER_TURN_MAX;
use crate::shared::frozen::FOR_EVER_MS;

/// What a client is told whose body does not come on (RFC 9110 section 15.5.9).
const REQUEST_TIMEOUT: u16 = 408;

impl Reactor {
    /// Hands over a job whose request has but its head.
    #[cold]
    pub(super) fn submit_upload(&mut self, slot: u32, job: Box<Job>) {
        let generation = self.connections.generation(slot);
        let connection = ConnectionId { reactor: self.index, slot, generation };
        let mailbox = self.connections.mailbox.clone();
        let Some(upload) = self.connections.get(slot).and_then(|known| known.upload.as_ref())
        else {
            return self.submit(slot, job);
        };
        upload.attach(Reader { connection, mailbox });
        // One that waits to be told has all the time until it is.
        let is_for_client = !upload.flow.is_held();
        self.submit(slot, job);
        self.connections.await_body(slot, is_for_client);
        self.connections.list(slot);
    }

    /// Something has happened to the socket of a connection whose body is coming.
    #[cold]
    pub(super) fn note_upload(&mut self, slot: u32, event: &Event) {
        let Some(connection) = self.connections.get(slot) else { return };
        let is_over = event.is_read_closed() || event.is_error();
        connection.end_seen |= is_over;
        connection.readable |= is_over || event.is_readable();
        if event.is_error() {
            self.sender_gone(slot);
            // An answer that is being written finds that the connection is broken: nothing else tells of it.
            return self.resume_writing_in(Phase::Writing, slot);
        }
        if event.is_writable() {
            if connection.phase == Phase::Writing {
                self.resume_writing(slot);
            } else if let Some(upload) = &mut connection.upload {
                upload.send_interim(&mut connection.transport);
            }
        }
        self.connections.list(slot);
    }

    /// Whoever reads a body waits for it, or has made room.
    #[cold]
    pub(super) fn look_after_upload(&mut self, slot: u32) {
        let Some(connection) = self.connections.get(slot) else { return };
        let Some(upload) = &mut connection.upload else { return };
        let is_asked = connection.phase == Phase::Answering && upload.flow.take_wanted();
        if is_asked {
            upload.ask_for_body();
            upload.send_interim(&mut connection.transport);
        }
        // What has come here for an answer in pieces says nothing of the client.
        if is_asked || upload.has_no_limit() {
            self.connections.await_body(slot, true);
        }
        self.connections.list(slot);
    }

    /// Reads what has come of a body.
    #[cold]
    pub(super) fn read_upload(&mut self, slot: u32) {
        for _ in 0..READS_PER_TURN_MAX {
            let limits = &self.responder.frozen.settings.limits;
            match read(&mut self.connections, limits, slot) {
                Got::More => {}
                Got::Nothing => return,
                Got::End => return self.body_ended(slot),
                Got::Gone => return self.sender_gone(slot),
            }
        }
        // A fast sender: the others first.
        self.connections.list(slot);
    }

    /// Nothing more of the body is read. What the socket has told before is looked at as for others.
    fn body_ended(&mut self, slot: u32) {
        let Some(connection) = self.connections.get(slot) else { return };
        if !connection.end_seen {
            return;
        }
        match connection.phase {
            Phase::Answering => self.connections.note_closed_side(slot, false),
            Phase::Streaming => self.reader_closed(slot, false),
            Phase::Reading | Phase::Writing | Phase::Lingering => {}
        }
    }

    /// The client has gone before the end of the body, or has closed its side. Its request is not
    /// answered (RFC 9112 section 8), but for what has been answered before.
    #[cold]
    fn sender_gone(&mut self, slot: u32) {
        let Some(connection) = self.connections.get(slot) else { return };
        let Some(mut upload) = connection.upload.take() else { return };
        connection.read_closed = true;
        connection.readable = false;
        connection.last = true;
        let is_whole = connection.outbound.as_ref().is_some_and(|out| out.job.flow.is_none());
        match connection.phase {
            Phase::Answering => {
                upload.flow.cut(Cut::Gone);
                upload.is_broken = true;
                upload.deadline_ms = FOR_EVER_MS;
                connection.upload = Some(upload);
                // What does not read the body is told a little later, as one is that has no body.
                self.connections.note_closed_side(slot, false);
            }
            Phase::Writing if is_whole => {}
            Phase::Streaming | Phase::Writing if upload.flow.is_read() => {
                connection.upload = Some(upload);
                self.end_stream(slot);
            }
            Phase::Streaming => self.reader_closed(slot, false),
            Phase::Reading | Phase::Writing | Phase::Lingering => {}
        }
    }

    /// If the client of a body has been silent for too long, nothing more of it is read. What else is due
    /// of the connection is for its phase.
    #[cold]
    pub(super) fn expire_upload(&mut self, slot: u32) {
        let now_ms = self.connections.clock.now_ms();
        let Some(connection) = self.connections.get(slot) else { return };
        let Some(upload) = &connection.upload else { return };
        if upload.deadline_ms <= now_ms {
            upload.flow.cut(Cut::Refused(REQUEST_TIMEOUT));
            connection.upload = None;
            connection.last = true;
            connection.timed_out = true;
        }
    }
}
