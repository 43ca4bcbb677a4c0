//! How a handshake is answered: by 101, or by what the handler says instead (RFC 6455 section 4.2.2).

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use pyre_ffi::{Arguments, Attached, Instance, Object, Owned, Raised, Signature, Str, none};
use pyre_http::forwarded;
use pyre_http::h1::serialize::{Connection, Particulars, ResponseHeads};
use pyre_http::security::SecurityHeaders;
use pyre_http::websocket::extension::Agreed;
use pyre_http::websocket::handshake::{Accept, protocols};

use super::WebSocket;
use super::sending::Compressor;
use crate::flow::topics::Form;
use crate::job::REQUEST_ID_HEADER;
use crate::objects::fields::header_table;
use crate::objects::headers::copied;
use crate::serialize::answer::{Conventions, Desk};
use crate::serialize::fields::Fields;
use crate::serialize::session_field::SessionField;
use crate::serialize::wire::{self, Manner};

const ACCEPT: Signature<2> = Signature {
    function: "accept",
    names: ["subprotocol", "headers"],
    required: 0,
    positional_max: 2,
};

/// What a handshake has brought that is not answered.
pub(crate) struct Handshake {
    /// What proves that it was understood.
    pub(crate) accept: Accept,
    /// How messages are compressed, if they are.
    pub(crate) agreed: Option<Agreed>,
    /// The first subprotocol of the client that the route speaks as well.
    pub(crate) protocol: Option<String>,
    /// Whether answers name the server.
    pub(crate) server_header: bool,
    /// What a refusal says to protect who reads it.
    pub(crate) security: Option<Arc<SecurityHeaders>>,
    /// What the session says, if a hook has read it.
    pub(crate) session: Option<SessionField>,
}

impl Handshake {
    /// Heads of this moment. Who may read answers is nothing to a WebSocket: browsers ask its server to look
    /// at the origin.
    fn heads(&self, security: Option<Arc<SecurityHeaders>>) -> ResponseHeads {
        let mut heads = ResponseHeads::new(self.server_header, None, security);
        heads.set_now(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs()));
        heads
    }
}

impl WebSocket {
    /// Whatever answers the handshake has what the session says.
    pub(crate) fn answers_with(&self, session: SessionField) {
        if let Some(handshake) = &mut *self.handshake.borrow_mut() {
            handshake.session = Some(session);
        }
    }

