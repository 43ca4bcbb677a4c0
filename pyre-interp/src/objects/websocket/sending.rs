//! Messages out: framed, and compressed if that is agreed, straight into the buffer that the reactor
//! takes. Hot path.

use std::ffi::CStr;

use pyre_ffi::{
    Arguments, Attached, Bool, Bytes, Class, ClassSpec, Exception, ExceptionKind, Instance, Int,
    Object, Owned, Raised, Signature, Str, none,
};
use pyre_http::websocket::close::{Close, may_be_sent};
use pyre_http::websocket::deflate::Deflater;
use pyre_http::websocket::extension::Agreed;
use pyre_http::websocket::receive::Kind;
use pyre_http::websocket::send;

use super::WebSocket;
use crate::flow::{Pushed, Room};
use crate::objects::stream::given::with_bytes;
use crate::objects::waits::{require_seconds, send_later};
use crate::serialize::json;

/// Shorter messages are sent as they are, also where compression is agreed.
const COMPRESSED_BYTES_MIN: usize = 256;

/// The code for a fault of the program's (RFC 6455 section 7.4.1).
const BROKEN: u16 = 1011;

/// Others may run while a longer message is compressed.
const DETACHED_BYTES_MIN: usize = 16 * 1024;

/// A buffer for compressed bytes that is larger is freed.
const KEPT_BYTES_MAX: usize = 64 * 1024;

const SEND: Signature<2> = with_timeout("send", "data");
const SEND_BYTES: Signature<2> = with_timeout("send_bytes", "data");
const SEND_JSON: Signature<2> = with_timeout("send_json", "value");

const CLOSE: Signature<2> =
    Signature { function: "close", names: ["code", "reason"], required: 0, positional_max: 2 };

const PUSH: Signature<1> = Signature::all("_push", ["data"]);

const fn with_timeout(function: &'static str, name: &'static str) -> Signature<2> {
    Signature { function, names: [name, "timeout"], required: 1, positional_max: 2 }
}

/// Compresses what one WebSocket sends. Who has taken it has it to himself until his message is on its
/// way: the order in which messages are compressed is that on the wire.
pub(super) struct Compressor {
    agreed: Agreed,
    /// Made with the first message that is long enough.
    deflater: Option<Deflater>,
    scratch: Vec<u8>,
}

impl Compressor {
    pub(super) fn new(agreed: Agreed) -> Self {
        Self { agreed, deflater: None, scratch: Vec::new() }
    }

    /// The frame of a message.
    fn frame(&mut self, kind: Kind, bytes: &[u8]) -> Vec<u8> {
        let Self { agreed, deflater, scratch } = self;
        let deflater = deflater.get_or_insert_with(|| agreed.deflater());
        let mut frame = Vec::new();
        send::compressed(&mut frame, kind, bytes, deflater, scratch);
        if scratch.capacity() > KEPT_BYTES_MAX {
            *scratch = Vec::new();
        }
        frame
    }
}

