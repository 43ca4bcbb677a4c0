//! Durations, counted in buckets. Hot path.

use crate::shared::counters::Tally;

/// Upper bounds of the buckets in microseconds, each inclusive; one more has all that is longer.
pub(crate) const BOUNDS_US: [u64; 14] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000,
];

/// How many buckets there are.
pub(crate) const BUCKETS: usize = BOUNDS_US.len() + 1;

/// A duration and its bucket: found once for all answers that came back together.
#[derive(Clone, Copy)]
pub(crate) struct Duration {
    us: u64,
    bucket: usize,
}

impl Duration {
    #[inline]
    pub(crate) fn of_us(us: u64) -> Self {
        // Most answers take less than the first bound.
        let bucket = BOUNDS_US.iter().position(|&bound| us <= bound).unwrap_or(BOUNDS_US.len());
        Self { us, bucket }
    }
}

/// How long requests took.
#[derive(Default)]
pub(crate) struct Histogram {
    buckets: [Tally; BUCKETS],
    sum_us: Tally,
}

impl Histogram {
    #[inline]
    pub(crate) fn note(&self, duration: Duration) {
        self.buckets[duration.bucket].add(1);
        self.sum_us.add(duration.us);
    }
}

/// What several histograms come to.
#[derive(Clone, Default)]
pub(crate) struct Durations {
    /// Counts by bucket; none has those of another.
    pub(crate) buckets: [u64; BUCKETS],
    pub(crate) sum_us: u64,
}

impl Durations {
    pub(crate) fn add(&mut self, histogram: &Histogram) {
        for (sum, bucket) in self.buckets.iter_mut().zip(&histogram.buckets) {
            *sum += bucket.get();
        }
        self.sum_us += histogram.sum_us.get();
    }

    pub(crate) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        for (us, bucket) in [(0, 0), (500, 0), (501, 1), (10_000_000, 13), (10_000_001, 14)] {
            assert_eq!(Duration::of_us(us).bucket, bucket, "{us} us");
        }
        assert!(BOUNDS_US.is_sorted());
    }

    #[test]
    fn sums_of_several() {
        let (one, two) = (Histogram::default(), Histogram::default());
        one.note(Duration::of_us(3));
        two.note(Duration::of_us(700));
        two.note(Duration::of_us(u64::from(u32::MAX)));
        let mut sum = Durations::default();
        sum.add(&one);
        sum.add(&two);
        assert_eq!((sum.count(), sum.sum_us), (3, 703 + u64::from(u32::MAX)));
        assert_eq!((sum.buckets[0], sum.buckets[1], sum.buckets[14]), (1, 1, 1));
    }
}
