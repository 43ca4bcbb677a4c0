//! Hot path. Response heads, rendered once a second and copied as one block.

use crate::date::imf_fixdate;

/// What a body is.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Text,
    Json,
}

/// The heads of one second, each up to and including `Content-Length: `.
pub(crate) struct Heads {
    now: u64,
    text: Vec<u8>,
    json: Vec<u8>,
}

impl Heads {
    pub(crate) fn new() -> Self {
        let mut heads = Self { now: u64::MAX, text: Vec::new(), json: Vec::new() };
        heads.set_now(0);
        heads
    }

    /// Tells the time in seconds since 1970; cheap while the second lasts.
    pub(crate) fn set_now(&mut self, unix_seconds: u64) {
        if self.now != unix_seconds {
            self.render(unix_seconds);
        }
    }

    #[cold]
    fn render(&mut self, unix_seconds: u64) {
        self.now = unix_seconds;
        self.text = head("200 OK", "text/plain; charset=utf-8", unix_seconds);
        self.json = head("200 OK", "application/json", unix_seconds);
    }

    /// Writes a whole 200 answer.
    pub(crate) fn ok(&self, out: &mut Vec<u8>, kind: Kind, body: &[u8]) {
        self.begin_ok(out, kind, body.len());
        out.extend_from_slice(body);
    }

    /// Writes the head of a 200 answer whose body follows.
    pub(crate) fn begin_ok(&self, out: &mut Vec<u8>, kind: Kind, body_bytes: usize) {
        let head = match kind {
            Kind::Text => &self.text,
            Kind::Json => &self.json,
        };
        out.extend_from_slice(head);
        end_head(out, body_bytes);
    }

    /// Writes the head of a 200 answer of bytes whose body follows in chunks.
    pub(crate) fn begin_chunked(&self, out: &mut Vec<u8>) {
        let date = imf_fixdate(self.now);
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\nServer: bare\r\nDate: ");
        out.extend_from_slice(date.as_bytes());
        out.extend_from_slice(b"\r\nContent-Type: application/octet-stream\r\n");
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
    }

    /// Writes a whole answer with a status other than 200.
    pub(crate) fn error(&self, out: &mut Vec<u8>, status: u16, reason: &str, body: &[u8]) {
        let line = format!("{status} {reason}");
        out.extend_from_slice(&head(&line, "application/json", self.now));
        end_head(out, body.len());
        out.extend_from_slice(body);
    }
}

fn head(status: &str, content_type: &str, unix_seconds: u64) -> Vec<u8> {
    // "bare" is as long as "pyre": the answers of both servers have the same length.
    format!(
        "HTTP/1.1 {status}\r\nServer: bare\r\nDate: {}\r\nContent-Type: {content_type}\r\n\
         Content-Length: ",
        imf_fixdate(unix_seconds)
    )
    .into_bytes()
}

fn end_head(out: &mut Vec<u8>, body_bytes: usize) {
    out.extend_from_slice(itoa::Buffer::new().format(body_bytes).as_bytes());
    out.extend_from_slice(b"\r\n\r\n");
}
