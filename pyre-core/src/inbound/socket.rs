//! Steps 2 to 4 for WebSockets: which requests ask for one, and frames that are read once it is there.

use pyre_http::header::find_only;
use pyre_http::message::Request;
use pyre_http::websocket::handshake::{self, Refusal};
use pyre_interp::job::{Job, RouteId};

use crate::connection::state::Phase;
use crate::connection::table::Connections;
use crate::inbound::read::{Read, receive};
use crate::metrics::ledger::Ledger;
use crate::shared::frozen::Sockets;

/// The status that a request for a route of this index is refused with, if that is one of a WebSocket
/// and the request is no handshake that it takes.
#[cold]
pub(super) fn refusal(
    sockets: &Sockets,
    route: RouteId,
    request: &Request,
    job: &Job,
) -> Option<u16> {
    let rules = sockets[route.0 as usize].as_ref()?;
    let fields = request.headers_in(&job.headers);
    if let Err(refusal) = handshake::read(request, fields, &job.bytes) {
        return Some(Refusal::status(refusal));
    }
    let Some(origins) = rules else { return None };
    let has = |lower_name: &[u8]| {
        fields.iter().any(|field| field.name.of(&job.bytes).eq_ignore_ascii_case(lower_name))
    };
    // RFC 6455 section 10.2: programs that are no browsers send none, and could send any.
    if !has(b"origin") {
        return None;
    }
    let is_allowed = find_only(fields, &job.bytes, b"origin").is_some_and(|origin| {
        let origin = origin.of(&job.bytes);
        origins.iter().any(|allowed| allowed.as_bytes().eq_ignore_ascii_case(origin))
    });
    if is_allowed { None } else { Some(403) }
}

/// Reads once from a WebSocket.
pub(super) fn read(connections: &mut Connections, ledger: &Ledger, slot: u32) -> Read {
    let now_ms = connections.clock.now_ms();
    let Some((connection, jobs, bells)) = connections.get_with_bells(slot) else {
        return Read::Nothing;
    };
    if !connection.wants_reading() {
        return Read::Nothing;
    }
    let mut job = match connection.inbound.take() {
        Some(job) => job,
        None => jobs.take(),
    };
    let before = job.bytes.len();
    let has_failed = connection.readable && receive(connection, &mut job).is_err();
    let has_come = job.bytes.len() > before;
    let Some(socket) = connection.protocol.socket() else {
        jobs.give_back(job);
        return Read::Nothing;
    };
    if has_come {
        socket.hears(now_ms);
    }
    if !job.bytes.is_empty() {
        let taken = socket.take(&mut job.bytes, now_ms, bells);
        job.bytes.drain(..taken);
        let (messages, bytes) = socket.take_counts();
        ledger.counters.socket_received.add(messages);
        ledger.counters.socket_received_bytes.add(bytes);
    }
    // While something is being written, that has its turn behind it.
    let has_news = connection.phase == Phase::Streaming && socket.has_news();
    if connection.read_closed {
        socket.sees_end(false);
    }
    // Its end lies behind what has come and waits to be taken.
    let is_gone =
        has_failed || connection.read_closed && socket.wants_reading() || socket.has_gone_unread();
    let is_closed = socket.is_closed();
    let deadline_ms = socket.deadline_ms();
    if job.bytes.is_empty() {
        jobs.give_back(job);
    } else {
        connection.inbound = Some(job);
    }
    if is_gone && !is_closed {
        return Read::Gone;
    }
    if has_news {
        return Read::News;
    }
    let has_more = connection.readable;
    if is_closed && connection.phase == Phase::Streaming {
        // Its handler has some time for the answer.
        connections.set_deadline(slot, deadline_ms);
    }
    if has_more { Read::More } else { Read::Nothing }
}
