//! Times the crates by themselves, for `python -m perf.compression`: `compress CODING LEVEL PIECE_BYTES TIMES`
//! with a body on standard input prints the nanoseconds of processor time that each body took, and its length
//! then. Without pieces (0) it is compressed as a whole; else each piece is flushed.

use std::error::Error;
use std::io::{Read as _, Write};

use brotli::enc::BrotliEncoderParams;

/// As the server has them for bodies in pieces.
const BROTLI_BITS: u32 = 16;
const ZSTD_BITS: u32 = 15;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [coding, level, piece_bytes, times] = words.as_slice() else {
        return Err("give CODING LEVEL PIECE_BYTES TIMES".into());
    };
    let (level, piece_bytes): (u32, usize) = (level.parse()?, piece_bytes.parse()?);
    let times: u64 = times.parse()?;
    let mut body = Vec::new();
    std::io::stdin().read_to_end(&mut body)?;
    let mut whole_zstd = zstd::bulk::Compressor::new(level.try_into()?)?;
    let mut length = 0;
    let before = run_ns()?;
    for _ in 0..times {
        length = match (coding.as_str(), piece_bytes) {
            ("gzip", _) => {
                let level = flate2::Compression::new(level);
                let made = flate2::write::GzEncoder::new(Vec::new(), level);
                let mut made = written(made, &body, piece_bytes)?;
                made.try_finish()?;
                made.finish()?.len()
            }
            ("br", 0) => {
                let mut made = Vec::new();
                let params = BrotliEncoderParams {
                    quality: level.try_into()?,
                    size_hint: body.len(),
                    ..BrotliEncoderParams::default()
                };
                brotli::BrotliCompress(&mut body.as_slice(), &mut made, &params)?;
                made.len()
            }
            ("br", _) => {
                let made = brotli::CompressorWriter::new(Vec::new(), 4096, level, BROTLI_BITS);
                written(made, &body, piece_bytes)?.into_inner().len()
            }
            ("zstd", 0) => whole_zstd.compress(&body)?.len(),
            ("zstd", _) => {
                let mut made = zstd::stream::Encoder::new(Vec::new(), level.try_into()?)?;
                made.window_log(ZSTD_BITS)?;
                written(made, &body, piece_bytes)?.finish()?.len()
            }
            _ => return Err("gzip, br or zstd".into()),
        };
    }
    let taken = run_ns()? - before;
    writeln!(std::io::stdout(), "{} {length}", taken / times)?;
    Ok(())
}

/// What has been given all pieces, each flushed; the whole at once if they are of 0 bytes.
fn written<W: Write>(mut made: W, body: &[u8], piece_bytes: usize) -> std::io::Result<W> {
    if piece_bytes == 0 {
        made.write_all(body)?;
        return Ok(made);
    }
    for piece in body.chunks(piece_bytes) {
        made.write_all(piece)?;
        made.flush()?;
    }
    Ok(made)
}

/// The processor time of this thread so far.
fn run_ns() -> Result<u64, Box<dyn Error>> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split(' ').next().ok_or("no schedstat")?.parse()?)
}
