//! Paths without parameters: one hash look-up.
//! Hot path.
//!
//! The keys are fixed when the table is frozen and peers only look up, so a fast hash is safe: a
//! peer cannot lengthen a probe beyond what the routes themselves make it.

use super::spelling::Decoded;

/// Multiplier of the hash: 2^64 divided by the golden ratio, odd.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// From decoded path to endpoint. Open addressing, at most half full.
#[derive(Debug)]
pub(super) struct ExactPaths {
    slots: Box<[Option<Slot>]>,
    /// What is left of a hash after this shift is the index of a slot.
    shift: u32,
}

#[derive(Clone, Debug)]
struct Slot {
    path: Box<[u8]>,
    endpoint: u32,
}

impl ExactPaths {
    /// Takes the paths, which differ from each other.
    pub(super) fn new(paths: Vec<(Box<[u8]>, u32)>) -> Self {
        let slot_count = (paths.len() * 2).next_power_of_two().max(2);
        let mut table =
            ExactPaths { slots: vec![None; slot_count].into(), shift: 64 - slot_count.ilog2() };
        for (path, endpoint) in paths {
            let mut index = table.first_slot(hash(&path));
            while table.slots[index].is_some() {
                index = table.next_slot(index);
            }
            table.slots[index] = Some(Slot { path, endpoint });
        }
        table
    }

    /// The endpoint of a path without a `%`.
    #[inline]
    pub(super) fn find(&self, path: &[u8]) -> Option<u32> {
        self.probe(hash(path), |candidate| candidate == path)
    }

    /// The endpoint of any path.
    pub(super) fn find_encoded(&self, path: &[u8]) -> Option<u32> {
        let decoded = Decoded::of(path);
        self.probe(hash_decoded(decoded.clone()), |candidate| {
            decoded.clone().eq(candidate.iter().copied())
        })
    }

    #[inline]
    fn probe(&self, hash: u64, is_wanted: impl Fn(&[u8]) -> bool) -> Option<u32> {
        let mut index = self.first_slot(hash);
        // Ends, as at least half of the slots are empty.
        while let Some(slot) = &self.slots[index] {
            if is_wanted(&slot.path) {
                return Some(slot.endpoint);
            }
            index = self.next_slot(index);
        }
        None
    }

    fn first_slot(&self, hash: u64) -> usize {
        (hash >> self.shift) as usize
    }

    fn next_slot(&self, index: usize) -> usize {
        (index + 1) & (self.slots.len() - 1)
    }
}

/// Folds the path word by word, the last one filled up with zeros, and then its length.
#[inline]
fn hash(path: &[u8]) -> u64 {
    let (words, tail) = path.as_chunks::<8>();
    let state = words.iter().fold(0, |state, word| fold(state, u64::from_le_bytes(*word)));
    finish(state, short_word(tail), path.len())
}

/// The same for a path that is decoded on the way.
fn hash_decoded(path: Decoded<'_>) -> u64 {
    let (mut state, mut word, mut length) = (0, 0, 0_usize);
    for byte in path {
        word |= u64::from(byte) << (8 * (length % 8));
        length += 1;
        if length.is_multiple_of(8) {
            state = fold(state, word);
            word = 0;
        }
    }
    finish(state, word, length)
}

fn fold(state: u64, word: u64) -> u64 {
    (state.rotate_left(5) ^ word).wrapping_mul(MULTIPLIER)
}

fn finish(state: u64, last_word: u64, length: usize) -> u64 {
    fold(fold(state, last_word), length as u64)
}

/// Up to seven bytes as a word, without a loop over them.
fn short_word(bytes: &[u8]) -> u64 {
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        let last = u64::from(u32::from_le_bytes(*last)) << (8 * (bytes.len() - 4));
        return u64::from(u32::from_le_bytes(*first)) | last;
    }
    match *bytes {
        [] => 0,
        [a] => u64::from(a),
        [a, b] => u64::from(u16::from_le_bytes([a, b])),
        [a, b, c, ..] => u64::from(u32::from_le_bytes([a, b, c, 0])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_hashes_agree() {
        let path = b"/the/quick/brown/fox/jumps/over/the/lazy/dog";
        for length in 0..path.len() {
            assert_eq!(hash(&path[..length]), hash_decoded(Decoded::of(&path[..length])));
        }
    }

    #[test]
    fn finds_all_paths_and_no_others() {
        let path = |number: u32| -> Box<[u8]> { format!("/api/v1/item{number}").as_bytes().into() };
        let table = ExactPaths::new((0..1000).map(|number| (path(number), number)).collect());
        for number in 0..1000 {
            assert_eq!(table.find(&path(number)), Some(number));
            let encoded = format!("/api/v1/%69tem{number}");
            assert_eq!(table.find(encoded.as_bytes()), None);
            assert_eq!(table.find_encoded(encoded.as_bytes()), Some(number));
        }
        assert_eq!(table.find(&path(1000)), None);
        assert_eq!(table.find(b""), None);
        assert_eq!(ExactPaths::new(Vec::new()).find(b"/"), None);
    }

    #[test]
    fn thousands_of_similar_paths_probe_few_slots() {
        let paths: Vec<(Box<[u8]>, u32)> = (0..4096)
            .map(|number| (format!("/users/{number}/posts").as_bytes().into(), number))
            .collect();
        let table = ExactPaths::new(paths.clone());
        let probes: usize = paths
            .iter()
            .map(|(path, endpoint)| {
                let mut index = table.first_slot(hash(path));
                let mut count = 1;
                while table.slots[index].as_ref().is_none_or(|slot| slot.endpoint != *endpoint) {
                    index = table.next_slot(index);
                    count += 1;
                }
                count
            })
            .sum();
        assert!(probes < 2 * paths.len(), "{probes} probes for {} paths", paths.len());
    }
}
