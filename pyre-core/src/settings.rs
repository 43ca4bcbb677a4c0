//! Settings of one server: checked once by the Python side, immutable while serving.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use pyre_http::limits::Limits;

use crate::direct::{Page, Pages};
use crate::log::entry::AccessStyle;

/// Connections accepted in one turn; the others wait for the next one.
pub(crate) const ACCEPTS_PER_TURN_MAX: usize = 64;

/// Reads from one connection in one turn; a fast sender does not starve the others.
pub(crate) const READS_PER_TURN_MAX: usize = 16;

/// Bytes asked for in one read of a large body.
pub(crate) const BODY_READ_BYTES: usize = 256 * 1024;

/// Events taken from the poll in one turn.
pub(crate) const EVENTS_PER_TURN_MAX: usize = 1024;

/// Idle jobs that a reactor keeps for reuse.
pub(crate) const POOLED_JOBS_MAX: usize = 256;

/// Time to let a peer that still sends read our last answer, in milliseconds, without progress.
pub(crate) const LINGER_IDLE_MS: u64 = 5_000;

/// The same, in all.
pub(crate) const LINGER_MS_MAX: u64 = 60_000;

/// How often a server that drains looks whether a peer has got our last answer, in milliseconds.
pub(crate) const DELIVERY_LOOK_MS: u64 = 50;

/// Time for the rest of a head once the server drains, in milliseconds.
pub(crate) const DRAIN_HEAD_MS: u64 = 500;

/// Pause after the process ran out of file descriptors, in milliseconds.
pub(crate) const ACCEPT_PAUSE_MS: u64 = 100;

/// Stack of a lane's thread; CPython 3.13 counts on 8 MiB for its limit on C recursion.
pub(crate) const LANE_STACK_BYTES: usize = 8 * 1024 * 1024;

/// The shortest and the longest time that an interrupted handler has to end, in milliseconds.
pub(crate) const OVERRUN_GRACE_MS_MIN: u64 = 50;
pub(crate) const OVERRUN_GRACE_MS_MAX: u64 = 1_000;

/// How long a client that has closed its side may still be waiting for its answer, in milliseconds.
pub(crate) const HALF_CLOSED_MS: u64 = 500;

/// Where a listener is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Bind {
    /// Host (name or address, without brackets) and port.
    Tcp(String, u16),
    /// Path of a Unix-domain socket; it need not be UTF-8.
    Unix(PathBuf),
    /// A listening socket that the process was started with, by its descriptor.
    Descriptor(i32),
}

impl fmt::Display for Bind {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => write!(text, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(text, "{host}:{port}"),
            Self::Unix(path) => write!(text, "unix:{}", path.display()),
            Self::Descriptor(number) => write!(text, "fd:{number}"),
        }
    }
}

impl Bind {
    /// As `parse_bind` reads it.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Unix(path) => [b"unix:", path.as_os_str().as_bytes()].concat(),
            other => other.to_string().into_bytes(),
        }
    }
}

/// How a reactor hands its requests over to handlers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HandOver {
    /// A lane that the reactor is lent to runs what has proven to be short; all else goes through
    /// rings.
    Auto,
    /// Through rings only.
    Ring,
}

impl HandOver {
    /// Reads what users write.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "auto" => Some(Self::Auto),
            "ring" => Some(Self::Ring),
            _ => None,
        }
    }
}

/// Everything that `run()` can set.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) binds: Vec<Bind>,
    /// Mode of the Unix-domain sockets that are made here.
    pub(crate) uds_mode: u32,
    /// Whether those that are handed over get it as well.
    pub(crate) uds_mode_for_handed: bool,
    pub(crate) reuse_port: bool,
    pub(crate) backlog: i32,
    pub(crate) workers: usize,
    pub(crate) lanes: usize,
    pub(crate) main_lanes: usize,
    pub(crate) reactors: usize,
    pub(crate) hand_over: HandOver,
    /// A handler that has kept a reactor at two looks this far apart loses it, in milliseconds.
    pub(crate) take_back_ms: u64,
    /// Short calls in a row after which a route counts as short.
    pub(crate) proof_calls: u32,
    /// The most that may be asked of a route.
    pub(crate) proof_calls_max: u32,
    pub(crate) pin: bool,
    pub(crate) head_timeout_ms: u64,
    pub(crate) body_timeout_ms: u64,
    pub(crate) keep_alive_timeout_ms: u64,
    /// 0: no limit.
    pub(crate) request_timeout_ms: u64,
    /// Requests that may be with handlers at once; none: only queues bound them.
    pub(crate) in_flight_max: Option<usize>,
    pub(crate) queue_depth: usize,
    /// Requests after which the process is to be replaced; 0 for never.
    pub(crate) requests_max: u64,
    /// Descriptor that is told so.
    pub(crate) notify: i32,
    pub(crate) server_header: bool,
    /// Whether answers are counted by route, method and status.
    pub(crate) metrics: bool,
    pub(crate) pages: Pages,
    pub(crate) gives_ids: bool,
    /// How long a GIL may be held before the log is told; none: nobody watches.
    pub(crate) gil_watchdog: Option<Duration>,
    /// `None`: there is no access log.
    pub(crate) access_log: Option<AccessStyle>,
    /// Whether a check of the user says if the server is ready.
    pub(crate) has_readiness_check: bool,
    pub(crate) limits: Limits,
}

