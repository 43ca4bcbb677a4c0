//! Request lines, header lines and hosts.

use super::*;

#[test]
fn a_plain_request() {
    assert_eq!(
        only("GET /a/b?c=d HTTP/1.1\r\nHost: h:80\r\nX-Empty:\r\nX-Space: \t a b \t \r\n\r\n"),
        Seen {
            line: "GET /a/b?c=d".into(),
            path: "/a/b".into(),
            query: "c=d".into(),
            host: "h:80".into(),
            fields: [("Host", "h:80"), ("X-Empty", ""), ("X-Space", "a b")]
                .map(|(name, value)| (name.into(), value.into()))
                .into(),
            body: "".into(),
            version: Version::Http11,
            keep_alive: true,
            expects_continue: false,
            framing: BodyFraming::None,
        }
    );
}

#[test]
fn request_lines() {
    use RequestError::*;
    for (line, expected) in [
        ("GET / HTTP/1.1", Ok(())),
        ("get / HTTP/1.1", Ok(())),
        ("M!#$%&'*+-.^_`|~9 / HTTP/1.1", Ok(())),
        ("GET /%zz\"<>[]\\^`{|} HTTP/1.1", Ok(())),
        ("OPTIONS * HTTP/1.1", Ok(())),
        ("CONNECT h:80 HTTP/1.1", Ok(())),
        ("GET http://other/a HTTP/1.1", Ok(())),
        (" GET / HTTP/1.1", Err(MethodInvalid)),
        ("\tGET / HTTP/1.1", Err(MethodInvalid)),
        ("G(T / HTTP/1.1", Err(MethodInvalid)),
        ("GET\t/ HTTP/1.1", Err(MethodInvalid)),
        ("GET\0 / HTTP/1.1", Err(MethodInvalid)),
        ("GET", Err(MethodInvalid)),
        ("\u{16}\u{3}\u{1}\u{2}", Err(MethodInvalid)),
        ("GET  / HTTP/1.1", Err(TargetInvalid)),
        ("GET /", Err(TargetInvalid)),
        ("GET /\t HTTP/1.1", Err(TargetInvalid)),
        ("GET /a#b HTTP/1.1", Err(TargetInvalid)),
        ("GET /# HTTP/1.1", Err(TargetInvalid)),
        ("GET /\u{e9} HTTP/1.1", Err(TargetInvalid)),
        ("GET /\0 HTTP/1.1", Err(TargetInvalid)),
        ("GET /\u{7f} HTTP/1.1", Err(TargetInvalid)),
        ("GET /a\rb HTTP/1.1", Err(TargetInvalid)),
        ("GET a HTTP/1.1", Err(TargetFormInvalid)),
        ("GET * HTTP/1.1", Err(TargetFormInvalid)),
        ("CONNECT / HTTP/1.1", Err(TargetFormInvalid)),
        ("GET ftp://h/ HTTP/1.1", Err(TargetFormInvalid)),
        ("GET http://u@h/ HTTP/1.1", Err(HostInvalid)),
        ("GET /  HTTP/1.1", Err(VersionInvalid)),
        ("GET / HTTP/1.1 ", Err(VersionInvalid)),
        ("GET / HTTP/1.1\t", Err(VersionInvalid)),
        ("GET / HTTP/1.10", Err(VersionInvalid)),
        ("GET / HTTP/11", Err(VersionInvalid)),
        ("GET / HTTP/1", Err(VersionInvalid)),
        ("GET / HTTP/1,1", Err(VersionInvalid)),
        ("GET / HTTP/+1.1", Err(VersionInvalid)),
        ("GET / http/1.1", Err(VersionInvalid)),
        ("GET / HTTPS/1.1", Err(VersionInvalid)),
        ("GET / ICY/1.1", Err(VersionInvalid)),
        ("GET / x HTTP/1.1", Err(VersionInvalid)),
        ("GET / HTTP/0.9", Err(VersionUnsupported)),
        ("GET / HTTP/1.2", Err(VersionUnsupported)),
        ("PRI * HTTP/2.0", Err(VersionUnsupported)),
        ("GET / HTTP/9.9", Err(VersionUnsupported)),
    ] {
        check(format!("{line}\r\nHost: h\r\n\r\n"), expected);
    }
    check(b"GET /\xff\xfe HTTP/1.1\r\nHost: h\r\n\r\n", Err(TargetInvalid));
}

