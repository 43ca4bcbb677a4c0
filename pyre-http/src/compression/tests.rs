use proptest::prelude::*;

use super::decoder::{Decoder, Malformed};
use super::*;
use crate::files::coding::Coding;
use crate::h1::serialize::BodyKind;
use crate::header::HeaderSpan;
use crate::span::Span;

const LINES: [&str; 8] = [
    "minimum 100",
    "type text/*",
    "type application/json",
    "type application/*+json",
    "type image/svg+xml",
    "coding zstd 3",
    "coding br 4",
    "coding gzip 6",
];

fn terms() -> Compression {
    Compression::parse(LINES.into_iter()).unwrap()
}

fn decoded(coding: Coding, encoded: &[u8], cut: usize, max: usize) -> Result<Vec<u8>, Malformed> {
    let mut decoder = Decoder::new(coding, max);
    let mut out = Vec::new();
    // Less at a time than fits into its room, and more.
    let most = cut.saturating_mul(7);
    for mut piece in encoded.chunks(cut.max(1)) {
        while !piece.is_empty() || decoder.may_have_more() {
            let before = out.len();
            let taken = decoder.push(piece, most, &mut out)?;
            assert!(out.len() - before <= most);
            let stands_still = taken == 0 && out.len() == before;
            assert!(!stands_still || !decoder.may_have_more(), "{coding:?}");
            piece = &piece[taken..];
        }
    }
    decoder.end()?;
    Ok(out)
}

fn encoded(coding: Coding, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Encoders::default().encode(&terms(), coding, body, &mut out);
    out
}

#[test]
fn what_terms_say() {
    for wrong in ["colour red", "coding lzw 1", "coding gzip", "coding gzip x", "minimum -1"] {
        assert_eq!(Compression::parse([wrong].into_iter()).unwrap_err(), wrong);
    }
    let terms = terms();
    for (media_type, takes) in [
        ("text/html; charset=utf-8", true),
        ("TEXT/CSS", true),
        ("text/event-stream", false),
        ("Text/Event-Stream; charset=utf-8", false),
        ("application/json", true),
        ("application/problem+json ", true),
        ("application/octet-stream", false),
        ("image/svg+xml", true),
        ("image/png", false),
        ("text", false),
        ("", false),
    ] {
        assert_eq!(terms.takes_type(media_type.as_bytes()), takes, "{media_type}");
    }
    let events = Compression::parse(["type text/event-stream"].into_iter()).unwrap();
    assert!(events.takes_type(b"text/event-stream; charset=utf-8"));
}

/// An answer with these fields to a client that takes that.
fn plan(status: u16, fields: &[(&str, &str)], bytes: Option<usize>, accept: &str) -> Plan {
    let asked = [b"Accept-Encoding", accept.as_bytes()].concat();
    let field = HeaderSpan { name: Span::new(0, 15), value: Span::new(15, asked.len()) };
    let fields = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    Plan::of(&terms(), status, Some(BodyKind::Json), fields, bytes, (&[field], &asked))
}

/// A status, fields, a length, and whether it could be compressed.
type Case<'a> = (u16, &'a [(&'a str, &'a str)], Option<usize>, bool);

#[test]
fn which_answers() {
    const ANY: Option<Coding> = Some(Coding::Zstandard);
    let cases: &[Case<'_>] = &[
        (200, &[], Some(100), true),
        (200, &[], None, true),
        (404, &[], Some(100), true),
        (200, &[], Some(99), false),
        (200, &[], Some(0), false),
        (204, &[], None, false),
        (205, &[], None, false),
        (206, &[], Some(100), false),
        (200, &[("Content-Encoding", "br")], Some(100), false),
        (200, &[("Content-Encoding", "identity")], Some(100), false),
        (200, &[("content-range", "bytes 0-1/2")], Some(100), false),
        (200, &[("Repr-Digest", "sha-256=:a:")], Some(100), false),
        (200, &[("Content-MD5", "a")], Some(100), false),
        (200, &[("Cache-Control", "public, No-Transform")], Some(100), false),
        (200, &[("Cache-Control", "public")], Some(100), true),
        (200, &[("content-type", "image/png")], Some(100), false),
        (200, &[("Content-Type", "text/x")], Some(100), true),
    ];
    for &(status, fields, bytes, is_one) in cases {
        let found = plan(status, fields, bytes, "gzip, zstd");
        let expected = Plan { varies: is_one, coding: ANY.filter(|_| is_one), ..Plan::default() };
        assert_eq!(found, expected, "{status} {fields:?} {bytes:?}");
        // Who takes none of them learns that others may get something else.
        assert_eq!(plan(status, fields, bytes, "deflate").varies, is_one);
    }
}

#[test]
fn who_takes_nothing_plain_gets_short_bodies_encoded_as_well() {
    let found = plan(200, &[], Some(5), "gzip, identity;q=0");
    assert_eq!(
        found,
        Plan { varies: true, coding: Some(Coding::Gzip), must: true, ..Plan::default() }
    );
    // What nobody can be given is given as it is (RFC 9110 section 12.4.1).
    assert_eq!(plan(200, &[], Some(5), "identity;q=0"), Plan::default());
    assert!(plan(200, &[], Some(100), "*;q=0").coding.is_none());
}

