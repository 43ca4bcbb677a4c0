//! Steps 2 and 3: bytes are read, and become requests. Hot path.

use std::io;

use pyre_interp::job::{Entry, Job, READ_BYTES};

use crate::connection::protocol::Next;
use crate::connection::state::{Awaiting, Connection, Phase};
use crate::connection::table::Connections;
use crate::direct::answer;
use crate::direct::responder::Responder;
use crate::inbound::route::{self, Behind};
use crate::inbound::socket;
use crate::settings::bounds::{BODY_READ_BYTES, READS_PER_TURN_MAX};

/// What came of reading once from a connection.
pub(crate) enum Read {
    /// Requests for handlers.
    Requests(Box<Job>),
    /// One for a handler that takes its body as it comes.
    Upload(Box<Job>),
    /// More of such a body is to be read.
    Body,
    /// Every answer was made right here; they are to be written.
    Answers(Box<Job>),
    /// Nothing yet, and there may be more to read.
    More,
    /// Frames of a WebSocket, and something is to be written for them.
    News,
    /// The peer of a WebSocket has gone.
    Gone,
    /// Nothing, until something happens.
    Nothing,
}

/// Reads once from a connection, and finds who answers every request that is whole.
#[inline]
pub(crate) fn read(connections: &mut Connections, responder: &mut Responder, slot: u32) -> Read {
    let is_draining = connections.is_draining();
    let Some((connection, jobs)) = connections.get_with_jobs(slot) else { return Read::Nothing };
    match connection.phase {
        Phase::Reading => {}
        Phase::Lingering => {
            discard(connections, slot);
            return Read::Nothing;
        }
        Phase::Answering | Phase::Writing | Phase::Streaming if connection.upload.is_some() => {
            return Read::Body;
        }
        Phase::Answering => return Read::Nothing,
        Phase::Writing | Phase::Streaming => {
            return socket::read(connections, &responder.ledger, slot);
        }
    }
    if !connection.wants_reading() {
        await_more(connections, slot);
        return Read::Nothing;
    }
    let mut job = match connection.inbound.take() {
        Some(job) => job,
        None => jobs.take(),
    };
    let before = job.bytes.len();
    if connection.readable && receive(connection, &mut job).is_err() {
        connections.jobs.give_back(job);
        connections.close(slot);
        return Read::Nothing;
    }
    let is_news = job.bytes.len() > before;
    if parse(connection, responder, &mut job, is_draining) {
        connections.keep_rest(slot, &mut job);
        return match job.intake {
            _ if job.is_finished() => Read::Answers(job),
            Some(_) => Read::Upload(job),
            None => Read::Requests(job),
        };
    }
    if connection.read_closed {
        // RFC 9112 section 8: an incomplete request is not answered.
        connections.jobs.give_back(job);
        connections.close(slot);
        return Read::Nothing;
    }
    if job.bytes.is_empty() {
        connections.jobs.give_back(job);
    } else {
        connection.inbound = Some(job);
        let has_more = connection.readable;
        // Also while more is there: a body that keeps coming is no connection without a request.
        await_rest(connections, slot, is_news);
        if !has_more {
            return Read::Nothing;
        }
    }
    Read::More
}

