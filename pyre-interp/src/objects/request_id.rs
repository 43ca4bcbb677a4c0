//! Ids of requests: unique in a process, and hard to take for those of another one.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The next id: 24 hexadecimal digits, the first half drawn once per process.
#[must_use]
pub fn next() -> String {
    static PROCESS: OnceLock<u64> = OnceLock::new();
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let process = *PROCESS.get_or_init(|| RandomState::new().hash_one(std::process::id()));
    // Relaxed: only that no number is given twice matters.
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{:012x}{count:012x}", process >> 16)
}

#[cfg(test)]
mod tests {
    #[test]
    fn ids_differ_and_have_one_length() {
        let (a, b) = (super::next(), super::next());
        assert_ne!(a, b);
        assert_eq!((a.len(), b.len()), (24, 24));
    }
}
