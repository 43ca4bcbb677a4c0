//! Random requests, right and wrong.

use super::*;
use proptest::prelude::*;

/// Pieces that mean something to the grammar, so that random inputs get deep into it.
fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(
        [
            "GET / HTTP/1.1\r\n",
            "POST /a?b HTTP/1.1\r\n",
            "GET http://h/ HTTP/1.0\r\n",
            "Host: h\r\n",
            "Host: h\r\n\r\n",
            "Content-Length: 3\r\n",
            "Content-Length: ",
            "Transfer-Encoding: chunked\r\n",
            "Transfer-Encoding: ",
            "Connection: close\r\n",
            "Expect: 100-continue\r\n",
            "A: b\r\n",
            "A",
            ":",
            " ",
            "\t",
            "\r\n",
            "\r\n\r\n",
            "\r",
            "\n",
            "0\r\n\r\n",
            "3\r\nabc\r\n",
            "5;a=\"b\"\r\nhello\r\n",
            "0",
            "1",
            "f",
            ";",
            "\"",
            "abc",
            "/",
            "?",
            "#",
            "%41",
            "*",
            "HTTP/1.1",
            "HTTP/2.0",
            ",",
            "chunked",
        ]
        .as_slice(),
    );
    prop_oneof![
        9 => known.prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 1..4),
    ]
}

fn wire() -> impl Strategy<Value = Vec<u8>> {
    let fragments = prop::collection::vec(fragment(), 0..14).prop_map(|all| all.concat());
    let opening = prop::sample::select(
        ["", "GET / HTTP/1.1\r\nHost: h\r\n", "POST / HTTP/1.1\r\nHost: h\r\n", CHUNKED].as_slice(),
    );
    (opening, fragments).prop_map(|(opening, rest)| [opening.as_bytes(), &rest].concat())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 512,
        // What fails goes into tests/corpus, by hand and with a name.
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn cuts_do_not_matter(input in wire()) {
        read_every_way(&input, &Limits::default());
    }

    #[test]
    fn cuts_do_not_matter_at_the_limits(input in wire(), bound in 0_usize..60) {
        let limits = Limits {
            head_bytes_max: 2 * bound,
            target_bytes_max: bound,
            headers_max: bound / 10,
            body_bytes_max: bound,
            chunk_extension_bytes_max: bound / 4,
            chunk_overhead_bytes_max: bound,
            trailer_bytes_max: bound,
            pipelined_max: 1,
        };
        read_every_way(&input, &limits);
    }

    #[test]
    fn chunks_decode_to_what_was_cut_up(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..8),
    ) {
        let mut input = CHUNKED.as_bytes().to_vec();
        for chunk in &chunks {
            input.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            input.extend_from_slice(chunk);
            input.extend_from_slice(b"\r\n");
        }
        input.extend_from_slice(b"0\r\n\r\n");
        let outcome = read_every_way(&input, &Limits::default());
        prop_assert_eq!(outcome.end, Ok(End::Idle));
        prop_assert_eq!(&outcome.requests[0].body, &text(&chunks.concat()));
    }
}