/// Parses as many whole requests as there are, and finds who answers each. Tells whether there are
/// answers to make or to write.
fn parse(
    connection: &mut Connection,
    responder: &mut Responder,
    job: &mut Job,
    is_draining: bool,
) -> bool {
    job.client = connection.client;
    let Responder { heads, ledger, frozen, .. } = responder;
    ledger.received(job);
    let (limits, routes) = (&frozen.settings.limits, &frozen.routes);
    let mut is_partial = false;
    let received = job.bytes.len();
    let Some(requests) = connection.protocol.requests() else { return false };
    while !connection.last && job.entries.len() < limits.pipelined_max {
        match &mut requests.next(job, limits) {
            Ok(Next::Request(request)) => {
                let position = requests.position();
                // What bodies lost on their way, of framing or all of them, has been received as well.
                let taken = position + (received - job.bytes.len());
                if is_draining && position == job.bytes.len() && taken >= connection.owed_bytes {
                    request.keep_alive = false;
                }
                connection.last = !request.keep_alive;
                ledger.came_in += 1;
                let next = route::admit(routes, heads, ledger, job, request);
                if requests.position() == job.bytes.len() || next == Behind::Frames {
                    break;
                }
            }
            Ok(Next::Partial) => {
                is_partial = true;
                break;
            }
            Err(error) => {
                // One answer, and nothing behind it is served: where the next request would
                // begin is not known (RFC 9112 section 11.2).
                connection.last = true;
                let from = requests.position();
                answer::refuse(routes, heads, ledger, job, from, *error);
                break;
            }
        }
    }
    if is_partial {
        route::answer_early(routes, heads, ledger, job, connection, limits, is_draining);
    }
    if is_draining {
        let taken = connection.protocol.position() + (received - job.bytes.len());
        connection.owed_bytes = connection.owed_bytes.saturating_sub(taken);
        if connection.owed_bytes == 0
            && let Some(Entry::Call(call)) = job.entries.last_mut()
        {
            call.request.keep_alive = false;
            connection.last = true;
        }
    }
    !job.entries.is_empty() || !job.reply.is_empty()
}

/// Nothing is left to read: waits for the next request, or ends a connection that is over.
fn await_more(connections: &mut Connections, slot: u32) {
    let is_ending = connections.is_ending();
    let Some(connection) = connections.get(slot) else { return };
    if connection.read_closed || is_ending {
        connections.end_idle(slot);
    } else if connection.awaiting != Awaiting::First {
        connections.await_next(slot, Awaiting::Request);
    }
}

/// Waits for the rest of a head or of a body. Who looks again though nothing has come, as when the server begins
/// to leave, gives a body no more time.
fn await_rest(connections: &mut Connections, slot: u32, is_news: bool) {
    let Some(connection) = connections.get(slot) else { return };
    let awaiting = if connection.protocol.is_in_body() { Awaiting::Body } else { Awaiting::Head };
    if is_news || awaiting == Awaiting::Head || connection.awaiting != awaiting {
        connections.await_next(slot, awaiting);
    }
}

/// Throws away what a peer still sends after our last answer.
fn discard(connections: &mut Connections, slot: u32) {
    let is_ending = connections.is_ending();
    let Some((connection, jobs)) = connections.get_with_jobs(slot) else { return };
    let mut job = jobs.take();
    let mut ended = false;
    for _ in 0..READS_PER_TURN_MAX {
        job.bytes.clear();
        ended = receive(connection, &mut job).is_err() || connection.read_closed;
        if ended || !connection.readable {
            break;
        }
    }
    let is_quiet = !connection.readable;
    // Closing while bytes of the peer are unread throws away what it has not received yet.
    let is_delivered = is_quiet && is_ending && connection.transport.sent_bytes() == 0;
    let is_heard = !connection.timed_out;
    connections.jobs.give_back(job);
    if ended || is_delivered {
        connections.close(slot);
    } else {
        if is_heard {
            connections.await_next(slot, Awaiting::End);
        }
        connections.list(slot);
    }
}

/// Reads once, and notes whether there may be more.
pub(super) fn receive(connection: &mut Connection, job: &mut Job) -> io::Result<()> {
    let wanted = connection.protocol.body_bytes_missing().min(BODY_READ_BYTES);
    job.bytes.reserve(wanted.max(READ_BYTES / 4));
    let room = job.bytes.capacity() - job.bytes.len();
    match connection.transport.receive(&mut job.bytes) {
        Ok(0) => {
            connection.read_closed = true;
            // What was kept before may be a whole request: behind its answer the end is looked at again.
            connection.readable = !job.bytes.is_empty();
            Ok(())
        }
        // A short read has emptied the socket: the next byte brings a new edge. The end of
        // the stream does too, unless it was part of this edge.
        Ok(received) => {
            connection.readable = received == room || connection.end_seen;
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            connection.readable = false;
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
        Err(error) => Err(error),
    }
}
