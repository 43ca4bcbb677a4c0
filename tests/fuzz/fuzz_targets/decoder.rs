//! Any bytes as a compressed body: however they are cut, and however little is taken at a time, the same
//! comes out of them, and no more than may.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pyre_http::compression::{Decoder, Malformed};
use pyre_http::files::coding::Coding;

fn decode(
    (coding, max): (Coding, usize),
    input: &[u8],
    piece: usize,
    most: usize,
) -> (Vec<u8>, Result<(), Malformed>) {
    let mut decoder = Decoder::new(coding, max);
    let mut plain = Vec::new();
    for mut some in input.chunks(piece) {
        while !some.is_empty() || decoder.may_have_more() {
            let before = plain.len();
            let outcome = decoder.push(some, most, &mut plain);
            assert!(plain.len() - before <= most && plain.len() <= max);
            match outcome {
                Ok(taken) => {
                    assert!(taken > 0 || plain.len() > before || !decoder.may_have_more());
                    some = &some[taken..];
                }
                Err(malformed) => return (plain, Err(malformed)),
            }
        }
    }
    let outcome = decoder.end();
    (plain, outcome)
}

fuzz_target!(|input: &[u8]| {
    let [coding, max, cut, body @ ..] = input else { return };
    let coding = Coding::ALL[usize::from(*coding) % Coding::ALL.len()];
    let bounds = (coding, usize::from(*max) * 100);
    let (plain, outcome) = decode(bounds, body, body.len().max(1), usize::MAX);
    let cut = usize::from(*cut).max(1);
    for (piece, most) in [(cut, usize::MAX), (usize::MAX, cut), (1, 1)] {
        let (other, ends) = decode(bounds, body, piece, most);
        assert_eq!(ends.is_ok(), outcome.is_ok(), "{coding:?}");
        if outcome.is_ok() {
            assert!(other == plain);
        }
    }
});
