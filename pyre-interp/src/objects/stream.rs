//! `PyreStream`: an answer that is sent piece by piece, from any thread of its interpreter.

pub(super) mod given; // what programs give to it: pieces, times, lengths
mod promised; // between the handler that has returned it and the head of its answer
mod topics; // what it has subscribed to
mod sending; // sending a piece, and what becomes of it if there is no room

use std::cell::{Cell, OnceCell};
use std::ffi::CStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use pyre_ffi::{
    Arguments, Attached, Bool, Class, ClassHandle, ClassSpec, Dict, Instance, Int, Object, Owned,
    Raised, Signature, Slot, Str, Type, Visitor, import,
};
use pyre_http::h1::serialize::Delimited;

use crate::flow::topics::Topics;
use crate::flow::{Downstream, Outflow, Reader, Terms, Wakes};
use crate::objects::headers::{copied, spellings};
use crate::serialize::answer::{Parts, check_status};
use crate::serialize::fields;
use given::{milliseconds, seconds_of};

pub(crate) use given::take_length;
pub(crate) use promised::Promised;

/// The media type of event streams.
const EVENTS: &str = "text/event-stream";

/// After so many seconds of silence a comment tells that an event stream is alive.
const KEEP_ALIVE_S: f64 = 15.0;

/// The longest that may be asked for: a day.
const KEEP_ALIVE_S_MAX: f64 = 86_400.0;

/// The sender of an answer in pieces.
pub struct Stream {
    flow: Arc<Outflow>,
    status: Cell<u16>,
    content_type: Slot<Str>,
    headers: Slot<Dict>,
    /// What the program says the length of the body is.
    length: Cell<Option<u64>>,
    keep_alive_ms: Cell<u64>,
    /// It is the body of an answer.
    is_answer: Cell<bool>,
    /// It is an event stream.
    is_events: Cell<bool>,
    /// The server drains.
    draining: OnceCell<Arc<AtomicBool>>,
    /// Where the event loop of its app looks, if that has one.
    wakes: OnceCell<Arc<Wakes>>,
    /// What that knows it by; 0 if it does not.
    number: Cell<u64>,
    /// What `send` returns, which may be awaited.
    sent: Slot,
}

const NEW: Signature<4> = Signature {
    function: "PyreStream",
    names: ["content_type", "status_code", "headers", "keep_alive_s"],
    required: 0,
    positional_max: 3,
};

