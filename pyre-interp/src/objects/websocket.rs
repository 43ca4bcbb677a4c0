//! `PyreWebSocket`: both directions of a WebSocket, as its handler sees them.
//!
//! ```text
//!   pending ── accept, or its first use ──▶ open ── close, or the peer's ──▶ closed
//!      └────── an answer of its handler ──▶ refused
//! ```
//! Messages go out through an [`Outflow`], framed and compressed here, and come in through an [`Inbox`].
//! Neither goes through the jobs of a lane.

pub(crate) mod arrival; // what a coroutine waits on for a message
mod attributes; // what is read of it
mod handshake; // how its handshake is answered
mod receiving; // messages in
mod sending; // messages out
mod topics; // what it has subscribed to

use std::cell::{Cell, OnceCell, RefCell};
use std::ffi::CStr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use pyre_ffi::{
    Arguments, Attached, Bool, Class, ClassSpec, Instance, Int, Owned, Raised, Signature, Slot,
    Str, Tuple, Visitor, import, none,
};
use pyre_http::h1::serialize::Delimited;

use crate::flow::topics::{Form, Topics};
use crate::flow::{
    Batch, Downstream, Feed, Inbox, Outflow, Reader, Room, TOO_SLOW, Terms, Upgrade, Wakes,
};
use crate::invoke::application::{Application, Berth};
use crate::objects::request::Request;
use crate::objects::toolkit::Toolkit;
use crate::objects::waits::{number, span_of};

use arrival::IS_ARRIVAL;
pub(crate) use handshake::Handshake;
pub use receiving::Receiving;
use sending::Compressor;
pub use sending::Sent;

/// A WebSocket, on the side of its handler.
pub struct WebSocket {
    app: Arc<Application>,
    tools: Arc<Toolkit>,
    flow: Arc<Outflow>,
    inbox: Arc<Inbox>,
    /// Messages that were taken out of the inbox.
    batch: RefCell<Batch>,
    /// How many coroutines have got since one has waited.
    at_once: Cell<u32>,
    /// The request that asked for it.
    request: Slot<Instance<Request>>,
    /// What its handler is called with, until it is.
    pub(crate) arguments: Slot<Tuple>,
    /// What its handshake brought, until that is answered.
    handshake: RefCell<Option<Box<Handshake>>>,
    /// The subprotocol that is spoken.
    protocol: Slot<Str>,
    compressor: RefCell<Option<Box<Compressor>>>,
    /// How it hears what is published.
    hears_as: Cell<Form>,
    /// It is the answer to its request.
    is_answer: Cell<bool>,
    is_accepted: Cell<bool>,
    /// This side has closed it: nothing is received any more.
    is_over: Cell<bool>,
    /// The server drains.
    draining: OnceCell<Arc<AtomicBool>>,
    /// Where the event loop of its app looks, if that has one.
    wakes: OnceCell<Arc<Wakes>>,
    /// What that knows those by who wait for room and for a message; 0 if it does not.
    room_number: Cell<u64>,
    message_number: Cell<u64>,
    /// The thread that its handler has, if it is no coroutine.
    berth: RefCell<Option<Berth>>,
    /// What `send` returns in a coroutine.
    sent: Slot<Instance<Sent>>,
    /// What an event loop is asked that may run on this thread.
    running_loop: Slot,
}

