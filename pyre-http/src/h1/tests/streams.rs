//! Several requests after one another, unfinished ones, and limits.

use super::*;

#[test]
fn pipelined_requests_keep_their_order() {
    let input = format!(
        "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n\
         POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 26\r\n\r\nGET /x HTTP/1.1\r\nHost: h\r\n\
         {CHUNKED}3\r\nabc\r\n2\r\nde\r\n0\r\nT: t\r\n\r\n\
         PUT /4 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n\
         \r\nGET /5 HTTP/1.1\r\nHost: h\r\n\r\n"
    );
    let requests = check_with(&Limits::default(), input.as_bytes(), Ok(5));
    let lines: Vec<_> = requests.iter().map(|request| request.line.as_str()).collect();
    assert_eq!(lines, ["GET /1", "POST /2", "POST /", "PUT /4", "GET /5"]);
    let bodies: Vec<_> = requests.iter().map(|request| request.body.as_str()).collect();
    assert_eq!(bodies, ["", "GET /x HTTP/1.1\\r\\nHost: h\\r\\n", "abcde", "", ""]);
}

#[test]
fn nothing_is_read_behind_the_last_request() {
    for last in [
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n",
        "POST / HTTP/1.0\r\nContent-Length: 1\r\n\r\nx",
        "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
         0\r\n\r\n",
    ] {
        for behind in ["", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "\0\r\n"] {
            let outcome = read_every_way(format!("{last}{behind}").as_bytes(), &Limits::default());
            assert_eq!((outcome.requests.len(), outcome.end), (1, Ok(End::Ended)), "{last:?}");
        }
    }
}

#[test]
fn requests_before_an_error_are_served() {
    let good = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    let outcome = read_every_way(format!("{good}{good}bad\n{good}").as_bytes(), &Limits::default());
    assert_eq!((outcome.requests.len(), outcome.end), (2, Err(RequestError::MethodInvalid)));
}

#[test]
fn every_prefix_is_partial() {
    let head = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    for length in 0..head.len() {
        let end = read([&head.as_bytes()[..length]], &Limits::default(), Buffer::Kept).end;
        assert_eq!(end, Ok(if length == 0 { End::Idle } else { End::InHead }), "{length}");
    }
    let body = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\na";
    assert_eq!(read_every_way(body.as_bytes(), &Limits::default()).end, Ok(End::InBody));
    for chunks in ["", "5", "5\r", "5\r\n", "5\r\nhel", "5\r\nhello\r\n0\r\nA", "0\r\n\r"] {
        let input = format!("{CHUNKED}{chunks}");
        assert_eq!(read_every_way(input.as_bytes(), &Limits::default()).end, Ok(End::InBody));
    }
}

