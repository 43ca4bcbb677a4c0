//! Whether the server is ready, as far as it tells whoever sends it requests.
//!
//! Ready is a server that does not drain, and whose check, if it has one, has lately said so: what a
//! check found counts for a while and then no more, so that one that hangs makes the server unready
//! by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::shared::control::{Control, Stage};

/// What the probes are told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Readiness {
    Ready,
    /// Its check has not said so, or not lately.
    NotReady,
    Draining,
}

/// What readiness depends on.
pub(crate) struct Health {
    control: Arc<Control>,
    /// Whether a check has the last word.
    is_checked: bool,
    started: Instant,
    /// Until when the server is ready, in milliseconds since `started`.
    ready_until_ms: AtomicU64,
}

impl Health {
    pub(crate) fn new(control: Arc<Control>, is_checked: bool) -> Self {
        Self { control, is_checked, started: Instant::now(), ready_until_ms: AtomicU64::new(0) }
    }

    /// Takes down what the check has found, and for how long that counts.
    pub(crate) fn found(&self, is_ready: bool, counts: Duration) {
        let until =
            if is_ready { self.started.elapsed().saturating_add(counts) } else { Duration::ZERO };
        let until_ms = u64::try_from(until.as_millis()).unwrap_or(u64::MAX);
        // Relaxed: nothing is read by way of it.
        self.ready_until_ms.store(until_ms, Ordering::Relaxed);
    }

    fn check_passed(&self) -> bool {
        let until_ms = self.ready_until_ms.load(Ordering::Relaxed);
        !self.is_checked || self.started.elapsed().as_millis() < u128::from(until_ms)
    }

    /// Whether requests are to be sent here.
    pub(crate) fn readiness(&self) -> Readiness {
        if self.control.stage() >= Stage::Draining {
            Readiness::Draining
        } else if self.check_passed() {
            Readiness::Ready
        } else {
            Readiness::NotReady
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(health: &Health, expected: Readiness) {
        assert_eq!(health.readiness(), expected);
    }

    #[test]
    fn a_server_is_ready_until_it_drains() {
        let control = Arc::new(Control::new(Vec::new(), None));
        let health = Health::new(control.clone(), false);
        check(&health, Readiness::Ready);
        // A successor has taken over: the service as a whole is ready.
        control.advance(Stage::Leaving);
        check(&health, Readiness::Ready);
        control.advance(Stage::Draining);
        check(&health, Readiness::Draining);
    }

    #[test]
    fn what_a_check_found_counts_for_a_while() {
        let health = Health::new(Arc::new(Control::new(Vec::new(), None)), true);
        check(&health, Readiness::NotReady);
        health.found(true, Duration::from_secs(3600));
        check(&health, Readiness::Ready);
        health.found(false, Duration::from_secs(3600));
        check(&health, Readiness::NotReady);
        health.found(true, Duration::ZERO);
        check(&health, Readiness::NotReady);
        health.found(true, Duration::MAX);
        check(&health, Readiness::Ready);
    }
}
