//! Names of objects, which repeat from text to text.
//! Hot path.
//!
//! A direct-mapped cache of short ASCII names: a hit costs a comparison instead of a new string,
//! whose hash would have to be computed as well. The strings are interned, so that looking a name
//! up in the dict compares pointers. What a peer sends can only evict what is in the cache, which
//! holds at most `SLOTS` strings.

use pyre_ffi::{Attached, Held, Owned, Raised, Str};

use super::scan::ends;

/// Names kept; a power of two.
const SLOTS: usize = 512;

/// Bytes of the longest name kept.
const NAME_BYTES_MAX: usize = 32;

/// Bytes of the longest text of which both ends are all.
const ENDS_BYTES_MAX: usize = 16;

/// Spreads the bits of a hash; 2^64 divided by the golden ratio, odd.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// The names of one interpreter, and buffers that decoding uses again.
pub struct KeyCache {
    slots: Box<[Option<Slot>]>,
    /// Text of strings with escapes.
    pub(super) scratch: Vec<u8>,
}

/// A name with most of its text at hand, so that a look-up mostly reads nothing else.
struct Slot {
    /// The first and the last eight bytes, or all there are and nothing.
    ends: (u64, u64),
    length: usize,
    name: Held<Str>,
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
        match text.len() {
            0..8 => {
                let mut word = [0; 8];
                word[..text.len()].copy_from_slice(text);
                self.short_name(py, text, u64::from_le_bytes(word))
            }
            8..=NAME_BYTES_MAX => self.cached(py, text, ends(text)),
            _ => Str::latin1(py, text),
        }
    }

    /// The string with this ASCII text of less than eight bytes, which `word` holds too, filled up
    /// with zeros.
    #[inline(always)]
    pub(super) fn short_name<'py>(
        &mut self,
        py: Attached<'py>,
        text: &[u8],
        word: u64,
    ) -> Result<Owned<'py, Str>, Raised> {
        self.cached(py, text, (word, 0))
    }

    #[inline(always)]
    fn cached<'py>(
        &mut self,
        py: Attached<'py>,
        text: &[u8],
        ends: (u64, u64),
    ) -> Result<Owned<'py, Str>, Raised> {
        let slot = &mut self.slots[slot_of(ends, text.len())];
        if let Some(slot) = slot
            && slot.length == text.len()
            && slot.ends == ends
            && (text.len() <= ENDS_BYTES_MAX || slot.is_all_of(py, text))
        {
            return Ok(slot.name.to_owned(py));
        }
        replace(slot, ends, py, text)
    }
}

impl Default for KeyCache {
    fn default() -> KeyCache {
        KeyCache::new()
    }
}

impl Slot {
    #[inline(never)]
    fn is_all_of(&self, py: Attached<'_>, text: &[u8]) -> bool {
        self.name.bind(py).as_ascii().is_some_and(|name| name.as_bytes() == text)
    }
}

#[inline(never)]
fn replace<'py>(
    slot: &mut Option<Slot>,
    ends: (u64, u64),
    py: Attached<'py>,
    text: &[u8],
) -> Result<Owned<'py, Str>, Raised> {
    let Ok(text) = str::from_utf8(text) else { return Str::latin1(py, text) };
    let name = Str::intern(py, text)?;
    *slot = Some(Slot { ends, length: text.len(), name: Held::new(py, name.clone()) });
    Ok(name)
}

#[inline(always)]
fn slot_of(ends: (u64, u64), length: usize) -> usize {
    let mixed = (ends.0.wrapping_mul(MULTIPLIER) ^ ends.1).wrapping_add(length as u64);
    (mixed.wrapping_mul(MULTIPLIER) >> (u64::BITS - SLOTS.ilog2())) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let mut slots: Vec<_> =
            names.iter().map(|name| slot_of(ends_of(name), name.len())).collect();
        slots.sort_unstable();
        slots.dedup();
        assert!(slots.len() + 2 >= names.len(), "{} of {}", slots.len(), names.len());
    }

    fn ends_of(name: &str) -> (u64, u64) {
        let mut word = [0; 8];
        if name.len() >= 8 {
            return ends(name.as_bytes());
        }
        word[..name.len()].copy_from_slice(name.as_bytes());
        (u64::from_le_bytes(word), 0)
    }
}