#[test]
fn limits_are_reached_but_not_passed() {
    use RequestError::*;
    let limits = Limits {
        head_bytes_max: 100,
        target_bytes_max: 20,
        headers_max: 3,
        body_bytes_max: 10,
        chunk_extension_bytes_max: 5,
        chunk_overhead_bytes_max: 30,
        trailer_bytes_max: 12,
        pipelined_max: 1,
    };
    let check = |input: String, expected: Result<(), RequestError>| {
        check_with(&limits, input.as_bytes(), expected.map(|()| 1));
    };
    let get = "GET / HTTP/1.1\r\nHost: h\r\n";
    let padding = |count| "p".repeat(count);

    let rest = 100 - format!("{get}A: \r\n\r\n").len();
    check(format!("{get}A: {}\r\n\r\n", padding(rest)), Ok(()));
    check(format!("{get}A: {}\r\n\r\n", padding(rest + 1)), Err(HeadTooLarge));
    check(format!("{get}A: {}", padding(1_000)), Err(HeadTooLarge));
    check(format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", padding(19)), Ok(()));
    check(format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", padding(20)), Err(TargetTooLong));
    check(format!("GET /{}", padding(1_000)), Err(TargetTooLong));
    check(format!("{} / HTTP/1.1\r\nHost: h\r\n\r\n", padding(32)), Ok(()));
    check(format!("{} / HTTP/1.1\r\nHost: h\r\n\r\n", padding(33)), Err(MethodTooLong));
    check(format!("{get}A: b\r\nC: d\r\n\r\n"), Ok(()));
    check(format!("{get}A: b\r\nC: d\r\nE: f\r\n\r\n"), Err(TooManyHeaders));

    let post = "POST / HTTP/1.1\r\nHost: h\r\n";
    check(format!("{post}Content-Length: 10\r\n\r\n0123456789"), Ok(()));
    check(format!("{post}Content-Length: 11\r\n\r\n01234567890"), Err(BodyTooLarge));
    check(format!("{CHUNKED}9\r\n012345678\r\n1\r\n9\r\n0\r\n\r\n"), Ok(()));
    check(format!("{CHUNKED}9\r\n012345678\r\n2\r\n"), Err(BodyTooLarge));
    check(format!("{CHUNKED}b\r\n"), Err(BodyTooLarge));
    check(format!("{CHUNKED}0;abcd\r\n\r\n"), Ok(()));
    check(format!("{CHUNKED}0;abcde\r\n\r\n"), Err(ChunkExtensionTooLong));
    check(format!("{CHUNKED}0;a=\"{}", padding(1_000)), Err(ChunkExtensionTooLong));
    check(format!("{CHUNKED}0\r\nA: 45678\r\n\r\n"), Ok(()));
    check(format!("{CHUNKED}0\r\nA: 456789\r\n\r\n"), Err(TrailerTooLarge));
    check(format!("{CHUNKED}0\r\nA: {}", padding(1_000)), Err(TrailerTooLarge));
    check(format!("{CHUNKED}{}0\r\n\r\n", "1\r\nx\r\n".repeat(7)), Ok(()));
    check(format!("{CHUNKED}{}0\r\n\r\n", "1\r\nx\r\n".repeat(8)), Err(ChunkOverhead));
}

#[test]
fn many_headers_fit() {
    let limits = Limits { headers_max: usize::MAX, ..Limits::default() };
    // Around the number for which there is room at once, and around the most that there can be.
    for (count, expected) in [
        (22, Ok(1)),
        (23, Ok(1)),
        (24, Ok(1)),
        (127, Ok(1)),
        (128, Err(RequestError::TooManyHeaders)),
    ] {
        let fields = "A: b\r\n".repeat(count);
        let input = format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        check_with(&limits, input.as_bytes(), expected);
    }
}

#[test]
fn a_body_in_chunks_does_not_pile_up_its_framing() {
    let limits = Limits::default();
    let (mut bytes, mut table) = (CHUNKED.as_bytes().to_vec(), Vec::new());
    let mut reader = RequestReader::new();
    for count in 1..=1_000 {
        bytes.extend_from_slice(b"0001;a=b\r\nx\r\n");
        assert_eq!(reader.next(&mut bytes, &mut table, &limits), Ok(Next::Partial));
        assert_eq!(bytes.len(), CHUNKED.len() + count);
    }
}

#[test]
fn a_body_that_nobody_wants_takes_no_room() {
    let limits = Limits::default();
    let length = "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n";
    for (head, chunk_size) in [(length, ""), (CHUNKED, "f4240\r\n")] {
        let mut bytes = [head, chunk_size].concat().into_bytes();
        let mut table = Vec::new();
        let mut reader = RequestReader::new();
        for sent in (1_000..=1_000_000).step_by(1_000) {
            assert_eq!(reader.next(&mut bytes, &mut table, &limits), Ok(Next::Partial));
            reader.drop_body(&mut bytes);
            assert_eq!(bytes, head.as_bytes(), "{sent}");
            bytes.extend_from_slice(&[7; 1_000]);
        }
        let (rest, next) = (if chunk_size.is_empty() { "" } else { "\r\n0\r\n\r\n" }, "GET / HTT");
        bytes.extend_from_slice(rest.as_bytes());
        bytes.extend_from_slice(next.as_bytes());
        let Ok(Next::Request(request)) = reader.next(&mut bytes, &mut table, &limits) else {
            panic!("the body has ended");
        };
        assert!(request.body.of(&bytes).is_empty());
        assert_eq!(bytes[reader.position()..], *next.as_bytes());
    }
    // Limits hold as ever.
    let limits = Limits { body_bytes_max: 5, ..limits };
    let mut bytes = [CHUNKED, "5\r\n12"].concat().into_bytes();
    let mut reader = RequestReader::new();
    assert_eq!(reader.next(&mut bytes, &mut Vec::new(), &limits), Ok(Next::Partial));
    reader.drop_body(&mut bytes);
    bytes.extend_from_slice(b"345\r\n1\r\n");
    let refused = reader.next(&mut bytes, &mut Vec::new(), &limits);
    assert_eq!(refused, Err(RequestError::BodyTooLarge));
}

#[test]
fn the_reader_is_small() {
    assert!(size_of::<RequestReader>() <= 160, "{}", size_of::<RequestReader>());
    assert!(size_of::<Request>() <= 80, "{}", size_of::<Request>());
}
