//! Any bytes as a form with files: however they are cut, the same parts come of them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pyre_http::multipart::boundary::boundary_of;
use pyre_http::multipart::fault::Fault;
use pyre_http::multipart::head::PartHead;
use pyre_http::multipart::parser::{Event, Limits, Parser};

const LIMITS: Limits = Limits { parts_max: 8, head_bytes_max: 200, name_bytes_max: 40 };

type Parts = Vec<(PartHead, Vec<u8>, bool)>;

fn read(form: &[u8], piece: usize) -> (Parts, Result<(), Fault>) {
    let mut parser = Parser::new(b"b", LIMITS).unwrap();
    let (mut parts, mut held) = (Parts::new(), Vec::new());
    for some in form.chunks(piece) {
        held.extend_from_slice(some);
        let mut at = 0;
        loop {
            let (taken, event) = match parser.next(&held[at..]) {
                Ok(next) => next,
                Err(fault) => return (parts, Err(fault)),
            };
            at += taken;
            match event {
                Some(Event::Begin(head)) => {
                    assert!(head.name.len() <= LIMITS.name_bytes_max);
                    parts.push((head, Vec::new(), false));
                }
                Some(Event::Data(data)) => {
                    assert!(!data.is_empty());
                    parts.last_mut().unwrap().1.extend_from_slice(data);
                }
                Some(Event::PartEnd) => {
                    let is_over = std::mem::replace(&mut parts.last_mut().unwrap().2, true);
                    assert!(!is_over);
                }
                Some(Event::End) => assert!(parts.iter().all(|(_, _, is_over)| *is_over)),
                None => break,
            }
        }
        held.drain(..at);
        assert!(held.len() <= LIMITS.head_bytes_max);
    }
    assert!(parts.len() <= LIMITS.parts_max);
    (parts, parser.finish(&held))
}

fuzz_target!(|input: &[u8]| {
    // Whatever a header says: if it is a boundary, a form can have it.
    let content_type = [b"multipart/form-data; ", input].concat();
    if let Ok(Some(boundary)) = boundary_of(&content_type) {
        assert!(Parser::new(boundary, LIMITS).is_ok());
    }
    let [cut, form @ ..] = input else { return };
    let whole = read(form, form.len().max(1));
    assert_eq!(read(form, usize::from(*cut).max(1)), whole);
    assert_eq!(read(form, 1), whole);
    // The data of parts has no boundary in it.
    for (_, data, _) in &whole.0 {
        assert!(!data.windows(5).any(|window| window == b"\r\n--b"));
    }
});
