//! HTTP/1.1: requests come one behind the other, their answers go out in that order, and one job of
//! them is out at a time. Hot path.

use pyre_http::error::RequestError;
use pyre_http::h1::reader::{BodyPart, Next, RequestReader};
use pyre_http::h1::serialize::CONTINUE;
use pyre_http::limits::Limits;
use pyre_http::message::Request;
use pyre_interp::job::Job;

use crate::connection::exchange::Exchange;

/// Where a connection stands that speaks HTTP/1.1.
pub(crate) struct H1 {
    reader: RequestReader,
    /// The request whose body is coming has been looked at: `100 Continue` has been sent if it asks, or an
    /// answer in its place.
    is_looked_at: bool,
    /// The first request of the job that is out.
    exchange: Exchange,
}

impl H1 {
    pub(super) fn new() -> Self {
        Self { reader: RequestReader::new(), is_looked_at: false, exchange: Exchange::default() }
    }

    #[inline(always)]
    pub(crate) fn next(&mut self, job: &mut Job, limits: &Limits) -> Result<Next, RequestError> {
        let next = self.reader.next(&mut job.bytes, &mut job.headers, limits);
        if let Ok(Next::Request(_)) = next {
            self.is_looked_at = false;
        }
        next
    }

    #[inline]
    pub(crate) fn position(&self) -> usize {
        self.reader.position()
    }

    #[inline]
    pub(crate) fn rebase(&mut self) {
        self.reader.rebase();
    }

    pub(super) fn is_in_body(&self) -> bool {
        self.reader.pending().is_some()
    }

    #[inline]
    pub(super) fn body_bytes_missing(&self) -> usize {
        self.reader.body_bytes_missing().unwrap_or(0)
    }

    pub(super) fn coming(
        &mut self,
        leaves: bool,
        job: &mut Job,
        limits: &Limits,
    ) -> Option<Request> {
        if self.is_looked_at && !(leaves && self.reader.drops_body()) {
            return None;
        }
        self.reader.pending()?;
        self.is_looked_at = true;
        self.reader.pending_with_fields(&job.bytes, &mut job.headers, limits)
    }

    /// Hands out the request whose body is coming, and what has come of that, decoded; the job keeps the
    /// head. The rest is for `read_body`.
    ///
    /// # Errors
    /// None that `next` has not found before.
    pub(crate) fn begin_body(
        &mut self,
        job: &mut Job,
        limits: &Limits,
    ) -> Result<Option<(Request, Vec<u8>)>, RequestError> {
        self.is_looked_at = false;
        self.reader.begin_body(&mut job.bytes, &mut job.headers, limits)
    }

    /// Reads on in the body of the request that was handed out with its head.
    ///
    /// # Errors
    /// If the peer broke a rule or a limit: nothing behind it is served.
    pub(crate) fn read_body(
        &mut self,
        bytes: &mut Vec<u8>,
        limits: &Limits,
    ) -> Result<BodyPart, RequestError> {
        self.reader.read_body(bytes, limits)
    }

    /// How many bytes are missing of that body, at least.
    pub(crate) fn rest_bytes_min(&self) -> u64 {
        self.reader.rest_bytes_min()
    }

    /// The body that is coming is dropped.
    pub(super) fn drop_body(&mut self, job: &mut Job) {
        self.reader.drop_body(&mut job.bytes);
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

    /// What is coming, as `coming`; its fields are there.
    fn coming(h1: &mut H1, job: &mut Job) -> Option<Request> {
        let request = h1.coming(false, job, &Limits::default())?;
        let host = request.headers_in(&job.headers)[0];
        assert_eq!(
            (host.name.of(&job.bytes), host.value.of(&job.bytes)),
            (&b"Host"[..], &b"a"[..])
        );
        Some(request)
    }

    #[test]
    fn a_body_that_is_coming_is_told_once_for_each_request() {
        let mut h1 = H1::new();
        let mut job = Job::new();
        for _ in 0..2 {
            job.bytes.extend_from_slice(ASKS);
            assert!(next(&mut h1, &mut job).is_none());
            assert!(h1.is_in_body());
            assert!(coming(&mut h1, &mut job).is_some());
            assert!(coming(&mut h1, &mut job).is_none());
            job.bytes.push(b'x');
            assert!(next(&mut h1, &mut job).is_some());
            assert_eq!(h1.position(), job.bytes.len());
        }
    }

    #[test]
    fn any_whose_body_is_coming_is_looked_at_once() {
        let mut h1 = H1::new();
        let mut job = Job::new();
        job.bytes.extend_from_slice(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx");
        assert!(next(&mut h1, &mut job).is_none());
        assert!(coming(&mut h1, &mut job).is_some());
        assert!(coming(&mut h1, &mut job).is_none());
    }

    #[test]
    fn one_whose_body_has_come_is_not_told() {
        let mut h1 = H1::new();
        let mut job = Job::new();
        job.bytes.extend_from_slice(ASKS);
        job.bytes.push(b'x');
        assert!(next(&mut h1, &mut job).is_some());
        assert!(coming(&mut h1, &mut job).is_none());
    }
}
