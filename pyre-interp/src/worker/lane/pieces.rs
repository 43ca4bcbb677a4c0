//! Answers whose body comes in pieces: the first of them is a part of the request, the others follow
//! once the head is on its way.

use std::sync::atomic::Ordering::Relaxed;

use pyre_ffi::{Bool, Owned, Raised, Str, copy_context, import};
use pyre_http::h1::serialize::{Connection, Delimited};
use pyre_http::method::Method;
use pyre_http::status::has_body;
use pyre_http::version::Version;

use super::Lane;
use super::tasks::Generated;
use crate::flow::Reader;
use crate::job::{Entry, Job, REQUEST_ID_HEADER};
use crate::serialize::answer::{Answer, Body, Pieces};
use crate::serialize::wire::{self, Manner};

/// What has to happen before the head of an answer is sent.
pub(crate) enum First<'py> {
    /// Nothing, any more.
    Done,
    /// This coroutine has to end.
    Await(Owned<'py>),
}

impl<'py> Lane<'py, '_> {
    /// Has a generator make its first piece: what it raises up to there is an exception of the handler,
    /// and has its answer. An event stream begins at once, so that its client knows that it is open.
    #[cold]
    pub(crate) fn first_piece(&mut self, answer: &Answer<'py>) -> Result<First<'py>, Raised> {
        let py = self.py;
        let Body::Stream(pieces) = &answer.body else { return Ok(First::Done) };
        let Some(generator) = &pieces.generator else { return Ok(First::Done) };
        let head_only = self.request.get().with_call(|_, call| call.request.method == Method::Head);
        if head_only || pieces.is_event_stream || !has_body(answer.status) {
            return Ok(First::Done);
        }
        let streams = import(py, "pyreframework.handlers.streams")?;
        if !pieces.is_async && !self.shared.pool.is_loop() {
            let pull = Str::intern(py, "pull")?;
            streams.call_method2(&pull, &*pieces.stream, generator, py)?;
            return Ok(First::Done);
        }
        let is_async = Bool::new(py, pieces.is_async).into_any();
        let arguments = [pieces.stream.clone().into_any(), generator.clone(), is_async];
        let first = streams.attr(&*Str::intern(py, "first")?, py)?;
        first.call(Owned::borrow_all(&arguments), py).map(First::Await)
    }

    /// [`Lane::finish`] for an answer whose body comes in pieces: its head goes into the reply, and the
    /// job bears the flow of the rest.
    #[cold]
    pub(super) fn finish_stream(&mut self, answer: Answer<'py>, mut manner: Manner) -> Box<Job> {
        let py = self.py;
        let Answer { status, kind, body: Body::Stream(pieces) } = answer else {
            unreachable!("asked before this was called")
        };
        let Pieces { stream, generator, is_async, is_event_stream, length, mut fields } = *pieces;
        let tasks = self.request.get().take_tasks(py);
        let has_pieces = has_body(status) && !manner.head_only;
        let generated = generator.filter(|_| has_pieces).and_then(|generator| {
            let label = self.request.get().with_call(|_, call| self.app.label(call.target));
            let label = Str::new(py, label);
            let id = self.request.get().id(py);
            match label.and_then(|label| Ok((label, id?))) {
                Ok((label, id)) => {
                    Some(Generated { stream: stream.clone(), generator, is_async, label, id })
                }
                Err(raised) => {
                    // Without memory for a text there is none for pieces either.
                    raised.write_unraisable("an answer in pieces", py);
                    None
                }
            }
        });
        if tasks.is_some() || generated.is_some() {
            let context = self.context.take().unwrap_or_else(|| copy_context(py));
            self.keep_tasks(tasks, generated, context);
        }
        self.context = None;
        if !self.request.is_unique() {
            self.request.get().is_answered_by(stream.flow());
        }
        let mut job = self.unload();
        let version = match &job.entries[job.next] {
            Entry::Call(call) => call.request.version,
            Entry::Answer(_) => unreachable!("a lane answers calls"),
        };
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
        if let Some(id) = job.id() {
            fields.push_if_absent(REQUEST_ID_HEADER, id);
        }
        let start = job.reply.len();
        let connection = manner.connection;
        let heads = &self.heads;
        wire::write_streamed(heads, &mut job.reply, status, kind, &fields, delimited, connection);
        job.note_answer(status, start);
        stream.declare(length);
        if has_pieces {
            let mailbox = self.shared.mailboxes[job.reply_to.reactor as usize].clone();
            let reader = Reader { connection: job.reply_to, mailbox };
            let draining = &self.shared.draining;
            let wakes = self.app.wakes.get();
            let downstream = stream.attach(reader, delimited, is_event_stream, draining, wakes);
            job.flow = Some(Box::new(downstream));
        } else {
            stream.let_nobody_read();
        }
        self.desk.clear();
        job
    }
}
