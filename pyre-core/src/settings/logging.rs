//! How the log is kept.

/// How entries are written.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) enum Format {
    /// A line for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
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
