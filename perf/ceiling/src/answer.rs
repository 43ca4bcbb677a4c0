//! Hot path. The five routes of the benchmark, in the bytes that Pyre would send.

use std::hint::black_box;

use crate::heads::{Heads, Kind};
use crate::request::Request;

/// Writes the answer to `request` behind what `out` holds.
pub(crate) fn write(out: &mut Vec<u8>, request: &Request<'_>, heads: &Heads) {
    match (request.method, request.path) {
        ("GET", "/") => heads.ok(out, Kind::Text, b"Hello, World!"),
        ("GET", "/json") => heads.ok(out, Kind::Json, br#"{"message":"Hello, World!"}"#),
        ("GET", "/compute") => write_compute(out, heads),
        ("POST", "/echo") if request.body.is_empty() => write_refusal(out, 400, heads),
        ("POST", "/echo") => heads.ok(out, Kind::Json, request.body),
        ("GET", path) => match path.strip_prefix("/user/") {
            Some(id) if is_plain(id) => write_user(out, id, heads),
            _ => write_refusal(out, 404, heads),
        },
        _ => write_refusal(out, 404, heads),
    }
}

/// Writes an error without detail.
#[cold]
pub(crate) fn write_refusal(out: &mut Vec<u8>, status: u16, heads: &Heads) {
    let (reason, body): (&str, &[u8]) = match status {
        404 => ("Not Found", br#"{"error":"not found"}"#),
        431 => ("Request Header Fields Too Large", br#"{"error":"request head too large"}"#),
        501 => ("Not Implemented", br#"{"error":"not implemented"}"#),
        _ => ("Bad Request", br#"{"error":"bad request"}"#),
    };
    heads.error(out, status, reason, body);
}

/// One segment that needs no escape in JSON.
fn is_plain(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte))
}

fn write_user(out: &mut Vec<u8>, id: &str, heads: &Heads) {
    const AROUND: usize = br#"{"id":""}"#.len();
    heads.begin_ok(out, Kind::Json, AROUND + id.len());
    out.extend_from_slice(br#"{"id":""#);
    out.extend_from_slice(id.as_bytes());
    out.extend_from_slice(br#""}"#);
}

fn write_compute(out: &mut Vec<u8>, heads: &Heads) {
    // The compiler may not know the bound, or it would fold the sum into a constant.
    let result: u64 = (0..black_box(100_u64)).map(|n| n * n).sum();
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(result).as_bytes();
    const AROUND: usize = br#"{"result":}"#.len();
    heads.begin_ok(out, Kind::Json, AROUND + digits.len());
    out.extend_from_slice(br#"{"result":"#);
    out.extend_from_slice(digits);
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &str, path: &str, body: &str, expected: &str) {
        let mut heads = Heads::new();
        heads.set_now(784_111_777);
        let body = body.as_bytes();
        let mut out = Vec::new();
        write(&mut out, &Request { method, path, body, keep_alive: true, bytes: 0 }, &heads);
        assert_eq!(String::from_utf8(out).unwrap(), expected.replace('\n', "\r\n"));
    }

    #[test]
    fn answers_the_five_routes() {
        let text = "HTTP/1.1 200 OK\nServer: bare\nDate: Sun, 06 Nov 1994 08:49:37 GMT\n\
                    Content-Type: text/plain; charset=utf-8\nContent-Length: ";
        let json = "HTTP/1.1 200 OK\nServer: bare\nDate: Sun, 06 Nov 1994 08:49:37 GMT\n\
                    Content-Type: application/json\nContent-Length: ";
        check("GET", "/", "", &format!("{text}13\n\nHello, World!"));
        check("GET", "/json", "", &format!("{json}27\n\n{{\"message\":\"Hello, World!\"}}"));
        check("GET", "/user/42", "", &format!("{json}11\n\n{{\"id\":\"42\"}}"));
        check("GET", "/compute", "", &format!("{json}17\n\n{{\"result\":328350}}"));
        check("POST", "/echo", "[1]", &format!("{json}3\n\n[1]"));
    }

    #[test]
    fn refuses_the_rest() {
        let head = |line: &str, length: usize| {
            format!(
                "HTTP/1.1 {line}\nServer: bare\nDate: Sun, 06 Nov 1994 08:49:37 GMT\n\
                 Content-Type: application/json\nContent-Length: {length}\n\n"
            )
        };
        let missing = format!("{}{{\"error\":\"not found\"}}", head("404 Not Found", 21));
        check("GET", "/nowhere", "", &missing);
        check("GET", "/user/", "", &missing);
        check("GET", "/user/a\"b", "", &missing);
        check("POST", "/", "", &missing);
        let bad = format!("{}{{\"error\":\"bad request\"}}", head("400 Bad Request", 23));
        check("POST", "/echo", "", &bad);
    }
}
