//! What is logged: records of `logging` from any interpreter, and answers for the access log.

use std::ops::Range;
use std::sync::Arc;

use pyre_http::version::Version;
use pyre_interp::job::Client;

use crate::settings::{AccessStyle, Format};
use crate::shared::counters::Label;
use crate::shared::vitals::Vitals;

/// A record of `logging`, formatted as far as its interpreter had to.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Record {
    pub(crate) format: Format,
    /// Unix time in microseconds.
    pub(crate) time_us: u64,
    /// Name of the level.
    pub(crate) level: String,
    pub(crate) logger: String,
    pub(crate) message: String,
    /// Traceback and stack, or nothing.
    pub(crate) exception: String,
    pub(crate) thread: String,
    /// File and line that logged, if known.
    pub(crate) place: Option<(String, u64)>,
    /// What else the record carries, as the inside of a JSON object; may be empty.
    pub(crate) extra: String,
}

impl Record {
    /// About as many bytes as it has in memory.
    pub(crate) fn weight(&self) -> usize {
        let texts =
            [&self.level, &self.logger, &self.message, &self.exception, &self.thread, &self.extra];
        size_of::<Self>() + texts.iter().map(|text| text.len()).sum::<usize>()
    }
}

/// One answer, for the access log.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    /// Unix time of the answer in microseconds.
    pub(crate) time_us: u64,
    pub(crate) took_us: u64,
    pub(crate) status: u16,
    /// Bytes of the answer, head included.
    pub(crate) bytes: usize,
    /// Why it has ended, if it was a WebSocket.
    pub(crate) close_code: Option<u16>,
    pub(crate) client: Client,
    pub(crate) label: Label,
    /// `None`: the request could not be read.
    pub(crate) version: Option<Version>,
    /// Pieces of the batch's text.
    pub(crate) method: Range<usize>,
    pub(crate) path: Range<usize>,
    pub(crate) id: Range<usize>,
    pub(crate) trace: Range<usize>,
}

/// Answers of one reactor and turn.
pub(crate) struct AccessBatch {
    pub(crate) vitals: Arc<Vitals>,
    pub(crate) style: AccessStyle,
    pub(crate) text: Vec<u8>,
    pub(crate) entries: Vec<Access>,
}

impl AccessBatch {
    /// About as many bytes as it has in memory.
    pub(crate) fn weight(&self) -> usize {
        size_of::<Self>() + self.text.len() + self.entries.len() * size_of::<Access>()
    }
}
