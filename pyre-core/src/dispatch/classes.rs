//! Which routes are short enough to run on the thread that carries their reactor (step 5). Hot path.
//!
//! A route proves itself on other threads first: it is short once so many of its calls in a row took
//! no longer than [`SHORT_US`]. It stays so until the mean of its calls is above that, where a single
//! long one counts for little: any thread may lose its CPU for a while. A route that a reactor had to
//! be taken back from has to prove itself again, four times as long as before; that is forgotten in
//! time, as anybody is caught once in a while by a page that is read from disk, or a collection of
//! garbage.
//!
//! Each reactor judges for itself, in memory that no other thread writes; whoever shows it reads it
//! as it is.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use pyre_interp::job::{RouteId, Target};

/// A call that takes no longer is short, in microseconds. About what waking another thread and
/// waiting for it costs on a busy machine.
pub(crate) const SHORT_US: u32 = 200;

/// A call counts for no more than this in the mean, in microseconds.
const COUNTED_US_MAX: u32 = 4 * SHORT_US;

/// A call counts for no more than this in the estimate, in microseconds.
const ESTIMATED_US_MAX: u32 = 60_000_000;

/// Calls that the mean goes back.
const MEMORY: u32 = 16;

/// So many times the calls of its proof a handler is on probation.
const PROBATION: u32 = 16;

/// What is known of one handler.
struct Class {
    /// It may become short at all.
    may_be_short: bool,
    is_short: AtomicBool,
    /// Short calls in a row, while it is not short.
    streak: AtomicU32,
    /// Short calls in a row that make it short.
    proof: AtomicU32,
    /// Calls until it has to show a quarter of that, if that is more than others have to.
    probation: AtomicU32,
    /// [`MEMORY`] times the mean, in microseconds, of what counts.
    mean: AtomicU32,
    /// [`MEMORY`] times the mean of what calls took, in microseconds.
    estimate: AtomicU32,
}

/// What a reactor knows of all handlers.
pub(crate) struct Classes {
    /// By route, and the fallback last.
    classes: Box<[Class]>,
    /// Short calls in a row that a route has to show at first, and at most.
    proof: u32,
    proof_max: u32,
}

impl Classes {
    /// Knows nothing yet. `may_be_short` tells it of each route, and of the fallback last. A route is
    /// short after `proof` short calls in a row, or after more, if it was misjudged.
    pub(crate) fn new(may_be_short: &[bool], proof: u32, proof_max: u32) -> Self {
        let proof = proof.max(1);
        let class = |&may_be_short: &bool| Class {
            may_be_short,
            is_short: AtomicBool::new(false),
            streak: AtomicU32::new(0),
            proof: AtomicU32::new(proof),
            probation: AtomicU32::new(0),
            mean: AtomicU32::new(0),
            estimate: AtomicU32::new(0),
        };
        Self {
            classes: may_be_short.iter().map(class).collect(),
            proof,
            proof_max: proof_max.max(1),
        }
    }

    #[inline]
    fn of(&self, target: Target) -> &Class {
        let index = match target {
            Target::Route(RouteId(route)) => route as usize,
            // Files have no calls that take any time of a lane, which stops in front of them.
            Target::Fallback | Target::Files(_) => self.classes.len() - 1,
        };
        &self.classes[index]
    }

    /// What calls of this handler take on average, in microseconds, if they may run on the thread that
    /// carries the reactor. No more than [`SHORT_US`].
    #[inline]
    pub(crate) fn short_us(&self, target: Target) -> Option<u32> {
        let class = self.of(target);
        class.is_short.load(Relaxed).then(|| class.mean.load(Relaxed) / MEMORY)
    }

    /// A call of this handler took so long.
    #[inline]
    pub(crate) fn note(&self, target: Target, took_us: u32) {
        let class = self.of(target);
        if class.probation.load(Relaxed) > 0 {
            class.forgive(self.proof);
        }
        let mean = class.mean.load(Relaxed);
        let mean = mean - mean / MEMORY + took_us.min(COUNTED_US_MAX);
        class.mean.store(mean, Relaxed);
        let took_us = took_us.min(ESTIMATED_US_MAX);
        let estimate = match class.estimate.load(Relaxed) {
            0 => took_us * MEMORY,
            before => before - before / MEMORY + took_us,
        };
        class.estimate.store(estimate, Relaxed);
        let is_mean_short = mean <= SHORT_US * MEMORY;
        if !class.is_short.load(Relaxed) {
            class.prove(took_us, is_mean_short);
        } else if !is_mean_short {
            class.begin_again();
        }
    }

    /// The reactor had to be taken back from a call of this handler, after so long.
    #[cold]
    pub(crate) fn misjudged(&self, target: Target, after_us: u32) {
        self.note(target, after_us);
        let class = self.of(target);
        class.begin_again();
        let proof = class.proof.load(Relaxed);
        class.ask(proof.saturating_mul(4).min(self.proof_max), self.proof);
    }

    /// A call of this handler has left something to be done, which may take long.
    #[cold]
    pub(crate) fn left_tasks(&self, target: Target) {
        self.of(target).begin_again();
    }

    /// Of each handler: whether it is short, and the mean of its calls in microseconds, as far as
    /// they were timed. In the order of the routes, the fallback last.
    pub(crate) fn shown(&self) -> impl Iterator<Item = (bool, u32)> {
        let shown =
            |class: &Class| (class.is_short.load(Relaxed), class.estimate.load(Relaxed) / MEMORY);
        self.classes.iter().map(shown)
    }
}

