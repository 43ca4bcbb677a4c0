//! Settings of one server: checked once by the Python side, immutable while serving.

use std::sync::Arc;
use std::time::Duration;

use pyre_http::compression::Compression;
use pyre_http::cors::Cors;
use pyre_http::hosts::{Hosts, HttpsRedirect};
use pyre_http::limits::Limits;
use pyre_http::security::SecurityHeaders;

use crate::settings::{AccessStyle, Bind, Pages};

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
    /// 0: no limit.
    pub(crate) stream_idle_timeout_ms: u64,
    /// A peer that has been silent for so long is pinged; 0: never.
    pub(crate) ws_ping_ms: u64,
    /// Handlers of WebSockets that may have a thread at once, in each interpreter.
    pub(crate) ws_threads: usize,
    pub(crate) message_bytes_max: usize,
    /// Requests that may be with handlers at once; none: only queues bound them.
    pub(crate) in_flight_max: Option<usize>,
    pub(crate) queue_depth: usize,
    /// Requests after which the process is to be replaced; 0 for never.
    pub(crate) requests_max: u64,
    /// Descriptor that is told so.
    pub(crate) notify: i32,
    pub(crate) server_header: bool,
    /// Who may read answers, of pages elsewhere.
    pub(crate) cors: Option<Arc<Cors>>,
    /// What answers say to protect who reads them.
    pub(crate) security: Option<Arc<SecurityHeaders>>,
    /// The hosts that are served; none: whatever is asked for.
    pub(crate) hosts: Option<Arc<Hosts>>,
    /// Where requests go that have come by plain http; none: they are answered.
    pub(crate) https_redirect: Option<Arc<HttpsRedirect>>,
    /// Which answers of handlers are compressed.
    pub(crate) compression: Option<Arc<Compression>>,
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

/// As `milliseconds`, of a limit: 0 stands for none.
pub(crate) fn limit_milliseconds(seconds: f64) -> u64 {
    if seconds == 0.0 { 0 } else { milliseconds(seconds) }
}

#[cfg(test)]
impl Settings {
    /// What a reactor needs for itself: no interpreter, and long times.
    pub(crate) fn of_one_reactor() -> Self {
        Self {
            binds: Vec::new(),
            uds_mode: 0o600,
            uds_mode_for_handed: false,
            reuse_port: false,
            backlog: 1,
            workers: 0,
            lanes: 1,
            main_lanes: 1,
            reactors: 1,
            hand_over: HandOver::Ring,
            take_back_ms: 10,
            proof_calls: 1,
            proof_calls_max: 1,
            pin: false,
            head_timeout_ms: 60_000,
            body_timeout_ms: 60_000,
            keep_alive_timeout_ms: 60_000,
            request_timeout_ms: 60_000,
            stream_idle_timeout_ms: 0,
            ws_ping_ms: 0,
            ws_threads: 1,
            message_bytes_max: 1,
            in_flight_max: None,
            queue_depth: 1,
            requests_max: 0,
            notify: -1,
            server_header: false,
            cors: None,
            security: None,
            hosts: None,
            https_redirect: None,
            compression: None,
            metrics: false,
            pages: Pages::default(),
            gives_ids: false,
            gil_watchdog: None,
            access_log: None,
            has_readiness_check: false,
            limits: Limits::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
