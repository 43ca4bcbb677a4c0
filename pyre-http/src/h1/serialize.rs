//! Step 9: answers become bytes. What all answers of one second share is prepared once: status line,
//! `Server`, `Date` and, for the common kinds of body, `Content-Type`. Hot path.

use std::sync::Arc;

use crate::cors::Cors;
use crate::date::{DATE_BYTES, imf_fixdate};
use crate::message::Request;
use crate::security::{Nonce, Said, SecurityHeaders};
use crate::status;
use crate::version::Version;

/// What tells the peer to go on with the body it announced (RFC 9110 section 10.1.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Kinds of body with a head prepared for them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum BodyKind {
    /// Text in UTF-8.
    Text,
    /// JSON.
    Json,
    /// Bytes of unknown meaning.
    Bytes,
    /// A page in UTF-8.
    Html,
}

impl BodyKind {
    const ALL: [Self; 4] = [Self::Text, Self::Json, Self::Bytes, Self::Html];

    /// The value of `Content-Type`.
    #[inline]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; charset=utf-8",
            Self::Json => "application/json",
            Self::Bytes => "application/octet-stream",
            Self::Html => "text/html; charset=utf-8",
        }
    }
}

/// What an answer says about the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Connection {
    /// It goes on, which HTTP/1.1 need not be told.
    KeepAlive,
    /// It goes on, and HTTP/1.0 must be told.
    KeepAlive10,
    /// It ends after this answer.
    Close,
}

impl Connection {
    /// What this request asks for (RFC 9112 section 9.3).
    #[inline]
    pub fn of(request: &Request) -> Self {
        match (request.keep_alive, request.version) {
            (false, _) => Self::Close,
            (true, Version::Http10) => Self::KeepAlive10,
            (true, Version::Http11) => Self::KeepAlive,
        }
    }

    /// The end of a head: the header, if any, and the empty line.
    #[inline]
    const fn head_end(self) -> &'static [u8] {
        match self {
            Self::KeepAlive => b"\r\n\r\n",
            Self::KeepAlive10 => b"\r\nConnection: keep-alive\r\n\r\n",
            Self::Close => b"\r\nConnection: close\r\n\r\n",
        }
    }
}

/// How the end of a body is told that comes in pieces (RFC 9112 section 6.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Delimited {
    /// By a last chunk.
    Chunked,
    /// It has as many bytes as the head says.
    Length(u64),
    /// By the end of the connection.
    Close,
}

/// Heads prepared for one second.
#[derive(Clone, Debug)]
pub struct ResponseHeads {
    unix_seconds: u64,
    /// From the status line to `Content-Length: `, for each [`BodyKind`].
    ok: [Prepared; 4],
    /// `Server` and `Date`, from the end of the status line on.
    common: Prepared,
    /// As `ok`, for requests that have come by https, if that makes a difference.
    ok_https: Option<Box<[Prepared; 4]>>,
    /// What protects who reads the answer.
    security: Option<Arc<SecurityHeaders>>,
    /// What follows the name of an origin that may read the answer.
    behind_origin: String,
    has_cors: bool,
    /// Whether an answer depends on its request.
    differs: bool,
    names_origins: bool,
    /// Heads say what is not the same for all answers.
    is_particular: bool,
}

/// The origin whose pages may read an answer, if that has to name it; empty otherwise. It is a value that a
/// header may have.
pub type Granted<'a> = &'a [u8];

/// In what the heads of answers differ by their request.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Particulars<'a> {
    /// The origin that is named.
    pub granted: Granted<'a>,
    /// The request has come by https.
    pub is_https: bool,
    /// The nonce that the request was given.
    pub nonce: Option<&'a Nonce>,
}

/// Bytes with a date in them.
#[derive(Clone, Debug)]
struct Prepared {
    text: Vec<u8>,
    date_at: usize,
}

impl Prepared {
    fn new(before: &[&str], after: &[&str]) -> Self {
        let mut text = before.concat().into_bytes();
        let date_at = text.len();
        text.extend_from_slice(&[b' '; DATE_BYTES]);
        text.extend_from_slice(after.concat().as_bytes());
        Self { text, date_at }
    }

    fn set_date(&mut self, date: &[u8; DATE_BYTES]) {
        self.text[self.date_at..self.date_at + DATE_BYTES].copy_from_slice(date);
    }
}

