//! Which result is which answer: the table "Results" of the reference. Hot path for `str`, `dict`
//! and `list`.

use pyre_ffi::{
    Attached, Borrowed, Buffer, Bytes, Dict, ExceptionKind, Held, Instance, Int, Kind, Object,
    Owned, Raised, Str, Tuple,
};
use pyre_http::h1::serialize::BodyKind;

use crate::objects::file::FileBody;
use crate::objects::stream::{Promised, Stream, take_length};
use crate::objects::toolkit::Toolkit;
use crate::objects::websocket::WebSocket;
use crate::serialize::fields::Fields;
use crate::serialize::json;

/// The answer to a request, before it is bytes.
pub(crate) struct Answer<'py> {
    pub(crate) status: u16,
    /// What to say of the body, unless the fields say it.
    pub(crate) kind: Option<BodyKind>,
    pub(crate) body: Body<'py>,
}

impl<'py> Answer<'py> {
    /// A 200 with a body of this kind.
    #[inline]
    fn ok(kind: BodyKind, body: Body<'py>) -> Self {
        Self { status: 200, kind: Some(kind), body }
    }

    /// Whether it goes on once the lane has given back its job: the body comes in pieces, or the
    /// connection becomes a WebSocket.
    #[inline(always)]
    pub(crate) fn is_stream(&self) -> bool {
        matches!(self.body, Body::Later(_))
    }
}

/// Where the bytes of a body are.
pub(crate) enum Body<'py> {
    /// In a string.
    Text(Owned<'py, Str>),
    /// In a bytes object.
    Bytes(Owned<'py, Bytes>),
    /// In [`Desk::body`].
    Desk,
    /// Nowhere.
    Empty,
    /// It comes once the lane has given back its job.
    Later(Box<Later<'py>>),
}

/// What goes on beside the lane.
pub(crate) enum Later<'py> {
    /// The body comes in pieces.
    Pieces(Pieces<'py>),
    /// The body is a file, which the reactor sends.
    File(FileBody, Fields),
    /// There is none: the handler of a WebSocket says what becomes of its handshake.
    Socket(Owned<'py, Instance<WebSocket>>),
}

impl<'py> Body<'py> {
    /// The pieces, if it comes in some.
    pub(crate) fn pieces(&mut self) -> Option<&mut Pieces<'py>> {
        match self {
            Self::Later(later) => match &mut **later {
                Later::Pieces(pieces) => Some(pieces),
                Later::File(..) | Later::Socket(_) => None,
            },
            _ => None,
        }
    }

    /// The fields of the answer, if it is a file.
    fn file_fields(&mut self) -> Option<&mut Fields> {
        match self {
            Self::Later(later) => match &mut **later {
                Later::File(_, fields) => Some(fields),
                Later::Pieces(_) | Later::Socket(_) => None,
            },
            _ => None,
        }
    }

    /// Drops the body. Of one that comes later that is a call, so that all others have it inline.
    #[inline(always)]
    pub(crate) fn let_go(self) {
        match self {
            Self::Text(text) => drop(text),
            Self::Bytes(bytes) => drop(bytes),
            Self::Desk | Self::Empty => {}
            Self::Later(later) => let_go_of_later(later),
        }
    }
}

#[cold]
#[inline(never)]
fn let_go_of_later(later: Box<Later<'_>>) {
    drop(later);
}

/// A body that comes in pieces, with the fields of its answer: it may have to wait for the first one,
/// while the desk serves others.
pub(crate) struct Pieces<'py> {
    /// Where they are sent.
    pub(crate) stream: Promised<'py>,
    /// What makes them, unless the program sends them itself, or it has begun to.
    pub(crate) generator: Option<Owned<'py>>,
    /// What has begun to make them.
    pub(crate) delivery: Option<Owned<'py>>,
    /// It is an async generator.
    pub(crate) is_async: bool,
    pub(crate) is_event_stream: bool,
    /// What the program says their length is.
    pub(crate) length: Option<u64>,
    pub(crate) fields: Fields,
}

/// What a lane writes on while it makes an answer; used again for the next one.
#[derive(Default)]
pub(crate) struct Desk {
    pub(crate) body: Vec<u8>,
    pub(crate) fields: Fields,
}

/// What turning results into answers needs to know.
#[derive(Clone, Copy)]
pub(crate) struct Conventions<'a> {
    pub(crate) tools: &'a Toolkit,
    pub(crate) json_default: Option<&'a Held>,
}

