//! Whole connections: what a client may send, in any pieces, and what it must not.

use proptest::prelude::*;

use super::close::{Close, Failure};
use super::deflate::{Deflater, Inflater};
use super::receive::{Event, Kind, Receiver};
use super::{frame, send};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;
const COMPRESSED: u8 = 0x40;

/// A frame of a client.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::write_head(&mut bytes, frame::Opcode::Text, true, false, payload.len());
    bytes[0] = first;
    bytes[1] |= 0x80;
    bytes.extend_from_slice(&KEY);
    bytes.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ KEY[at % 4]));
    bytes
}

/// What has come, owned.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Came {
    Message(Kind, Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Close),
}

fn text(text: &str) -> Came {
    Came::Message(Kind::Text, text.as_bytes().to_vec())
}

fn binary(bytes: &[u8]) -> Came {
    Came::Message(Kind::Binary, bytes.to_vec())
}

/// Shows the bytes in pieces, as a connection would.
fn receive(receiver: &mut Receiver, bytes: &[u8], piece: usize) -> (Vec<Came>, Option<Failure>) {
    let mut came = Vec::new();
    let mut buffer = Vec::new();
    for some in bytes.chunks(piece.max(1)) {
        buffer.extend_from_slice(some);
        loop {
            let (taken, is_event) = match receiver.next(&mut buffer) {
                Ok((taken, None)) => (taken, false),
                Ok((taken, Some(event))) => {
                    came.push(match event {
                        Event::Message(kind, data) => Came::Message(kind, data.to_vec()),
                        Event::Ping(data) => Came::Ping(data.to_vec()),
                        Event::Pong(data) => Came::Pong(data.to_vec()),
                        Event::Close(close) => Came::Close(close),
                    });
                    (taken, true)
                }
                Err(failure) => return (came, Some(failure)),
            };
            buffer.drain(..taken);
            assert!(is_event || buffer.len() < frame::HEAD_BYTES_MAX, "only a head may be left");
            if !is_event {
                break;
            }
        }
    }
    (came, None)
}

fn plain() -> Receiver {
    Receiver::new(1000, None)
}

#[test]
fn messages_pings_and_an_end() {
    let bytes = [
        masked(TEXT, "grüß dich".as_bytes()),
        masked(BINARY, &[0xff; 300]),
        masked(0x01, "grü".as_bytes()),
        masked(PING, b"between"),
        masked(0x00, b""),
        masked(0x80, "ß".as_bytes()),
        masked(PONG, b""),
        masked(TEXT, b""),
        masked(CLOSE, b"\x03\xe9later"),
        masked(TEXT, b"is not looked at"),
    ]
    .concat();
    let expected = vec![
        text("grüß dich"),
        binary(&[0xff; 300]),
        Came::Ping(b"between".to_vec()),
        text("grüß"),
        Came::Pong(Vec::new()),
        text(""),
        Came::Close(Close { code: Some(1001), reason: "later".to_owned() }),
    ];
    for piece in 1..bytes.len() {
        assert_eq!(receive(&mut plain(), &bytes, piece), (expected.clone(), None), "{piece}");
    }
}

#[test]
fn text_is_looked_at_as_it_comes() {
    // A character may be cut by frames, and a wrong one is found before its message ends.
    let cut = [masked(0x01, b"\xe2\x82"), masked(0x80, b"\xac")].concat();
    assert_eq!(receive(&mut plain(), &cut, 1), (vec![text("€")], None));
    for wrong in [
        masked(TEXT, b"\xff"),
        masked(0x01, b"abc\xff"),
        masked(TEXT, b"\xe2\x82"),
        [masked(0x01, b"\xe2\x82"), masked(0x80, b"")].concat(),
        [masked(0x01, b"\xe2\x82"), masked(0x00, b"a")].concat(),
        // The second half of a character is the next message's: no.
        [masked(TEXT, b"\xe2\x82"), masked(TEXT, b"\xac")].concat(),
    ] {
        for piece in [1, 1000] {
            assert_eq!(receive(&mut plain(), &wrong, piece), (vec![], Some(Failure::NotUtf8)));
        }
    }
    let long = &masked(0x01, &[&b"abc\xff"[..], &[b'a'; 500]].concat())[..20];
    assert_eq!(receive(&mut plain(), long, 1), (vec![], Some(Failure::NotUtf8)));
}