impl WebSocket {
    pub(super) fn send<'py>(
        this: &Object<Instance<Self>>,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let [data, timeout] = given.parse(&SEND, py)?;
        let data = data.expect("it is required");
        Self::send_message(this, py, &data, timeout.as_deref())
    }

    pub(super) fn send_bytes<'py>(
        this: &Object<Instance<Self>>,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let [data, timeout] = given.parse(&SEND_BYTES, py)?;
        let data = data.expect("it is required");
        if data.is_a::<Str>() {
            return Err(Raised::type_error(py, "send_bytes() takes bytes, not str: use send()"));
        }
        Self::send_message(this, py, &data, timeout.as_deref())
    }

    pub(super) fn send_json<'py>(
        this: &Object<Instance<Self>>,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let [value, timeout] = given.parse(&SEND_JSON, py)?;
        let value = value.expect("it is required");
        require_seconds(timeout.as_deref(), py)?;
        let default = this.app.json_default.as_ref().map(|default| default.bind(py));
        let default = default.as_ref().map(|default| default.as_any());
        let mut text = Vec::new();
        json::encode(py, &value, &mut text, &this.tools.encode_cache, default)?;
        this.begin(py)?;
        let pushed = this.push_bytes(py, Kind::Text, &text);
        if pushed == Pushed::Taken {
            return Self::sent(this, py);
        }
        let text = Str::utf8(py, &text)?.into_any();
        Self::pushed(this, py, pushed, &text, timeout.as_deref())
    }

    fn send_message<'py>(
        this: &Object<Instance<Self>>,
        py: Attached<'py>,
        data: &Object,
        timeout: Option<&Object>,
    ) -> Result<Owned<'py>, Raised> {
        require_seconds(timeout, py)?;
        this.begin(py)?;
        let pushed = this.push_object(py, data)?;
        Self::pushed(this, py, pushed, data, timeout)
    }

    /// What `send` returns, or does when it has to wait.
    fn pushed<'py>(
        this: &Object<Instance<Self>>,
        py: Attached<'py>,
        pushed: Pushed,
        data: &Object,
        timeout: Option<&Object>,
    ) -> Result<Owned<'py>, Raised> {
        match pushed {
            Pushed::Taken => Self::sent(this, py),
            Pushed::Full => send_later(py, this.as_any(), data, timeout),
            Pushed::TooMuch | Pushed::Ended | Pushed::Gone => Err(this.refusal(py)),
        }
    }

    /// `_push(data)`: as that of streams.
    pub(super) fn push<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let [data] = given.parse(&PUSH, py)?;
        match self.push_object(py, &data.expect("it is required"))? {
            Pushed::Taken => Ok(Bool::new(py, true).into_any()),
            Pushed::Full => Ok(Bool::new(py, false).into_any()),
            Pushed::TooMuch | Pushed::Ended | Pushed::Gone => Err(self.refusal(py)),
        }
    }

    #[inline]
    fn push_object(&self, py: Attached<'_>, data: &Object) -> Result<Pushed, Raised> {
        let kind = if data.is_a::<Str>() { Kind::Text } else { Kind::Binary };
        with_bytes(py, data, "a WebSocket", |bytes| self.push_bytes(py, kind, bytes))
    }

    fn push_bytes(&self, py: Attached<'_>, kind: Kind, bytes: &[u8]) -> Pushed {
        if bytes.len() >= COMPRESSED_BYTES_MIN {
            // One thread at a time compresses: what others send meanwhile goes as it is.
            let taken = self.compressor.take();
            if let Some(mut compressor) = taken {
                let pushed = self.push_compressed(py, &mut compressor, kind, bytes);
                *self.compressor.borrow_mut() = Some(compressor);
                return pushed;
            }
        }
        self.flow.push_frame(bytes.len(), true, |out| send::message(out, kind, bytes))
    }

    fn push_compressed(
        &self,
        py: Attached<'_>,
        compressor: &mut Compressor,
        kind: Kind,
        bytes: &[u8],
    ) -> Pushed {
        if self.flow.room() == Room::None {
            return Pushed::Full;
        }
        let frame = if bytes.len() < DETACHED_BYTES_MIN {
            compressor.frame(kind, bytes)
        } else {
            py.detach(|| compressor.frame(kind, bytes))
        };
        // One that is compressed has to be sent, though the room may be gone: the next ones refer to it.
        self.flow.push_frame(bytes.len(), false, |out| out.extend_from_slice(&frame))
    }

    /// What a method returns that has nothing to wait for.
    #[inline]
    pub(super) fn sent<'py>(
        this: &Object<Instance<Self>>,
        py: Attached<'py>,
    ) -> Result<Owned<'py>, Raised> {
        let make = || Instance::new(py, &this.tools.sent, Sent);
        this.sent.get_or_make(py, make).map(Owned::into_any)
    }

    pub(super) fn close<'py>(
        this: &Object<Instance<Self>>,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let [code, reason] = given.parse(&CLOSE, py)?;
        let code = match code {
            None => 1000,
            Some(code) => {
                let number = code.cast::<Int>().and_then(|code| code.as_i64());
                let number = number.and_then(|number| u16::try_from(number).ok());
                number.filter(|code| may_be_sent(*code)).ok_or_else(|| {
                    let text = "a close code is one of 1000 to 1003, 1007 to 1014, 3000 to 4999";
                    Raised::value_error(py, text)
                })?
            }
        };
        let reason = match &reason {
            None => String::new(),
            Some(reason) => match reason.cast::<Str>() {
                Some(text) => text.view().to_string_lossy(),
                None => {
                    let text = format!("reason must be a str, not {}", reason.type_name());
                    return Err(Raised::type_error(py, &text));
                }
            },
        };
        if reason.len() > Close::REASON_BYTES_MAX {
            let text = format!("a reason has at most {} bytes", Close::REASON_BYTES_MAX);
            return Err(Raised::value_error(py, &text));
        }
        if this.is_over.get() {
            return Self::sent(this, py);
        }
        this.begin(py)?;
        this.answer_close();
        this.end_with(code, reason);
        Self::sent(this, py)
    }

    /// Answers the close frame of the client, if one has come, with its code (RFC 6455 section 5.5.1); or
    /// says what the client has done wrong.
    pub(super) fn answer_close(&self) {
        if let Some(ending) = self.inbox.ending() {
            let code = Some(ending.code).filter(|code| may_be_sent(*code));
            let reason = if ending.is_failure { ending.reason } else { String::new() };
            let answer = Close { code, reason };
            self.flow.finish(|out| send::close(out, &answer));
        }
    }

    /// `_break()`: a message could not be sent, as nobody has awaited that.
    pub(super) fn break_off<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        self.end_with(BROKEN, String::new());
        Ok(Bool::new(py, true).into_any())
    }

    /// Says goodbye, if that has not been said.
    pub(super) fn end_with(&self, code: u16, reason: String) {
        self.is_over.set(true);
        self.inbox.close(code, &reason);
        self.flow.finish(|out| send::close(out, &Close { code: Some(code), reason }));
    }
}

