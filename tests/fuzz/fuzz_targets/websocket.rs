//! Any bytes on a WebSocket: however they are cut, the same comes of them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pyre_http::websocket::close::{Close, Failure};
use pyre_http::websocket::deflate::Inflater;
use pyre_http::websocket::receive::{Event, Kind, Receiver};

/// What has come: messages, pings, pongs and ends, each with a number of its own.
type Came = (u8, Vec<u8>);

fn read(input: &[u8], piece: usize, compresses: bool) -> (Vec<Came>, Option<Failure>) {
    let mut receiver = Receiver::new(300, compresses.then(|| Inflater::new(true)));
    let (mut came, mut bytes) = (Vec::new(), Vec::new());
    for some in input.chunks(piece) {
        bytes.extend_from_slice(some);
        loop {
            let (taken, event) = match receiver.next(&mut bytes) {
                Ok((taken, event)) => (taken, event.map(owned)),
                Err(failure) => return (came, Some(failure)),
            };
            bytes.drain(..taken);
            match event {
                Some(event) => came.push(event),
                None => break,
            }
        }
    }
    (came, None)
}

fn owned(event: Event<'_>) -> Came {
    match event {
        Event::Message(Kind::Text, data) => {
            assert!(std::str::from_utf8(data).is_ok());
            (0, data.to_vec())
        }
        Event::Message(Kind::Binary, data) => (1, data.to_vec()),
        Event::Ping(data) => (2, data.to_vec()),
        Event::Pong(data) => (3, data.to_vec()),
        Event::Close(Close { code, reason }) => (4, format!("{code:?} {reason}").into_bytes()),
    }
}

fuzz_target!(|input: &[u8]| {
    let [first, second, input @ ..] = input else { return };
    let compresses = first & 1 != 0;
    let whole = read(input, input.len().max(1), compresses);
    assert!(whole.0.iter().all(|(_, data)| data.len() <= 300));
    for piece in [usize::from(*second).max(1), 1] {
        let (came, failure) = read(input, piece, compresses);
        assert_eq!((&came, failure.is_some()), (&whole.0, whole.1.is_some()));
        // What is wrong twice, as compressed data and as the text that it is so far, is found to be
        // either, by how much of it is looked at together.
        assert!(compresses || failure == whole.1);
    }
});
