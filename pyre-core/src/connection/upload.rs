//! A body that is still coming while its handler runs already.

use pyre_http::h1::serialize::CONTINUE;
use pyre_interp::flow::{Cut, Reader, Upstream};
use pyre_interp::job::Job;

use crate::connection::state::Connection;
use crate::connection::transport::Transport;
use crate::shared::frozen::FOR_EVER_MS;

/// The rest of the body of the request that is with a handler, or whose answer is being written.
pub(crate) struct Upload {
    pub(crate) flow: Upstream,
    /// When the client has been silent for too long; not while it is for the handler to go on.
    pub(crate) deadline_ms: u64,
    /// What is left to be sent of `100 Continue`.
    interim: &'static [u8],
    /// The client has gone before the end.
    pub(crate) is_broken: bool,
}

impl Upload {
    pub(crate) fn new(flow: Upstream) -> Self {
        Self { flow, deadline_ms: FOR_EVER_MS, interim: b"", is_broken: false }
    }

    /// It goes with the job of this connection.
    pub(crate) fn attach(&self, reactor: Reader) {
        self.flow.attach(reactor);
    }

    /// Whether the silence of its client has no limit, although that does not wait to be told: there was no
    /// room for more of the body when it was last read.
    pub(crate) fn has_no_limit(&self) -> bool {
        self.deadline_ms >= FOR_EVER_MS && !self.flow.is_held()
    }

    /// The client is told to send its body (RFC 9110 section 10.1.1).
    pub(crate) fn ask_for_body(&mut self) {
        self.interim = CONTINUE;
    }

    /// Sends what is left of that.
    pub(crate) fn send_interim(&mut self, transport: &mut Transport) {
        let sent = transport.send_some(self.interim);
        self.interim = &self.interim[sent..];
    }

    /// What has to go out before an answer: the rest of what has been begun. If the body `goes_on` behind
    /// it and somebody may read that, its client is told to send it now, as nothing can tell it later
    /// (RFC 9110 section 15.2).
    fn take_interim(&mut self, goes_on: bool) -> &'static [u8] {
        let left = std::mem::take(&mut self.interim);
        if goes_on && left.is_empty() && self.flow.take_held() {
            return CONTINUE;
        }
        if goes_on || left.len() < CONTINUE.len() { left } else { b"" }
    }
}

impl Connection {
    /// When the client of a body that is coming has been silent for too long.
    pub(crate) fn body_deadline_ms(&self) -> u64 {
        self.upload.as_ref().map_or(FOR_EVER_MS, |upload| upload.deadline_ms)
    }

    /// The request has an answer, and its body is still coming. If the answer comes in pieces, and somebody
    /// has kept the request, both go on; otherwise the body is thrown away, and the connection ends
    /// with the answer: nobody knows where the next request begins before all of it has come.
    ///
    /// Tells whether its client is told to send the body by that.
    #[cold]
    pub(crate) fn answered_early(&mut self, job: &mut Job) -> bool {
        let Some(upload) = &mut self.upload else { return false };
        job.intake = None;
        let goes_on = job.flow.is_some();
        let interim = upload.take_interim(goes_on);
        job.reply.splice(0..0, interim.iter().copied());
        if !goes_on {
            upload.flow.cut(Cut::Answered);
            self.last = true;
        }
        goes_on && !interim.is_empty()
    }
}
