//! Names of objects, which repeat from text to text.
//! Hot path.
//!
//! A direct-mapped cache of short ASCII names: a hit costs a comparison instead of a new string,
//! whose hash would have to be computed as well. The strings are interned, so that looking a name
//! up in the dict compares pointers. What a peer sends can only evict what is in the cache, which
//! holds at most `SLOTS` strings.

use pyre_ffi::{Attached, Held, Owned, Raised, Str};

/// Names kept; a power of two.
const SLOTS: usize = 512;

/// Bytes of the longest name kept.
const NAME_BYTES_MAX: usize = 32;

/// Spreads the bits of a hash; 2^64 divided by the golden ratio, odd.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// The names of one interpreter, and buffers that decoding uses again.
pub struct KeyCache {
    slots: Box<[Option<Held<Str>>]>,
    /// Text of strings with escapes.
    pub(super) scratch: Vec<u8>,
}

impl KeyCache {
    /// An empty cache.
    pub fn new() -> KeyCache {
        KeyCache { slots: (0..SLOTS).map(|_| None).collect(), scratch: Vec::new() }
    }

    /// The string with this text, which must be ASCII.
    #[inline]
    pub(super) fn name<'py>(
        &mut self,
        py: Attached<'py>,
        text: &[u8],
    ) -> Result<Owned<'py, Str>, Raised> {
        if text.len() > NAME_BYTES_MAX {
            return Str::latin1(py, text);
        }
        let slot = &mut self.slots[slot_of(text)];
        if let Some(held) = slot {
            let name = held.bind(py);
            if name.as_ascii().is_some_and(|known| is_equal(known.as_bytes(), text)) {
                return Ok(name.to_owned(py));
            }
        }
        replace(slot, py, text)
    }
}

impl Default for KeyCache {
    fn default() -> KeyCache {
        KeyCache::new()
    }
}

#[inline(never)]
fn replace<'py>(
    slot: &mut Option<Held<Str>>,
    py: Attached<'py>,
    text: &[u8],
) -> Result<Owned<'py, Str>, Raised> {
    let Ok(text) = str::from_utf8(text) else { return Str::latin1(py, text) };
    let name = Str::intern(py, text)?;
    *slot = Some(Held::new(py, name.clone()));
    Ok(name)
}

/// Mixes both ends of the text and its length; names that only differ in between share a slot.
#[inline(always)]
fn slot_of(text: &[u8]) -> usize {
    let (first, last) = ends(text);
    let mixed = (first.wrapping_mul(MULTIPLIER) ^ last).wrapping_add(text.len() as u64);
    (mixed.wrapping_mul(MULTIPLIER) >> (u64::BITS - SLOTS.ilog2())) as usize
}

/// The first and the last eight bytes, which overlap if there are fewer than sixteen.
#[inline(always)]
fn ends(text: &[u8]) -> (u64, u64) {
    if let (Some(first), Some(last)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        return (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
    }
    if let (Some(first), Some(last)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        return (u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into());
    }
    match *text {
        [a, .., b] => (u64::from(a) | u64::from(text[1]) << 8, b.into()),
        [a] => (a.into(), 0),
        [] => (0, 0),
    }
}

/// Whether two names of at most `NAME_BYTES_MAX` bytes are equal; spares the call of `memcmp`.
#[inline(always)]
fn is_equal(known: &[u8], text: &[u8]) -> bool {
    if known.len() != text.len() || ends(known) != ends(text) {
        return false;
    }
    // Both ends of up to sixteen bytes are all of them.
    text.len() <= 16 || known[8..text.len() - 8] == text[8..text.len() - 8]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equality_looks_at_every_byte() {
        for length in 0..=NAME_BYTES_MAX {
            let text: Vec<u8> = (0..length as u8).map(|byte| byte + b'A').collect();
            assert!(is_equal(&text, &text.clone()));
            for place in 0..length {
                let mut other = text.clone();
                other[place] ^= 1;
                assert!(!is_equal(&text, &other), "{place} of {length}");
                assert!(!is_equal(&text[..place], &text), "{place} of {length}");
            }
        }
    }

    #[test]
    fn usual_names_seldom_share_a_slot() {
        let names = [
            "id",
            "name",
            "email",
            "age",
            "score",
            "active",
            "tags",
            "created_at",
            "updated_at",
            "title",
            "body",
            "user",
            "user_id",
            "items",
            "price",
            "quantity",
            "total",
            "currency",
            "address",
            "street",
            "city",
            "zip",
            "country",
            "phone",
            "type",
            "status",
            "message",
            "x",
            "y",
            "z",
            "width",
            "height",
        ];
        let mut slots: Vec<_> = names.iter().map(|name| slot_of(name.as_bytes())).collect();
        slots.sort_unstable();
        slots.dedup();
        assert!(slots.len() + 2 >= names.len(), "{} of {}", slots.len(), names.len());
    }
}