    /// `accept(subprotocol=None, headers=None)`.
    pub(super) fn accept<'py>(
        this: &Object<Instance<Self>>,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let [protocol, headers] = given.parse(&ACCEPT, py)?;
        if this.handshake.borrow().is_none() {
            return Err(Raised::runtime_error(py, "the handshake has been answered"));
        }
        let protocol = match protocol.filter(|protocol| !protocol.is_none()) {
            None => None,
            Some(given) => {
                let Some(text) = given.cast::<Str>() else {
                    let text = format!("subprotocol must be a str, not {}", given.type_name());
                    return Err(Raised::type_error(py, &text));
                };
                let text = text.as_utf8(py)?.to_owned();
                let request = this.request(py)?;
                let is_offered = request.with_call(|job, _| {
                    protocols(header_table(job), &job.bytes).any(|offered| offered == text)
                });
                if !is_offered {
                    // RFC 6455 section 4.1: the client would fail the connection.
                    let text = format!("the client does not offer the subprotocol '{text}'");
                    return Err(Raised::value_error(py, &text));
                }
                Some(text)
            }
        };
        let mut fields = Fields::default();
        if let Some(headers) = headers.filter(|headers| !headers.is_none()) {
            fields.extend(&*copied(py, &headers)?, py)?;
            let is_ours = |(name, _): (&[u8], &[u8])| {
                name.get(..14).is_some_and(|start| start.eq_ignore_ascii_case(b"sec-websocket-"))
            };
            if fields.iter().any(is_ours) {
                let text =
                    "Sec-WebSocket headers are written by the server: accept() takes subprotocol";
                return Err(Raised::value_error(py, text));
            }
        }
        this.open(py, protocol, &fields)?;
        Self::sent(this, py)
    }

    /// Answers the handshake if that is not done yet: this is its first use.
    #[inline]
    pub(super) fn begin(&self, py: Attached<'_>) -> Result<(), Raised> {
        if self.is_accepted.get() { Ok(()) } else { self.open(py, None, &Fields::default()) }
    }

    #[cold]
    fn open(
        &self,
        py: Attached<'_>,
        protocol: Option<String>,
        fields: &Fields,
    ) -> Result<(), Raised> {
        let Some(handshake) = self.handshake.take() else {
            return Err(Raised::runtime_error(py, "the handshake was refused"));
        };
        let protocol = protocol.or_else(|| handshake.protocol.clone());
        let extension = handshake.agreed.map(|agreed| agreed.to_string());
        let mut out = Vec::with_capacity(256);
        // No page comes of a WebSocket that policies could be for.
        let heads = handshake.heads(None);
        let mut head = heads.plain().begin(&mut out, 101);
        head.header(b"Upgrade", b"websocket").header(b"Connection", b"Upgrade");
        head.header(b"Sec-WebSocket-Accept", &handshake.accept);
        if let Some(protocol) = &protocol {
            head.header(b"Sec-WebSocket-Protocol", protocol.as_bytes());
            self.protocol.set(py, Str::new(py, protocol)?);
        }
        if let Some(extension) = &extension {
            head.header(b"Sec-WebSocket-Extensions", extension.as_bytes());
        }
        for (name, value) in fields.iter() {
            head.header(name, value);
        }
        // RFC 6455 section 4.2.2: any field may stand there, such as one that sets a cookie.
        if let Some((name, line)) = handshake.session.as_ref().and_then(SessionField::cookie) {
            head.header(name, line);
        }
        if let Some(id) = self.given_id(py)? {
            head.header(REQUEST_ID_HEADER, &id);
        }
        head.finish(0, Connection::KeepAlive);
        *self.compressor.borrow_mut() =
            handshake.agreed.map(|agreed| Box::new(Compressor::new(agreed)));
        if let Some(agreed) = handshake.agreed
            && !agreed.server_takes_over
        {
            // Nothing refers to the messages before: one that is compressed once does for many.
            self.hears_as.set(Form::Deflated(agreed.window_bits()));
        }
        self.is_accepted.set(true);
        self.flow.upgrade(&out);
        Ok(())
    }

    /// The id of the request, if its answer bears one.
    fn given_id(&self, py: Attached<'_>) -> Result<Option<Vec<u8>>, Raised> {
        Ok(self.request(py)?.with_call(|job, _| job.id().map(<[u8]>::to_vec)))
    }

    /// `_answer(result)`: refuses the handshake with what a handler of HTTP might return.
    pub(super) fn answer<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let [result] = given.parse(&Signature::all("_answer", ["result"]), py)?;
        let result = result.expect("it is required").to_owned(py);
        let mut desk = Desk::default();
        let conventions =
            Conventions { tools: &self.tools, json_default: self.app.json_default.as_ref() };
        let answer = desk.answer(py, result, conventions)?;
        if answer.is_stream() {
            let text = "a handshake is refused with a whole answer: a stream cannot be one";
            return Err(Raised::type_error(py, text));
        }
        if let Some(id) = self.given_id(py)? {
            desk.fields.push_if_absent(REQUEST_ID_HEADER, &id);
        }
        let Some(handshake) = self.handshake.take() else {
            return Err(Raised::runtime_error(py, "the handshake has been answered"));
        };
        if let Some(session) = &handshake.session {
            session.put_into(&mut desk.fields);
        }
        let mut out = Vec::new();
        let manner = Manner { connection: Connection::Close, head_only: false };
        let heads = handshake.heads(handshake.security.clone());
        let request = self.request(py)?;
        let (is_https, nonce) = request.with_call(|job, call| {
            let fields = call.request.headers_in(&job.headers);
            (forwarded::is_https(fields, &job.bytes), job.nonce().copied())
        });
        let nonce = nonce.as_ref();
        let heads = heads.particular(Particulars { granted: b"", is_https, nonce });
        wire::write(heads, &mut out, &answer, &desk, manner, py);
        self.flow.refuse(answer.status, &out);
        self.inbox.close(crate::flow::GONE, "");
        self.is_over.set(true);
        Ok(none(py))
    }
}