impl ResponseHeads {
    /// Heads for the first second of 1970; with `Server: pyre` if asked for.
    pub fn new(
        server_header: bool,
        cors: Option<&Cors>,
        security: Option<Arc<SecurityHeaders>>,
    ) -> Self {
        let server = if server_header { "\r\nServer: pyre" } else { "" };
        let shared = cors.map(Cors::lines_for_all).unwrap_or_default();
        let names_origins = cors.is_some_and(Cors::is_by_origin);
        let has_https = security.as_ref().is_some_and(|security| security.has_https());
        let has_nonce = security.as_ref().is_some_and(|security| security.has_nonce());
        let ok = |is_https| {
            let mut protects = Vec::new();
            if let Some(security) = &security {
                security.write(&mut protects, 0, 200, is_https, None);
            }
            let protects = String::from_utf8(protects).expect("these headers are ASCII");
            BodyKind::ALL.map(|kind| {
                let content_type = kind.content_type();
                let type_and_length = ["\r\nContent-Type: ", content_type, "\r\nContent-Length: "];
                Prepared::new(
                    &["HTTP/1.1 200 OK", server, "\r\nDate: "],
                    &[&shared, &protects, &type_and_length.concat()],
                )
            })
        };
        let mut heads = Self {
            unix_seconds: 0,
            ok: ok(false),
            ok_https: has_https.then(|| Box::new(ok(true))),
            common: Prepared::new(&[server, "\r\nDate: "], &[&shared]),
            behind_origin: cors.map(Cors::lines_behind_origin).unwrap_or_default(),
            has_cors: cors.is_some(),
            differs: names_origins || has_https || has_nonce,
            names_origins,
            security,
            is_particular: names_origins || has_https || has_nonce,
        };
        heads.set_dates();
        heads
    }

    /// Brings the date up to date; cheap if the second is still the same.
    #[inline]
    pub fn set_now(&mut self, unix_seconds: u64) {
        if self.unix_seconds != unix_seconds {
            self.unix_seconds = unix_seconds;
            self.set_dates();
        }
    }

    #[cold]
    fn set_dates(&mut self) {
        let date = imf_fixdate(self.unix_seconds);
        let https = self.ok_https.iter_mut().flat_map(|ok| ok.iter_mut());
        for prepared in self.ok.iter_mut().chain([&mut self.common]).chain(https) {
            prepared.set_date(&date);
        }
    }

    /// They are for answers that may be compressed, too.
    #[must_use]
    pub fn of_compressed(mut self, are_compressed: bool) -> Self {
        self.is_particular |= are_compressed;
        self
    }

    /// Whether each answer has to be looked at before its head is written.
    #[inline(always)]
    pub fn is_particular(&self) -> bool {
        self.is_particular
    }

    /// The heads of an answer to nobody in particular.
    #[inline(always)]
    pub fn plain(&self) -> Heads<'_> {
        Heads { prepared: self, particulars: Particulars::default(), differs: false }
    }

    /// The heads of an answer to a request like this.
    #[inline(always)]
    pub fn particular<'a>(&'a self, particulars: Particulars<'a>) -> Heads<'a> {
        let granted = if self.names_origins { particulars.granted } else { &[] };
        let particulars = Particulars { granted, ..particulars };
        let differs = !granted.is_empty() || particulars.is_https || particulars.nonce.is_some();
        Heads { prepared: self, particulars, differs }
    }

    /// As `particular`, asked for the particulars only if any answer differs by its request: with whether it
    /// matters if that has come by https.
    #[inline(always)]
    pub fn particular_if<'a>(
        &'a self,
        particulars: impl FnOnce(bool) -> Particulars<'a>,
    ) -> Heads<'a> {
        if self.differs { self.particular(particulars(self.wants_https())) } else { self.plain() }
    }

    /// Whether answers differ by their requests.
    #[inline]
    pub fn differ(&self) -> bool {
        self.differs
    }

    /// Whether it matters if a request has come by https.
    pub fn wants_https(&self) -> bool {
        self.ok_https.is_some()
    }
}

