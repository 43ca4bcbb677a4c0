//! How far string text goes without a byte that needs care.
//! Hot path.
//!
//! Eight bytes at a time in a register; long runs 32 at a time in a loop that the compiler turns
//! into vector instructions. Safe code throughout: `std::arch` would need `unsafe`.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Bytes looked at in words before the wide loop takes over: most strings are shorter.
const WORDS_BYTES: usize = 64;

/// Bytes in one round of the wide loop.
const WIDE_BYTES: usize = 32;

/// How many bytes at the front of `text` are ASCII and none of `"`, `\` and controls.
#[inline]
pub(super) fn plain_ascii(text: &[u8]) -> usize {
    run_length::<true>(text)
}

/// How many bytes at the front of `text` are none of `"`, `\` and ASCII controls.
#[inline]
pub(super) fn plain(text: &[u8]) -> usize {
    run_length::<false>(text)
}

#[inline(always)]
fn run_length<const ASCII_ONLY: bool>(text: &[u8]) -> usize {
    let (words, _) = text.as_chunks::<8>();
    for (index, word) in words.iter().take(WORDS_BYTES / 8).enumerate() {
        let special = specials::<ASCII_ONLY>(u64::from_le_bytes(*word));
        if special != 0 {
            return index * 8 + first_byte(special);
        }
    }
    if text.len() >= WORDS_BYTES + WIDE_BYTES {
        return wide_run_length::<ASCII_ONLY>(text);
    }
    let start = (words.len() * 8).min(WORDS_BYTES);
    short_run_length::<ASCII_ONLY>(text, start)
}

/// Goes on at `start`, with few bytes left.
#[inline(always)]
fn short_run_length<const ASCII_ONLY: bool>(text: &[u8], mut start: usize) -> usize {
    while let Some(word) = text[start..].first_chunk::<8>() {
        let special = specials::<ASCII_ONLY>(u64::from_le_bytes(*word));
        if special != 0 {
            return start + first_byte(special);
        }
        start += 8;
    }
    let tail = &text[start..];
    if tail.is_empty() {
        return text.len();
    }
    // Fewer than eight are left: the last eight again if there are so many, as what lies before
    // `start` is known to be plain; or what there is, filled up with plain bytes.
    let special = match text.last_chunk::<8>() {
        Some(word) => {
            let special = specials::<ASCII_ONLY>(u64::from_le_bytes(*word));
            special >> (8 * (8 - tail.len()))
        }
        None => specials::<ASCII_ONLY>(filled_word(tail)),
    };
    if special != 0 { start + first_byte(special) } else { text.len() }
}

/// The first `WORDS_BYTES` are plain and at least `WIDE_BYTES` follow.
#[inline(never)]
fn wide_run_length<const ASCII_ONLY: bool>(text: &[u8]) -> usize {
    let mut start = WORDS_BYTES;
    while let Some(block) = text[start..].first_chunk::<WIDE_BYTES>() {
        let is_special = |byte: u8| {
            (byte < 0x20) | (byte == b'"') | (byte == b'\\') | (ASCII_ONLY & (byte >= 0x80))
        };
        // No early exit: that is what lets the compiler use vectors.
        if block.iter().fold(false, |any, &byte| any | is_special(byte)) {
            break;
        }
        start += WIDE_BYTES;
    }
    short_run_length::<ASCII_ONLY>(text, start)
}

/// Sets the high bit of each byte that ends a run. Above the first one there may be false hits,
/// as a subtraction borrows from the byte above.
#[inline(always)]
fn specials<const ASCII_ONLY: bool>(word: u64) -> u64 {
    let below = |word: u64, byte: u8| word.wrapping_sub(ONES * u64::from(byte));
    let control = below(word, 0x20);
    let quote = below(word ^ (ONES * u64::from(b'"')), 1);
    let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
    // Each is right where the byte has no high bit; of those that have it, all or none count.
    let any = control | quote | backslash;
    (if ASCII_ONLY { any | word } else { any & !word }) & HIGHS
}

/// The place of the lowest byte whose high bit is set.
#[inline(always)]
fn first_byte(special: u64) -> usize {
    (special.trailing_zeros() / 8) as usize
}

/// Fewer than eight bytes as a word, the rest of it filled with plain text.
#[inline(always)]
fn filled_word(tail: &[u8]) -> u64 {
    tail.iter().rev().fold(ONES * u64::from(b' '), |word, &byte| word << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn slow(text: &[u8], ascii_only: bool) -> usize {
        let is_special = |byte: &u8| {
            *byte < 0x20 || *byte == b'"' || *byte == b'\\' || (ascii_only && *byte >= 0x80)
        };
        text.iter().position(is_special).unwrap_or(text.len())
    }

    #[test]
    fn finds_every_byte_at_every_place() {
        for length in 0..140 {
            let text = vec![b'a'; length];
            assert_eq!(plain(&text), length);
            assert_eq!(plain_ascii(&text), length);
            for place in 0..length {
                for byte in [0, 1, 0x1f, 0x20, 0x21, b'"', b'#', b'[', b'\\', 0x7f, 0x80, 0xff] {
                    let mut text = text.clone();
                    text[place] = byte;
                    assert_eq!(plain(&text), slow(&text, false), "{byte} at {place}");
                    assert_eq!(plain_ascii(&text), slow(&text, true), "{byte} at {place}");
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn agrees_with_a_loop_over_bytes(text: Vec<u8>, start in 0..8_usize) {
            let text = &text[start.min(text.len())..];
            prop_assert_eq!(plain(text), slow(text, false));
            prop_assert_eq!(plain_ascii(text), slow(text, true));
        }
    }
}
