//! Where a run of bytes ends: a method or name, a path, a query, a value. Hot path.
//!
//! Each function tells how long the run is that `rest` begins with, and which byte ends it; nothing if
//! no byte does. Eight bytes are looked at as one word. That look may stop at a byte with which the
//! run goes on, and never misses one that ends it: a table has the last word.

use crate::header::{is_token_byte, is_value_byte};
use crate::target::is_target_byte;

/// A word with this byte in each place.
const fn each(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// Where the flags of the bytes of a word are.
const FLAGS: u64 = each(0x80);

/// A method, or the name of a header.
#[inline(always)]
pub(super) fn token(rest: &[u8]) -> Option<(usize, u8)> {
    // All but letters and hyphens, which is what most names are made of.
    let stops = |word: u64| {
        let small = (word | each(b' ')) & !FLAGS;
        let is_letter = (small + each(0x80 - b'a')) & !(small + each(0x7f - b'z'));
        let is_no_hyphen = ((word ^ each(b'-')) & !FLAGS) + each(0x7f);
        (!is_letter & is_no_hyphen) | word
    };
    run(rest, stops, is_token_byte)
}

/// What a target has in front of its query.
#[inline(always)]
pub(super) fn path(rest: &[u8]) -> Option<(usize, u8)> {
    let stops = |word| target_stops(word) | (word ^ each(b'?')).wrapping_sub(each(1));
    run(rest, stops, |byte| is_target_byte(byte) && byte != b'?')
}

/// A query, or the question mark and what follows it.
#[inline(always)]
pub(super) fn query(rest: &[u8]) -> Option<(usize, u8)> {
    run(rest, target_stops, is_target_byte)
}

/// All but what is visible in ASCII, and `#`.
#[inline(always)]
fn target_stops(word: u64) -> u64 {
    let is_low = word.wrapping_sub(each(b'!'));
    let is_high = word.wrapping_add(each(1)) | word;
    is_low | is_high | (word ^ each(b'#')).wrapping_sub(each(1))
}

/// The value of a header, with the white space around it.
#[inline(always)]
pub(super) fn value(rest: &[u8]) -> Option<(usize, u8)> {
    // Values are longer than the rest. Without a branch for each byte, this becomes a vector.
    let is_plain = |bytes: &[u8; 16]| {
        bytes.iter().fold(true, |plain, &byte| plain & (byte >= b' ') & (byte != 0x7f))
    };
    let mut tail = rest;
    while let Some((bytes, behind)) = tail.split_first_chunk()
        && is_plain(bytes)
    {
        tail = behind;
    }
    // Control characters; a value may have the tab.
    let stops = |word: u64| (word.wrapping_sub(each(b' ')) | word.wrapping_add(each(1))) & !word;
    let (length, end) = run(tail, stops, is_value_byte)?;
    Some((rest.len() - tail.len() + length, end))
}

/// `stops` flags every byte that `goes_on` refuses, and perhaps others.
#[inline(always)]
fn run(
    rest: &[u8],
    stops: impl Fn(u64) -> u64,
    goes_on: impl Fn(u8) -> bool,
) -> Option<(usize, u8)> {
    let mut tail = rest;
    while let Some((bytes, behind)) = tail.split_first_chunk() {
        let stops = stops(u64::from_le_bytes(*bytes)) & FLAGS;
        if stops == 0 {
            tail = behind;
            continue;
        }
        let at = stops.trailing_zeros() as usize / 8;
        if !goes_on(bytes[at]) {
            return Some((rest.len() - tail.len() + at, bytes[at]));
        }
        tail = &tail[at + 1..];
    }
    let at = tail.iter().position(|&byte| !goes_on(byte))?;
    Some((rest.len() - tail.len() + at, tail[at]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(run: fn(&[u8]) -> Option<(usize, u8)>, goes_on: fn(u8) -> bool, usual: &[u8]) {
        // Every pair of neighbours, as one byte may disturb what is seen of the next, at many places
        // and with many numbers of bytes behind.
        for pair in 0..=u16::MAX {
            let at = usize::from(pair) % 23;
            let mut bytes: Vec<u8> = usual.iter().copied().cycle().take(40).collect();
            bytes[at..at + 2].copy_from_slice(&pair.to_le_bytes());
            for length in [at + usize::from(pair >> 8) % 17, bytes.len()] {
                let bytes = &bytes[..length];
                let end = bytes.iter().position(|&byte| !goes_on(byte));
                assert_eq!(run(bytes), end.map(|end| (end, bytes[end])), "{bytes:?}");
            }
        }
    }

    #[test]
    fn a_run_ends_where_the_table_says() {
        check(token, is_token_byte, b"Content-Type");
        check(path, |byte| is_target_byte(byte) && byte != b'?', b"/a/b.html;c=~%41");
        check(query, is_target_byte, b"?a=b&c?d=|");
        check(value, is_value_byte, b"a b\x80c\xff\xfe");
    }
}