impl Desk {
    /// Clears the desk for the next answer.
    pub(crate) fn clear(&mut self) {
        if !self.body.is_empty() {
            self.body.clear();
            if self.body.capacity() > crate::job::KEPT_BUFFER_BYTES_MAX {
                self.body = Vec::new();
            }
        }
        if !self.fields.is_empty() {
            self.fields.clear();
        }
    }

    /// Turns the result of a handler or hook into an answer.
    ///
    /// # Errors
    /// Whatever makes the result no answer: an exception that says where and why.
    #[inline(always)]
    pub(crate) fn answer<'py>(
        &mut self,
        py: Attached<'py>,
        result: Owned<'py>,
        conventions: Conventions<'_>,
    ) -> Result<Answer<'py>, Raised> {
        match result.kind() {
            Kind::Str => {
                let text = result.downcast::<Str>().expect("its kind is str");
                Ok(Answer::ok(BodyKind::Text, Body::Text(text)))
            }
            Kind::Dict | Kind::List => self.json(py, &result, conventions),
            _ => self.other(py, result, conventions),
        }
    }

    #[inline(never)]
    fn json<'py>(
        &mut self,
        py: Attached<'py>,
        value: &Object,
        conventions: Conventions<'_>,
    ) -> Result<Answer<'py>, Raised> {
        let default = conventions.json_default.map(|default| default.bind(py));
        let default = default.as_ref().map(|default| default.as_any());
        json::encode(py, value, &mut self.body, &conventions.tools.encode_cache, default)?;
        Ok(Answer::ok(BodyKind::Json, Body::Desk))
    }

    #[inline(never)]
    fn other<'py>(
        &mut self,
        py: Attached<'py>,
        result: Owned<'py>,
        conventions: Conventions<'_>,
    ) -> Result<Answer<'py>, Raised> {
        match result.kind() {
            Kind::None => Ok(Answer { status: 204, kind: None, body: Body::Empty }),
            Kind::Tuple => match Parts::of_tuple(py, &result)? {
                Some(parts) => self.response(py, parts, conventions),
                None => self.json(py, &result, conventions),
            },
            _ => {
                if let Some(response) = conventions.tools.response.cast(&result, py) {
                    let parts = response.get().parts(py, conventions.tools)?;
                    return self.response(py, parts, conventions);
                }
                if let Some(stream) = conventions.tools.stream.cast(&result, py) {
                    return self.response(py, Stream::parts(stream, py), conventions);
                }
                if let Some(file) = conventions.tools.file.cast(&result, py) {
                    let later = Later::File(file.get().clone(), Fields::default());
                    let body = Body::Later(Box::new(later));
                    return Ok(Answer { status: 200, kind: None, body });
                }
                if let Some(socket) = conventions.tools.websocket.cast(&result, py) {
                    socket.become_answer(py)?;
                    let body = Body::Later(Box::new(Later::Socket(socket.to_owned(py))));
                    return Ok(Answer { status: 101, kind: None, body });
                }
                let result = match result.downcast::<Str>() {
                    Ok(text) => return Ok(Answer::ok(BodyKind::Text, Body::Text(text))),
                    Err(result) => result,
                };
                let result = match result.downcast::<Bytes>() {
                    Ok(bytes) => return Ok(Answer::ok(BodyKind::Bytes, Body::Bytes(bytes))),
                    Err(result) => result,
                };
                if is_bytes_like(&result) {
                    return self.bytes_like(py, &result);
                }
                if result.is_generator() || result.is_async_generator() {
                    return self.generated(py, result, conventions);
                }
                if result.is_coroutine() {
                    return Err(refuse_coroutine(py));
                }
                let encoded = self.json(py, &result, conventions);
                encoded.map_err(|raised| explain_iterator(py, &result, raised))
            }
        }
    }

    /// The answer whose body a generator makes.
    fn generated<'py>(
        &mut self,
        py: Attached<'py>,
        generator: Owned<'py>,
        conventions: Conventions<'_>,
    ) -> Result<Answer<'py>, Raised> {
        let stream = Stream::of_generator(py, &conventions.tools.stream)?;
        Ok(Pieces::answer(stream, Some(generator)))
    }

    /// The bytes of a `bytearray` or `memoryview`.
    fn bytes_like<'py>(
        &mut self,
        py: Attached<'py>,
        value: &Object,
    ) -> Result<Answer<'py>, Raised> {
        append_bytes_like(py, value, &mut self.body)?;
        Ok(Answer::ok(BodyKind::Bytes, Body::Desk))
    }

    /// The answer of a response object.
    pub(crate) fn response<'py>(
        &mut self,
        py: Attached<'py>,
        parts: Parts<'py>,
        conventions: Conventions<'_>,
    ) -> Result<Answer<'py>, Raised> {
        let Parts { status, body, content_type, mut headers, mut length } = parts;
        let is_empty = body.is_none();
        let mut answer = self.answer_of_body(py, body, conventions)?;
        if answer.is_stream()
            && let Some(given) = &headers
        {
            let own = given.copy(py)?;
            length = take_length(&own, py)?.or(length);
            headers = Some(own);
        }
        // First: where the headers have one as well, they were told later.
        if let Some(content_type) = content_type {
            let name = Str::intern(py, "Content-Type")?;
            self.fields.push(&name, &content_type, py)?;
        }
        if let Some(headers) = headers {
            self.fields.extend(&headers, py)?;
        }
        if let Some(pieces) = answer.body.pieces() {
            pieces.take_fields(&mut self.fields, py)?;
            pieces.length = length.or(pieces.length);
            let kind = answer.kind.filter(|_| !pieces.fields.has_content_type());
            return Ok(Answer { status, kind, body: answer.body });
        }
        if let Some(fields) = answer.body.file_fields() {
            std::mem::swap(fields, &mut self.fields);
            return Ok(Answer { status, kind: None, body: answer.body });
        }
        let kind = if is_empty || self.fields.has_content_type() { None } else { answer.kind };
        Ok(Answer { status, kind, body: answer.body })
    }

    /// The body inside a response: as a result, but a tuple is an array and nothing nests.
    fn answer_of_body<'py>(
        &mut self,
        py: Attached<'py>,
        body: Owned<'py>,
        conventions: Conventions<'_>,
    ) -> Result<Answer<'py>, Raised> {
        match body.kind() {
            Kind::Tuple => self.json(py, &body, conventions),
            _ if conventions.tools.response.cast(&body, py).is_some() => {
                Err(Raised::type_error(py, "the body of a response cannot be a response"))
            }
            _ => match conventions.tools.stream.cast(&body, py) {
                Some(stream) => {
                    stream.become_answer(py)?;
                    Ok(Pieces::answer(stream.to_owned(py), None))
                }
                None => self.answer(py, body, conventions),
            },
        }
    }
}

