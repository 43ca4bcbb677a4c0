//! Hot path. Bytes become one request: its path, and a body with a stated length.
//!
//! Chunked bodies are refused: no benchmark sends one.

/// Most headers a request may have.
const HEADERS_MAX: usize = 32;

/// What stands at the front of the bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next<'a> {
    Request(Request<'a>),
    /// The head of a request whose body is counted as it comes.
    Upload {
        head_bytes: usize,
        body_bytes: usize,
        keep_alive: bool,
    },
    /// The rest is still to come.
    Partial,
    /// The bytes are no request this server serves: the status to close with.
    Refused(u16),
}

/// One whole request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) body: &'a [u8],
    pub(crate) keep_alive: bool,
    /// Length of the request, head and body.
    pub(crate) bytes: usize,
}

impl Request<'_> {
    /// How long an answer in chunks is asked for, if one is.
    pub(crate) fn reply_bytes(&self) -> Option<u64> {
        let digits = self.path.strip_prefix("/reply/").filter(|_| self.method == "GET")?;
        digits.parse().ok()
    }
}

/// Takes the first request of `bytes`.
pub(crate) fn next_request(bytes: &[u8]) -> Next<'_> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Request::new(&mut headers);
    let head_bytes = match head.parse(bytes) {
        Ok(httparse::Status::Complete(head_bytes)) => head_bytes,
        Ok(httparse::Status::Partial) => return Next::Partial,
        Err(httparse::Error::TooManyHeaders) => return Next::Refused(431),
        Err(_) => return Next::Refused(400),
    };
    let (Some(method), Some(target), Some(minor)) = (head.method, head.path, head.version) else {
        return Next::Refused(400);
    };
    let mut body_bytes = 0;
    let mut keep_alive = minor == 1;
    for header in head.headers.iter() {
        match header.name.len() {
            14 if header.name.eq_ignore_ascii_case("content-length") => {
                match length(header.value) {
                    Some(length) => body_bytes = length,
                    None => return Next::Refused(400),
                }
            }
            10 if header.name.eq_ignore_ascii_case("connection")
                && header.value.eq_ignore_ascii_case(b"close") =>
            {
                keep_alive = false;
            }
            17 if header.name.eq_ignore_ascii_case("transfer-encoding") => {
                return Next::Refused(501);
            }
            _ => {}
        }
    }
    if body_bytes > 0 && method == "POST" && target == "/upload" {
        return Next::Upload { head_bytes, body_bytes, keep_alive };
    }
    let Some(body) = bytes[head_bytes..].get(..body_bytes) else {
        return Next::Partial;
    };
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    Next::Request(Request { method, path, body, keep_alive, bytes: head_bytes + body_bytes })
}

/// Digits only, as RFC 9112 section 6.2 has it; at most ten, so that no sum overflows.
fn length(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() || digits.len() > 10 {
        return None;
    }
    digits.iter().try_fold(0, |length, digit| {
        digit.is_ascii_digit().then(|| length * 10 + usize::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &str, expected: Next<'_>) {
        assert_eq!(next_request(bytes.as_bytes()), expected, "{bytes:?}");
        if let Next::Request(request) = expected {
            for cut in 0..request.bytes {
                let part = next_request(&bytes.as_bytes()[..cut]);
                assert_eq!(part, Next::Partial, "{bytes:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn takes_one_request_and_leaves_the_next() {
        let get = "GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n";
        let two = format!("{get}{get}");
        let expected =
            Request { method: "GET", path: "/a", body: b"", keep_alive: true, bytes: get.len() };
        check(&two, Next::Request(expected));
    }

    #[test]
    fn waits_for_the_whole_body() {
        let post = "POST /echo HTTP/1.1\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
        let expected = Request {
            method: "POST",
            path: "/echo",
            body: b"{}",
            keep_alive: false,
            bytes: post.len(),
        };
        check(post, Next::Request(expected));
    }

    #[test]
    fn does_not_wait_for_a_body_that_is_counted() {
        let post = "POST /upload HTTP/1.1\r\ncontent-length: 1000000000\r\n\r\n";
        let expected =
            Next::Upload { head_bytes: post.len(), body_bytes: 1_000_000_000, keep_alive: true };
        check(post, expected);
    }

    #[test]
    fn refuses_what_it_does_not_serve() {
        check("G\0T / HTTP/1.1\r\n\r\n", Next::Refused(400));
        check("GET / HTTP/1.1\r\ncontent-length: +1\r\n\r\n", Next::Refused(400));
        check("GET / HTTP/1.1\r\ncontent-length: 10000000000\r\n\r\n", Next::Refused(400));
        check("GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n", Next::Refused(501));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(HEADERS_MAX + 1));
        check(&many, Next::Refused(431));
    }
}
