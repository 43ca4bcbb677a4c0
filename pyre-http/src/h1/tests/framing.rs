//! Where bodies end, and whether the connection goes on.

use super::*;

#[test]
fn connections() {
    for (version, lines, keep_alive) in [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "connection: CLOSE\r\n", false),
        ("1.1", "Connection: keep-alive\r\n", true),
        ("1.1", "Connection: upgrade , close\r\n", false),
        ("1.1", "Connection: keep-alive\r\nConnection: close\r\n", false),
        ("1.1", "Connection: closed\r\n", true),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: ,x,\tkeep-alive\t\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
        ("1.0", "X: keep-alive\r\n", false),
    ] {
        let request = only(format!("GET / HTTP/{version}\r\nHost: h\r\n{lines}\r\n"));
        assert_eq!(request.keep_alive, keep_alive, "HTTP/{version} {lines:?}");
    }
}

#[test]
fn expectations() {
    let body = "Content-Length: 1\r\n\r\nx";
    for (version, lines, expected) in [
        ("1.1", format!("Expect: 100-continue\r\n{body}"), Ok(true)),
        ("1.1", format!("expect: 100-Continue\r\n{body}"), Ok(true)),
        ("1.1", format!("Accept: 100-continue\r\n{body}"), Ok(false)),
        ("1.0", format!("Expect: 100-continue\r\n{body}"), Ok(false)),
        ("1.0", format!("Expect: nothing\r\n{body}"), Ok(false)),
        ("1.1", "Expect: 100-continue\r\n\r\n".into(), Ok(false)),
        ("1.1", "Expect: 100-continue\r\nContent-Length: 0\r\n\r\n".into(), Ok(false)),
        (
            "1.1",
            "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(),
            Ok(true),
        ),
        ("1.1", format!("Expect: nothing\r\n{body}"), Err(RequestError::ExpectationUnknown)),
        ("1.1", format!("Expect:\r\n{body}"), Err(RequestError::ExpectationUnknown)),
    ] {
        let input = format!("POST / HTTP/{version}\r\nHost: h\r\n{lines}");
        match expected {
            Ok(expects) => assert_eq!(only(&input).expects_continue, expects, "{input:?}"),
            Err(error) => check(input, Err(error)),
        }
    }
}

#[test]
fn lengths() {
    use RequestError::*;
    for (lines, expected) in [
        ("Content-Length: 5", Ok("hello")),
        ("content-LENGTH:\t5 ", Ok("hello")),
        ("Content-Length: 0000000000000000005", Ok("hello")),
        ("Content-Length: 5\r\nContent-Length: 5", Err(ContentLengthRepeated)),
        ("Content-Length: 5\r\nContent-Length: 6", Err(ContentLengthRepeated)),
        ("Content-Length: 5\r\ncontent-length:", Err(ContentLengthRepeated)),
        ("Content-Length: 5, 5", Err(ContentLengthRepeated)),
        ("Content-Length: 5,", Err(ContentLengthRepeated)),
        ("Content-Length:", Err(ContentLengthInvalid)),
        ("Content-Length: +5", Err(ContentLengthInvalid)),
        ("Content-Length: -5", Err(ContentLengthInvalid)),
        ("Content-Length: -0", Err(ContentLengthInvalid)),
        ("Content-Length: 0x5", Err(ContentLengthInvalid)),
        ("Content-Length: 5 5", Err(ContentLengthInvalid)),
        ("Content-Length: 5;a=b", Err(ContentLengthInvalid)),
        ("Content-Length: 5.0", Err(ContentLengthInvalid)),
        ("Content-Length: 5e0", Err(ContentLengthInvalid)),
        ("Content-Length: \"5\"", Err(ContentLengthInvalid)),
        ("Content-Length: 5_0", Err(ContentLengthInvalid)),
        ("Content-Length: \u{665}", Err(ContentLengthInvalid)),
        ("Content-Length: 18446744073709551621", Err(ContentLengthInvalid)),
        ("Content-Length: 00000000000000000005", Err(ContentLengthInvalid)),
        ("Content-Length: 9999999999999999999", Err(BodyTooLarge)),
        ("Content-Length: 10485761", Err(BodyTooLarge)),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", Err(LengthAndEncoding)),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5", Err(LengthAndEncoding)),
        ("Transfer-Encoding: chunked\r\nContent-Length: 0", Err(LengthAndEncoding)),
    ] {
        let input = format!("POST / HTTP/1.1\r\nHost: h\r\n{lines}\r\n\r\nhello");
        match expected {
            Ok(body) => assert_eq!(only(&input).body, body, "{input:?}"),
            Err(error) => check(input, Err(error)),
        }
    }
    let none = only("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(none.framing, BodyFraming::Length(0));
}

