//! What a reactor notes for the access log: answers are copied into a batch, which goes to the writer
//! at the end of the turn. Nothing is formatted here.

use std::ops::Range;
use std::sync::Arc;

use pyre_http::h1::head::request_line;
use pyre_http::message::Request;
use pyre_http::version::Version;
use pyre_interp::job::{Client, Job};

use crate::log::entry::{Access, AccessBatch};
use crate::log::outbox::Outbox;
use crate::log::writer;
use crate::settings::AccessStyle;
use crate::shared::counters::Label;
use crate::shared::vitals::Vitals;

/// The access log of one reactor.
pub(crate) struct AccessLog {
    vitals: Arc<Vitals>,
    style: AccessStyle,
    /// Where batches go if the program handles them.
    outbox: Option<Arc<Outbox>>,
    /// Answers since the last one that was taken by count.
    passed: u64,
    batch: Option<Box<AccessBatch>>,
}

/// An answer, as the ledger knows it.
pub(crate) struct Answered<'a> {
    pub(crate) time_us: u64,
    pub(crate) took_us: u64,
    pub(crate) client: Client,
    /// `None` if it could not be read.
    pub(crate) asked: Option<Asked<'a>>,
    pub(crate) label: Label,
    pub(crate) status: u16,
    pub(crate) bytes: usize,
    /// Why it has ended, if it was a WebSocket.
    pub(crate) close_code: Option<u16>,
    /// Empty if ids are not given.
    pub(crate) id: &'a [u8],
    /// A valid `traceparent`, or nothing.
    pub(crate) trace: &'a [u8],
}

/// What a request asked for, as it was sent.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a [u8],
    pub(crate) path: &'a [u8],
    pub(crate) version: Version,
}

impl<'a> Asked<'a> {
    pub(crate) fn of(request: &Request, job: &'a Job) -> Self {
        Self {
            method: request.method_span.of(&job.bytes),
            path: request.path.of(&job.bytes),
            version: request.version,
        }
    }

    /// What lies at the front of `bytes[from..]`, as far as that can be read.
    pub(crate) fn of_refused(bytes: &'a [u8], from: usize) -> Option<Self> {
        let line = request_line(bytes, from)?;
        Some(Self {
            method: line.method.of(bytes),
            path: line.path.of(bytes),
            version: line.version,
        })
    }
}

impl AccessLog {
    pub(crate) fn new(
        vitals: Arc<Vitals>,
        style: AccessStyle,
        outbox: Option<Arc<Outbox>>,
    ) -> Self {
        // The first answer is taken.
        let passed = style.one_of.saturating_sub(1);
        Self { vitals, style, outbox, passed, batch: None }
    }

    /// Notes an answer, if it is one to be logged.
    pub(crate) fn note(&mut self, answered: &Answered<'_>) {
        self.passed += 1;
        if self.passed >= self.style.one_of {
            self.passed = 0;
        } else if answered.status < self.style.always_from {
            return;
        }
        let batch = self.batch.get_or_insert_with(|| {
            Box::new(AccessBatch {
                vitals: self.vitals.clone(),
                style: self.style,
                text: Vec::new(),
                entries: Vec::new(),
            })
        });
        let mut copy = |bytes: &[u8]| -> Range<usize> {
            let start = batch.text.len();
            batch.text.extend_from_slice(bytes);
            start..batch.text.len()
        };
        let method = copy(answered.asked.map_or(b"", |asked| asked.method));
        let path = copy(answered.asked.map_or(b"", |asked| asked.path));
        let (id, trace) = (copy(answered.id), copy(answered.trace));
        batch.entries.push(Access {
            time_us: answered.time_us,
            took_us: answered.took_us,
            status: answered.status,
            bytes: answered.bytes,
            close_code: answered.close_code,
            client: answered.client,
            label: answered.label,
            version: answered.asked.map(|asked| asked.version),
            method,
            path,
            id,
            trace,
        });
    }

    /// Hands over what this turn has brought.
    #[inline]
    pub(crate) fn end_turn(&mut self) {
        if let Some(batch) = self.batch.take() {
            match &self.outbox {
                Some(outbox) => outbox.push(batch),
                None => writer::write_access(batch),
            }
        }
    }
}
