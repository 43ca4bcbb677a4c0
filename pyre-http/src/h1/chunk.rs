//! Chunked bodies going out (RFC 9112 section 7.1): a chunk for whatever is ready.

/// The end of a body, without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Room for the size of a chunk and both of its line ends.
pub const FRAME_BYTES_MAX: usize = 16 + 2 + 2;

/// Appends a chunk. No data is no chunk, as an empty one would be the last.
pub fn write(out: &mut Vec<u8>, data: &[u8]) {
    if data.is_empty() {
        return;
    }
    out.reserve(data.len() + FRAME_BYTES_MAX);
    write_size(out, data.len());
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

/// Appends the line that says how many bytes follow.
fn write_size(out: &mut Vec<u8>, mut size: usize) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut digits = [0; 16];
    let mut start = digits.len();
    while size > 0 {
        start -= 1;
        digits[start] = DIGITS[size & 0xf];
        size >>= 4;
    }
    out.extend_from_slice(&digits[start..]);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_hexadecimal_without_zeros_before() {
        for (length, head) in [(1, "1\r\n"), (15, "f\r\n"), (16, "10\r\n"), (70_000, "11170\r\n")] {
            let data = vec![b'x'; length];
            let mut out = Vec::new();
            write(&mut out, &data);
            assert_eq!(out, [head.as_bytes(), &data, b"\r\n"].concat());
        }
        let mut out = Vec::new();
        write(&mut out, b"");
        assert!(out.is_empty());
    }
}
