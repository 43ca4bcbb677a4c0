//! Any pieces, written in chunks: they are read back as the body that they make, however they are cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pyre_http::h1::chunk::{self, LAST_CHUNK};
use pyre_http::h1::reader::{Next, RequestReader};
use pyre_http::limits::Limits;

fuzz_target!(|input: &[u8]| {
    let [size, cut, input @ ..] = input else { return };
    let head = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    let behind = b"GET /next HTTP/1.1\r\nHost: h\r\n\r\n";
    let mut stream = head.to_vec();
    for piece in input.chunks(usize::from(*size).max(1)) {
        chunk::write(&mut stream, piece);
        // Nothing is no chunk.
        chunk::write(&mut stream, b"");
    }
    stream.extend_from_slice(LAST_CHUNK);
    stream.extend_from_slice(behind);

    let limits = Limits { chunk_overhead_bytes_max: 1 << 30, ..Limits::default() };
    let mut reader = RequestReader::new();
    let (mut bytes, mut table, mut came) = (Vec::new(), Vec::new(), 0);
    for piece in stream.chunks(usize::from(*cut).max(1)) {
        bytes.extend_from_slice(piece);
        while let Next::Request(request) = reader.next(&mut bytes, &mut table, &limits).unwrap() {
            let (path, body): (&[u8], &[u8]) = [(&b"/"[..], input), (&b"/next"[..], b"")][came];
            assert_eq!(request.path.of(&bytes), path);
            assert_eq!(request.body.of(&bytes), body);
            came += 1;
        }
    }
    assert_eq!(came, 2);
});
