//! Any bytes where a body in chunks is due.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pyre_http::limits::Limits;

fuzz_target!(|input: &[u8]| {
    let head = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    let stream = [&head[..], input].concat();
    pyre_fuzz::check_cuts(&stream, &Limits::default());
    pyre_fuzz::check_cuts(&stream, &pyre_fuzz::limits());
});
