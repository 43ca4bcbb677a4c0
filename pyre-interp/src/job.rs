//! The job: what travels from a reactor to a lane and back, in one box (steps 5 and 10).
//!
//! A job carries all requests that one connection had ready in one turn. It owns its bytes, so
//! nothing borrowed crosses a ring, and the same box is the reply: answers are appended to
//! [`Job::reply`] in the order of the requests, whoever makes them.
//!
//! An answer may travel in parts: whoever runs a job may give it back with [`Job::next`] short of
//! the last entry. The reactor then writes what is there and sends the job on, to the pool that
//! the next entry asks for. That bounds the memory of large pipelined answers, lets one pipeline
//! mix handlers of workers and of the main interpreter, and never lets a client that reads slowly
//! hold a lane.
//!
//! What always holds: a connection has at most one job out; `next` only grows while the job is
//! out; only the reactor that made a job takes it back.

use std::net::SocketAddr;

use pyre_http::forwarded;
use pyre_http::h1::serialize::{self, Particulars};
use pyre_http::header::HeaderSpan;
use pyre_http::message::Request;
use pyre_http::security::Nonce;
use pyre_http::span::{SPAN_BYTES_MAX, Span};
use pyre_http::status::CLIENT_CLOSED_REQUEST;
use pyre_http::version::Version;

use crate::flow::{Downstream, Intake};

/// Bytes of a new read buffer: a pipelined batch of small requests, or a head and a small body.
pub const READ_BYTES: usize = 16 * 1024;

/// A buffer that grew beyond this is freed and not kept for the next job.
pub const KEPT_BUFFER_BYTES_MAX: usize = 64 * 1024;

/// A table of headers, parameters or entries that grew beyond this is freed as well.
pub const KEPT_ENTRIES_MAX: usize = 1024;

/// The header that carries the id of a request, both ways.
pub const REQUEST_ID_HEADER: &[u8] = b"X-Request-ID";

/// A lane gives a job back, unfinished, once its answers are longer than this.
pub const REPLY_PART_BYTES: usize = 256 * 1024;

/// Index of a route, in the order of registration. The same in every interpreter.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RouteId(pub u32);

/// Where a reply belongs: a slot of a reactor, as long as the generation is still the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ConnectionId {
    /// Index of the reactor that owns the connection.
    pub reactor: u32,
    /// Slot in that reactor's table.
    pub slot: u32,
    /// How often the slot had been given away before.
    pub generation: u32,
}

/// The peer of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Client {
    /// A TCP peer.
    Tcp(SocketAddr),
    /// A peer without an address (a Unix-domain socket).
    Local,
}

/// The interpreters that may run an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pool {
    /// Any of the workers' sub-interpreters.
    Workers,
    /// The event loop of any of the workers, for `async def` handlers.
    WorkerLoops,
    /// The main interpreter, for handlers with `gil=True` and for apps that are no file.
    Main,
    /// The event loop of the main interpreter.
    MainLoop,
    /// No interpreter: the reactor of the connection answers, when it comes to that.
    Reactor,
}

impl Pool {
    /// How many of them have threads of their own.
    pub const COUNT: usize = 4;

    /// These, in the order of their indices.
    pub const ALL: [Self; Self::COUNT] =
        [Self::Workers, Self::WorkerLoops, Self::Main, Self::MainLoop];

    /// Its place in tables of pools.
    #[inline]
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }

    /// Whether its handlers run on the main interpreter.
    #[must_use]
    pub fn is_on_main(self) -> bool {
        matches!(self, Self::Main | Self::MainLoop)
    }

    /// Whether its handlers run on an event loop.
    #[must_use]
    pub fn is_loop(self) -> bool {
        matches!(self, Self::WorkerLoops | Self::MainLoop)
    }
}

/// The handler that answers a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// The handler of a route.
    Route(RouteId),
    /// The handler for what no route matched.
    Fallback,
    /// No handler, but the files of a folder that is served, by its number.
    Files(u32),
}

/// A request for a handler.
#[derive(Clone, Debug)]
pub struct Call {
    /// The parsed request; its spans point into [`Job::bytes`].
    pub request: Request,
    /// First and end index of its path parameters in [`Job::params`].
    pub params: (u32, u32),
    /// The handler.
    pub target: Target,
    /// The interpreters that may run it.
    pub pool: Pool,
    /// The status of its answer, once that is in the reply; 0 before.
    pub status: u16,
    /// Bytes of its answer, head included.
    pub answer_bytes: usize,
    /// The origin whose pages may read its answer, if that has to name it.
    pub origin: Span,
}

