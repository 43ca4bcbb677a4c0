//! What the header fields of a request say about the connection: where the body ends, whether the
//! connection goes on, for which host it is. Whatever two parsers could understand in two ways is
//! refused. Hot path.

use crate::authority;
use crate::error::RequestError;
use crate::limits::{BODY_BYTES_CAP, Limits};
use crate::message::BodyFraming;
use crate::span::Span;
use crate::version::Version;

const HOST: u8 = 1;
const LENGTH: u8 = 1 << 1;
const ENCODING: u8 = 1 << 2;
const CLOSE: u8 = 1 << 3;
const KEEP_ALIVE: u8 = 1 << 4;
const CONTINUE: u8 = 1 << 5;
const OTHER_EXPECTATION: u8 = 1 << 6;

/// What the fields seen so far say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Framing {
    said: u8,
    /// The value of `Host`.
    pub(super) host: Span,
    length: u64,
}

/// What a whole head says about the connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conclusion {
    /// Where the body ends.
    pub(super) body: BodyFraming,
    /// Whether the connection goes on after the answer.
    pub(super) keep_alive: bool,
    /// Whether the peer waits for `100 Continue`.
    pub(super) expects_continue: bool,
}

impl Framing {
    pub(super) const NEW: Self = Self { said: 0, host: Span::EMPTY, length: 0 };

    /// Takes one field into account, `value` being `at` in the buffer.
    #[inline(always)]
    pub(super) fn note(&mut self, name: &[u8], value: &[u8], at: Span) -> Result<(), RequestError> {
        if is(name, b"host") {
            return self.note_host(value, at);
        }
        // Most names end here: they have another length or another initial than those below.
        match (name.len(), name.first().map_or(0, |initial| initial | 0x20)) {
            (6, b'e') | (10 | 14, b'c') | (17, b't') => self.note_rare(name, value),
            _ => Ok(()),
        }
    }

    #[inline(never)]
    fn note_rare(&mut self, name: &[u8], value: &[u8]) -> Result<(), RequestError> {
        if is(name, b"connection") {
            self.note_connection(value);
        } else if is(name, b"content-length") {
            self.note_length(value)?;
        } else if is(name, b"transfer-encoding") {
            self.note_encoding(value)?;
        } else if is(name, b"expect") {
            self.note_expect(value);
        }
        Ok(())
    }

    #[inline(always)]
    fn note_host(&mut self, value: &[u8], at: Span) -> Result<(), RequestError> {
        // RFC 9112 section 3.2: more than one, or an invalid one, is 400.
        if self.said & HOST != 0 {
            return Err(RequestError::HostRepeated);
        }
        self.said |= HOST;
        self.host = at;
        // Empty is what a client sends whose target URI has no authority (RFC 9112 section 3.2).
        if value.is_empty() || authority::is_valid(value) {
            Ok(())
        } else {
            Err(RequestError::HostInvalid)
        }
    }

    fn note_length(&mut self, value: &[u8]) -> Result<(), RequestError> {
        // RFC 9112 section 6.3 would allow equal values to be merged. Nobody who means well sends
        // two, and what stands in front of us may have taken the other one.
        if self.said & LENGTH != 0 || value.contains(&b',') {
            return Err(RequestError::ContentLengthRepeated);
        }
        self.said |= LENGTH;
        // RFC 9110 section 8.6: digits and nothing else; 19 of them cannot overflow.
        if value.is_empty() || value.len() > 19 || !value.iter().all(u8::is_ascii_digit) {
            return Err(RequestError::ContentLengthInvalid);
        }
        self.length = value.iter().fold(0, |length, byte| length * 10 + u64::from(byte - b'0'));
        Ok(())
    }

