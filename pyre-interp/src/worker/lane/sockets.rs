//! Requests that ask for a WebSocket: before hooks run as for any other, then the job goes back without
//! an answer. The handler, which gives it, runs beside the lane.

use pyre_ffi::{Bool, Dict, Instance, Owned, Raised, Str, Tuple, copy_context, import, none};
use pyre_http::websocket::handshake;

use super::{Lane, Shared};
use crate::flow::Reader;
use crate::invoke::application::{Handler, Socket};
use crate::invoke::arguments::{Unfit, arguments, raw_texts};
use crate::job::Job;
use crate::objects::websocket::{Handshake, WebSocket};

impl<'py> Lane<'py, '_> {
    /// Makes the WebSocket of a request, which its handler is called with later; or what the request is
    /// answered with instead.
    #[cold]
    #[inline(never)]
    pub(crate) fn open_socket(
        &mut self,
        handler: &Handler,
        socket: &Socket,
    ) -> Result<Owned<'py>, Raised> {
        let py = self.py;
        let berth = if handler.is_async {
            None
        } else {
            match self.app.berths.take(self.shared.ws_threads) {
                Some(berth) => Some(berth),
                None => return self.refuse_socket(),
            }
        };
        let read = self.request.get().with_call(|job, call| {
            let fields = call.request.headers_in(&job.headers);
            let accept = handshake::read(&call.request, fields, &job.bytes).ok()?;
            let speaks = |offered: &&str| socket.protocols.iter().any(|known| known == offered);
            let mut offered = handshake::protocols(fields, &job.bytes);
            let protocol = offered.find(speaks).map(str::to_owned);
            let agreed = if socket.compresses {
                handshake::extensions(fields, &job.bytes, true)
            } else {
                None
            };
            let Shared { server_header, ref security, .. } = *self.shared;
            let security = security.clone();
            Some(Handshake { accept, agreed, protocol, server_header, security, session: None })
        });
        let handshake = read.ok_or_else(|| {
            // The reactor has refused what is no handshake.
            Raised::runtime_error(py, "the request is no handshake of a WebSocket")
        })?;
        let request = self.request.clone();
        let made = WebSocket::of_request(py, self.app, self.tools, request, handshake, berth)?;
        let mut values = Vec::new();
        let texts = self.request.get().with_call(raw_texts);
        let raw = |index: usize| &texts[index][..];
        let (plan, names) = (&socket.arguments, &handler.parameters);
        let outcome = arguments(py, made.as_any(), raw, plan, names, &self.slates, &mut values);
        match outcome {
            Ok(()) => {}
            Err(Unfit::Raised(raised)) => return Err(raised),
            Err(Unfit::Value { parameter, conversion }) => {
                return self.refuse_parameter(parameter, conversion);
            }
        }
        made.arguments.set(py, Tuple::from_tail(py, &mut values, 0)?);
        Ok(made.into_any())
    }

    /// All threads are taken (RFC 9110 section 15.6.4).
    fn refuse_socket(&self) -> Result<Owned<'py>, Raised> {
        let py = self.py;
        let body = Dict::new(py)?;
        let text = Str::new(py, pyre_http::status::error_text(503))?;
        body.set(&*Str::intern(py, "error")?, &*text, py)?;
        let headers = Dict::new(py)?;
        headers.set(&*Str::intern(py, "Retry-After")?, &*Str::intern(py, "1")?, py)?;
        let status = pyre_ffi::Int::new(py, 503)?.into_any();
        Tuple::new(py, [body.into_any(), status, headers.into_any()]).map(Owned::into_any)
    }

    /// [`Lane::finish`] for a handshake: the job bears the flow of what its handler answers.
    #[cold]
    pub(super) fn finish_socket(&mut self, socket: &Owned<'py, Instance<WebSocket>>) -> Box<Job> {
        let py = self.py;
        let target = self.request.get().with_call(|_, call| call.target);
        let handler = self.app.handler(target);
        let tasks = self.request.get().take_tasks(py);
        let conversation = self.conversation(handler, socket);
        let context = self.context.take().unwrap_or_else(|| copy_context(py));
        let conversation = match conversation {
            Ok(conversation) => Some(conversation),
            Err(raised) => {
                raised.write_unraisable(&handler.label, py);
                None
            }
        };
        self.keep_tasks(tasks, conversation, context);
        self.context = None;
        let mut job = self.unload();
        // What the handler knows of the request it keeps for as long as the conversation lasts.
        if let Ok(request) = socket.request(py) {
            request.slim();
        }
        let start = job.reply.len();
        job.note_answer(101, start);
        // Unless it is upgraded, the connection ends: what its client sends next may be frames.
        job.closes = true;
        let answered = job.next + 1;
        job.entries.truncate(answered);
        let mailbox = self.shared.mailboxes[job.reply_to.reactor as usize].clone();
        let reader = Reader { connection: job.reply_to, mailbox };
        let timeout_ms = handler.timeout_ms.unwrap_or_else(|| {
            let span = self.shared.request_timeout.map_or(0, |span| span.as_millis());
            u64::try_from(span).unwrap_or(u64::MAX)
        });
        let Shared { draining, topics, .. } = self.shared;
        let wakes = self.app.wakes.get();
        let downstream = socket.attach(reader, draining, wakes.as_ref(), topics, timeout_ms);
        job.flow = Some(Box::new(downstream));
        self.desk.clear();
        job
    }

    /// The conversation of a handler, which begins once the job is on its way.
    fn conversation(
        &mut self,
        handler: &Handler,
        socket: &Owned<'py, Instance<WebSocket>>,
    ) -> Result<Owned<'py>, Raised> {
        let py = self.py;
        let owner = self.app.owner.as_ref().map_or_else(|| none(py), |owner| owner.to_owned(py));
        let made = socket.arguments.take(py).expect("it is the answer to its request once");
        let arguments = [
            owner,
            socket.clone().into_any(),
            handler.callable.to_owned(py),
            made.into_any(),
            Bool::new(py, handler.is_async).into_any(),
            Str::new(py, &handler.label)?.into_any(),
            self.request.get().id(py)?.into_any(),
        ];
        let class = import(py, "pyreframework.handlers.sockets")?;
        let class = class.attr(&*Str::intern(py, "Conversation")?, py)?;
        let conversation = class.call(Owned::borrow_all(&arguments), py)?;
        self.app.tasks.begin(1);
        Ok(conversation)
    }
}
