//! One connection: where it stands, its buffers, its deadline.

use std::sync::Arc;

use pyre_interp::flow::Outflow;
use pyre_interp::job::{Client, Job};

use crate::connection::protocol::Protocol;
use crate::connection::transport::Transport;
use crate::connection::upload::Upload;
use crate::direct::files::look::Look;

/// What a connection is doing.
///
/// ```text
///            whole requests               all answers written
///  Reading ------------------> Answering ----------------------> Reading
///     |                          |    ^                             
///     | answered directly        |    | socket took all, job goes on
///     v                          v    |
///  (Writing, when the socket does not take all) --> Reading
///     after the last answer: Lingering --> closed
/// ```
/// An answer in pieces is written like any other; when all that is there is written, the connection is
/// `Streaming` until there is more, and goes on as after any answer when that ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// Waits for requests, or for the rest of one.
    Reading,
    /// A job is out. Nothing is read meanwhile: that is the back-pressure on pipelining clients. But for
    /// the rest of a body that goes to its handler as it comes; so in the next two.
    Answering,
    /// Answers are waiting for the socket. Nothing is read: a client that does not read its
    /// answers is not read from. Unless it is a WebSocket, of which both directions go on.
    Writing,
    /// The pieces of an answer, or the frames of a WebSocket, are written as they come. Nothing is read
    /// but frames.
    Streaming,
    /// The last answer is out and our side is closed; what still arrives is thrown away, so that
    /// the peer can read the answer before it sees a reset (RFC 9112 section 9.6).
    Lingering,
}

/// Why a connection ends when its deadline passes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Awaiting {
    /// The first byte on a new connection.
    First,
    /// The first byte of a next request.
    Request,
    /// The rest of a head: counted from its first byte.
    Head,
    /// More of a body: counted from the last progress.
    Body,
    /// The socket to take more of an answer: counted from the last progress.
    Writable,
    /// The peer to close, after our last answer.
    End,
    /// A handler.
    Reply,
    /// The next piece of an answer.
    Piece,
}

/// Answers that the socket has not taken yet.
pub(crate) struct Outbound {
    pub(crate) job: Box<Job>,
    pub(crate) written: usize,
}

/// One connection of a reactor.
pub(crate) struct Connection {
    pub(crate) transport: Transport,
    pub(crate) client: Client,
    pub(crate) protocol: Protocol,
    pub(crate) phase: Phase,
    /// Bytes of requests that are not whole yet. `None` costs an idle connection nothing.
    pub(crate) inbound: Option<Box<Job>>,
    pub(crate) outbound: Option<Outbound>,
    /// The body of the request that is out, or being answered, is still coming.
    pub(crate) upload: Option<Box<Upload>>,
    /// What is looked up for the request that is out, which waits as an answer in pieces does.
    pub(crate) look: Option<Arc<Look>>,
    /// The socket may hold bytes that we have not read (its edge has been seen).
    pub(crate) readable: bool,
    /// An event told of the end of the stream, which lies behind the bytes still to read.
    pub(crate) end_seen: bool,
    /// The end of the stream was read; requests before it are still answered.
    pub(crate) read_closed: bool,
    /// No request is served after the answers that are on their way.
    pub(crate) last: bool,
    /// It ends by a reset: its last answer is not whole, and nothing else tells the peer so.
    pub(crate) resets: bool,
    /// Bytes that had been received when the server began to leave, and that have not become
    /// requests yet. Those in them are answered.
    pub(crate) owed_bytes: usize,
    /// Stands in the list of connections to read from.
    pub(crate) listed: bool,
    pub(crate) awaiting: Awaiting,
    /// When it ends if nothing happens.
    pub(crate) deadline_ms: u64,
    /// When the timer wheel looks at it next; never after the deadline.
    pub(crate) alarm_ms: u64,
    /// When lingering ends, whatever the peer does.
    pub(crate) linger_until_ms: u64,
    /// It was too late with a request: what it still sends does not put off its end.
    pub(crate) timed_out: bool,
    /// How much of the last answer the peer's system had not taken when that was last looked at: while it
    /// lingers, or is sent a file.
    pub(crate) undelivered_bytes: usize,
}

