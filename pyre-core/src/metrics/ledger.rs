//! What a reactor notes of each answer, on its own side. Hot path.
//!
//! Answers of handlers are noted when their job comes back (step 11), answers made without Python
//! when they are made, each once. Time is what the reactor's clock read at the begin of the turn.

use std::sync::Arc;

use pyre_http::message::Request;
use pyre_http::method::Method;
use pyre_interp::job::{Entry, Job, Target};

use crate::metrics::counters::{Counters, Label};
use crate::metrics::histogram::Duration;
use crate::reactor::clock::Clock;

/// The ledger of one reactor.
pub(crate) struct Ledger {
    pub(crate) counters: Arc<Counters>,
    now_us: u64,
}

impl Ledger {
    pub(crate) fn new(counters: Arc<Counters>) -> Self {
        Self { counters, now_us: 0 }
    }

    /// Takes the time of this turn.
    #[inline]
    pub(crate) fn begin_turn(&mut self, clock: &Clock) {
        self.now_us = clock.now_us();
    }

    /// Says when the requests of a job were received: now.
    #[inline]
    pub(crate) fn received(&self, job: &mut Job) {
        job.received_us = self.now_us;
    }

    /// Notes the answers that a job has got since it was last seen here.
    #[inline]
    pub(crate) fn collected(&mut self, job: &mut Job) {
        if job.counted == job.next {
            return;
        }
        self.counters.requests.add((job.next - job.counted) as u64);
        if self.counters.is_detailed() {
            let took = Duration::of_us(self.now_us.saturating_sub(job.received_us));
            for entry in &job.entries[job.counted..job.next] {
                // Ready answers were noted as they were made.
                if let Entry::Call(call) = entry {
                    let label = Label::Target(call.target);
                    self.counters.answered(label, call.request.method, call.status, Some(took));
                }
            }
        }
        job.counted = job.next;
    }

    /// Notes that a client was told that its handler took too long, while that ran on.
    #[cold]
    pub(crate) fn overran(&mut self, target: Target, method: Method) {
        self.counters.timed_out.add(1);
        self.counters.answered(Label::Target(target), method, 504, None);
    }

    /// Notes an answer made without Python; `request` is `None` if it could not be read.
    #[cold]
    pub(crate) fn answered(&mut self, request: Option<&Request>, label: Label, status: u16) {
        let method = request.map_or(Method::Other, |request| request.method);
        self.counters.answered(label, method, status, None);
    }
}
