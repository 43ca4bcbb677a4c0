//! HTTP/1.1: requests come one behind the other, their answers go out in that order, and one job of
//! them is out at a time. Hot path.

use pyre_http::error::RequestError;
use pyre_http::h1::reader::{Next, RequestReader};
use pyre_http::h1::serialize::CONTINUE;
use pyre_http::limits::Limits;
use pyre_http::message::Request;
use pyre_interp::job::Job;

use crate::connection::exchange::Exchange;

/// Where a connection stands that speaks HTTP/1.1.
pub(crate) struct H1 {
    reader: RequestReader,
    /// `100 Continue` has been sent for the request whose body is coming, or an answer in its place.
    continued: bool,
    /// The first request of the job that is out.
    exchange: Exchange,
}

impl H1 {
    pub(super) fn new() -> Self {
        Self { reader: RequestReader::new(), continued: false, exchange: Exchange::default() }
    }

    #[inline(always)]
    pub(super) fn next(&mut self, job: &mut Job, limits: &Limits) -> Result<Next, RequestError> {
        let next = self.reader.next(&mut job.bytes, &mut job.headers, limits);
        if let Ok(Next::Request(_)) = next {
            self.continued = false;
        }
        next
    }

    #[inline]
    pub(super) fn position(&self) -> usize {
        self.reader.position()
    }

    #[inline]
    pub(super) fn rebase(&mut self) {
        self.reader.rebase();
    }

    pub(super) fn is_in_body(&self) -> bool {
        self.reader.pending().is_some()
    }

    #[inline]
    pub(super) fn body_bytes_missing(&self) -> usize {
        self.reader.body_bytes_missing().unwrap_or(0)
    }

    pub(super) fn asks_to_continue(&mut self) -> Option<Request> {
        if self.continued {
            return None;
        }
        let asks = |request: &&Request| request.expects_continue && request.body.is_empty();
        let request = self.reader.pending().filter(asks).copied()?;
        self.continued = true;
        Some(request)
    }

    pub(super) fn write_continue(out: &mut Vec<u8>) {
        out.extend_from_slice(CONTINUE);
    }

    #[inline]
    pub(super) fn exchange(&mut self) -> &mut Exchange {
        &mut self.exchange
    }
}