impl Call {
    /// A call that is not answered yet.
    #[inline]
    #[must_use]
    pub fn new(request: Request, params: (u32, u32), target: Target, pool: Pool) -> Self {
        Self { request, params, target, pool, status: 0, answer_bytes: 0, origin: Span::default() }
    }
}

/// What ties a request to others: bytes in [`Job::answers`], which stay with the job.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Identity {
    /// Its id.
    pub id: Span,
    /// Its `traceparent`, if it has a valid one.
    pub trace: Span,
}

/// One request of a job.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A handler answers it.
    Call(Call),
    /// The answer was made without Python: bytes in [`Job::answers`], ready for the wire.
    /// Whoever comes to it copies them.
    Answer(Span),
}

impl Entry {
    /// In what the head of its answer differs from others; `headers` and `bytes` are those of its job, and
    /// so is `nonce`.
    #[inline]
    #[must_use]
    pub fn particulars<'a>(
        &self,
        headers: &[HeaderSpan],
        bytes: &'a [u8],
        nonce: Option<&'a Nonce>,
        wants_https: bool,
    ) -> Particulars<'a> {
        let Entry::Call(call) = self else {
            return Particulars { nonce, ..Particulars::default() };
        };
        let is_https = wants_https && forwarded::is_https(call.request.headers_in(headers), bytes);
        Particulars { granted: call.origin.of(bytes), is_https, nonce }
    }
}

/// The nonce of the entry that it was given to, by its index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NonceOf {
    index: usize,
    nonce: Nonce,
}

impl NonceOf {
    /// That of this entry, if it has one.
    #[must_use]
    pub fn entry(given: Option<&Self>, index: usize) -> Option<&Nonce> {
        given.filter(|given| given.index == index).map(|given| &given.nonce)
    }
}

/// How long one call has taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stint {
    /// Its handler.
    pub target: Target,
    /// In microseconds.
    pub took_us: u32,
}

/// Requests of one connection on their way to a lane, and their answers on the way back.
#[derive(Debug)]
pub struct Job {
    /// The connection that waits for the answers.
    pub reply_to: ConnectionId,
    /// The peer of that connection.
    pub client: Client,
    /// Unix seconds when the job was submitted, for the `Date` of its answers.
    pub now_s: u64,
    /// Its place in the order in which its reactor has handed jobs over.
    pub order: u64,
    /// When the requests were received, in microseconds of the reactor's clock.
    pub received_us: u64,
    /// The bytes received; every span of the entries points here.
    pub bytes: Vec<u8>,
    /// Header table of all entries.
    pub headers: Vec<HeaderSpan>,
    /// Raw values of path parameters of all entries, in the order of their patterns.
    pub params: Vec<Span>,
    /// The requests, in the order in which they came and must be answered.
    pub entries: Vec<Entry>,
    /// Identities of the entries, by index; empty if ids are not given.
    pub identities: Vec<Identity>,
    /// What the policy of the answer names that was asked for last.
    pub nonce: Option<NonceOf>,
    /// Answers made without Python, for entries between others; ids of requests.
    pub answers: Vec<u8>,
    /// Index of the first entry that is not answered yet.
    pub next: usize,
    /// Index of the first entry that is not to be run now, though it may belong to the same pool.
    pub until: usize,
    /// Index of the first entry whose answer the reactor has not counted.
    pub counted: usize,
    /// Whether each call is to be timed.
    pub is_timed: bool,
    /// How long calls have taken, if they are timed.
    pub stints: Vec<Stint>,
    /// Something was left to be done after an answer.
    pub leaves_tasks: bool,
    /// Requests that count as being with handlers, if they are counted.
    pub admitted: usize,
    /// The last answer says `Connection: close`, although its request did not ask for that.
    pub closes: bool,
    /// Bytes for the wire: the answers of the entries before `next` that are not written yet.
    pub reply: Vec<u8>,
    /// The answer of the entry before `next` comes in pieces: its head is in the reply, the rest here.
    pub flow: Option<Box<Downstream>>,
    /// The body of its only request is still coming, or was when this went out: it is read here, behind
    /// what the request has of it.
    pub intake: Option<Intake>,
}

impl Job {
    /// An empty job with room for a first read.
    #[must_use]
    pub fn new() -> Box<Self> {
        let mut job = Self::without_room();
        job.bytes.reserve_exact(READ_BYTES);
        job
    }