#[test]
fn transfer_codings() {
    use RequestError::*;
    for (lines, expected) in [
        ("Transfer-Encoding: chunked", Ok(())),
        ("transfer-encoding:CHUNKED", Ok(())),
        ("Transfer-Encoding: chunked, chunked", Err(TransferEncodingInvalid)),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", Err(TransferEncodingInvalid)),
        ("Transfer-Encoding:", Err(TransferEncodingInvalid)),
        ("Transfer-Encoding: ,chunked", Err(TransferEncodingInvalid)),
        ("Transfer-Encoding: chunked,", Err(TransferEncodingInvalid)),
        ("Transfer-Encoding: chunked;q=1", Err(TransferEncodingInvalid)),
        ("Transfer-Encoding: \"chunked\"", Err(TransferEncodingInvalid)),
        ("Transfer-Encoding: chunked x", Err(TransferEncodingInvalid)),
        ("Transfer-Encoding: chunked\u{a0}", Err(TransferEncodingInvalid)),
        ("Transfer-Encoding: gzip", Err(TransferEncodingUnknown)),
        ("Transfer-Encoding: identity", Err(TransferEncodingUnknown)),
        ("Transfer-Encoding: gzip, chunked", Err(TransferEncodingUnknown)),
        ("Transfer-Encoding: chunked, identity", Err(TransferEncodingUnknown)),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: x", Err(TransferEncodingUnknown)),
        ("Transfer-Encoding: xchunked", Err(TransferEncodingUnknown)),
        ("Transfer-Encoding: chunke", Err(TransferEncodingUnknown)),
    ] {
        check(format!("POST / HTTP/1.1\r\nHost: h\r\n{lines}\r\n\r\n0\r\n\r\n"), expected);
    }
    check(
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        Err(TransferEncodingInHttp10),
    );
    // A name that only looks alike is a header like any other.
    let underscore = only("POST / HTTP/1.1\r\nHost: h\r\nTransfer_Encoding: chunked\r\n\r\n");
    assert_eq!(underscore.framing, BodyFraming::None);
}