    fn note_encoding(&mut self, value: &[u8]) -> Result<(), RequestError> {
        let mut codings = value.split(|&byte| byte == b',').map(trim);
        // RFC 9112 section 6.1: a coding that is not understood is 501.
        if codings.clone().any(|coding| {
            crate::header::is_name(coding) && !coding.eq_ignore_ascii_case(b"chunked")
        }) {
            return Err(RequestError::TransferEncodingUnknown);
        }
        // RFC 9112 section 7.1: chunked comes once, and takes no parameters.
        let only = codings.next().filter(|coding| coding.eq_ignore_ascii_case(b"chunked"));
        if self.said & ENCODING != 0 || only.is_none() || codings.next().is_some() {
            return Err(RequestError::TransferEncodingInvalid);
        }
        self.said |= ENCODING;
        Ok(())
    }

    fn note_connection(&mut self, value: &[u8]) {
        // What most clients say, without a walk through the list.
        if is(value, b"keep-alive") {
            self.said |= KEEP_ALIVE;
            return;
        }
        for option in value.split(|&byte| byte == b',').map(trim) {
            if option.eq_ignore_ascii_case(b"close") {
                self.said |= CLOSE;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.said |= KEEP_ALIVE;
            }
        }
    }

    fn note_expect(&mut self, value: &[u8]) {
        let is_continue = value.eq_ignore_ascii_case(b"100-continue");
        self.said |= if is_continue { CONTINUE } else { OTHER_EXPECTATION };
    }

    /// What all fields together say.
    #[inline(always)]
    pub(super) fn conclude(
        &self,
        version: Version,
        limits: &Limits,
    ) -> Result<Conclusion, RequestError> {
        if version == Version::Http11 && self.said & !KEEP_ALIVE == HOST {
            let body = BodyFraming::None;
            return Ok(Conclusion { body, keep_alive: true, expects_continue: false });
        }
        self.conclude_rare(version, limits)
    }

    #[inline(never)]
    fn conclude_rare(&self, version: Version, limits: &Limits) -> Result<Conclusion, RequestError> {
        let body = self.body(version, limits)?;
        Ok(Conclusion {
            body,
            // RFC 9112 section 9.3.
            keep_alive: self.said & CLOSE == 0
                && (version == Version::Http11 || self.said & KEEP_ALIVE != 0),
            // RFC 9110 section 10.1.1: not from 1.0, and not without a body.
            expects_continue: self.said & CONTINUE != 0
                && version == Version::Http11
                && !matches!(body, BodyFraming::None | BodyFraming::Length(0)),
        })
    }

    fn body(&self, version: Version, limits: &Limits) -> Result<BodyFraming, RequestError> {
        // RFC 9112 section 3.2.
        if version == Version::Http11 && self.said & HOST == 0 {
            return Err(RequestError::HostMissing);
        }
        if self.said & ENCODING != 0 {
            // RFC 9112 section 6.1: faulty framing, as 1.0 does not know the header.
            if version == Version::Http10 {
                return Err(RequestError::TransferEncodingInHttp10);
            }
            // RFC 9112 section 6.3: "ought to be handled as an error".
            if self.said & LENGTH != 0 {
                return Err(RequestError::LengthAndEncoding);
            }
        }
        // RFC 9110 section 10.1.1: expectations of 1.0 are ignored, unknown ones are 417.
        if version == Version::Http11 && self.said & OTHER_EXPECTATION != 0 {
            return Err(RequestError::ExpectationUnknown);
        }
        if self.said & ENCODING != 0 {
            return Ok(BodyFraming::Chunked);
        }
        if self.length > limits.body_bytes_max.min(BODY_BYTES_CAP) as u64 {
            return Err(RequestError::BodyTooLarge);
        }
        // RFC 9112 section 6.3: a request without either header has no body.
        Ok(match self.said & LENGTH {
            0 => BodyFraming::None,
            _ => BodyFraming::Length(self.length),
        })
    }
}

/// Whether `text`, which has no control characters, is `lower` in any case. Setting bit 5 makes
/// letters small, and turns nothing else that can stand here into a letter or a hyphen.
#[inline]
fn is<const N: usize>(text: &[u8], lower: &[u8; N]) -> bool {
    <&[u8; N]>::try_from(text).is_ok_and(|text| {
        text.iter().zip(lower).fold(0, |unlike, (byte, lower)| unlike | ((byte | 0x20) ^ lower))
            == 0
    })
}

/// Without optional white space around it (RFC 9110 section 5.6.3).
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}
