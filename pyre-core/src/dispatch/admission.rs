//! How many requests may be with handlers at once, in the whole process (`max_in_flight`). Hot path.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use pyre_interp::job::Job;

/// A reactor's share in the count of requests that are with handlers or wait for one.
#[derive(Clone)]
pub(crate) struct Admission {
    /// None: there is no bound, and nothing is counted.
    bound: Option<(usize, Arc<AtomicUsize>)>,
}

impl Admission {
    /// Lets at most so many in; clones share the count.
    pub(crate) fn new(in_flight_max: Option<usize>) -> Self {
        Self { bound: in_flight_max.map(|max| (max, Arc::default())) }
    }

    /// Counts the requests of a job that are not answered, unless that would be too many.
    #[inline]
    pub(crate) fn admit(&self, job: &mut Job) -> bool {
        let Some((max, count)) = &self.bound else { return true };
        let more = job.entries.len() - job.next;
        // Relaxed: it is a number, and orders nothing.
        let before = count.fetch_add(more, Relaxed);
        // A pipeline of more requests than are allowed at all still has to pass some time.
        let fits = before + more <= *max || before == 0;
        if fits {
            job.admitted = more;
        } else {
            count.fetch_sub(more, Relaxed);
        }
        fits
    }

    /// Takes back what was counted for a job.
    #[inline]
    pub(crate) fn release(&self, job: &mut Job) {
        if let Some((_, count)) = &self.bound {
            count.fetch_sub(std::mem::take(&mut job.admitted), Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pyre_http::span::Span;
    use pyre_interp::job::Entry;

    fn job(requests: usize) -> Box<Job> {
        let mut job = Job::new();
        job.entries.resize(requests, Entry::Answer(Span { start: 0, end: 0 }));
        job
    }

    #[test]
    fn as_many_as_allowed_are_let_in() {
        let admission = Admission::new(Some(3));
        let mut first = job(2);
        assert!(admission.admit(&mut first));
        assert!(!admission.admit(&mut job(2)));
        assert!(admission.clone().admit(&mut job(1)));
        assert!(!admission.admit(&mut job(1)));
        // Answered or not: what was counted is taken back.
        first.next = 1;
        admission.release(&mut first);
        assert!(admission.admit(&mut job(2)));
    }

    #[test]
    fn one_long_pipeline_is_let_in_alone() {
        let admission = Admission::new(Some(1));
        let mut long = job(16);
        assert!(admission.admit(&mut long));
        assert!(!admission.admit(&mut job(1)));
        admission.release(&mut long);
        assert!(admission.admit(&mut job(1)));
        assert!(Admission::new(None).admit(&mut job(99)));
    }
}
