//! The time, read once a turn. Deadlines use the monotonic clock, the `Date` header the wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// A reading of both clocks.
pub(crate) struct Clock {
    started_ns: u64,
    now_us: u64,
    now_ms: u64,
    wall_us: u64,
    wall_s: u64,
    wall_read_us: u64,
}

/// The wall clock is read again after this long; its seconds change no more often.
const WALL_US: u64 = 100_000;

impl Clock {
    pub(crate) fn new() -> Self {
        let mut clock = Self {
            started_ns: monotonic_ns(),
            now_us: 0,
            now_ms: 0,
            wall_us: 0,
            wall_s: 0,
            wall_read_us: 0,
        };
        clock.read_wall();
        clock
    }

    /// Reads the clocks. Call once a turn.
    pub(crate) fn tick(&mut self) {
        self.now_us = (monotonic_ns() - self.started_ns) / 1000;
        self.now_ms = self.now_us / 1000;
        if self.now_us - self.wall_read_us >= WALL_US {
            self.read_wall();
        }
    }

    #[inline(never)]
    fn read_wall(&mut self) {
        self.wall_read_us = self.now_us;
        // A wall clock before 1970 is a machine without a clock (RFC 9110 section 6.6.1 lets it
        // send none); the epoch is sent instead.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.wall_s = since_epoch.as_secs();
        self.wall_us = self.wall_s * 1_000_000 + u64::from(since_epoch.subsec_micros());
    }

    /// Microseconds since this reactor started.
    pub(crate) fn now_us(&self) -> u64 {
        self.now_us
    }

    /// Milliseconds since this reactor started.
    pub(crate) fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// Unix time in microseconds.
    pub(crate) fn wall_us(&self) -> u64 {
        self.wall_us + (self.now_us - self.wall_read_us)
    }

    /// Unix time in seconds.
    pub(crate) fn wall_s(&self) -> u64 {
        self.wall_s
    }
}

/// Nanoseconds of a clock that nobody sets, since some moment before the process began. `Instant`
/// would take three times as many instructions for a number.
pub(crate) fn monotonic_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one such structure, for which `time` is the place. Every kernel has
    // this clock, and reading one that exists cannot fail.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    debug_assert_eq!(result, 0, "a machine without a clock");
    // Both are never negative, and their sum lasts for 584 years.
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