impl WebSocket {
    /// The WebSocket that a request asks for.
    pub(crate) fn of_request<'py>(
        py: Attached<'py>,
        app: &Arc<Application>,
        tools: &Arc<Toolkit>,
        request: Owned<'py, Instance<Request>>,
        handshake: Handshake,
        berth: Option<Berth>,
    ) -> Result<Owned<'py, Instance<WebSocket>>, Raised> {
        let socket = Self {
            app: app.clone(),
            tools: tools.clone(),
            flow: Arc::default(),
            inbox: Arc::default(),
            batch: RefCell::default(),
            at_once: Cell::new(0),
            request: Slot::new(py, request),
            arguments: Slot::empty(),
            handshake: RefCell::new(Some(Box::new(handshake))),
            protocol: Slot::empty(),
            compressor: RefCell::new(None),
            hears_as: Cell::new(Form::Frame),
            is_answer: Cell::new(false),
            is_accepted: Cell::new(false),
            is_over: Cell::new(false),
            draining: OnceCell::new(),
            wakes: OnceCell::new(),
            room_number: Cell::new(0),
            message_number: Cell::new(0),
            berth: RefCell::new(berth),
            sent: Slot::empty(),
            running_loop: Slot::empty(),
        };
        Instance::new(py, &tools.websocket, socket)
    }

    /// It becomes the answer to its request.
    ///
    /// # Errors
    /// `RuntimeError` if it is one already.
    pub(crate) fn become_answer(&self, py: Attached<'_>) -> Result<(), Raised> {
        if self.is_answer.replace(true) {
            return Err(Raised::runtime_error(py, "a WebSocket is no answer to a request"));
        }
        Ok(())
    }

    /// Its request.
    pub(crate) fn request<'py>(
        &self,
        py: Attached<'py>,
    ) -> Result<Owned<'py, Instance<Request>>, Raised> {
        let request = self.request.get(py);
        request.ok_or_else(|| Raised::runtime_error(py, "this WebSocket has been taken apart"))
    }

    /// Frames go to this reader from now on, and its messages come here. Returns the end that the
    /// reactor has.
    pub(crate) fn attach(
        &self,
        reader: Reader,
        draining: &Arc<AtomicBool>,
        wakes: Option<&Arc<Wakes>>,
        topics: &Arc<Topics>,
        timeout_ms: u64,
    ) -> Downstream {
        let _ = self.draining.set(draining.clone());
        if let Some(wakes) = wakes {
            let _ = self.wakes.set(wakes.clone());
        }
        let agreed = self.handshake.borrow().as_ref().and_then(|handshake| handshake.agreed);
        self.inbox.attach(reader.clone());
        self.flow.attach_to(reader, Delimited::Close, topics);
        let mut downstream = Downstream::new(self.flow.clone(), Terms::default());
        let feed = Feed::new(self.inbox.clone());
        downstream.upgrade = Some(Box::new(Upgrade { feed, agreed, timeout_ms }));
        downstream
    }

    /// Whether an event loop runs on this thread, so that waiting is awaiting.
    fn is_on_loop(&self, py: Attached<'_>) -> Result<bool, Raised> {
        if let Some(home) = self.app.home.get() {
            return Ok(home.is_here(py)?.is_some());
        }
        let ask = self.running_loop.get_or_make(py, || helper(py, "running_loop"))?;
        Ok(!ask.call0(py)?.is_none())
    }

    /// The exception for what cannot be sent.
    #[cold]
    fn refusal(&self, py: Attached<'_>) -> Raised {
        let text = if self.is_over.get() {
            "the WebSocket is closed"
        } else if self.flow.is_gone() {
            "the client has gone"
        } else if let Some(ending) = self.inbox.ending() {
            if ending.code == TOO_SLOW {
                "the client was dropped, as it does not read what is published"
            } else {
                "the client has closed the WebSocket"
            }
        } else {
            // Nobody else does.
            "the server stops, and has closed the WebSocket"
        };
        Raised::new(py, pyre_ffi::ExceptionKind::ConnectionError, text)
    }

    /// `_wait(seconds)`: whether there is room; waits for it on a thread that has no event loop.
    fn wait<'py>(&self, py: Attached<'py>, given: Arguments<'_>) -> Result<Owned<'py>, Raised> {
        let span = span_of(py, &given, "_wait")?;
        let flow = self.flow.clone();
        let room = py.detach(move || flow.wait(span));
        match room {
            Room::Gone => Err(self.refusal(py)),
            room => Ok(Bool::new(py, room == Room::Some).into_any()),
        }
    }

    /// `_wait_for_message(seconds)`: whether there is one, or the end; as `_wait` does it.
    fn wait_for_message<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let span = span_of(py, &given, "_wait_for_message")?;
        let inbox = self.inbox.clone();
        Ok(Bool::new(py, py.detach(move || inbox.wait(span))).into_any())
    }

    /// `_listen()`: has the event loop told when there is room, and when the client goes. Returns what it
    /// is told, or None if there is no event loop.
    fn listen<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        let number = number(&self.room_number, self.wakes.get(), 0, |it| self.flow.set_waker(it));
        number.map_or_else(|| Ok(none(py)), |it| Ok(Int::from_u64(py, it)?.into_any()))
    }

    /// What the event loop of the app knows those by who wait for messages.
    fn message_number(&self) -> Option<u64> {
        let (known, wakes) = (&self.message_number, self.wakes.get());
        number(known, wakes, IS_ARRIVAL, |waker| self.inbox.set_waker(waker))
    }

    /// `_ask_for_room()`: whether there is none, so that the loop is told when there is.
    fn ask_for_room<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        Ok(Bool::new(py, self.flow.ask_for_room()).into_any())
    }

    /// `_exception_handler(error)`: what the program has for exceptions of this class, or None.
    fn exception_handler<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let [error] = given.parse(&Signature::all("_exception_handler", ["error"]), py)?;
        let class = error.expect("it is required").class(py);
        let found = self.app.exception_handler(&class, py)?;
        Ok(found.map_or_else(|| none(py), |function| function.to_owned(py)))
    }

    /// `_end()`: its handler has ended.
    fn end<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        let berth = self.berth.take();
        drop(berth);
        if self.message_number.get() != 0 {
            self.tools.arrivals.end(py, self.message_number.get());
        }
        Ok(none(py))
    }
}