#[test]
fn what_a_client_must_not_do() {
    for (bytes, failure) in [
        (masked(0x80, b"a"), Failure::ContinuationOfNothing),
        (masked(0x00, b"a"), Failure::ContinuationOfNothing),
        ([masked(0x01, b"a"), masked(TEXT, b"b")].concat(), Failure::MessageInMessage),
        ([masked(0x02, b"a"), masked(0x02, b"b")].concat(), Failure::MessageInMessage),
        (masked(BINARY, &[0; 1001]), Failure::TooLong),
        ([masked(0x02, &[0; 600]), masked(0x80, &[0; 401])].concat(), Failure::TooLong),
        (masked(CLOSE, b"a"), Failure::CloseInvalid),
        (masked(CLOSE, b"\x03\xed"), Failure::CloseInvalid),
        (masked(CLOSE, b"\x03\xe8\xff"), Failure::NotUtf8),
        (masked(TEXT | COMPRESSED, b"a"), Failure::ReservedBits),
    ] {
        for piece in [1, 7, 10_000] {
            let (came, found) = receive(&mut plain(), &bytes, piece);
            assert_eq!((came, found), (vec![], Some(failure)), "{bytes:?}");
        }
    }
    // As much as is allowed, in one frame and in many.
    let most = [masked(BINARY, &[7; 1000]), masked(0x02, &[7; 999]), masked(0x80, &[7])].concat();
    assert_eq!(receive(&mut plain(), &most, 64), (vec![binary(&[7; 1000]); 2], None));
    // A head that promises too much is refused before anything of it has come.
    let head = &masked(BINARY, &[0; 2000])[..8];
    assert_eq!(receive(&mut plain(), head, 8), (vec![], Some(Failure::TooLong)));
}

#[test]
fn frames_of_the_server() {
    let mut out = Vec::new();
    send::message(&mut out, Kind::Text, b"hi");
    send::message(&mut out, Kind::Binary, &[]);
    send::ping(&mut out, b"p");
    send::pong(&mut out, b"");
    send::close(&mut out, &Close::default());
    send::close(&mut out, &Close { code: Some(1000), reason: "é".repeat(100) });
    send::failure(&mut out, Failure::TooLong);
    let mut expected = b"\x81\x02hi\x82\x00\x89\x01p\x8a\x00\x88\x00\x88\x7c\x03\xe8".to_vec();
    expected.extend_from_slice("é".repeat(61).as_bytes());
    expected.extend_from_slice(b"\x88\x12\x03\xf1message too long");
    assert_eq!(out, expected);
}

/// Compresses as a client would.
fn squeezed(deflater: &mut Deflater, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    deflater.deflate(data, &mut out);
    out
}

#[test]
fn empty_messages_are_compressed_between_others() {
    for takes_over in [true, false] {
        let mut deflater = Deflater::new(takes_over, 9);
        let mut receiver = Receiver::new(100, Some(Inflater::new(takes_over)));
        let messages = [&b""[..], b"", b"one", b"", b"one", b"", b""];
        let sent: Vec<u8> = messages
            .iter()
            .flat_map(|message| masked(0x82 | COMPRESSED, &squeezed(&mut deflater, message)))
            .collect();
        let expected = messages.iter().map(|message| binary(message)).collect();
        assert_eq!(receive(&mut receiver, &sent, 1), (expected, None));
    }
}

