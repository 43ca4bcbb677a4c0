//! Steps 2 and 3: bytes are read, and become requests. Hot path.

use std::io;

use pyre_http::h1::reader::Next;
use pyre_interp::job::{Entry, Job, READ_BYTES};

use crate::connection::state::{Awaiting, Connection, Phase};
use crate::reactor::run::Reactor;
use crate::settings::bounds::{BODY_READ_BYTES, READS_PER_TURN_MAX};

/// What became of the bytes at hand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Parsed {
    /// There are answers to make or to write.
    Something,
    /// No request is whole yet.
    Nothing,
}

impl Reactor {
    /// Reads from a connection and serves every request that is whole.
    pub(crate) fn read(&mut self, slot: u32) {
        for _ in 0..READS_PER_TURN_MAX {
            let Some(connection) = self.connections.get(slot) else { return };
            match connection.phase {
                Phase::Reading => {}
                Phase::Lingering => return self.discard(slot),
                Phase::Answering | Phase::Writing => return,
            }
            if !connection.wants_reading() {
                return self.await_more(slot);
            }
            let mut job = match connection.inbound.take() {
                Some(job) => job,
                None => self.jobs.take(),
            };
            if connection.readable && connection.receive(&mut job).is_err() {
                self.jobs.give_back(job);
                return self.close(slot);
            }
            match self.parse(slot, &mut job) {
                Parsed::Something if job.is_finished() => {
                    // Every answer was made right here.
                    self.keep_rest(slot, &mut job);
                    self.flush(slot, job, 0);
                }
                Parsed::Something => {
                    self.keep_rest(slot, &mut job);
                    return self.submit(slot, job);
                }
                Parsed::Nothing => {
                    let Some(connection) = self.connections.get(slot) else { return };
                    if connection.read_closed {
                        // RFC 9112 section 8: an incomplete request is not answered.
                        self.jobs.give_back(job);
                        return self.close(slot);
                    }
                    if job.bytes.is_empty() {
                        self.jobs.give_back(job);
                    } else {
                        connection.inbound = Some(job);
                        if !connection.readable {
                            return self.await_rest(slot);
                        }
                    }
                }
            }
        }
        // A fast sender: the others first.
        self.list(slot);
    }

    /// Looks for a request that came before the end; without one the connection ends.
    pub(crate) fn read_last(&mut self, slot: u32) {
        if let Some(connection) = self.connections.get(slot) {
            connection.readable = true;
            self.list(slot);
        }
    }

    /// Parses as many whole requests as there are, and finds who answers each.
    fn parse(&mut self, slot: u32, job: &mut Job) -> Parsed {
        let is_draining = self.is_draining();
        let Some(connection) = self.connections.get(slot) else { return Parsed::Nothing };
        job.client = connection.client;
        self.ledger.received(job);
        let limits = &self.frozen.settings.limits;
        while !connection.last && job.entries.len() < limits.pipelined_max {
            match &mut connection.reader.next(&mut job.bytes, &mut job.headers, limits) {
                Ok(Next::Request(request)) => {
                    let position = connection.reader.position();
                    if is_draining
                        && position == job.bytes.len()
                        && position >= connection.owed_bytes
                    {
                        request.keep_alive = false;
                    }
                    connection.continued = false;
                    connection.last = !request.keep_alive;
                    self.requests += 1;
                    self.frozen.routes.admit(&self.heads, &mut self.ledger, job, request);
                    if connection.reader.position() == job.bytes.len() {
                        break;
                    }
                }
                Ok(Next::Partial) => {
                    self.frozen.routes.answer_early(&self.heads, &mut self.ledger, job, connection);
                    break;
                }
                Err(error) => {
                    // One answer, and nothing behind it is served: where the next request would
                    // begin is not known (RFC 9112 section 11.2).
                    connection.last = true;
                    self.frozen.routes.refuse(&self.heads, &mut self.ledger, job, *error);
                    break;
                }
            }
        }
        if is_draining {
            let position = connection.reader.position();
            connection.owed_bytes = connection.owed_bytes.saturating_sub(position);
            if connection.owed_bytes == 0
                && let Some(Entry::Call(call)) = job.entries.last_mut()
            {
                call.request.keep_alive = false;
                connection.last = true;
            }
        }
        if job.entries.is_empty() && job.reply.is_empty() {
            Parsed::Nothing
        } else {
            Parsed::Something
        }
    }

    /// Leaves what lies behind the last whole request with the connection.
    fn keep_rest(&mut self, slot: u32, job: &mut Job) {
        let Some(connection) = self.connections.get(slot) else { return };
        let position = connection.reader.position();
        if position < job.bytes.len() && !connection.last {
            let mut rest = self.jobs.take();
            rest.bytes.extend_from_slice(&job.bytes[position..]);
            connection.inbound = Some(rest);
        }
        connection.reader.rebase();
    }

    /// Nothing is left to read: waits for the next request, or ends a connection that is over.
    fn await_more(&mut self, slot: u32) {
        let is_ending = self.is_ending();
        let Some(connection) = self.connections.get(slot) else { return };
        if connection.read_closed || is_ending {
            // Nothing is on its way in either direction, so there is nothing to linger for.
            self.close(slot);
        } else if connection.awaiting != Awaiting::First {
            self.await_next(slot, Awaiting::Request);
        }
    }

    /// Waits for the rest of a head or of a body.
    fn await_rest(&mut self, slot: u32) {
        let Some(connection) = self.connections.get(slot) else { return };
        let awaiting =
            if connection.reader.pending().is_some() { Awaiting::Body } else { Awaiting::Head };
        self.await_next(slot, awaiting);
    }

    /// Throws away what a peer still sends after our last answer.
    fn discard(&mut self, slot: u32) {
        let is_ending = self.is_ending();
        let Some(connection) = self.connections.get(slot) else { return };
        let mut job = self.jobs.take();
        let mut ended = false;
        for _ in 0..READS_PER_TURN_MAX {
            job.bytes.clear();
            ended = connection.receive(&mut job).is_err() || connection.read_closed;
            if ended || !connection.readable {
                break;
            }
        }
        let is_quiet = !connection.readable;
        // Closing while bytes of the peer are unread throws away what it has not received yet.
        let is_delivered = is_quiet && is_ending && connection.transport.sent_bytes() == 0;
        self.jobs.give_back(job);
        if ended || is_delivered {
            self.close(slot);
        } else {
            self.await_next(slot, Awaiting::End);
            self.list(slot);
        }
    }
}

impl Connection {
    /// Reads once, and notes whether there may be more.
    fn receive(&mut self, job: &mut Job) -> io::Result<()> {
        let wanted = self.reader.body_bytes_missing().unwrap_or(0).min(BODY_READ_BYTES);
        job.bytes.reserve(wanted.max(READ_BYTES / 4));
        let room = job.bytes.capacity() - job.bytes.len();
        match self.transport.receive(&mut job.bytes) {
            Ok(0) => {
                self.read_closed = true;
                self.readable = false;
                Ok(())
            }
            // A short read has emptied the socket: the next byte brings a new edge. The end of
            // the stream does too, unless it was part of this edge.
            Ok(received) => {
                self.readable = received == room || self.end_seen;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readable = false;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error),
        }
    }
}