/// What methods return that have done what they are for; it may be awaited. It is a coroutine in all that
/// counts for asyncio, so that a task can be made of it, of the same one any number of times.
pub struct Sent;

impl Sent {
    fn itself<'py>(this: &Object<Instance<Self>>, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        Ok(this.as_any().to_owned(py))
    }

    /// Awaiting it ends at once, with None.
    fn next<'py>(&self, _py: Attached<'py>) -> Result<Option<Owned<'py>>, Raised> {
        Ok(None)
    }

    fn send<'py>(&self, py: Attached<'py>, _given: Arguments<'_>) -> Result<Owned<'py>, Raised> {
        Err(ended(py))
    }

    fn throw<'py>(&self, py: Attached<'py>, given: Arguments<'_>) -> Result<Owned<'py>, Raised> {
        Err(thrown(py, &given))
    }

    fn close<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        Ok(none(py))
    }
}

/// The exception by which a coroutine ends with None.
pub(super) fn ended(py: Attached<'_>) -> Raised {
    Raised::with(py, &ExceptionKind::StopIteration.object(py), &none(py))
}

/// What `throw` of a coroutine was called with, to be raised.
pub(super) fn thrown(py: Attached<'_>, given: &Arguments<'_>) -> Raised {
    // The deprecated form has a type, a value and a traceback.
    let thrown = given.positional().iter().find_map(|one| one.cast::<Exception>());
    match thrown {
        Some(exception) => Raised::restore(py, exception.to_owned(py)),
        None => Raised::type_error(py, "throw() takes an exception"),
    }
}

impl Class for Sent {
    const NAME: &'static CStr = c"pyreframework.engine.Sent";
    const DOC: &'static CStr = c"Something that is done; it may be awaited.";

    fn describe(spec: &mut ClassSpec<Self>) {
        spec.next(Self::next)
            .awaits(Self::itself)
            .method(c"send", c"A step without an exception.", Self::send)
            .method(c"throw", c"A step with an exception.", Self::throw)
            .method0(c"close", c"Nobody waits any more.", Self::close);
    }
}

/// The bytes of a message, as an object.
pub(super) fn object<'py>(
    py: Attached<'py>,
    kind: Kind,
    data: &[u8],
) -> Result<Owned<'py>, Raised> {
    match kind {
        Kind::Text => Str::utf8(py, data).map(Owned::into_any),
        Kind::Binary => Bytes::new(py, data).map(Owned::into_any),
    }
}