/// Appends what a buffer shows; the bytes of a view with gaps are collected.
pub(crate) fn append_bytes_like(
    py: Attached<'_>,
    value: &Object,
    target: &mut Vec<u8>,
) -> Result<(), Raised> {
    match Buffer::of(value, py) {
        Ok(buffer) => buffer.append_to(target),
        Err(raised) if raised.matches(ExceptionKind::BufferError, py) => {
            raised.clear(py);
            let bytes = value.call_method0(&*Str::intern(py, "tobytes")?, py)?;
            Buffer::of(&bytes, py)?.append_to(target);
        }
        Err(raised) => return Err(raised),
    }
    Ok(())
}

/// Whether this is one of the other two types of bytes. More types than these have a buffer, and
/// sending their memory as it is would surprise.
fn is_bytes_like(value: &Object) -> bool {
    value.has_buffer() && matches!(value.type_name().as_str(), "bytearray" | "memoryview")
}

#[cold]
fn refuse_coroutine(py: Attached<'_>) -> Raised {
    Raised::type_error(py, "a handler cannot answer with a coroutine: await it")
}

/// The exception for a result that is not JSON: of an iterator somebody may have meant to send the pieces.
#[cold]
fn explain_iterator(py: Attached<'_>, result: &Object, raised: Raised) -> Raised {
    let exception = raised.take(py);
    let has = |name| Str::intern(py, name).and_then(|name| result.attr_if_any(&name, py));
    let is_iterator =
        || ["__next__", "__anext__"].iter().any(|name| matches!(has(name), Ok(Some(_))));
    if !exception.is_kind(ExceptionKind::TypeError) || !is_iterator() {
        return Raised::restore(py, exception);
    }
    let name = result.type_name();
    let text = format!("the body of an answer in pieces is a generator, not {name}: yield from it");
    Raised::type_error(py, &text)
}