/// Heads for one answer.
#[derive(Clone, Copy, Debug)]
pub struct Heads<'a> {
    prepared: &'a ResponseHeads,
    particulars: Particulars<'a>,
    /// Whether any of them is not what is usual.
    differs: bool,
}

impl<'a> Heads<'a> {
    /// Whether each head says this already, so that no handler is to say it again.
    pub fn says(&self, name: &[u8]) -> bool {
        self.prepared.has_cors && Cors::is_ours(name)
    }

    /// Writes the whole head of a 200 with this kind of body. The body comes next, unless the
    /// request was HEAD.
    #[inline(always)]
    pub fn write_ok(
        &self,
        out: &mut Vec<u8>,
        kind: BodyKind,
        body_bytes: usize,
        connection: Connection,
    ) {
        let mut ok = &self.prepared.ok;
        if self.differs {
            match &self.prepared.ok_https {
                Some(https) if self.is_only_https() => ok = https,
                _ => return self.write_particular(out, kind, body_bytes, connection),
            }
        }
        out.extend_from_slice(&ok[kind as usize].text);
        // The end of most heads is put together here and copied once, in one fixed size.
        let mut end = *b"????????\r\n\r\n????????";
        let mut first_digit = 8;
        let mut rest = body_bytes;
        if connection != Connection::KeepAlive || rest > 99_999_999 {
            return write_rare_end(out, body_bytes, connection);
        }
        loop {
            first_digit -= 1;
            end[first_digit] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        out.extend_from_slice(&end[first_digit..first_digit + 12]);
        out.truncate(out.len() - first_digit);
    }

    /// Whether what is particular is that the request has come by https, and nothing else.
    fn is_only_https(&self) -> bool {
        self.particulars.granted.is_empty() && self.particulars.nonce.is_none()
    }

    /// As `write_ok`, for an answer that names an origin or a nonce.
    #[inline(never)]
    fn write_particular(
        &self,
        out: &mut Vec<u8>,
        kind: BodyKind,
        body_bytes: usize,
        connection: Connection,
    ) {
        let mut head = self.begin(out, 200);
        head.content_type(kind);
        head.finish(body_bytes, connection);
    }

    /// Writes the status line, `Server` and `Date` of any answer; headers come next.
    pub fn begin<'out>(&self, out: &'out mut Vec<u8>, status: u16) -> ReplyHead<'out>
    where
        'a: 'out,
    {
        debug_assert!((100..=999).contains(&status), "status {status}");
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
        // RFC 9112 section 4: the space stays even if there is no phrase.
        out.push(b' ');
        out.extend_from_slice(status::reason(status).as_bytes());
        out.extend_from_slice(&self.prepared.common.text);
        let granted = self.particulars.granted;
        if !granted.is_empty() {
            debug_assert!(crate::header::is_value(granted));
            out.extend_from_slice(b"\r\nAccess-Control-Allow-Origin: ");
            out.extend_from_slice(granted);
            out.extend_from_slice(self.prepared.behind_origin.as_bytes());
        }
        let security = self.prepared.security.as_deref();
        ReplyHead { out, status, security, particulars: self.particulars, said: 0 }
    }
}

/// Takes back that the connection ends after the answer whose head begins at `start`; tells whether
/// the head had said so.
pub fn keep_open(reply: &mut Vec<u8>, start: usize) -> bool {
    let (said, unsaid) = (Connection::Close.head_end(), Connection::KeepAlive.head_end());
    let Some(head_bytes) = memchr::memmem::find(&reply[start..], unsaid) else { return false };
    let head_end = start + head_bytes + unsaid.len();
    if !reply[start..head_end].ends_with(said) {
        return false;
    }
    reply.drain(head_end - said.len()..head_end - unsaid.len());
    true
}

/// A length and the end of a head.
#[inline(never)]
fn write_rare_end(out: &mut Vec<u8>, body_bytes: usize, connection: Connection) {
    out.extend_from_slice(itoa::Buffer::new().format(body_bytes).as_bytes());
    out.extend_from_slice(connection.head_end());
}

/// A head being written: begun by [`Heads::begin`], ended by [`ReplyHead::finish`].
#[derive(Debug)]
#[must_use = "a head without its end is no head"]
pub struct ReplyHead<'out> {
    out: &'out mut Vec<u8>,
    status: u16,
    /// What is still to be said, but for what was said already.
    security: Option<&'out SecurityHeaders>,
    particulars: Particulars<'out>,
    said: Said,
}

