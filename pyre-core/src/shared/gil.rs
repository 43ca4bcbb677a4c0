//! How long a thread has to wait for the GIL of an interpreter, as probes find it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What probes of one interpreter have found. Its watchdog writes, whoever asks reads.
pub(crate) struct GilWait {
    /// The number of a worker, or `main`.
    pub(crate) name: String,
    base: Instant,
    last_us: AtomicU64,
    total_us: AtomicU64,
    probes: AtomicU64,
    long: AtomicU64,
    /// The longest of the probes since somebody asked.
    peak_us: AtomicU64,
    /// When the probe under way began to wait, in microseconds since `base`, plus 1; 0: none does.
    waits_since_us: AtomicU64,
}

/// What can be said of all probes of several interpreters.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct GilFigures {
    pub(crate) last_us: u64,
    pub(crate) peak_us: u64,
    pub(crate) probes: u64,
    pub(crate) total_us: u64,
    pub(crate) held_peak_us: u64,
}

// Relaxed everywhere: these are figures, and nothing is read by way of them.
impl GilWait {
    pub(crate) fn new(name: String) -> Self {
        Self {
            name,
            base: Instant::now(),
            last_us: AtomicU64::new(0),
            total_us: AtomicU64::new(0),
            probes: AtomicU64::new(0),
            long: AtomicU64::new(0),
            peak_us: AtomicU64::new(0),
            waits_since_us: AtomicU64::new(0),
        }
    }

    /// A probe begins to wait.
    pub(crate) fn begin(&self) {
        self.waits_since_us.store(micros(self.base.elapsed()) + 1, Ordering::Relaxed);
    }

    /// The probe has the GIL. Returns how long it has waited.
    pub(crate) fn end(&self) -> Duration {
        let waited_us = self.waits_us();
        self.waits_since_us.store(0, Ordering::Relaxed);
        self.last_us.store(waited_us, Ordering::Relaxed);
        self.total_us.fetch_add(waited_us, Ordering::Relaxed);
        self.peak_us.fetch_max(waited_us, Ordering::Relaxed);
        self.probes.fetch_add(1, Ordering::Relaxed);
        Duration::from_micros(waited_us)
    }

    /// The interpreter takes no probes any more.
    pub(crate) fn give_up(&self) {
        self.waits_since_us.store(0, Ordering::Relaxed);
    }

    /// Somebody has held the GIL for longer than is thought well of.
    pub(crate) fn was_long(&self) {
        self.long.fetch_add(1, Ordering::Relaxed);
    }

    /// How long the probe under way has waited so far.
    fn waits_us(&self) -> u64 {
        match self.waits_since_us.load(Ordering::Relaxed) {
            0 => 0,
            since_us => micros(self.base.elapsed()).saturating_sub(since_us - 1),
        }
    }

    /// What the last probe has waited, or the one under way if that is longer.
    pub(crate) fn now_us(&self) -> u64 {
        self.last_us.load(Ordering::Relaxed).max(self.waits_us())
    }

    pub(crate) fn total_us(&self) -> u64 {
        self.total_us.load(Ordering::Relaxed)
    }

    pub(crate) fn probes(&self) -> u64 {
        self.probes.load(Ordering::Relaxed)
    }

    pub(crate) fn long(&self) -> u64 {
        self.long.load(Ordering::Relaxed)
    }

    /// Adds what probes have found to figures; the peak begins anew.
    pub(crate) fn take(&self, figures: &mut GilFigures) {
        let peak_us = self.peak_us.swap(0, Ordering::Relaxed);
        figures.last_us = figures.last_us.max(self.last_us.load(Ordering::Relaxed));
        figures.peak_us = figures.peak_us.max(peak_us);
        figures.probes += self.probes();
        figures.total_us += self.total_us();
        figures.held_peak_us = figures.held_peak_us.max(peak_us).max(self.waits_us());
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_begin_anew_and_sums_do_not() {
        let (one, other) = (GilWait::new("0".to_owned()), GilWait::new("1".to_owned()));
        for wait in [&one, &other, &one] {
            wait.begin();
            wait.end();
        }
        let mut figures = GilFigures::default();
        [&one, &other].iter().for_each(|wait| wait.take(&mut figures));
        assert_eq!(figures.probes, 3);
        assert!(figures.peak_us <= figures.total_us);
        let mut again = GilFigures::default();
        one.take(&mut again);
        assert_eq!((again.probes, again.peak_us, again.held_peak_us), (2, 0, 0));
    }

    #[test]
    fn a_probe_that_waits_is_seen() {
        let wait = GilWait::new("0".to_owned());
        wait.begin();
        let until = Instant::now() + Duration::from_millis(2);
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        assert!(wait.now_us() >= 2000);
        let mut figures = GilFigures::default();
        wait.take(&mut figures);
        assert!(figures.held_peak_us >= 2000);
        assert_eq!((figures.peak_us, figures.probes), (0, 0));
        wait.give_up();
        assert_eq!(wait.now_us(), 0);
    }
}
