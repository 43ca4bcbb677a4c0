//! Any bytes on a connection.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pyre_http::limits::Limits;

fuzz_target!(|input: &[u8]| {
    pyre_fuzz::check_cuts(input, &Limits::default());
    pyre_fuzz::check_cuts(input, &pyre_fuzz::limits());
});
