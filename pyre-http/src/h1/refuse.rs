//! Answers that the server gives by itself: errors with a small JSON body, and 204.

use crate::h1::serialize::{BodyKind, Connection, Heads};
use crate::status;

/// Writes the whole answer `{"error": ...}` with this status, and the headers of `extra` (such as
/// `Allow` or `Retry-After`); without the body if the request was HEAD, or the status allows none.
pub fn write_error(
    heads: Heads<'_>,
    out: &mut Vec<u8>,
    status: u16,
    connection: Connection,
    extra: &[(&[u8], &[u8])],
    head_only: bool,
) {
    const OPEN: &[u8] = br#"{"error":""#;
    const CLOSE: &[u8] = br#""}"#;
    let text = status::error_text(status).as_bytes();

    let mut head = heads.begin(out, status);
    if status::has_body(status) {
        head.content_type(BodyKind::Json);
    }
    for (name, value) in extra {
        head.header(name, value);
    }
    let has_body = head.finish(OPEN.len() + text.len() + CLOSE.len(), connection);
    if has_body && !head_only {
        for part in [OPEN, text, CLOSE] {
            out.extend_from_slice(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::RequestError;
    use crate::h1::serialize::ResponseHeads;

    fn check(status: u16, extra: &[(&[u8], &[u8])], head_only: bool, expected: &str) {
        let mut out = Vec::new();
        let heads = ResponseHeads::new(false, None, None);
        write_error(heads.plain(), &mut out, status, Connection::Close, extra, head_only);
        let expected = expected.replace("{date}", "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n");
        assert_eq!(str::from_utf8(&out).unwrap(), expected);
    }

    #[test]
    fn answers() {
        check(
            405,
            &[(b"Allow", b"GET, HEAD")],
            false,
            "HTTP/1.1 405 Method Not Allowed\r\n{date}Content-Type: application/json\r\n\
             Allow: GET, HEAD\r\nContent-Length: 30\r\nConnection: close\r\n\r\n\
             {\"error\":\"method not allowed\"}",
        );
        check(
            404,
            &[],
            true,
            "HTTP/1.1 404 Not Found\r\n{date}Content-Type: application/json\r\n\
             Content-Length: 21\r\nConnection: close\r\n\r\n",
        );
        check(
            204,
            &[(b"Allow", b"GET")],
            false,
            "HTTP/1.1 204 No Content\r\n{date}Allow: GET\r\nConnection: close\r\n\r\n",
        );
    }

    #[test]
    fn every_error_has_an_answer() {
        for error in RequestError::ALL {
            let status = error.status();
            assert!((400..=505).contains(&status), "{error:?}");
            assert_ne!(status::reason(status), "", "{error:?}");
            assert_ne!(error.reason(), "", "{error:?}");
            assert_ne!(status::error_text(status), "internal server error", "{error:?}");
        }
    }
}
