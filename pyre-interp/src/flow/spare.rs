//! Memory that flows keep for their next pieces. A buffer that is freed and made anew for each batch costs
//! as much as what is copied into it; ten thousand silent streams must not have one each.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a flow may keep without asking.
pub const KEPT_BYTES_MAX: usize = 16 * 1024;

/// How much all flows of a reactor keep together beyond that.
#[derive(Default)]
pub struct Spare {
    kept: Arc<AtomicUsize>,
}

impl Spare {
    /// Room for a flow that keeps so many bytes, as long as it has what is returned; none if all would keep
    /// more than `most`.
    #[must_use]
    pub fn keep(&self, bytes: usize, most: usize) -> Option<Kept> {
        // Relaxed: a count, with which nothing else is handed over.
        let before = self.kept.fetch_add(bytes, Ordering::Relaxed);
        let kept = Kept { bytes, of: self.kept.clone() };
        (before.saturating_add(bytes) <= most).then_some(kept)
    }
}

/// A part of it, which is given back when this is dropped.
pub struct Kept {
    bytes: usize,
    of: Arc<AtomicUsize>,
}

impl Kept {
    /// Whether it is enough for so many bytes.
    #[must_use]
    pub fn covers(&self, bytes: usize) -> bool {
        bytes <= self.bytes
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.of.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_together_keep_no_more_than_they_may() {
        let spare = Spare::default();
        let first = spare.keep(60, 100).unwrap();
        assert!(first.covers(60) && !first.covers(61));
        assert!(spare.keep(41, 100).is_none());
        let second = spare.keep(40, 100);
        assert!(second.is_some() && spare.keep(1, 100).is_none());
        drop(first);
        assert!(spare.keep(60, 100).is_some());
    }
}
