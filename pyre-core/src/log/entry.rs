//! What is logged: records of `logging` from any interpreter, and answers for the access log.

use std::ops::Range;
use std::sync::Arc;

use pyre_http::version::Version;
use pyre_interp::job::Client;

use crate::shared::counters::Label;
use crate::shared::vitals::Vitals;

/// How entries are written.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) enum Format {
    /// A line for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

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

/// How the access log is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct AccessStyle {
    pub(crate) format: Format,
    pub(crate) level: Level,
    /// One of so many answers is logged.
    pub(crate) one_of: u64,
    /// Answers with this status or a higher one are logged in any case.
    pub(crate) always_from: u16,
    /// The program handles the records itself.
    pub(crate) to_program: bool,
}

/// The levels of `logging`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Level {
    Debug,
    Info,
    Warning,
    Error,
    Critical,
}

impl Level {
    /// The level of a name as in `log_level="info"`.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "debug" => Self::Debug,
            "info" => Self::Info,
            "warning" => Self::Warning,
            "error" => Self::Error,
            "critical" => Self::Critical,
            _ => return None,
        })
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
            Self::Critical => "CRITICAL",
        }
    }

    /// Its number in `logging`.
    pub(crate) fn number(self) -> i64 {
        match self {
            Self::Debug => 10,
            Self::Info => 20,
            Self::Warning => 30,
            Self::Error => 40,
            Self::Critical => 50,
        }
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