#[test]
fn chunks() {
    use RequestError::*;
    for (chunks, expected) in [
        ("0\r\n\r\n", Ok("")),
        ("5\r\nhello\r\n0\r\n\r\n", Ok("hello")),
        ("2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", Ok("hello")),
        ("00005\r\nhello\r\n0000\r\n\r\n", Ok("hello")),
        ("0000000000000005\r\nhello\r\n0\r\n\r\n", Ok("hello")),
        ("A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", Ok("01234567890123456789")),
        ("5;a\r\nhello\r\n0;b=c\r\n\r\n", Ok("hello")),
        ("5 ; a = b ; c=\"d;\\\"\te\" ;f\r\nhello\r\n0\r\n\r\n", Ok("hello")),
        ("2\r\n\r\n\r\n0\r\n\r\n", Ok("\\r\\n")),
        ("5\r\nhello\r\n0\r\nA: b\r\nC:\r\n\r\n", Ok("hello")),
        ("0\r\nContent-Length: 9\r\nTransfer-Encoding: x\r\nHost: y\r\n\r\n", Ok("")),
        ("\r\n", Err(ChunkSizeInvalid)),
        ("x\r\n", Err(ChunkSizeInvalid)),
        (" 5\r\nhello\r\n", Err(ChunkSizeInvalid)),
        ("+5\r\nhello\r\n", Err(ChunkSizeInvalid)),
        ("-5\r\nhello\r\n", Err(ChunkSizeInvalid)),
        ("0x5\r\nhello\r\n", Err(ChunkSizeInvalid)),
        ("5_0\r\n", Err(ChunkSizeInvalid)),
        ("5.\r\nhello\r\n", Err(ChunkSizeInvalid)),
        ("5 \r\nhello\r\n", Err(ChunkSizeInvalid)),
        ("5 5\r\n", Err(ChunkSizeInvalid)),
        ("5\0\r\n", Err(ChunkSizeInvalid)),
        (";a\r\n", Err(ChunkSizeInvalid)),
        ("00000000000000005\r\nhello\r\n", Err(ChunkSizeInvalid)),
        ("10000000000000005\r\nhello\r\n", Err(ChunkSizeInvalid)),
        ("ffffffffffffffff\r\n", Err(BodyTooLarge)),
        ("fffffffffffffffff\r\n", Err(ChunkSizeInvalid)),
        ("A00001\r\n", Err(BodyTooLarge)),
        ("5;\r\nhello\r\n", Err(ChunkExtensionInvalid)),
        ("5;;a\r\nhello\r\n", Err(ChunkExtensionInvalid)),
        ("5;a=\r\nhello\r\n", Err(ChunkExtensionInvalid)),
        ("5;a b\r\nhello\r\n", Err(ChunkExtensionInvalid)),
        ("5;a \r\nhello\r\n", Err(ChunkExtensionInvalid)),
        ("5;a=\"b\r\nhello\r\n", Err(ChunkExtensionInvalid)),
        ("5;a=\"b\\\r\nhello\r\n", Err(ChunkExtensionInvalid)),
        ("5;a=\"b\"c\r\nhello\r\n", Err(ChunkExtensionInvalid)),
        ("5;a=\0\r\nhello\r\n", Err(ChunkExtensionInvalid)),
        ("5;\u{7f}\r\nhello\r\n", Err(ChunkExtensionInvalid)),
        ("5\nhello\r\n0\r\n\r\n", Err(BareLf)),
        ("5;a\nhello\r\n0\r\n\r\n", Err(BareLf)),
        ("5;a=\"\n\"\r\nhello\r\n", Err(BareLf)),
        ("5\r\nhello\n0\r\n\r\n", Err(BareLf)),
        ("5\rhello\r\n", Err(BareCr)),
        ("5;a\rb\r\nhello\r\n", Err(BareCr)),
        ("5\r\nhello\r0\r\n\r\n", Err(BareCr)),
        ("5\r\nhello0\r\n\r\n", Err(ChunkEndInvalid)),
        ("5\r\nhello world\r\n0\r\n\r\n", Err(ChunkEndInvalid)),
        ("5\r\nhell\r\n0\r\n\r\n", Err(BareLf)),
        ("0\r\nA: b\n\r\n", Err(BareLf)),
        ("0\r\n\n", Err(BareLf)),
        ("0\r\n\rx", Err(BareCr)),
        ("0\r\n A: b\r\n\r\n", Err(SpaceBeforeHeaders)),
        ("0\r\nA: b\r\n c\r\n\r\n", Err(ObsFold)),
        ("0\r\nA : b\r\n\r\n", Err(SpaceBeforeColon)),
        ("0\r\nA: \0\r\n\r\n", Err(HeaderValueInvalid)),
        ("0\r\nGET / HTTP/1.1\r\n\r\n", Err(SpaceBeforeColon)),
    ] {
        let input = format!("{CHUNKED}{chunks}");
        match expected {
            Ok(body) => {
                let request = only(&input);
                assert_eq!((request.body.as_str(), request.framing), (body, BodyFraming::Chunked));
                assert_eq!(request.fields.len(), 2, "trailer fields must not get into the head");
            }
            Err(error) => check(input, Err(error)),
        }
    }
}
