//! A request that is with a handler, and how long its client waits: what the connection knows of it,
//! as its bytes are with the job. Hot path.

use pyre_http::method::Method;
use pyre_http::span::Span;
use pyre_http::version::Version;
use pyre_interp::job::{Job, Target};

use crate::metrics::ledger::Awaited;
use crate::shared::frozen::FOR_EVER_MS;

/// One request, and until when its answer is waited for. A connection has as many as its protocol lets
/// it; where the answer goes is the slot and generation that the job bears.
#[derive(Default)]
pub(crate) struct Exchange {
    /// What is noted of it if its client is told that it takes too long.
    pub(crate) awaited: Awaited,
    /// Others are in the same job, or answers that are not written.
    pub(crate) is_pipelined: bool,
    /// When the peer has waited for the handler as long as it may.
    pub(crate) until_ms: u64,
    /// When the peer counts as gone, as it has closed its side.
    disconnects_ms: u64,
}

impl Exchange {
    /// The next request of a job goes to its handler, to be answered until then. Path and version are
    /// kept for the access log only.
    #[inline]
    pub(crate) fn begin(
        &mut self,
        job: &Job,
        target: Target,
        method: Method,
        asked: Option<(Span, Version)>,
        until_ms: u64,
    ) {
        self.until_ms = until_ms;
        self.disconnects_ms = FOR_EVER_MS;
        self.is_pipelined = job.entries.len() - job.next > 1 || !job.reply.is_empty();
        self.awaited.target = target;
        self.awaited.method = method;
        self.awaited.since_us = job.received_us;
        if let Some(id) = job.id() {
            self.awaited.id.clear();
            self.awaited.id.extend_from_slice(id);
        }
        if let Some((path, version)) = asked {
            self.awaited.version = version;
            self.awaited.path.clear();
            self.awaited.path.extend_from_slice(path.of(&job.bytes));
        }
    }

    /// Keeps in what the head of the answer is to differ from others.
    #[cold]
    pub(crate) fn keep_particulars(&mut self, job: &Job, wants_https: bool) {
        let entry = &job.entries[job.next];
        let said = entry.particulars(&job.headers, &job.bytes, None, wants_https);
        self.awaited.origin.clear();
        self.awaited.origin.extend_from_slice(said.granted);
        self.awaited.is_https = said.is_https;
    }

    /// The peer counts as gone from that moment on. Returns when the wait ends now, if that is news.
    pub(crate) fn disconnects(&mut self, disconnects_ms: u64) -> Option<u64> {
        if disconnects_ms >= self.disconnects_ms {
            return None;
        }
        self.disconnects_ms = disconnects_ms;
        Some(disconnects_ms.min(self.until_ms))
    }

    /// When something is to be done for it, if nothing happens before.
    pub(crate) fn due_ms(&self) -> u64 {
        self.disconnects_ms.min(self.until_ms)
    }

    /// Its handler was told that the peer counts as gone; the answer is waited for all the same.
    pub(crate) fn has_disconnected(&mut self) {
        self.disconnects_ms = FOR_EVER_MS;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_disconnects_once_unless_it_goes_earlier() {
        let mut exchange = Exchange::default();
        exchange.begin(&Job::new(), Target::Fallback, Method::Get, None, 1_000);
        assert_eq!(exchange.disconnects(500), Some(500));
        assert_eq!(exchange.disconnects(700), None);
        assert_eq!(exchange.disconnects(200), Some(200));
        // Its handler knows; what is left is the time that it has.
        exchange.has_disconnected();
        assert_eq!(exchange.disconnects(2_000), Some(1_000));
    }

    #[test]
    fn the_log_knows_path_and_version_of_what_takes_too_long() {
        let mut job = Job::new();
        job.bytes.extend_from_slice(b"GET /a HTTP/1.0");
        let mut exchange = Exchange::default();
        let asked = Some((Span::new(4, 6), Version::Http10));
        exchange.begin(&job, Target::Fallback, Method::Get, asked, 1_000);
        assert_eq!(exchange.awaited.path, b"/a");
        assert_eq!(exchange.awaited.version, Version::Http10);
    }
}
