//! Answers whose body comes in pieces: the first of them is a part of the request, the others follow
//! once the head is on its way.

use std::sync::atomic::Ordering::Relaxed;

use pyre_ffi::{Bool, Owned, Raised, Str, copy_context};
use pyre_http::compression::{Encoder, Plan};
use pyre_http::h1::serialize::{Connection, Delimited};
use pyre_http::method::Method;
use pyre_http::status::has_body;
use pyre_http::version::Version;

use super::{Lane, is_body_coming};
use crate::flow::Reader;
use crate::job::{Entry, Job, NonceOf, REQUEST_ID_HEADER};
use crate::serialize::answer::{Answer, Body, Later, Pieces};
use crate::serialize::wire::{self, Manner};

/// What has to happen before the head of an answer is sent.
pub(crate) enum First<'py> {
    /// Nothing, any more.
    Done,
    /// This coroutine has to end.
    Await(Owned<'py>),
}

impl<'py> Lane<'py, '_> {
    /// Has a generator begin, and waits for its first piece: what it raises up to there is an exception
    /// of the handler, and has its answer. An event stream is not waited for, so that its client knows at
    /// once that it is open.
    #[cold]
    pub(crate) fn first_piece(&mut self, answer: &mut Answer<'py>) -> Result<First<'py>, Raised> {
        let py = self.py;
        let Some(pieces) = answer.body.pieces() else { return Ok(First::Done) };
        let Some(generator) = pieces.generator.take() else { return Ok(First::Done) };
        let (label, head_only) = self.request.get().with_call(|_, call| {
            (self.app.label(call.target), call.request.method == Method::Head)
        });
        if head_only || !has_body(answer.status) {
            // It never begins.
            return Ok(First::Done);
        }
        let Some(deliver) = &self.app.deliver else {
            return Err(Raised::runtime_error(
                py,
                "this app has no way to send what generators make",
            ));
        };
        if let Some(wakes) = self.app.wakes.get() {
            pieces.stream.wake_at(&wakes);
        }
        let waits = !pieces.is_event_stream;
        let arguments = [
            pieces.stream.clone().into_any(),
            generator,
            Bool::new(py, pieces.is_async).into_any(),
            Bool::new(py, waits).into_any(),
            Str::new(py, label)?.into_any(),
            self.request.get().id(py)?.into_any(),
        ];
        let delivery = deliver.bind(py).call(Owned::borrow_all(&arguments), py)?;
        pieces.delivery = Some(delivery.clone());
        if !waits {
            return Ok(First::Done);
        }
        if self.shared.pool.is_loop() {
            return delivery.call_method0(&*Str::intern(py, "first")?, py).map(First::Await);
        }
        delivery.call_method0(&*Str::intern(py, "wait_for_first")?, py)?;
        Ok(First::Done)
    }

    /// [`Lane::finish`] for an answer whose body comes in pieces: its head goes into the reply, and the
    /// job bears the flow of the rest.
    #[cold]
    pub(super) fn finish_stream(&mut self, answer: Answer<'py>, mut manner: Manner) -> Box<Job> {
        let py = self.py;
        let Answer { status, kind, body } = answer;
        let Body::Later(later) = body else { unreachable!("asked before this was called") };
        let pieces = match *later {
            Later::Pieces(pieces) => pieces,
            Later::File(file, fields) => return self.finish_file(status, &file, fields, manner),
            Later::Socket(socket) => return self.finish_socket(&socket),
        };
        let Pieces { stream, delivery, is_event_stream, length, mut fields, .. } = pieces;
        let tasks = self.request.get().take_tasks(py);
        let has_pieces = has_body(status) && !manner.head_only;
        if tasks.is_some() || delivery.is_some() {
            let context = self.context.take().unwrap_or_else(|| copy_context(py));
            self.keep_tasks(tasks, delivery, context);
        }
        self.context = None;
        if !self.request.is_unique() {
            self.request.get().is_answered_by(stream.flow());
        }
        let mut job = self.unload();
        let Entry::Call(call) = &job.entries[job.next] else {
            unreachable!("a lane answers calls");
        };
        let version = call.request.version;
        let mut plan = Plan::default();
        let terms = self.shared.compression.as_deref();
        if let Some(terms) = terms {
            let bytes = length.map(|length| usize::try_from(length).unwrap_or(usize::MAX));
            let asked = (call.request.headers_in(&job.headers), &job.bytes[..]);
            plan = Plan::of(terms, status, kind, fields.iter(), bytes, asked);
            // What is published is written by the reactor, which compresses nothing.
            plan.coding = plan.coding.filter(|_| stream.flow().may_be_encoded());
        }
        // How long it is that is known of what is not compressed.
        let length = length.filter(|_| plan.coding.is_none());
        let delimited = match (length, version) {
            (Some(bytes), _) => Delimited::Length(bytes),
            (None, Version::Http11) => Delimited::Chunked,
            (None, Version::Http10) => Delimited::Close,
        };
        let is_last = job.next + 1 == job.entries.len();
        let ends = has_pieces && delimited == Delimited::Close;
        // Relaxed: as in `finish`.
        if ends || is_last && self.shared.draining.load(Relaxed) {
            manner.connection = Connection::Close;
            job.closes = true;
            let answered = job.next + 1;
            job.entries.truncate(answered);
        }
        if !has_pieces && is_body_coming(&job) {
            manner.connection = Connection::Close;
            job.closes = true;
        }
        if let Some(id) = job.id() {
            fields.push_if_absent(REQUEST_ID_HEADER, id);
        }
        let start = job.reply.len();
        let connection = manner.connection;
        let Job { bytes, headers, entries, next, nonce, reply, .. } = &mut *job;
        let heads = self.heads.particular_if(|wants_https| {
            let nonce = NonceOf::entry(nonce.as_ref(), *next);
            entries[*next].particulars(headers, bytes, nonce, wants_https)
        });
        wire::write_streamed(heads, reply, status, kind, &fields, plan, delimited, connection);
        job.note_answer(status, start);
        stream.declare(length);
        if has_pieces {
            let mailbox = self.shared.mailboxes[job.reply_to.reactor as usize].clone();
            let reader = Reader { connection: job.reply_to, mailbox };
            let draining = &self.shared.draining;
            let wakes = self.app.wakes.get();
            let downstream = {
                let topics = &self.shared.topics;
                if let Some((terms, coding)) = terms.zip(plan.coding) {
                    let encoder = Encoder::new(terms, coding);
                    let flow = stream.flow().clone();
                    py.detach(move || flow.encode(encoder));
                }
                stream.attach(reader, delimited, is_event_stream, draining, wakes.as_ref(), topics)
            };
            job.flow = Some(Box::new(downstream));
        } else {
            stream.let_nobody_read();
        }
        self.desk.clear();
        job
    }
}