impl<'py> Pieces<'py> {
    /// A 200 whose body is what this generator makes, or else what the program sends.
    fn answer(stream: Owned<'py, Instance<Stream>>, generator: Option<Owned<'py>>) -> Answer<'py> {
        let is_async = generator.as_ref().is_some_and(|generator| generator.is_async_generator());
        let fields = Fields::default();
        let length = stream.declared();
        let stream = Promised::new(stream);
        let is_event_stream = false;
        let delivery = None;
        let pieces =
            Self { stream, generator, delivery, is_async, is_event_stream, length, fields };
        Answer::ok(BodyKind::Bytes, Body::Later(Box::new(Later::Pieces(pieces))))
    }

    /// The fields of the answer, which are on the desk.
    fn take_fields(&mut self, fields: &mut Fields, py: Attached<'_>) -> Result<(), Raised> {
        self.fields = std::mem::take(fields);
        if !self.fields.has_content_type()
            && let Some(content_type) = self.stream.content_type(py)
        {
            self.fields.push(&*Str::intern(py, "Content-Type")?, &content_type, py)?;
        }
        if let Some(headers) = self.stream.headers(py) {
            let mut own = Fields::default();
            own.extend(&headers, py)?;
            self.fields.extend_by_absent(&own);
        }
        self.is_event_stream = self.fields.iter().any(|(name, value)| {
            name.eq_ignore_ascii_case(b"content-type")
                && value
                    .get(..EVENT_STREAM.len())
                    .is_some_and(|start| start.eq_ignore_ascii_case(EVENT_STREAM))
        });
        Ok(())
    }
}

/// What the media type of an event stream begins with.
const EVENT_STREAM: &[u8] = b"text/event-stream";

/// A response taken apart.
pub(crate) struct Parts<'py> {
    pub(crate) status: u16,
    pub(crate) body: Owned<'py>,
    pub(crate) content_type: Option<Owned<'py, Str>>,
    pub(crate) headers: Option<Owned<'py, Dict>>,
    /// What the program says the length of a body in pieces is.
    pub(crate) length: Option<u64>,
}

impl<'py> Parts<'py> {
    /// What a result that is no response object says.
    pub(crate) fn of_result(py: Attached<'py>, result: Owned<'py>) -> Result<Self, Raised> {
        if let Some(parts) = Self::of_tuple(py, &result)? {
            return Ok(parts);
        }
        let status = if result.is_none() { 204 } else { 200 };
        Ok(Self { status, body: result, content_type: None, headers: None, length: None })
    }

    /// `(body, status)` and `(body, status, headers)` as in Flask; any other tuple is an array.
    fn of_tuple(py: Attached<'py>, result: &Object) -> Result<Option<Self>, Raised> {
        let Some(tuple) = result.cast_exact::<Tuple>() else { return Ok(None) };
        let (body, status, headers) = match tuple.items() {
            [body, status] => (body, status, None),
            [body, status, headers] if headers.is_none() => (body, status, None),
            [body, status, headers] if headers.is_a::<Dict>() => {
                (body, status, headers.cast::<Dict>())
            }
            _ => return Ok(None),
        };
        let status = status.cast::<Int>().and_then(|status| status.as_i64());
        let Some(status @ 100..600) = status else { return Ok(None) };
        Ok(Some(Self {
            status: check_status(py, status)?,
            body: Borrowed::to_owned(*body, py),
            content_type: None,
            headers: headers.map(|headers| headers.to_owned(py)),
            length: None,
        }))
    }
}

/// Checks a status that a handler sets.
///
/// # Errors
/// `ValueError` outside of 200 to 599: a 1xx is no answer (RFC 9110 section 15.2).
pub(crate) fn check_status(py: Attached<'_>, status: i64) -> Result<u16, Raised> {
    match u16::try_from(status) {
        Ok(status @ 200..=599) => Ok(status),
        _ => Err(Raised::value_error(
            py,
            &format!("the status of a response must be from 200 to 599, not {status}"),
        )),
    }
}