#[test]
fn lines_end_with_crlf_alone() {
    use RequestError::*;
    for (input, error) in [
        ("GET / HTTP/1.1\nHost: h\r\n\r\n", BareLf),
        ("GET / HTTP/1.1\r\nHost: h\n\r\n", BareLf),
        ("GET / HTTP/1.1\r\nHost: h\r\n\n", BareLf),
        ("GET / HTTP/1.1\r\nHost: h\n\n", BareLf),
        ("GET / HTTP/1.1\n\n", BareLf),
        ("\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", BareLf),
        ("\r\n\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", BareLf),
        ("GET / HTTP/1.1\r\nHost: h\r\nA: b\nTransfer-Encoding: chunked\r\n\r\n", BareLf),
        ("GET / HTTP/1.1\r\nHost: h\r\nA:\nb: c\r\n\r\n", BareLf),
        ("GET / HTTP/1.1\r\nHost: h\r\nA\nb: c\r\n\r\n", BareLf),
        ("\rGET / HTTP/1.1\r\nHost: h\r\n\r\n", BareCr),
        ("GET / HTTP/1.1\rHost: h\r\n\r\n", BareCr),
        ("GET / HTTP/1.1\r\r\nHost: h\r\n\r\n", BareCr),
        ("GET / HTTP/1.1\r\nHost: h\r\r\n\r\n", BareCr),
        ("GET / HTTP/1.1\r\nHost: h\rA: b\r\n\r\n", BareCr),
        ("GET / HTTP/1.1\r\nHost: h\r\n\rA: b\r\n\r\n", BareCr),
        ("GET / HTTP/1.1\r\nHost: h\r\nA:\r b\r\n\r\n", BareCr),
        ("GET / HTTP/1.1\r\nHost: h\r\nA\r\n: b\r\n\r\n", HeaderNameInvalid),
    ] {
        check(input, Err(error));
    }
}

#[test]
fn empty_lines_before_a_request() {
    let request = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    check(format!("\r\n{request}"), Ok(()));
    check(format!("\r\n\r\n{request}"), Ok(()));
    check(format!("\r\n\r\n\r\n{request}"), Err(RequestError::TooManyEmptyLines));
    let two = format!("{request}\r\n{request}");
    assert_eq!(check_with(&Limits::default(), two.as_bytes(), Ok(2)).len(), 2);
}

#[test]
fn header_lines() {
    use RequestError::*;
    for (lines, expected) in [
        ("Host: h\r\na_b: c", Ok(())),
        ("Host: h\r\n!#$%&'*+-.^_`|~9:c", Ok(())),
        ("Host: h\r\nA: caf\u{e9} \"quoted\" (x)", Ok(())),
        ("Host: h\r\nA: b:c", Ok(())),
        (" Host: h", Err(SpaceBeforeHeaders)),
        ("\tHost: h", Err(SpaceBeforeHeaders)),
        ("Host: h\r\n more", Err(ObsFold)),
        ("Host: h\r\n\tmore", Err(ObsFold)),
        ("Host: h\r\n ", Err(ObsFold)),
        ("Host: h\r\nA: b\r\n Transfer-Encoding: chunked", Err(ObsFold)),
        ("Host : h", Err(SpaceBeforeColon)),
        ("Host\t: h", Err(SpaceBeforeColon)),
        ("Host: h\r\nTransfer-Encoding : chunked", Err(SpaceBeforeColon)),
        ("Host: h\r\nContent-Length\t: 5", Err(SpaceBeforeColon)),
        ("Host: h\r\n: b", Err(HeaderNameInvalid)),
        ("Host: h\r\nA", Err(HeaderNameInvalid)),
        ("Host: h\r\nA\0: b", Err(HeaderNameInvalid)),
        ("Host: h\r\nA\u{b}: b", Err(HeaderNameInvalid)),
        ("Host: h\r\n(A): b", Err(HeaderNameInvalid)),
        ("Host: h\r\n\"A\": b", Err(HeaderNameInvalid)),
        ("Host: h\r\n\u{e9}: b", Err(HeaderNameInvalid)),
        ("Host: h\r\n\u{feff}A: b", Err(HeaderNameInvalid)),
        ("Host: h\r\nA: \0", Err(HeaderValueInvalid)),
        ("Host: h\r\nA: b\0c", Err(HeaderValueInvalid)),
        ("Host: h\r\nA: \u{b}b", Err(HeaderValueInvalid)),
        ("Host: h\r\nA: b\u{7f}", Err(HeaderValueInvalid)),
        ("Host: h\r\nA: b\u{8}", Err(HeaderValueInvalid)),
        ("Host: h\r\nTransfer-Encoding: \u{b}chunked", Err(HeaderValueInvalid)),
    ] {
        check(format!("GET / HTTP/1.1\r\n{lines}\r\n\r\n"), expected);
    }
}