#[test]
fn examples_of_rfc_7692() {
    // Section 7.2.3: "Hello", then again with what came before, without compression, and with a last block.
    for (payloads, takes_over) in [
        (&[&b"\xf2\x48\xcd\xc9\xc9\x07\x00"[..], b"\xf2\x00\x11\x00\x00"][..], true),
        (&[b"\xf2\x48\xcd\xc9\xc9\x07\x00", b"\xf2\x48\xcd\xc9\xc9\x07\x00"], false),
        (&[b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"], true),
        (&[b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00"], true),
        (&[b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"], true),
    ] {
        let bytes: Vec<u8> =
            payloads.iter().flat_map(|payload| masked(TEXT | COMPRESSED, payload)).collect();
        for piece in 1..bytes.len() {
            let mut receiver = Receiver::new(1000, Some(Inflater::new(takes_over)));
            let expected = vec![text("Hello"); payloads.len()];
            assert_eq!(receive(&mut receiver, &bytes, piece), (expected, None), "{bytes:x?}");
        }
    }
}

#[test]
fn a_small_frame_must_not_become_a_large_message() {
    let bomb = squeezed(&mut Deflater::new(true, 15), &[0; 10_000_000]);
    assert!(bomb.len() < 1_000_000);
    let mut receiver = Receiver::new(100_000, Some(Inflater::new(true)));
    let bytes = masked(BINARY | COMPRESSED, &bomb);
    assert_eq!(receive(&mut receiver, &bytes, 500), (vec![], Some(Failure::TooLong)));
    let most = squeezed(&mut Deflater::new(true, 15), &[0; 100_000]);
    let mut receiver = Receiver::new(100_000, Some(Inflater::new(true)));
    let bytes = masked(BINARY | COMPRESSED, &most);
    assert_eq!(receive(&mut receiver, &bytes, 500), (vec![binary(&[0; 100_000])], None));
}

#[test]
fn what_is_longer_compressed_is_counted_as_it_is() {
    // Bytes that nothing makes shorter.
    let mut state = 1_u32;
    let bytes: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(100_001)
    .collect();
    for (length, failure) in [(100_000, None), (100_001, Some(Failure::TooLong))] {
        let payload = squeezed(&mut Deflater::new(true, 15), &bytes[..length]);
        assert!(payload.len() > 100_000);
        let mut receiver = Receiver::new(100_000, Some(Inflater::new(true)));
        let (came, found) = receive(&mut receiver, &masked(BINARY | COMPRESSED, &payload), 5000);
        assert_eq!(found, failure);
        assert_eq!(came.len(), usize::from(failure.is_none()));
    }
    // Blocks that hold nothing have an end as well.
    let empty = [0, 0, 0, 0xff, 0xff].repeat(30_000);
    let mut receiver = Receiver::new(100_000, Some(Inflater::new(true)));
    let found = receive(&mut receiver, &masked(BINARY | COMPRESSED, &empty), 5000);
    assert_eq!(found, (vec![], Some(Failure::TooLong)));
}

#[test]
fn what_is_not_read_to_its_end_is_not_kept() {
    let mut receiver = Receiver::new(1000, None);
    assert_eq!(receive(&mut receiver, &masked(BINARY, &[0; 500])[..400], 100), (vec![], None));
    assert!(receiver.bytes_missing() > 0);
    receiver.end();
    assert_eq!((receiver.bytes_missing(), receiver.bytes_kept()), (0, 0));
    assert_eq!(receive(&mut receiver, &masked(BINARY, b"late"), 100), (vec![], None));
}

#[test]
fn what_is_not_deflated() {
    for payload in [&b"\xff\xff\xff"[..], b"\x00\x05\x00\xfa\xfe\x48", b"\x06"] {
        let mut receiver = Receiver::new(1000, Some(Inflater::new(true)));
        let bytes = masked(BINARY | COMPRESSED, payload);
        assert_eq!(receive(&mut receiver, &bytes, 1), (vec![], Some(Failure::NotDeflated)));
    }
    // Text that is none once it is inflated.
    let wrong = squeezed(&mut Deflater::new(true, 15), b"abc\xff");
    let mut receiver = Receiver::new(1000, Some(Inflater::new(true)));
    let (_, failure) = receive(&mut receiver, &masked(TEXT | COMPRESSED, &wrong), 1000);
    assert_eq!(failure, Some(Failure::NotUtf8));
}

proptest! {
    #[test]
    fn whatever_comes_is_no_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        piece in 1_usize..50,
        compresses: bool,
    ) {
        let mut receiver = Receiver::new(100, compresses.then(|| Inflater::new(true)));
        receive(&mut receiver, &bytes, piece);
    }

    #[test]
    fn compressed_messages_arrive(
        messages in prop::collection::vec(prop::collection::vec(0_u8..20, 0..2000), 1..5),
        cuts in prop::collection::vec(0_usize..300, 1..4),
        piece in 1_usize..300,
        takes_over: bool,
        bits in 9_u8..=15,
    ) {
        let mut deflater = Deflater::new(takes_over, bits);
        let mut bytes = Vec::new();
        let mut expected = Vec::new();
        for (index, message) in messages.iter().enumerate() {
            let payload = squeezed(&mut deflater, message);
            // In several frames, of which the first alone says that it is compressed.
            let cut = cuts[index % cuts.len()].min(payload.len());
            bytes.extend(masked(0x02 | COMPRESSED, &payload[..cut]));
            bytes.extend(masked(PING, b"?"));
            bytes.extend(masked(0x80, &payload[cut..]));
            expected.push(Came::Ping(b"?".to_vec()));
            expected.push(binary(message));
        }
        let mut receiver = Receiver::new(4000, Some(Inflater::new(takes_over)));
        prop_assert_eq!(receive(&mut receiver, &bytes, piece), (expected, None));
    }
}
