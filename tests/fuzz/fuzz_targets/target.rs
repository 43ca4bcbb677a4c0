//! Any bytes as a request target, and everything that is decoded from one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pyre_http::limits::Limits;
use pyre_http::{cookie, form};

fuzz_target!(|input: &[u8]| {
    let limits = Limits::default();
    for method in ["GET", "OPTIONS", "CONNECT"] {
        let stream = [method.as_bytes(), b" ", input, b" HTTP/1.1\r\nHost: h\r\n\r\n"].concat();
        pyre_fuzz::check_cuts(&stream, &limits);
    }

    let mut scratch = Vec::new();
    assert!(form::percent_decoded(input, &mut scratch).len() <= input.len());
    assert!(form::form_decoded(input, &mut scratch).len() <= input.len());
    let pairs: Vec<_> = form::pairs(input).collect();
    let raw_bytes: usize = pairs.iter().map(|(key, value)| key.len() + value.len()).sum();
    assert!(raw_bytes <= input.len());

    // What Python's quote() would write comes back as it was.
    let encoded: String = input.iter().map(|byte| format!("%{byte:02X}")).collect();
    assert_eq!(form::percent_decoded(encoded.as_bytes(), &mut scratch), input);
    assert_eq!(form::form_decoded(encoded.as_bytes(), &mut scratch), input);

    for (name, value) in cookie::pairs(input) {
        assert!(!name.is_empty() && !name.contains(&b';') && !value.contains(&b';'));
    }
});