impl Drop for WebSocket {
    fn drop(&mut self) {
        // Nobody is left to say anything.
        self.flow.fail();
    }
}

/// Something of the Python side, which is imported with the first WebSocket that needs it.
#[cold]
fn helper<'py>(py: Attached<'py>, name: &str) -> Result<Owned<'py>, Raised> {
    import(py, "pyreframework.handlers.sockets")?.attr(&*Str::intern(py, name)?, py)
}

impl Class for WebSocket {
    const NAME: &'static CStr = c"pyreframework.engine.PyreWebSocket";
    const DOC: &'static CStr = c"A WebSocket: messages in, messages out.\n\n\
        A handler registered with app.websocket() is called with one.";

    const IS_WEAKLY_REFERABLE: bool = true;

    fn describe(spec: &mut ClassSpec<Self>) {
        spec.gc()
            .bound_method(
                c"accept",
                c"accept($self, subprotocol=None, headers=None)\n--\n\n\
                  Answer the handshake; the first use of another method does so by itself.",
                Self::accept,
            )
            .bound_method(
                c"recv",
                c"recv($self, timeout=None)\n--\n\nThe next text, or None at the end; await it in a coroutine.",
                Self::recv,
            )
            .bound_method(
                c"recv_bytes",
                c"recv_bytes($self, timeout=None)\n--\n\nThe next message of bytes, or None at the end; await it in a coroutine.",
                Self::recv_bytes,
            )
            .bound_method(
                c"recv_message",
                c"recv_message($self, timeout=None)\n--\n\n('text', str) or ('binary', bytes), or None at the end; await it in a \
                  coroutine.",
                Self::recv_message,
            )
            .bound_method(
                c"send",
                c"send($self, data, timeout=None)\n--\n\nSend a text, or bytes; await it in a coroutine.",
                Self::send,
            )
            .bound_method(
                c"send_bytes",
                c"send_bytes($self, data, timeout=None)\n--\n\nSend bytes; await it in a coroutine.",
                Self::send_bytes,
            )
            .bound_method(
                c"send_json",
                c"send_json($self, value, timeout=None)\n--\n\nSend a value as a text of JSON; await it in a coroutine.",
                Self::send_json,
            )
            .bound_method(
                c"subscribe",
                c"subscribe($self, topic)\n--\n\nSend all that is published to a topic; may be awaited.",
                Self::subscribe,
            )
            .bound_method(
                c"unsubscribe",
                c"unsubscribe($self, topic)\n--\n\nSend no more of it; may be awaited.",
                Self::unsubscribe,
            )
            .bound_method(
                c"close",
                c"close($self, code=1000, reason='')\n--\n\nClose the WebSocket. Again does nothing.",
                Self::close,
            )
            .bound_next(Self::next)
            .async_next(Self::async_next)
            .getter(c"request", c"The request that asked for the WebSocket.", Self::request_attribute)
            .getter(c"params", c"Path parameters by name.", Self::params)
            .getter(c"path", c"The path as sent.", Self::path)
            .getter(c"query", c"The query as sent.", Self::query)
            .getter(c"query_params", c"Decoded query parameters.", Self::query_params)
            .getter(c"headers", c"Headers of the handshake by lower-case name.", Self::headers)
            .getter(c"cookies", c"Cookies by name.", Self::cookies)
            .getter(c"client_ip", c"Address of the peer, or None behind a Unix socket.", Self::client_ip)
            .getter(c"client", c"(address, port) of the peer, or None.", Self::client)
            .getter(c"state", c"The namespace of the request, shared with hooks.", Self::state)
            .getter(c"route", c"The pattern of the route.", Self::route)
            .getter(c"app", c"The app that serves it.", Self::app)
            .getter(c"id", c"The id of the request.", Self::id)
            .getter(c"subprotocols", c"Subprotocols that the client offers.", Self::subprotocols)
            .getter(c"subprotocol", c"The subprotocol that is spoken, or None.", Self::subprotocol)
            .getter(c"is_accepted", c"Whether the handshake was answered by yes.", Self::is_accepted)
            .getter(c"is_closed", c"Whether nothing more can be sent.", Self::is_closed)
            .getter(c"is_disconnected", c"Whether the client has gone.", Self::is_disconnected)
            .getter(c"is_draining", c"Whether the server stops.", Self::is_draining)
            .getter(c"close_code", c"Why nothing more comes, once that is so; else None.", Self::close_code)
            .getter(c"close_reason", c"The reason that was given with that code.", Self::close_reason)
            .method(c"_answer", c"Refuse the handshake with an answer.", Self::answer)
            .method(c"_exception_handler", c"What the program has for an exception.", Self::exception_handler)
            .method(c"_push", c"Send a message without waiting.", Self::push)
            .method(c"_take", c"Receive a message without waiting.", Self::take_now)
            .method(c"_wait", c"Wait for room.", Self::wait)
            .method(c"_wait_for_message", c"Wait for a message.", Self::wait_for_message)
            .method0(c"_listen", c"Have the event loop told of room.", Self::listen)
            .method0(c"_ask_for_room", c"Be told when there is room.", Self::ask_for_room)
            .method0(c"_break", c"Close, as a message is lost.", Self::break_off)
            .getter(c"_is_answer", c"Whether somebody reads.", Self::is_accepted)
            .method0(c"_end", c"The handler has ended.", Self::end);
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        visitor.slot(&self.request);
        visitor.slot(&self.arguments);
        visitor.slot(&self.protocol);
        visitor.slot(&self.sent);
        visitor.slot(&self.running_loop);
    }

    fn clear(&self, py: Attached<'_>) {
        self.request.clear(py);
        self.arguments.clear(py);
        self.protocol.clear(py);
        self.sent.clear(py);
        self.running_loop.clear(py);
    }
}