/// Whole milliseconds, at least one.
pub(crate) fn milliseconds(seconds: f64) -> u64 {
    let duration = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 2).clamp(1, u64::MAX / 2)
}

/// Reads pages as "metrics /metrics", "live /livez" and "ready /readyz".
pub(crate) fn parse_pages(texts: &[String]) -> Option<Pages> {
    let pages = texts.iter().map(|text| {
        let (name, path) = text.split_once(' ')?;
        let page = match name {
            "metrics" => Page::Metrics,
            "live" => Page::Live,
            "ready" => Page::Ready,
            _ => return None,
        };
        path.starts_with('/').then(|| (path.to_owned(), page))
    });
    pages.collect::<Option<Vec<_>>>().map(Pages::new)
}

/// Reads "host:port", "\[address\]:port", "unix:/path" or "fd:3".
pub(crate) fn parse_bind(bytes: &[u8]) -> Option<Bind> {
    if let Some(path) = bytes.strip_prefix(b"unix:") {
        return (!path.is_empty()).then(|| Bind::Unix(OsStr::from_bytes(path).into()));
    }
    let text = str::from_utf8(bytes).ok()?;
    if let Some(number) = text.strip_prefix("fd:") {
        return number.parse().ok().filter(|number| *number >= 0).map(Bind::Descriptor);
    }
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok()?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    (!host.is_empty()).then(|| Bind::Tcp(host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binds_are_hosts_with_ports_or_paths() {
        let parse_bind = |text: &str| parse_bind(text.as_bytes());
        let tcp = |host: &str, port| Some(Bind::Tcp(host.to_owned(), port));
        assert_eq!(parse_bind("127.0.0.1:8000"), tcp("127.0.0.1", 8000));
        assert_eq!(parse_bind("[::1]:0"), tcp("::1", 0));
        assert_eq!(parse_bind("localhost:80"), tcp("localhost", 80));
        assert_eq!(parse_bind("unix:/run/app.sock"), Some(Bind::Unix("/run/app.sock".into())));
        assert_eq!(parse_bind("fd:3"), Some(Bind::Descriptor(3)));
        for wrong in ["", "8000", ":80", "host:", "host:65536", "unix:", "fd:", "fd:-1", "fd:x"] {
            assert_eq!(parse_bind(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_bind_is_written_as_it_is_read() {
        for text in ["127.0.0.1:8000", "[::1]:0", "localhost:80", "unix:/run/app.sock", "fd:3"] {
            let bind = parse_bind(text.as_bytes()).unwrap();
            assert_eq!((bind.to_string().as_str(), &*bind.to_bytes()), (text, text.as_bytes()));
        }
        let path = b"unix:/run/\xff.sock";
        assert_eq!(parse_bind(path).unwrap().to_bytes(), path);
    }

    #[test]
    fn pages_have_a_name_and_a_path() {
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let pages = parse_pages(&texts(&["live /livez", "metrics /a/b"])).unwrap();
        assert_eq!(pages.find(b"/a/b"), Some((1, Page::Metrics)));
        for wrong in ["", "live", "live livez", "alive /livez"] {
            assert!(parse_pages(&texts(&[wrong])).is_none(), "{wrong}");
        }
    }

    #[test]
    fn there_are_two_ways_to_hand_over() {
        assert_eq!(HandOver::parse("auto"), Some(HandOver::Auto));
        assert_eq!(HandOver::parse("ring"), Some(HandOver::Ring));
        for wrong in ["", "Auto", "queue"] {
            assert_eq!(HandOver::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_timeout_is_never_zero_and_never_overflows() {
        assert_eq!(milliseconds(0.0), 1);
        assert_eq!(milliseconds(1.5), 1500);
        assert_eq!(milliseconds(f64::INFINITY), u64::MAX / 2);
    }
}
