//! What one reactor has found, with the bytes of small files: bounded in bytes and in entries. What was not
//! asked for since it was last passed makes room for what is.

use std::collections::HashMap;
use std::sync::Arc;

use crate::direct::files::look::Found;
use crate::settings::bounds::{FILE_FRESH_MS, KEPT_FILES_BYTES_MAX, KEPT_FILES_MAX};

/// What an entry takes besides its bytes, about.
const ENTRY_BYTES: usize = 1024;

/// Files by their keys.
#[derive(Default)]
pub(crate) struct Cache {
    places: HashMap<Arc<[u8]>, usize>,
    slots: Vec<Slot>,
    /// The next one that may have to go.
    hand: usize,
    bytes: usize,
}

struct Slot {
    key: Arc<[u8]>,
    found: Arc<Found>,
    /// When that was true.
    checked_ms: u64,
    is_used: bool,
    bytes: usize,
}

impl Cache {
    /// What is there, if it was looked at just before.
    #[inline]
    pub(crate) fn fresh(&mut self, key: &[u8], now_ms: u64) -> Option<&Arc<Found>> {
        let slot = &mut self.slots[*self.places.get(key)?];
        slot.is_used = true;
        (now_ms.saturating_sub(slot.checked_ms) < FILE_FRESH_MS).then_some(&slot.found)
    }

    /// What was there, however long ago.
    pub(crate) fn last(&self, key: &[u8]) -> Option<Arc<Found>> {
        Some(self.slots[*self.places.get(key)?].found.clone())
    }

    /// Keeps what was found just now; what is too much goes.
    pub(crate) fn keep(&mut self, key: &[u8], found: Arc<Found>, now_ms: u64) {
        let ready = found.versions.iter().flatten().map(|version| version.ready.len());
        let bytes = ready.sum::<usize>() + 2 * key.len() + ENTRY_BYTES;
        self.bytes += bytes;
        if let Some(&place) = self.places.get(key) {
            let slot = &mut self.slots[place];
            self.bytes -= slot.bytes;
            (slot.found, slot.checked_ms, slot.bytes) = (found, now_ms, bytes);
        } else {
            let key: Arc<[u8]> = key.into();
            self.places.insert(key.clone(), self.slots.len());
            self.slots.push(Slot { key, found, checked_ms: now_ms, is_used: false, bytes });
        }
        while self.bytes > KEPT_FILES_BYTES_MAX || self.slots.len() > KEPT_FILES_MAX {
            self.let_one_go();
        }
    }

    /// What was there is not any more.
    pub(crate) fn forget(&mut self, key: &[u8]) {
        if let Some(&place) = self.places.get(key) {
            self.remove(place);
        }
    }

    fn let_one_go(&mut self) {
        loop {
            if self.hand >= self.slots.len() {
                self.hand = 0;
            }
            let slot = &mut self.slots[self.hand];
            if !std::mem::replace(&mut slot.is_used, false) {
                return self.remove(self.hand);
            }
            self.hand += 1;
        }
    }

    fn remove(&mut self, place: usize) {
        let slot = self.slots.swap_remove(place);
        self.places.remove(&slot.key);
        self.bytes -= slot.bytes;
        if let Some(moved) = self.slots.get(place)
            && let Some(its_place) = self.places.get_mut(&moved.key)
        {
            *its_place = place;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::direct::files::look::Versions;

    fn found() -> Arc<Found> {
        Arc::new(Found { versions: Versions::default(), status: 200 })
    }

    fn key(number: usize) -> Vec<u8> {
        number.to_string().into_bytes()
    }

    #[test]
    fn what_is_old_is_no_longer_fresh() {
        let mut cache = Cache::default();
        cache.keep(b"a", found(), 5_000);
        assert!(cache.fresh(b"a", 5_000).is_some());
        assert!(cache.fresh(b"a", 5_000 + FILE_FRESH_MS - 1).is_some());
        assert!(cache.fresh(b"a", 5_000 + FILE_FRESH_MS).is_none());
        assert!(cache.last(b"a").is_some());
        cache.keep(b"a", found(), 6_000);
        assert!(cache.fresh(b"a", 6_500).is_some());
        cache.forget(b"a");
        assert!(cache.last(b"a").is_none());
        assert_eq!(cache.bytes, 0);
    }

    #[test]
    fn it_is_bounded_and_keeps_what_is_asked_for() {
        let mut cache = Cache::default();
        for number in 0..KEPT_FILES_MAX * 3 {
            cache.keep(&key(number), found(), 0);
            assert!(cache.fresh(&key(0), 0).is_some(), "{number}");
        }
        assert_eq!((cache.slots.len(), cache.places.len()), (KEPT_FILES_MAX, KEPT_FILES_MAX));
        assert!(cache.bytes <= KEPT_FILES_BYTES_MAX);
        for (place, slot) in cache.slots.iter().enumerate() {
            assert_eq!(cache.places.get(&slot.key), Some(&place));
        }
    }
}