impl ReplyHead<'_> {
    /// Adds a header, whose name and value have passed [`crate::header::is_name`] and
    /// [`crate::header::is_value`].
    pub fn header(&mut self, name: &[u8], value: &[u8]) -> &mut Self {
        debug_assert!(crate::header::is_name(name) && crate::header::is_value(value));
        if let Some(security) = self.security {
            self.said |= security.bit(name);
        }
        self.out.reserve(name.len() + value.len() + 4);
        self.out.extend_from_slice(b"\r\n");
        self.out.extend_from_slice(name);
        self.out.extend_from_slice(b": ");
        self.out.extend_from_slice(value);
        self
    }

    /// Adds whole fields that were put together before, each of them behind the end of the line before.
    #[inline]
    pub fn prepared(&mut self, fields: &[u8]) -> &mut Self {
        self.note_nosniff(fields);
        self.out.extend_from_slice(fields);
        self
    }

    /// Adds `Content-Type`.
    pub fn content_type(&mut self, kind: BodyKind) -> &mut Self {
        self.header(b"Content-Type", kind.content_type().as_bytes())
    }

    /// Ends the answer with what was put together before: fields, the end of the head, and the body.
    #[inline]
    pub fn finish_prepared(mut self, rest: &[u8]) {
        if self.security.is_some() {
            let head_end = memchr::memmem::find(rest, b"\r\n\r\n").unwrap_or(rest.len());
            self.note_nosniff(&rest[..head_end]);
            self.protect();
        }
        self.out.extend_from_slice(rest);
    }

    /// Files say this themselves, in what is prepared; nothing else of it is said there.
    fn note_nosniff(&mut self, fields: &[u8]) {
        const NAME: &[u8] = b"X-Content-Type-Options";
        if let Some(security) = self.security
            && memchr::memmem::find(fields, NAME).is_some()
        {
            self.said |= security.bit(NAME);
        }
    }

    /// Says what protects who reads the answer: what a handler has said of it goes before.
    #[inline]
    fn protect(&mut self) {
        if let Some(security) = self.security {
            let Particulars { is_https, nonce, .. } = self.particulars;
            security.write(self.out, self.said, self.status, is_https, nonce);
        }
    }

    /// Ends the head of an answer whose body comes in pieces: of this length in all, or else in chunks,
    /// or else up to the end of the connection, which has to be said then.
    pub fn finish_streamed(mut self, delimited: Delimited, connection: Connection) {
        self.protect();
        match delimited {
            // RFC 9112 section 6.1.
            Delimited::Chunked => {
                self.out.extend_from_slice(b"\r\nTransfer-Encoding: chunked");
            }
            Delimited::Length(bytes) => {
                self.out.extend_from_slice(b"\r\nContent-Length: ");
                self.out.extend_from_slice(itoa::Buffer::new().format(bytes).as_bytes());
            }
            Delimited::Close => debug_assert_eq!(connection, Connection::Close),
        }
        self.out.extend_from_slice(connection.head_end());
    }

    /// Ends the head of an answer with a body of this length, and tells whether the status allows
    /// one. If it does, the body comes next, unless the request was HEAD.
    pub fn finish(mut self, body_bytes: usize, connection: Connection) -> bool {
        self.protect();
        // RFC 9110 section 8.6: no Content-Length with 1xx and 204. With 304 it would have to be
        // that of the answer to GET, which nobody knows here.
        let has_body = status::has_body(self.status);
        if self.status == 205 {
            // RFC 9110 section 15.3.6: that there is no content is said like this.
            self.out.extend_from_slice(b"\r\nContent-Length: 0");
        } else if has_body {
            self.out.extend_from_slice(b"\r\nContent-Length: ");
            self.out.extend_from_slice(itoa::Buffer::new().format(body_bytes).as_bytes());
        }
        self.out.extend_from_slice(connection.head_end());
        has_body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heads(server_header: bool) -> ResponseHeads {
        let mut heads = ResponseHeads::new(server_header, None, None);
        heads.set_now(784_111_777);
        heads
    }

    fn check(write: impl FnOnce(Heads<'_>, &mut Vec<u8>), expected: &str) {
        let mut out = b"earlier".to_vec();
        write(heads(true).plain(), &mut out);
        let expected =
            expected.replace("{}", "Server: pyre\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
        assert_eq!(str::from_utf8(&out).unwrap(), format!("earlier{expected}"));
    }

    #[test]
    fn prepared_heads() {
        for (kind, content_type) in [
            (BodyKind::Text, "text/plain; charset=utf-8"),
            (BodyKind::Json, "application/json"),
            (BodyKind::Bytes, "application/octet-stream"),
            (BodyKind::Html, "text/html; charset=utf-8"),
        ] {
            for (connection, header) in [
                (Connection::KeepAlive, ""),
                (Connection::KeepAlive10, "Connection: keep-alive\r\n"),
                (Connection::Close, "Connection: close\r\n"),
            ] {
                for length in [0, 13, 9_999, usize::MAX] {
                    check(
                        |heads, out| heads.write_ok(out, kind, length, connection),
                        &format!(
                            "HTTP/1.1 200 OK\r\n{{}}Content-Type: {content_type}\r\n\
                             Content-Length: {length}\r\n{header}\r\n"
                        ),
                    );
                }
            }
        }
    }

    #[test]
    fn the_date_follows_the_clock() {
        let mut heads = heads(false);
        heads.set_now(784_111_778);
        let mut out = Vec::new();
        heads.plain().write_ok(&mut out, BodyKind::Json, 2, Connection::KeepAlive);
        assert!(out.starts_with(b"HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:38 GMT\r\n"));
        out.clear();
        assert!(heads.plain().begin(&mut out, 200).finish(0, Connection::KeepAlive));
        assert_eq!(
            out,
            b"HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:38 GMT\r\nContent-Length: 0\r\n\r\n"
        );
    }

    #[test]
    fn any_status() {
        check(
            |heads, out| {
                let mut head = heads.begin(out, 201);
                head.content_type(BodyKind::Json).header(b"X-A", b"b").header(b"X-A", b"");
                assert!(head.finish(2, Connection::Close));
            },
            "HTTP/1.1 201 Created\r\n{}Content-Type: application/json\r\nX-A: b\r\nX-A: \r\n\
             Content-Length: 2\r\nConnection: close\r\n\r\n",
        );
        check(
            |heads, out| assert!(heads.begin(out, 299).finish(0, Connection::KeepAlive)),
            "HTTP/1.1 299 \r\n{}Content-Length: 0\r\n\r\n",
        );
    }

    #[test]
    fn bodies_in_pieces() {
        for (delimited, connection, end) in [
            (Delimited::Chunked, Connection::KeepAlive, "Transfer-Encoding: chunked\r\n"),
            (Delimited::Length(7), Connection::KeepAlive, "Content-Length: 7\r\n"),
            (Delimited::Close, Connection::Close, "Connection: close\r\n"),
        ] {
            check(
                |heads, out| heads.begin(out, 200).finish_streamed(delimited, connection),
                &format!("HTTP/1.1 200 OK\r\n{{}}{end}\r\n"),
            );
        }
    }

    #[test]
    fn an_end_is_taken_back() {
        for (connection, was_said) in [(Connection::Close, true), (Connection::KeepAlive, false)] {
            let write = |out: &mut Vec<u8>, connection| {
                heads(true).plain().write_ok(out, BodyKind::Text, 23, connection);
                out.extend_from_slice(b"\r\nConnection: close\r\n\r\n");
            };
            let (mut reply, mut expected) = (Vec::new(), Vec::new());
            write(&mut reply, Connection::Close);
            write(&mut expected, Connection::Close);
            let start = reply.len();
            write(&mut reply, connection);
            write(&mut expected, Connection::KeepAlive);
            assert_eq!(keep_open(&mut reply, start), was_said);
            assert_eq!(reply, expected);
        }
    }

    #[test]
    fn statuses_without_body_have_no_length() {
        for (status, phrase) in
            [(101, "Switching Protocols"), (204, "No Content"), (304, "Not Modified")]
        {
            check(
                |heads, out| assert!(!heads.begin(out, status).finish(5, Connection::KeepAlive)),
                &format!("HTTP/1.1 {status} {phrase}\r\n{{}}\r\n"),
            );
        }
    }
}