impl Stream {
    fn with_type<'py>(py: Attached<'py>, content_type: Option<&str>) -> Result<Self, Raised> {
        let content_type = match content_type {
            Some(text) => Slot::new(py, Str::intern(py, text)?),
            None => Slot::empty(),
        };
        Ok(Self {
            flow: Arc::default(),
            status: Cell::new(200),
            content_type,
            headers: Slot::empty(),
            length: Cell::new(None),
            keep_alive_ms: Cell::new(milliseconds(KEEP_ALIVE_S)),
            is_answer: Cell::new(false),
            is_events: Cell::new(false),
            draining: OnceCell::new(),
            wakes: OnceCell::new(),
            number: Cell::new(0),
            sent: Slot::empty(),
        })
    }

    /// A stream for what a generator makes.
    pub(crate) fn of_generator<'py>(
        py: Attached<'py>,
        class: &ClassHandle<Stream>,
    ) -> Result<Owned<'py, Instance<Stream>>, Raised> {
        Instance::new(py, class, Self::with_type(py, None)?)
    }

    fn construct(
        py: Attached<'_>,
        given: Arguments<'_>,
        _class: &Object<Type>,
    ) -> Result<Self, Raised> {
        let [content_type, status, headers, keep_alive] = given.parse(&NEW, py)?;
        let stream = Self::with_type(py, Some(EVENTS))?;
        if let Some(status) = status {
            let Some(number) = status.cast::<Int>() else {
                let text = format!("status_code must be an int, not {}", status.type_name());
                return Err(Raised::type_error(py, &text));
            };
            stream.status.set(check_status(py, number.as_i64().unwrap_or(-1))?);
        }
        if let Some(headers) = headers.filter(|headers| !headers.is_none()) {
            let headers = copied(py, &headers)?;
            if let Some(length) = take_length(&headers, py)? {
                stream.length.set(Some(length));
                stream.flow.declare(length);
            }
            fields::check(&headers, py)?;
            if !spellings(&headers, &*Str::intern(py, "Content-Type")?, py)?.is_empty() {
                // One that is given stands behind these.
                stream.content_type.clear(py);
            }
            stream.headers.set(py, headers);
        }
        if let Some(content_type) = content_type.filter(|content_type| !content_type.is_none()) {
            let Some(text) = content_type.cast::<Str>() else {
                let text = format!("content_type must be a str, not {}", content_type.type_name());
                return Err(Raised::type_error(py, &text));
            };
            let name = Str::intern(py, "Content-Type")?;
            fields::check_one(&name, text, py)?;
            if let Some(headers) = stream.headers.get(py) {
                for spelling in spellings(&headers, &name, py)? {
                    headers.delete(&spelling, py)?;
                }
            }
            stream.content_type.set(py, text.to_owned(py));
        }
        stream.is_events.set(stream.says_events(py)?);
        if let Some(seconds) = keep_alive {
            stream.keep_alive_ms.set(match seconds_of(&seconds, "keep_alive_s", py)? {
                Some(seconds) => milliseconds(seconds.min(KEEP_ALIVE_S_MAX)),
                None => 0,
            });
        }
        Ok(stream)
    }

    /// The answer whose body this is. Its headers are the answer's from now on: hooks may change them.
    pub(crate) fn parts<'py>(this: &Object<Instance<Self>>, py: Attached<'py>) -> Parts<'py> {
        Parts {
            status: this.status.get(),
            body: this.as_any().to_owned(py),
            content_type: this.content_type.take(py),
            headers: this.headers.take(py),
            length: None,
        }
    }

    /// The headers that hold as far as the answer does not name them itself.
    pub(crate) fn headers<'py>(&self, py: Attached<'py>) -> Option<Owned<'py, Dict>> {
        self.headers.get(py)
    }

    /// The media type that holds if the answer names none.
    pub(crate) fn content_type<'py>(&self, py: Attached<'py>) -> Option<Owned<'py, Str>> {
        self.content_type.get(py)
    }

    /// What the program says the length of the body is.
    pub(crate) fn declared(&self) -> Option<u64> {
        self.length.get()
    }

    /// It becomes the body of an answer.
    ///
    /// # Errors
    /// `RuntimeError` if it is one already.
    pub(crate) fn become_answer(&self, py: Attached<'_>) -> Result<(), Raised> {
        if self.is_answer.replace(true) {
            return Err(Raised::runtime_error(
                py,
                "this stream is the answer to another request: make one for each",
            ));
        }
        Ok(())
    }

    /// The answer says that it has so many bytes.
    pub(crate) fn declare(&self, length: Option<u64>) {
        self.length.set(length);
    }

    /// The pieces go to this reader from now on. Returns the end that its reactor has.
    pub(crate) fn attach(
        &self,
        reader: Reader,
        delimited: Delimited,
        is_event_stream: bool,
        draining: &Arc<AtomicBool>,
        wakes: Option<&Arc<Wakes>>,
        topics: &Arc<Topics>,
    ) -> Downstream {
        let _ = self.draining.set(draining.clone());
        if let Some(wakes) = wakes {
            self.wake_at(wakes);
        }
        self.is_answer.set(true);
        self.is_events.set(is_event_stream);
        self.flow.attach_to(reader, delimited, topics);
        // Where the length is known, a comment would be a part of it.
        let may_comment = is_event_stream && !matches!(delimited, Delimited::Length(_));
        let keep_alive_ms = if may_comment { self.keep_alive_ms.get() } else { 0 };
        let ends_with_connection = delimited == Delimited::Close;
        Downstream::new(self.flow.clone(), Terms { keep_alive_ms, ends_with_connection })
    }

    /// Senders on the event loop are woken there.
    pub(crate) fn wake_at(&self, wakes: &Arc<Wakes>) {
        // Whoever is first is the one of its app.
        let _ = self.wakes.set(wakes.clone());
    }

    /// Where its pieces go.
    pub(crate) fn flow(&self) -> &Arc<Outflow> {
        &self.flow
    }

    /// Nobody is to read it: the request was HEAD, or the answer has no body.
    pub(crate) fn let_nobody_read(&self) {
        self.is_answer.set(true);
        self.flow.disconnect();
    }

    fn close<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        self.end(py)?;
        self.sent.get_or_make(py, || helper(py, "SENT"))
    }

    /// Nothing follows.
    ///
    /// # Errors
    /// `ValueError` if that is less than the answer has said; it is broken off.
    fn end(&self, py: Attached<'_>) -> Result<(), Raised> {
        let length = self.length.get().unwrap_or_default();
        let missing = self.flow.missing(length);
        if missing == 0 {
            if self.flow.is_encoded() {
                let flow = &*self.flow;
                py.detach(|| flow.end());
            }
            self.flow.end();
            return Ok(());
        }
        self.flow.fail();
        let text = format!(
            "{missing} bytes less than the {length} that Content-Length says: the answer is broken off"
        );
        Err(Raised::value_error(py, &text))
    }

    /// `_break()`: ends the answer as one that is not whole.
    fn break_off<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        Ok(Bool::new(py, self.flow.fail()).into_any())
    }

    fn enter<'py>(
        this: &Object<Instance<Self>>,
        py: Attached<'py>,
        _given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        Ok(this.as_any().to_owned(py))
    }

    fn exit<'py>(&self, py: Attached<'py>, given: Arguments<'_>) -> Result<Owned<'py>, Raised> {
        let has_raised = given.positional().first().is_some_and(|class| !class.is_none());
        if has_raised {
            self.flow.fail();
        } else {
            self.end(py)?;
        }
        Ok(Bool::new(py, false).into_any())
    }

    fn enter_async<'py>(
        this: &Object<Instance<Self>>,
        py: Attached<'py>,
        _given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        helper(py, "Ready")?.call1(this, py)
    }

    fn exit_async<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let suppressed = self.exit(py, given)?;
        helper(py, "Ready")?.call1(&suppressed, py)
    }

    fn is_closed<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        Ok(Bool::new(py, !self.flow.is_open()).into_any())
    }

    fn is_answer<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        Ok(Bool::new(py, self.is_answer.get()).into_any())
    }

    fn is_disconnected<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        Ok(Bool::new(py, self.flow.is_gone()).into_any())
    }

    fn is_draining<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        // Relaxed: it is looked at again.
        let is_draining = self.draining.get().is_some_and(|draining| draining.load(Relaxed));
        Ok(Bool::new(py, is_draining).into_any())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // Nobody is left to send what is missing, or to say that nothing is; but what it has subscribed
        // to goes on.
        self.flow.let_go();
        if self.draining.get().is_some_and(|draining| draining.load(Relaxed)) {
            self.flow.end_if_let_go();
        }
    }
}