#[test]
fn every_byte_in_every_place() {
    let is_control = |byte: u8| byte < b' ' && byte != b'\t' || byte == 0x7f;
    for byte in 0..=255 {
        for (place, is_right) in [
            ("G?T / HTTP/1.1\r\nHost: h\r\n\r\n", crate::header::is_token_byte(byte)),
            ("GET /?b HTTP/1.1\r\nHost: h\r\n\r\n", byte > b' ' && byte < 0x7f && byte != b'#'),
            ("GET / HTTP/1.1\r\nHost: h\r\nA?: b\r\n\r\n", {
                crate::header::is_token_byte(byte) || byte == b':'
            }),
            ("GET / HTTP/1.1\r\nHost: h\r\nA: b?c\r\n\r\n", !is_control(byte)),
            // Long enough for the wide loops of httparse.
            (
                "GET / HTTP/1.1\r\nHost: h\r\n\
                 A: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb?bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n\r\n",
                !is_control(byte),
            ),
            (
                "GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa?aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa \
                 HTTP/1.1\r\nHost: h\r\n\r\n",
                byte > b' ' && byte < 0x7f && byte != b'#',
            ),
        ] {
            let mut input = place.as_bytes().to_vec();
            let at = place.find('?').unwrap();
            input[at] = byte;
            let outcome = read([&input[..]], &Limits::default(), Buffer::Kept);
            assert_eq!(outcome.end.is_ok(), is_right, "{:?}", text(&input));
            assert_eq!(read(input.chunks(1), &Limits::default(), Buffer::Kept), outcome);
        }
    }
}

#[test]
fn hosts() {
    use RequestError::*;
    for (version, lines, expected) in [
        ("1.1", "Host: a.example:8000\r\n", Ok("a.example:8000")),
        ("1.1", "hOST:[::1]\r\n", Ok("[::1]")),
        ("1.1", "Host:\r\n", Ok("")),
        ("1.0", "", Ok("")),
        ("1.0", "Host: a\r\n", Ok("a")),
        ("1.1", "", Err(HostMissing)),
        ("1.1", "X-Host: a\r\n", Err(HostMissing)),
        ("1.1", "Host: a\r\nHost: a\r\n", Err(HostRepeated)),
        ("1.1", "Host: a\r\nHOST: b\r\n", Err(HostRepeated)),
        ("1.1", "Host:\r\nHost: b\r\n", Err(HostRepeated)),
        ("1.0", "Host: a\r\nHost: a\r\n", Err(HostRepeated)),
        ("1.1", "Host: a b\r\n", Err(HostInvalid)),
        ("1.1", "Host: a/b\r\n", Err(HostInvalid)),
        ("1.1", "Host: u@a\r\n", Err(HostInvalid)),
        ("1.1", "Host: http://a\r\n", Err(HostInvalid)),
        ("1.1", "Host: a:port\r\n", Err(HostInvalid)),
        ("1.0", "Host: a:port\r\n", Err(HostInvalid)),
    ] {
        let input = format!("GET / HTTP/{version}\r\n{lines}\r\n");
        match expected {
            Ok(host) => assert_eq!(only(input).host, host),
            Err(error) => check(input, Err(error)),
        }
    }
    // The authority in the target wins, but Host is needed and checked all the same.
    assert_eq!(only("GET http://a:1/b HTTP/1.1\r\nHost: c\r\n\r\n").host, "a:1");
    assert_eq!(only("CONNECT a:1 HTTP/1.1\r\nHost: c\r\n\r\n").host, "a:1");
    check("GET http://a/ HTTP/1.1\r\n\r\n", Err(HostMissing));
    check("GET http://a/ HTTP/1.1\r\nHost: c d\r\n\r\n", Err(HostInvalid));
}