impl Connection {
    pub(crate) fn new(transport: Transport, client: Client) -> Self {
        Self {
            transport,
            client,
            protocol: Protocol::new(),
            phase: Phase::Reading,
            inbound: None,
            outbound: None,
            upload: None,
            look: None,
            readable: false,
            end_seen: false,
            read_closed: false,
            last: false,
            resets: false,
            owed_bytes: 0,
            listed: false,
            awaiting: Awaiting::First,
            deadline_ms: u64::MAX,
            alarm_ms: u64::MAX,
            linger_until_ms: u64::MAX,
            timed_out: false,
            undelivered_bytes: usize::MAX,
        }
    }

    /// Notes how much has been received.
    pub(crate) fn note_what_is_owed(&mut self) {
        let read_bytes = self.inbound.as_ref().map_or(0, |job| job.bytes.len());
        self.owed_bytes = read_bytes + self.transport.received_bytes();
    }

    /// Whether all it asked for is answered, and it has but to take that.
    pub(crate) fn only_delivers(&self) -> bool {
        match (self.phase, &self.outbound) {
            (Phase::Lingering, _) => true,
            (Phase::Writing, Some(Outbound { job, .. })) => {
                job.is_finished()
                    && job.flow.is_none()
                    && (self.last || job.closes || self.owed_bytes == 0)
            }
            _ => false,
        }
    }

    /// Whether an answer in pieces is on its way that has not ended.
    pub(crate) fn has_stream(&self) -> bool {
        self.outbound.as_ref().is_some_and(|outbound| outbound.job.flow.is_some())
    }

    /// Whether what it answers with is a file.
    pub(crate) fn sends_file(&self) -> bool {
        let flow = self.outbound.as_ref().and_then(|outbound| outbound.job.flow.as_ref());
        flow.is_some_and(|flow| flow.file.is_some())
    }

    /// Its job goes out, to be answered until then.
    #[inline]
    pub(crate) fn begin_answering(&mut self, until_ms: u64) {
        self.phase = Phase::Answering;
        self.awaiting = Awaiting::Reply;
        self.deadline_ms = until_ms;
    }

    /// The peer has closed its side, or the connection has failed. Tells whether nothing else would be found
    /// of that, as nothing is read before the handler takes what has come.
    #[cold]
    pub(crate) fn sees_end(&mut self, is_broken: bool) -> bool {
        self.end_seen = true;
        let Some(socket) = self.protocol.socket() else { return false };
        socket.sees_end(is_broken);
        socket.has_gone_unread()
    }

    /// Whether the peer has closed its side. What lies before the end of an upload is read before that is
    /// looked at.
    #[inline]
    pub(crate) fn has_closed_side(&self) -> bool {
        (self.end_seen || self.read_closed) && self.upload.is_none()
    }

    /// Whether this flow is what it answers with.
    pub(crate) fn answers_with(&self, flow: &Arc<Outflow>) -> bool {
        let of_job = self.outbound.as_ref().and_then(|outbound| outbound.job.flow.as_ref());
        of_job.is_some_and(|of_job| Arc::ptr_eq(of_job.flow(), flow))
    }

    /// Whether its peer goes on taking the last answer, since this was asked before.
    pub(crate) fn is_delivering(&mut self) -> bool {
        let before = self.undelivered_bytes;
        self.undelivered_bytes = self.transport.sent_bytes();
        (1..before).contains(&self.undelivered_bytes)
    }

    /// Whether reading it could bring something about.
    pub(crate) fn wants_reading(&self) -> bool {
        match self.phase {
            Phase::Reading => self.readable || self.inbound.is_some(),
            Phase::Lingering => self.readable,
            Phase::Answering => self.reads_upload(),
            Phase::Writing | Phase::Streaming if self.protocol.reads_meanwhile() => {
                self.readable || self.inbound.is_some() || self.read_closed
            }
            Phase::Writing | Phase::Streaming => self.reads_upload(),
        }
    }

    /// Whether more of a body may have come that goes to its handler as it comes.
    fn reads_upload(&self) -> bool {
        self.readable && self.upload.as_ref().is_some_and(|upload| !upload.is_broken)
    }
}