/// Something of the Python side, which is imported with the first stream that needs it.
#[cold]
fn helper<'py>(py: Attached<'py>, name: &str) -> Result<Owned<'py>, Raised> {
    import(py, "pyreframework.handlers.streams")?.attr(&*Str::intern(py, name)?, py)
}

impl Class for Stream {
    const NAME: &'static CStr = c"pyreframework.engine.PyreStream";
    const DOC: &'static CStr = c"PyreStream(content_type=None, status_code=200, headers=None, *, keep_alive_s=15.0)\n--\n\n\
        An answer that is sent piece by piece, from any thread.\n\n\
        Return it from a handler; without a content type it is an event stream.";

    const IS_WEAKLY_REFERABLE: bool = true;

    fn describe(spec: &mut ClassSpec<Self>) {
        spec.gc()
            .constructor(Self::construct)
            .bound_method(
                c"send",
                c"send($self, data, timeout=None)\n--\n\nSend a piece; await it in a coroutine.",
                Self::send,
            )
            .bound_method(
                c"send_event",
                c"send_event($self, data, event=None, id=None, retry=None, *, timeout=None)\n--\n\n\
                  Send a server-sent event; await it in a coroutine.",
                Self::send_event,
            )
            .bound_method(
                c"subscribe",
                c"subscribe($self, topic)\n--\n\nSend all that is published to a topic as events; may be awaited.",
                Self::subscribe,
            )
            .bound_method(
                c"unsubscribe",
                c"unsubscribe($self, topic)\n--\n\nSend no more of it; may be awaited.",
                Self::unsubscribe,
            )
            .method0(c"close", c"close($self)\n--\n\nEnd the answer. Again does nothing.", Self::close)
            .getter(c"is_closed", c"Whether nothing more can be sent.", Self::is_closed)
            .getter(c"is_disconnected", c"Whether the client has gone.", Self::is_disconnected)
            .getter(c"is_draining", c"Whether the server stops: say goodbye.", Self::is_draining)
            .getter(c"_is_answer", c"Whether a request is answered by it.", Self::is_answer)
            .method(c"_push", c"Send a piece without waiting.", Self::push)
            .method(c"_wait", c"Wait for room.", Self::wait)
            .method0(c"_listen", c"Have the event loop told of room and of the end.", Self::listen)
            .method0(c"_ask_for_room", c"Be told when there is room.", Self::ask_for_room)
            .method0(c"_break", c"Break the answer off.", Self::break_off)
            .bound_method(c"__enter__", c"__enter__($self)\n--\n\n", Self::enter)
            .method(c"__exit__", c"__exit__($self, *raised)\n--\n\n", Self::exit)
            .bound_method(c"__aenter__", c"__aenter__($self)\n--\n\n", Self::enter_async)
            .method(c"__aexit__", c"__aexit__($self, *raised)\n--\n\n", Self::exit_async);
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        visitor.slot(&self.content_type);
        visitor.slot(&self.headers);
        visitor.slot(&self.sent);
    }

    fn clear(&self, py: Attached<'_>) {
        self.content_type.clear(py);
        self.headers.clear(py);
        self.sent.clear(py);
    }
}
