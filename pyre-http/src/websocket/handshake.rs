//! The opening handshake of a server (RFC 6455 section 4.2).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

use super::extension::Agreed;
use crate::header::{HeaderSpan, find_only, is_token_byte};
use crate::message::{BodyFraming, Request};
use crate::method::Method;
use crate::version::Version;

/// Goes behind the key of the client (section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The version of the protocol that is spoken here (section 4.1).
pub const VERSION: &str = "13";

/// The value of `Sec-WebSocket-Accept`: a digest of 20 bytes in base64.
pub type Accept = [u8; 28];

/// Why a request is no handshake, and the status it gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// It does not ask for WebSocket: 426, with `Upgrade: websocket` (RFC 9110 section 15.5.22).
    NoUpgrade,
    /// Another version of the protocol: 426, with `Sec-WebSocket-Version` (section 4.4).
    VersionUnsupported,
    /// `Sec-WebSocket-Key` is not there once, or not 16 bytes in base64; or there is a body: 400.
    Malformed,
}

impl Refusal {
    /// The status of the answer.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::NoUpgrade | Self::VersionUnsupported => 426,
            Self::Malformed => 400,
        }
    }
}

/// Reads a handshake: what the answer has to say in `Sec-WebSocket-Accept`.
///
/// # Errors
/// It is none.
pub fn read(request: &Request, fields: &[HeaderSpan], bytes: &[u8]) -> Result<Accept, Refusal> {
    // What follows the head is frames; a body would be mistaken for them. Of one that is still to come, nothing
    // else may be known.
    if !matches!(request.framing, BodyFraming::None | BodyFraming::Length(0)) {
        return Err(Refusal::Malformed);
    }
    let asks = request.method == Method::Get
        && request.version == Version::Http11
        && items(fields, bytes, b"connection").any(|item| item.eq_ignore_ascii_case(b"upgrade"))
        && items(fields, bytes, b"upgrade").any(|item| item.eq_ignore_ascii_case(b"websocket"));
    if !asks {
        return Err(Refusal::NoUpgrade);
    }
    let only = |name: &[u8]| find_only(fields, bytes, name).map(|span| span.of(bytes));
    if only(b"sec-websocket-version") != Some(VERSION.as_bytes()) {
        return Err(Refusal::VersionUnsupported);
    }
    let key = only(b"sec-websocket-key").ok_or(Refusal::Malformed)?;
    if STANDARD.decode_slice(key, &mut [0; 18]) != Ok(16) {
        return Err(Refusal::Malformed);
    }
    Ok(accept_of(key))
}

/// Section 4.2.2, number 5.4.
fn accept_of(key: &[u8]) -> Accept {
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    let mut accept = [0; 28];
    let written = STANDARD.encode_slice(digest, &mut accept);
    assert_eq!(written, Ok(accept.len()), "20 bytes are 28 characters");
    accept
}

/// The subprotocols that the client offers, those it likes best first (section 4.1, number 10).
pub fn protocols<'a>(fields: &'a [HeaderSpan], bytes: &'a [u8]) -> impl Iterator<Item = &'a str> {
    items(fields, bytes, b"sec-websocket-protocol")
        .filter(|item| item.iter().all(|byte| is_token_byte(*byte)))
        .filter_map(|item| std::str::from_utf8(item).ok())
}

/// What is agreed on compression, as [`Agreed::to_first`] does.
pub fn extensions(fields: &[HeaderSpan], bytes: &[u8], server_takes_over: bool) -> Option<Agreed> {
    let is_named = |field: &&HeaderSpan| {
        field.name.of(bytes).eq_ignore_ascii_case(b"sec-websocket-extensions")
    };
    let values = fields.iter().filter(is_named).map(|field| field.value.of(bytes));
    Agreed::to_first(values, server_takes_over)
}

/// The items of a list, of all its fields (RFC 9110 section 5.6.1).
fn items<'a>(
    fields: &'a [HeaderSpan],
    bytes: &'a [u8],
    lower_name: &'a [u8],
) -> impl Iterator<Item = &'a [u8]> {
    fields
        .iter()
        .filter(move |field| field.name.of(bytes).eq_ignore_ascii_case(lower_name))
        .flat_map(|field| field.value.of(bytes).split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|item| !item.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::h1::reader::{Next, RequestReader};
    use crate::limits::Limits;

    const FIELDS: [&str; 4] = [
        "Upgrade: WebSocket",
        "Connection: keep-alive, Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];

    /// The answer to a request, and the subprotocols that it offers.
    fn asked(line: &str, fields: &[&str]) -> (Result<Accept, Refusal>, Vec<String>) {
        let mut bytes =
            format!("{line}\r\nHost: h\r\n{}\r\n\r\n", fields.join("\r\n")).into_bytes();
        let mut table = Vec::new();
        let next = RequestReader::new().next(&mut bytes, &mut table, &Limits::default());
        let Ok(Next::Request(request)) = next else { panic!("no request: {next:?}") };
        let fields = request.headers_in(&table);
        let offered = protocols(fields, &bytes).map(str::to_owned).collect();
        (read(&request, fields, &bytes), offered)
    }

    #[test]
    fn the_example_of_section_1_3() {
        let expected = *b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
        assert_eq!(asked("GET /chat HTTP/1.1", &FIELDS), (Ok(expected), vec![]));
        let offers = ["Sec-WebSocket-Protocol: chat, superchat", "sec-websocket-protocol: ,b@d, x"];
        let (answer, offered) = asked("GET / HTTP/1.1", &[&FIELDS[..], &offers].concat());
        assert_eq!((answer, offered.join(" ")), (Ok(expected), "chat superchat x".to_owned()));
    }

    #[test]
    fn what_is_no_handshake() {
        for line in ["POST / HTTP/1.1", "GET / HTTP/1.0"] {
            assert_eq!(asked(line, &FIELDS).0, Err(Refusal::NoUpgrade), "{line}");
        }
        // One field is another, is not there, is there twice.
        let mut cases = Vec::new();
        for (index, other, refusal) in [
            (0, "Upgrade: h2c", Refusal::NoUpgrade),
            (1, "Connection: close", Refusal::NoUpgrade),
            (2, "Sec-WebSocket-Version: 8", Refusal::VersionUnsupported),
            (2, "Sec-WebSocket-Version: 13, 8", Refusal::VersionUnsupported),
            (3, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ", Refusal::Malformed),
            (3, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j", Refusal::Malformed),
            (3, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==AAAA", Refusal::Malformed),
            (3, "Sec-WebSocket-Key: ", Refusal::Malformed),
        ] {
            let mut fields = FIELDS.to_vec();
            fields[index] = other;
            cases.push((fields, refusal));
            let mut fields = FIELDS.to_vec();
            fields.remove(index);
            cases.push((fields, refusal));
        }
        for index in [2, 3] {
            let refusal = if index == 2 { Refusal::VersionUnsupported } else { Refusal::Malformed };
            cases.push(([&FIELDS[..], &[FIELDS[index]]].concat(), refusal));
        }
        for (fields, refusal) in cases {
            assert_eq!(asked("GET / HTTP/1.1", &fields).0, Err(refusal), "{fields:?}");
        }
    }
}