impl Class {
    fn prove(&self, took_us: u32, is_mean_short: bool) {
        let streak =
            if took_us <= SHORT_US { self.streak.load(Relaxed).saturating_add(1) } else { 0 };
        self.streak.store(streak, Relaxed);
        let is_proven = streak >= self.proof.load(Relaxed) && is_mean_short;
        self.is_short.store(is_proven && self.may_be_short, Relaxed);
    }

    /// Asks for so many short calls from now on, where others are asked for `usual`.
    #[cold]
    fn ask(&self, proof: u32, usual: u32) {
        self.proof.store(proof, Relaxed);
        let probation = if proof > usual { proof.saturating_mul(PROBATION) } else { 0 };
        self.probation.store(probation, Relaxed);
    }

    /// One more call on probation.
    #[cold]
    fn forgive(&self, usual: u32) {
        let left = self.probation.load(Relaxed) - 1;
        self.probation.store(left, Relaxed);
        if left == 0 {
            self.ask((self.proof.load(Relaxed) / 4).max(usual), usual);
        }
    }

    #[cold]
    fn begin_again(&self) {
        self.is_short.store(false, Relaxed);
        self.streak.store(0, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTE: Target = Target::Route(RouteId(0));

    fn classes() -> Classes {
        Classes::new(&[true, false], 8, 1000)
    }

    /// Short calls until the handler counts as short; none if it does not after so many.
    fn proof(classes: &Classes, calls_max: u32) -> Option<u32> {
        (1..=calls_max).find(|_| {
            classes.note(ROUTE, 5);
            classes.short_us(ROUTE).is_some()
        })
    }

    #[test]
    fn a_route_is_short_after_short_calls_in_a_row() {
        let classes = classes();
        assert!(classes.short_us(ROUTE).is_none());
        for _ in 0..7 {
            classes.note(ROUTE, SHORT_US);
        }
        classes.note(ROUTE, SHORT_US + 1);
        assert_eq!(proof(&classes, 100), Some(8));
    }

    #[test]
    fn a_short_route_is_known_by_its_mean() {
        let classes = classes();
        assert_eq!(classes.short_us(ROUTE), None);
        for took_us in [SHORT_US; 100] {
            classes.note(ROUTE, took_us);
        }
        assert!((SHORT_US - MEMORY..=SHORT_US).contains(&classes.short_us(ROUTE).unwrap()));
        for _ in 0..100 {
            classes.note(ROUTE, 20);
        }
        assert!((20..20 + MEMORY).contains(&classes.short_us(ROUTE).unwrap()));
    }

    #[test]
    fn one_long_call_is_forgiven_and_many_are_not() {
        let classes = classes();
        proof(&classes, 100);
        classes.note(ROUTE, 50_000);
        assert!(classes.short_us(ROUTE).is_some());
        let more = (1..100).find(|_| {
            classes.note(ROUTE, SHORT_US * 2);
            classes.short_us(ROUTE).is_none()
        });
        assert!((4..20).contains(&more.unwrap()), "{more:?}");
        assert!(proof(&classes, 100).is_some());
    }

    #[test]
    fn each_misjudgement_makes_the_proof_longer() {
        let classes = classes();
        for calls in [8, 32, 128] {
            assert_eq!(proof(&classes, 1000), Some(calls));
            classes.misjudged(ROUTE, 10_000);
            assert!(classes.short_us(ROUTE).is_none());
        }
        for _ in 0..20 {
            classes.misjudged(ROUTE, 10_000);
        }
        assert_eq!(proof(&classes, 2000), Some(1000));
    }

    #[test]
    fn misjudgements_are_forgotten() {
        let classes = classes();
        let calls = |count: u32| (0..count).for_each(|_| classes.note(ROUTE, 5));
        for _ in 0..3 {
            classes.misjudged(ROUTE, 10_000);
        }
        for proof_calls in [512, 128, 32, 8, 8] {
            classes.left_tasks(ROUTE);
            assert_eq!(proof(&classes, 1000), Some(proof_calls));
            calls(proof_calls * PROBATION - proof_calls);
        }
    }

    #[test]
    fn a_route_that_is_caught_now_and_then_is_short_nearly_always() {
        let classes = Classes::new(&[true], 64, 1 << 20);
        let calls = 3_000_000_u32;
        let short = (0..calls).filter(|&call| {
            let is_short = classes.short_us(ROUTE).is_some();
            // One call of a thousand is kept from its CPU; one of fifty thousand keeps the reactor.
            if call % 50_000 == 49_999 && is_short {
                classes.misjudged(ROUTE, 20_000);
            } else {
                classes.note(ROUTE, if call % 997 == 0 { 3_000 } else { 5 });
            }
            is_short
        });
        assert!(short.count() as u32 > calls / 100 * 95);
    }

    #[test]
    fn what_leaves_tasks_begins_again() {
        let classes = classes();
        proof(&classes, 100);
        classes.left_tasks(ROUTE);
        assert_eq!(proof(&classes, 100), Some(8));
    }

    #[test]
    fn what_may_not_be_short_never_is() {
        let classes = classes();
        for _ in 0..100 {
            classes.note(Target::Fallback, 1);
        }
        assert!(classes.short_us(Target::Fallback).is_none());
    }

    #[test]
    fn estimates_are_not_cut_off() {
        let classes = classes();
        for _ in 0..200 {
            classes.note(ROUTE, 50_000);
        }
        let (is_short, estimate_us) = classes.shown().next().unwrap();
        assert!(!is_short);
        assert!((40_000..=50_000).contains(&estimate_us), "{estimate_us}");
    }
}