    /// An empty job, for what is copied into it.
    #[must_use]
    pub fn without_room() -> Box<Self> {
        Box::new(Self {
            reply_to: ConnectionId { reactor: 0, slot: 0, generation: 0 },
            client: Client::Local,
            now_s: 0,
            order: 0,
            received_us: 0,
            bytes: Vec::new(),
            headers: Vec::new(),
            params: Vec::new(),
            entries: Vec::new(),
            identities: Vec::new(),
            nonce: None,
            answers: Vec::new(),
            next: 0,
            until: usize::MAX,
            counted: 0,
            is_timed: false,
            stints: Vec::new(),
            leaves_tasks: false,
            admitted: 0,
            closes: false,
            reply: Vec::new(),
            flow: None,
            intake: None,
        })
    }

    /// Whether every entry is answered.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.next >= self.entries.len()
    }

    /// The call that is next in order, once ready answers before it are copied to the reply.
    #[inline]
    pub fn current(&mut self) -> Option<&Call> {
        if let Some(Entry::Answer(_)) = self.entries.get(self.next) {
            self.copy_answers();
        }
        match self.entries.get(self.next) {
            Some(Entry::Call(call)) => Some(call),
            _ => None,
        }
    }

    /// Copies the ready answers that are next in order to the reply.
    #[cold]
    fn copy_answers(&mut self) {
        while let Some(Entry::Answer(span)) = self.entries.get(self.next) {
            self.reply.extend_from_slice(span.of(&self.answers));
            self.next += 1;
        }
    }

    /// The id of the request whose turn it is, if ids are given.
    #[inline]
    #[must_use]
    pub fn id(&self) -> Option<&[u8]> {
        self.identities.get(self.next).map(|identity| identity.id.of(&self.answers))
    }

    /// What the entry of this index is known by; of nothing if ids are not given.
    #[must_use]
    pub fn identity(&self, index: usize) -> Identity {
        self.identities.get(index).copied().unwrap_or_default()
    }

    /// Gives the entry that comes next an identity.
    pub fn identify(&mut self, id: &[u8], trace: &[u8]) {
        let mut keep = |bytes: &[u8]| {
            let start = self.answers.len();
            self.answers.extend_from_slice(bytes);
            Span::new(start, self.answers.len())
        };
        let identity = Identity { id: keep(id), trace: keep(trace) };
        // Ready answers in between bear theirs already.
        self.identities.resize(self.entries.len(), Identity::default());
        self.identities.push(identity);
    }

    /// The nonce of the request whose turn it is, if it was given one.
    #[must_use]
    pub fn nonce(&self) -> Option<&Nonce> {
        NonceOf::entry(self.nonce.as_ref(), self.next)
    }

    /// Gives the request whose turn it is this nonce.
    pub fn give_nonce(&mut self, nonce: Nonce) {
        self.nonce = Some(NonceOf { index: self.next, nonce });
    }

    /// Notes the status of the answer that the reply has from `start` on: that of the entry at
    /// `next`. Whoever counts and logs answers reads it there.
    #[inline]
    pub fn note_answer(&mut self, status: u16, start: usize) {
        let answer_bytes = self.reply.len() - start;
        if let Some(Entry::Call(call)) = self.entries.get_mut(self.next) {
            call.status = status;
            call.answer_bytes = answer_bytes;
        }
    }

    /// The answers to this many entries are whole, or have been given up.
    #[inline]
    #[must_use]
    pub fn answered(&self) -> usize {
        self.next - usize::from(self.flow.is_some())
    }

    /// The answer that came in pieces has ended. Whoever counts and logs answers finds how long it was.
    #[cold]
    pub fn end_flow(&mut self) {
        let Some(flow) = self.flow.take() else { return };
        let bytes = usize::try_from(flow.known.bytes).unwrap_or(usize::MAX);
        if let Some(Entry::Call(call)) = self.entries.get_mut(self.next - 1) {
            call.answer_bytes = call.answer_bytes.saturating_add(bytes);
            // A handshake that nobody has answered is one whose client has gone.
            let unanswered = flow.upgrade.as_ref().map(|_| CLIENT_CLOSED_REQUEST);
            call.status = flow.known.status.or(unanswered).unwrap_or(call.status);
        }
    }

    /// What lies behind the head of the only request is its body, as far as that has come.
    #[cold]
    pub fn extend_body(&mut self) {
        let end = self.bytes.len();
        if let Some(Entry::Call(call)) = self.entries.get_mut(self.next) {
            call.request.body = Span::new(call.request.body.start as usize, end);
        }
    }

    /// The request whose turn it is has this body now, behind all that was received. Tells whether there is
    /// room for it.
    #[cold]
    #[must_use]
    pub fn replace_body(&mut self, body: &[u8]) -> bool {
        // What an earlier one had instead is needed no more; the requests behind are as they were received.
        let calls = self.entries[self.next..].iter().rev();
        let last = calls.filter_map(|entry| match entry {
            Entry::Call(call) => Some(call.request.body.end as usize),
            Entry::Answer(_) => None,
        });
        let start = last.max().unwrap_or(self.bytes.len());
        if start + body.len() > SPAN_BYTES_MAX {
            return false;
        }
        self.bytes.truncate(start);
        self.bytes.extend_from_slice(body);
        if let Some(Entry::Call(call)) = self.entries.get_mut(self.next) {
            call.request.body = Span::new(start, start + body.len());
        }
        true
    }

    /// Lets go of what an answer in pieces has no use for, as it may last: what the request brought,
    /// except for the line that is logged, if no other one is behind it.
    #[cold]
    pub fn slim(&mut self) {
        if !self.is_finished() {
            return;
        }
        let line_end = match self.entries.last() {
            Some(Entry::Call(call)) => call.request.target.end as usize,
            _ => 0,
        };
        if self.bytes.capacity() > self.bytes.len().min(line_end) {
            // Copied and not shrunk: the next job finds the whole buffer.
            self.bytes = self.bytes[..line_end.min(self.bytes.len())].to_vec();
        }
        self.headers = Vec::new();
        self.params = Vec::new();
        self.stints = Vec::new();
    }

    /// Forgets the requests that are not answered: nobody waits for them, and the connection ends.
    #[cold]
    pub fn give_up_rest(&mut self) {
        self.entries.truncate(self.next);
        self.closes = true;
    }

    /// Takes back that the connection ends after the answer to the last entry.
    #[cold]
    pub fn keep_open(&mut self) {
        if let Some(Entry::Call(call)) = self.entries.last()
            && call.request.version == Version::Http11
        {
            let start = self.reply.len() - call.answer_bytes;
            self.closes = !serialize::keep_open(&mut self.reply, start);
        }
    }

    /// Reads no more of its body.
    #[cold]
    #[inline(never)]
    fn let_body_go(&mut self) {
        self.intake = None;
    }

    /// Empties the job for its next use; large buffers are freed.
    pub fn clear(&mut self) {
        self.next = 0;
        self.until = usize::MAX;
        self.counted = 0;
        self.admitted = 0;
        self.closes = false;
        self.is_timed = false;
        self.leaves_tasks = false;
        self.nonce = None;
        self.flow = None;
        if self.intake.is_some() {
            self.let_body_go();
        }
        recycle(&mut self.stints, KEPT_ENTRIES_MAX);
        recycle(&mut self.headers, KEPT_ENTRIES_MAX);
        recycle(&mut self.params, KEPT_ENTRIES_MAX);
        recycle(&mut self.entries, KEPT_ENTRIES_MAX);
        recycle(&mut self.identities, KEPT_ENTRIES_MAX);
        recycle(&mut self.answers, KEPT_BUFFER_BYTES_MAX);
        recycle(&mut self.bytes, KEPT_BUFFER_BYTES_MAX);
        recycle(&mut self.reply, KEPT_BUFFER_BYTES_MAX);
        if self.bytes.capacity() < READ_BYTES {
            self.bytes.reserve_exact(READ_BYTES);
        }
    }
}

/// Empties a buffer, and frees it if one large message made it grow.
fn recycle<T>(buffer: &mut Vec<T>, kept_max: usize) {
    buffer.clear();
    if buffer.capacity() > kept_max {
        *buffer = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cleared_job_frees_large_buffers_and_keeps_small_ones() {
        let mut job = Job::new();
        job.bytes.resize(READ_BYTES, 0);
        job.reply.resize(KEPT_BUFFER_BYTES_MAX * 2, 0);
        let kept = job.bytes.capacity();
        job.clear();
        assert_eq!((job.bytes.len(), job.bytes.capacity()), (0, kept));
        assert_eq!((job.reply.len(), job.reply.capacity()), (0, 0));
    }
}
