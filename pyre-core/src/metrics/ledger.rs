//! What a reactor notes of each answer, on its own side. Hot path.
//!
//! Answers of handlers are noted when their job comes back (step 11), answers made without Python
//! when they are made, each once. Time is what the reactor's clock read at the begin of the turn.

use std::sync::Arc;

use pyre_http::message::Request;
use pyre_http::method::Method;
use pyre_http::version::Version;
use pyre_interp::job::{Client, Entry, Job, Target};

use crate::log::access::{AccessLog, Answered, Asked};
use crate::shared::counters::{Counters, Label};
use crate::shared::histogram::Duration;
use crate::sys::Clock;

/// The request that a connection waits for a lane to answer, as far as we have to know it when that
/// takes too long: its bytes are with the lane.
pub(crate) struct Awaited {
    pub(crate) target: Target,
    pub(crate) method: Method,
    /// When it was received, in microseconds of the clock.
    pub(crate) since_us: u64,
    /// Kept for the access log only, as the version is.
    pub(crate) path: Vec<u8>,
    pub(crate) version: Version,
    /// Its id, if ids are given.
    pub(crate) id: Vec<u8>,
    /// The origin that its answer is to name.
    pub(crate) origin: Vec<u8>,
    /// It has come by https, if that is asked.
    pub(crate) is_https: bool,
}

impl Default for Awaited {
    fn default() -> Self {
        Self {
            target: Target::Fallback,
            method: Method::Get,
            since_us: 0,
            path: Vec::new(),
            version: Version::Http11,
            id: Vec::new(),
            origin: Vec::new(),
            is_https: false,
        }
    }
}

/// The ledger of one reactor.
pub(crate) struct Ledger {
    pub(crate) counters: Arc<Counters>,
    access: Option<AccessLog>,
    /// Answers are counted by kind, or logged.
    looks_closely: bool,
    now_us: u64,
    wall_us: u64,
    /// Requests that came in and were not taken note of elsewhere.
    pub(crate) came_in: u64,
}

impl Ledger {
    pub(crate) fn new(counters: Arc<Counters>, access: Option<AccessLog>) -> Self {
        let looks_closely = counters.is_detailed() || access.is_some();
        Self { counters, access, looks_closely, now_us: 0, wall_us: 0, came_in: 0 }
    }

    /// Takes the time of this turn.
    #[inline]
    pub(crate) fn begin_turn(&mut self, clock: &Clock) {
        self.now_us = clock.now_us();
        if self.access.is_some() {
            self.wall_us = clock.wall_us();
        }
    }

    /// How many requests have come in since that was last asked.
    pub(crate) fn take_came_in(&mut self) -> u64 {
        std::mem::take(&mut self.came_in)
    }

    /// Whether the access log is kept.
    #[inline]
    pub(crate) fn logs_answers(&self) -> bool {
        self.access.is_some()
    }

    /// Hands over what the turn has brought.
    #[inline]
    pub(crate) fn end_turn(&mut self) {
        if let Some(access) = &mut self.access {
            access.end_turn();
        }
    }

    /// Says when the requests of a job were received: now.
    #[inline]
    pub(crate) fn received(&self, job: &mut Job) {
        job.received_us = self.now_us;
    }

    /// Notes the answers that a job has got since it was last seen here.
    #[inline]
    pub(crate) fn collected(&mut self, job: &mut Job) {
        // One that comes in pieces is noted at its end.
        self.note(job, None);
    }

    /// Notes the answer in pieces that has just ended, and why, if it was a WebSocket.
    #[cold]
    pub(crate) fn ended(&mut self, job: &mut Job, close_code: Option<u16>) {
        self.note(job, close_code);
    }

    #[inline]
    fn note(&mut self, job: &mut Job, close_code: Option<u16>) {
        let answered = job.answered();
        if job.counted == answered {
            return;
        }
        self.counters.requests.add((answered - job.counted) as u64);
        if self.looks_closely {
            self.collected_each(job, answered, close_code);
        }
        job.counted = answered;
    }

    /// Notes the answers that a job has got, of which nobody is sent anything.
    #[cold]
    pub(crate) fn collected_unsent(&mut self, job: &mut Job) {
        let new = job.counted..job.answered();
        for entry in &mut job.entries[new] {
            if let Entry::Call(call) = entry {
                call.answer_bytes = 0;
            }
        }
        self.collected(job);
    }

    #[inline(never)]
    fn collected_each(&mut self, job: &Job, answered: usize, close_code: Option<u16>) {
        let took_us = self.now_us.saturating_sub(job.received_us);
        let took = Duration::of_us(took_us);
        for (index, entry) in (job.counted..).zip(&job.entries[job.counted..answered]) {
            // Ready answers were noted as they were made.
            let Entry::Call(call) = entry else { continue };
            let label = Label::Target(call.target);
            self.counters.answered(label, call.request.method, call.status, Some(took));
            if let Some(access) = &mut self.access {
                let identity = job.identity(index);
                access.note(&Answered {
                    time_us: self.wall_us,
                    took_us,
                    client: job.client,
                    asked: Some(Asked::of(&call.request, job)),
                    label,
                    status: call.status,
                    bytes: call.answer_bytes,
                    close_code: close_code.filter(|_| index + 1 == answered),
                    id: identity.id.of(&job.answers),
                    trace: identity.trace.of(&job.answers),
                });
            }
        }
    }

    /// Notes that a client was told that its handler took too long, while that ran on.
    #[cold]
    pub(crate) fn overran(&mut self, client: Client, awaited: &Awaited, bytes: usize) {
        let label = Label::Target(awaited.target);
        self.counters.timed_out.add(1);
        self.counters.answered(label, awaited.method, 504, None);
        if let Some(access) = &mut self.access {
            let method = awaited.method.as_str().as_bytes();
            access.note(&Answered {
                time_us: self.wall_us,
                took_us: self.now_us.saturating_sub(awaited.since_us),
                client,
                asked: Some(Asked { method, path: &awaited.path, version: awaited.version }),
                label,
                status: 504,
                bytes,
                close_code: None,
                id: &awaited.id,
                trace: b"",
            });
        }
    }

    /// Notes an answer made without Python.
    #[cold]
    pub(crate) fn answered(
        &mut self,
        job: &Job,
        request: &Request,
        label: Label,
        status: u16,
        bytes: usize,
        id: &[u8],
    ) {
        self.counters.answered(label, request.method, status, None);
        let asked = Some(Asked::of(request, job));
        self.note_direct(job.client, asked, label, status, bytes, id);
    }

    /// Notes an answer to a request that could not be read, or has not come in time; `asked` is what of it
    /// is known.
    #[cold]
    pub(crate) fn refused(
        &mut self,
        client: Client,
        asked: Option<Asked<'_>>,
        status: u16,
        bytes: usize,
        id: &[u8],
    ) {
        self.counters.answered(Label::Unmatched, Method::Other, status, None);
        self.note_direct(client, asked, Label::Unmatched, status, bytes, id);
    }

    fn note_direct(
        &mut self,
        client: Client,
        asked: Option<Asked<'_>>,
        label: Label,
        status: u16,
        bytes: usize,
        id: &[u8],
    ) {
        if let Some(access) = &mut self.access {
            access.note(&Answered {
                time_us: self.wall_us,
                took_us: 0,
                client,
                asked,
                label,
                status,
                bytes,
                close_code: None,
                id,
                trace: b"",
            });
        }
    }
}
