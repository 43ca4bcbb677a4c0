//! ASCII text: looked for in bytes, and copied.
//!
//! Hot path. Most of it is short: two looks at eight bytes that overlap see all of it.

use std::mem::MaybeUninit;

/// Text of which each byte is one character below U+0080.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ascii<'a>(&'a [u8]);

impl<'a> Ascii<'a> {
    /// The bytes, if all of them are ASCII.
    #[inline]
    pub fn of(bytes: &'a [u8]) -> Option<Self> {
        is_ascii(bytes).then_some(Self(bytes))
    }

    /// The bytes, if all of them are ASCII and none is `byte`.
    #[inline]
    pub fn without(byte: u8, bytes: &'a [u8]) -> Option<Self> {
        let is_plain = if let Some((first, last)) = ends::<8>(bytes) {
            if bytes.len() > 16 {
                bytes.iter().fold(true, |plain, it| plain & it.is_ascii() & (*it != byte))
            } else {
                let (first, last) = (u64::from_le_bytes(first), u64::from_le_bytes(last));
                (marks(first, byte) | marks(last, byte)) & HIGHS == 0
            }
        } else if let Some((first, last)) = ends::<4>(bytes) {
            let [first, last] = [first, last].map(u32::from_le_bytes).map(u64::from);
            marks(first | last << 32, byte) & HIGHS == 0
        } else if let Some(all) = up_to_three(bytes) {
            let word = u32::from_le_bytes([all[0], all[1], all[2], all[2]]);
            marks(word.into(), byte) & HIGHS & 0xffff_ffff == 0
        } else {
            true
        };
        is_plain.then_some(Self(bytes))
    }

    /// The text as bytes.
    #[inline(always)]
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The number of characters.
    #[inline(always)]
    pub fn len(self) -> usize {
        self.0.len()
    }

    /// Whether there are no characters.
    #[inline(always)]
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

/// The highest bit of each byte of a word.
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// The lowest bit of each byte of a word.
const LOWS: u64 = 0x0101_0101_0101_0101;

/// A word that has one of the highest bits of its bytes set if one of `word` is not ASCII or is `byte`,
/// and none otherwise.
#[inline(always)]
fn marks(word: u64, byte: u8) -> u64 {
    let other = word ^ (LOWS * u64::from(byte));
    // Subtracting one borrows from a byte that is zero, and lets it have its highest bit.
    word | (other.wrapping_sub(LOWS) & !other)
}

/// The first and the last `N` bytes, if there are so many.
#[inline(always)]
fn ends<const N: usize>(bytes: &[u8]) -> Option<([u8; N], [u8; N])> {
    Some((*bytes.first_chunk()?, *bytes.last_chunk()?))
}

/// All bytes of one to three: the first, the middle and the last one, which may be the same.
#[inline(always)]
fn up_to_three(bytes: &[u8]) -> Option<[u8; 3]> {
    Some([*bytes.first()?, *bytes.get(bytes.len() / 2)?, *bytes.last()?])
}

/// Whether all bytes are ASCII. Most text is short, and then two looks that overlap are enough.
#[inline(always)]
pub(crate) fn is_ascii(bytes: &[u8]) -> bool {
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        if bytes.len() > 16 {
            return bytes.is_ascii();
        }
        return (u64::from_le_bytes(*first) | u64::from_le_bytes(*last)) & HIGHS == 0;
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        return (u32::from_le_bytes(*first) | u32::from_le_bytes(*last)) & HIGHS as u32 == 0;
    }
    bytes.iter().all(u8::is_ascii)
}

/// Copies `bytes` to `target`, which is as long; short text without the call of `memcpy`.
#[inline(always)]
pub(crate) fn copy(bytes: &[u8], target: &mut [MaybeUninit<u8>]) {
    if bytes.len() > 16 {
        target.write_copy_of_slice(bytes);
    } else if !(copy_ends::<8>(bytes, target) || copy_ends::<4>(bytes, target))
        && let Some([first, middle, last]) = up_to_three(bytes)
    {
        let (half, end) = (target.len() / 2, target.len() - 1);
        target[0].write(first);
        target[half].write(middle);
        target[end].write(last);
    }
}

/// Copies the first and the last `N` bytes, if there are so many.
#[inline(always)]
fn copy_ends<const N: usize>(bytes: &[u8], target: &mut [MaybeUninit<u8>]) -> bool {
    let (Some(first), Some(last)) = (bytes.first_chunk::<N>(), bytes.last_chunk::<N>()) else {
        return false;
    };
    let Some(start) = target.first_chunk_mut::<N>() else { return false };
    *start = first.map(MaybeUninit::new);
    let Some(end) = target.last_chunk_mut::<N>() else { return false };
    *end = last.map(MaybeUninit::new);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_byte_that_is_not_wanted_is_seen_at_every_place() {
        for length in 0..40 {
            let plain: Vec<u8> = (0..length).map(|place| b'&' + place).collect();
            assert_eq!(Ascii::without(b'%', &plain), Some(Ascii(&plain)), "{length}");
            for place in 0..plain.len() {
                for (byte, is_plain) in
                    [(b'%', false), (0x80, false), (0xa5, false), (0xff, false), (0, true)]
                {
                    let mut text = plain.clone();
                    text[place] = byte;
                    let found = Ascii::without(b'%', &text);
                    assert_eq!(found.is_some(), is_plain, "{byte:#x} at {place} of {length}");
                    assert_eq!(Ascii::of(&text).is_some(), byte < 0x80);
                }
            }
        }
    }

    #[test]
    fn neighbours_of_the_unwanted_byte_are_plain() {
        for pair in [*b"$$", *b"&&", *b"$&", *b"&$"] {
            assert!(Ascii::without(b'%', &pair.repeat(4)).is_some());
            assert!(Ascii::without(b'%', &pair.repeat(9)).is_some());
        }
    }
}
