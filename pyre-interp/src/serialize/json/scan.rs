//! How far string text goes without a byte that needs care.
//! Hot path.
//!
//! Eight bytes at a time in a register; long runs 32 at a time in a loop that the compiler turns
//! into vector instructions. Safe code throughout: `std::arch` would need `unsafe`.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Bytes looked at in words before the loop over blocks takes over: most strings are shorter.
pub(super) const SHORT_BYTES_MAX: usize = 64;

/// Bytes in one round of the loop over blocks.
const BLOCK_BYTES: usize = 32;

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

/// Whether up to [`SHORT_BYTES_MAX`] bytes of ASCII are plain, while they are copied to the front
/// of `target`, which has room for eight bytes more.
#[inline(always)]
pub(super) fn copy_plain_ascii(text: &[u8], target: &mut [u8]) -> bool {
    let (Some(first), Some(last)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) else {
        let word = short_word(text);
        target[..8].copy_from_slice(&word.to_le_bytes());
        return short_specials::<true>(word, text.len()) == 0;
    };
    let ends = (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
    let mut special = specials::<true>(ends.0) | specials::<true>(ends.1);
    // What lies between; both ends overlap if that is nothing.
    let mut at = 8;
    while at + 8 < text.len() {
        let word = text[at..].first_chunk::<8>().map_or(0, |word| u64::from_le_bytes(*word));
        special |= specials::<true>(word);
        target[at..at + 8].copy_from_slice(&word.to_le_bytes());
        at += 8;
    }
    target[..8].copy_from_slice(first);
    target[text.len() - 8..text.len()].copy_from_slice(last);
    special == 0
}

/// The text before the first byte that ends a run, if that is one of the first eight: as a word
/// filled up with zeros, and its length.
#[inline(always)]
pub(super) fn plain_ascii_word(text: &[u8]) -> Option<(u64, usize)> {
    let word = u64::from_le_bytes(*text.first_chunk::<8>()?);
    let special = specials::<true>(word);
    if special == 0 {
        return None;
    }
    // The bit below the lowest one that is set, and all bits below it, less the seven of its byte.
    let below = special ^ (special - 1);
    Some((word & (below >> 8), first_byte(special)))
}

#[inline(always)]
fn run_length<const ASCII_ONLY: bool>(text: &[u8]) -> usize {
    let mut rest = text;
    let mut start = 0;
    while let Some((word, after)) = rest.split_first_chunk::<8>() {
        let special = specials::<ASCII_ONLY>(u64::from_le_bytes(*word));
        if special != 0 {
            return start + first_byte(special);
        }
        rest = after;
        start += 8;
        if start == SHORT_BYTES_MAX {
            return long_run_length::<ASCII_ONLY>(text);
        }
    }
    // Fewer than eight are left: the last eight again if there are so many, as what lies before
    // `start` is known to be plain; or what there is.
    let special = match text.last_chunk::<8>() {
        Some(word) => {
            let special = specials::<ASCII_ONLY>(u64::from_le_bytes(*word));
            // All bits are shifted out if nothing is left.
            special.checked_shr(8 * (8 + start - text.len()) as u32).unwrap_or(0)
        }
        None => short_specials::<ASCII_ONLY>(short_word(text), text.len()),
    };
    if special != 0 { start + first_byte(special) } else { text.len() }
}

/// Goes on behind the first `SHORT_BYTES_MAX`, which are plain.
#[inline(never)]
fn long_run_length<const ASCII_ONLY: bool>(text: &[u8]) -> usize {
    let is_special =
        |byte: u8| (byte < 0x20) | (byte == b'"') | (byte == b'\\') | (ASCII_ONLY & (byte >= 0x80));
    let mut start = SHORT_BYTES_MAX;
    while let Some(block) = text[start..].first_chunk::<BLOCK_BYTES>() {
        // No early exit: that is what lets the compiler use vectors.
        if block.iter().fold(false, |any, &byte| any | is_special(byte)) {
            break;
        }
        start += BLOCK_BYTES;
    }
    let rest = text[start..].iter().position(|&byte| is_special(byte));
    rest.map_or(text.len(), |place| start + place)
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

/// Fewer than eight bytes as a word, the rest of it zeros.
#[inline(always)]
fn short_word(text: &[u8]) -> u64 {
    let length = text.len();
    if let (Some(first), Some(last)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        let last = u64::from(u32::from_le_bytes(*last)) << (8 * (length - 4));
        return u64::from(u32::from_le_bytes(*first)) | last;
    }
    match *text {
        [] => 0,
        [a] => u64::from(a),
        [a, b] => u64::from(a) | u64::from(b) << 8,
        [a, b, c, ..] => u64::from(a) | u64::from(b) << 8 | u64::from(c) << 16,
    }
}

/// As `specials`, of a word of which only the lowest `length` bytes count, at most seven.
#[inline(always)]
fn short_specials<const ASCII_ONLY: bool>(word: u64, length: usize) -> u64 {
    specials::<ASCII_ONLY>(word) & !(u64::MAX << (8 * length))
}

/// The first and the last eight bytes of text that has so many; they are all of up to 16.
#[inline(always)]
pub(super) fn ends(text: &[u8]) -> (u64, u64) {
    match (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => (0, 0),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What `copy_plain_ascii` says of text that fits it; the copy is checked.
    fn is_copied_plain(text: &[u8]) -> bool {
        let mut target = vec![b'?'; text.len() + 8];
        let is_plain = copy_plain_ascii(text, &mut target);
        assert_eq!(&target[..text.len()], text);
        is_plain
    }

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
            assert!(is_copied_plain(&text));
            for place in 0..length {
                for byte in [0, 1, 0x1f, 0x20, 0x21, b'"', b'#', b'[', b'\\', 0x7f, 0x80, 0xff] {
                    let mut text = text.clone();
                    text[place] = byte;
                    assert_eq!(plain(&text), slow(&text, false), "{byte} at {place}");
                    assert_eq!(plain_ascii(&text), slow(&text, true), "{byte} at {place}");
                    assert_eq!(is_copied_plain(&text), slow(&text, true) == length);
                }
            }
        }
    }

    #[test]
    fn a_word_of_text_is_what_stands_before_its_end() {
        for length in 0..8 {
            let text: Vec<u8> = (b'a'..).take(length).collect();
            let mut word = [0; 8];
            word[..length].copy_from_slice(&text);
            let quoted = [&text[..], b"\"bcdefgh\xff"].concat();
            let expected = Some((u64::from_le_bytes(word), length));
            assert_eq!(plain_ascii_word(&quoted), expected);
            assert_eq!(plain_ascii_word(&quoted[..7]), None);
        }
        assert_eq!(plain_ascii_word(b"abcdefgh\""), None);
    }

    #[test]
    fn ends_are_all_of_a_short_text() {
        for length in 8..=16_u8 {
            let text: Vec<u8> = (0..length).collect();
            for place in 0..text.len() {
                let mut other = text.clone();
                other[place] ^= 0x80;
                assert_ne!(ends(&text), ends(&other), "{place} of {length}");
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
