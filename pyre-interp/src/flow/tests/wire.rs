use proptest::prelude::*;
use pyre_http::h1::chunk;
use pyre_http::h1::serialize::Delimited;

use super::{Rig, taken};
use crate::flow::{FLOW_BYTES_MAX, Pushed, Taken};

/// What happens next to a flow.
#[derive(Clone, Debug)]
enum Step {
    Push(Vec<u8>),
    /// The reactor takes all that is there.
    Take,
}

fn step() -> impl Strategy<Value = Step> {
    let small = prop::collection::vec(b'a'..=b'z', 0..20);
    // Sizes around those at which chunks have one digit more, and at which there is no more room.
    let large = prop::sample::select(vec![15, 16, 255, 256, 4096, FLOW_BYTES_MAX / 2 + 1])
        .prop_map(|length| vec![b'x'; length]);
    prop_oneof![
        4 => small.prop_map(Step::Push),
        1 => large.prop_map(Step::Push),
        2 => Just(Step::Take),
    ]
}

/// How the bytes of an answer are told apart.
fn framed(delimited: Delimited, pieces: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in pieces {
        match delimited {
            Delimited::Chunked => chunk::write(&mut out, piece),
            Delimited::Length(_) | Delimited::Close => out.extend_from_slice(piece),
        }
    }
    out
}

proptest! {
    #[test]
    fn what_is_sent_comes_out_whole_and_in_order(
        steps in prop::collection::vec(step(), 0..40),
        attached_before in 0_usize..40,
        kind in 0..3,
    ) {
        let rig = Rig::new();
        let lengths = steps.iter().map(|step| match step {
            Step::Push(piece) => piece.len() as u64,
            Step::Take => 0,
        });
        let delimited = match kind {
            0 => Delimited::Chunked,
            1 => Delimited::Close,
            // With some of it refused for want of room there is too little: see below.
            _ => Delimited::Length(lengths.sum()),
        };
        let (mut downstream, mut came, mut sent) = (None, Vec::new(), Vec::new());
        // Whether the reactor looks by itself.
        let mut looks = false;
        for (number, step) in steps.into_iter().enumerate() {
            if number == attached_before {
                downstream = Some(rig.attach(delimited));
                looks = true;
            }
            match step {
                Step::Push(piece) => match rig.flow.push(&piece) {
                    Pushed::Taken => {
                        let is_told = downstream.is_some() && !looks && !piece.is_empty();
                        prop_assert_eq!(rig.told(), usize::from(is_told));
                        looks |= is_told;
                        sent.push(piece);
                    }
                    refused => prop_assert_eq!(refused, Pushed::Full),
                },
                Step::Take => if let Some(downstream) = &mut downstream {
                    let (taken, pieces) = taken(downstream);
                    prop_assert_eq!(taken == Taken::Nothing, pieces.is_empty());
                    looks = taken != Taken::Nothing;
                    came.extend_from_slice(pieces.as_bytes());
                },
            }
        }
        let mut downstream = downstream.unwrap_or_else(|| rig.attach(delimited));
        rig.flow.end();
        let (taken, pieces) = taken(&mut downstream);
        came.extend_from_slice(pieces.as_bytes());
        let bytes: u64 = sent.iter().map(|piece| piece.len() as u64).sum();
        let mut expected = framed(delimited, &sent);
        let is_whole = !matches!(delimited, Delimited::Length(length) if length > bytes);
        if delimited == Delimited::Chunked {
            expected.extend_from_slice(chunk::LAST_CHUNK);
        }
        prop_assert_eq!(taken, if is_whole { Taken::End } else { Taken::Break });
        prop_assert!(came == expected, "{} bytes, not {}", came.len(), expected.len());
        prop_assert_eq!(downstream.known.bytes, bytes);
    }
}
