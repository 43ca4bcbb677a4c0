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

#[cfg(test)]
mod tests {
    use super::*;

    const ASKS: &[u8] =
        b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n";

    /// What comes next of the bytes of a job; none if it is not whole.
    fn next(h1: &mut H1, job: &mut Job) -> Option<Request> {
        match h1.next(job, &Limits::default()) {
            Ok(Next::Request(request)) => Some(request),
            Ok(Next::Partial) => None,
            Err(error) => panic!("{error:?}"),
        }
    }

    #[test]
    fn a_client_that_asks_is_told_once_for_each_request() {
        let mut h1 = H1::new();
        let mut job = Job::new();
        for _ in 0..2 {
            job.bytes.extend_from_slice(ASKS);
            assert!(next(&mut h1, &mut job).is_none());
            assert!(h1.is_in_body());
            assert!(h1.asks_to_continue().is_some());
            assert!(h1.asks_to_continue().is_none());
            job.bytes.push(b'x');
            assert!(next(&mut h1, &mut job).is_some());
            assert_eq!(h1.position(), job.bytes.len());
        }
    }

    #[test]
    fn one_whose_body_has_come_is_not_told() {
        let mut h1 = H1::new();
        let mut job = Job::new();
        job.bytes.extend_from_slice(ASKS);
        job.bytes.push(b'x');
        assert!(next(&mut h1, &mut job).is_some());
        assert!(h1.asks_to_continue().is_none());
    }
}