#[test]
fn what_heads_say() {
    let plan = Plan { varies: true, coding: Some(Coding::Brotli), ..Plan::default() };
    let with = |vary: &'static str| {
        let fields: &[(&[u8], &[u8])] = &[(b"vary", vary.as_bytes())];
        plan.missing(fields.iter().copied(), false)
    };
    assert_eq!(with("Origin"), "\r\nVary: Accept-Encoding");
    assert_eq!(with("Origin, accept-encoding"), "");
    assert_eq!(with("*"), "");
    let none = std::iter::empty;
    assert_eq!(plan.missing(none(), true), "\r\nContent-Encoding: br\r\nVary: Accept-Encoding");
    assert_eq!(Plan::default().missing(none(), true), "");
    for (etag, weak) in [("\"a\"", "W/\"a\""), ("W/\"a\"", "W/\"a\""), ("a", "a")] {
        assert_eq!(*plan.field(b"ETAG", etag.as_bytes(), true), *weak.as_bytes());
        assert_eq!(*plan.field(b"ETag", etag.as_bytes(), false), *etag.as_bytes());
    }
}

#[test]
fn encoders_are_used_again() {
    let mut encoders = Encoders::default();
    for round in 0..3u8 {
        for coding in Coding::ALL {
            let body = vec![round; 10_000 * usize::from(round)];
            let mut out = b"before".to_vec();
            encoders.encode(&terms(), coding, &body, &mut out);
            assert_eq!(decoded(coding, &out[6..], 7, 1 << 20).unwrap(), body);
        }
    }
}

#[test]
fn each_piece_can_be_read_at_once() {
    for coding in Coding::ALL {
        let mut encoder = Encoder::new(&terms(), coding);
        let mut decoder = Decoder::new(coding, usize::MAX);
        for number in 0..2_000u32 {
            let piece = format!("data: {number}\n\n").repeat(number as usize % 7);
            let (mut wire, mut plain) = (Vec::new(), Vec::new());
            encoder.push(piece.as_bytes(), &mut wire);
            decoder.push(&wire, usize::MAX, &mut plain).unwrap();
            assert_eq!(plain, piece.as_bytes(), "{coding:?} {number}");
        }
        let (mut wire, mut plain) = (Vec::new(), Vec::new());
        encoder.end(&mut wire);
        decoder.push(&wire, usize::MAX, &mut plain).unwrap();
        assert_eq!((plain, decoder.end()), (Vec::new(), Ok(())), "{coding:?}");
    }
}

#[test]
fn what_a_stream_holds_is_bounded() {
    let mut encoder = Encoder::new(&terms(), Coding::Zstandard);
    for number in 0..200u8 {
        encoder.push(&[number; 50_000], &mut Vec::new());
    }
    // The documentation says how much.
    assert!(encoder.zstd_bytes() < 450 * 1024, "{}", encoder.zstd_bytes());
}

#[test]
fn what_is_no_code() {
    let body: Vec<u8> = (0..200_000u32).flat_map(|number| (number % 971).to_le_bytes()).collect();
    for coding in Coding::ALL {
        let good = encoded(coding, &body);
        assert_eq!(decoded(coding, &good, usize::MAX, body.len()).unwrap(), body);
        let short = body.len() - 1;
        assert_eq!(decoded(coding, &good, 1000, short), Err(Malformed::TooLong), "{coding:?}");
        for wrong in [&good[..good.len() - 1], b"nonsense", &[&good[..], b"more"].concat()] {
            assert_eq!(decoded(coding, wrong, 11, 1 << 30), Err(Malformed::Wrong), "{coding:?}");
        }
        assert_eq!(decoded(coding, b"", 1, 0), Ok(Vec::new()), "{coding:?}");
    }
    for coding in [Coding::Gzip, Coding::Zstandard] {
        let twice = encoded(coding, b"ab").repeat(2);
        for cut in 1..twice.len() {
            assert_eq!(decoded(coding, &twice, cut, 10).unwrap(), b"abab", "{coding:?}");
        }
    }
}

#[test]
fn a_bomb_is_not_unpacked() {
    for coding in Coding::ALL {
        let bomb = encoded(coding, &vec![0; 50 << 20]);
        let mut out = Vec::new();
        let outcome = Decoder::new(coding, 100_000).push(&bomb, usize::MAX, &mut out);
        assert_eq!(outcome, Err(Malformed::TooLong));
        assert_eq!(out.len(), 100_000);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_encoded_comes_back(
        pieces in prop::collection::vec(prop::collection::vec(0u8..40, 0..3000), 0..12),
        cut in 1usize..5000,
    ) {
        let body = pieces.concat();
        for coding in Coding::ALL {
            prop_assert_eq!(&decoded(coding, &encoded(coding, &body), cut, body.len()).unwrap(), &body);
            let mut encoder = Encoder::new(&terms(), coding);
            let mut wire = Vec::new();
            pieces.iter().for_each(|piece| encoder.push(piece, &mut wire));
            encoder.end(&mut wire);
            prop_assert_eq!(&decoded(coding, &wire, cut, body.len()).unwrap(), &body);
        }
    }

    #[test]
    fn nonsense_ends(bytes in prop::collection::vec(any::<u8>(), 0..500), cut in 1usize..50) {
        for coding in Coding::ALL {
            let _ = decoded(coding, &bytes, cut, 10_000);
        }
    }
}
