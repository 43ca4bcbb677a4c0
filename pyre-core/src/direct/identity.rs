//! Ids of requests: taken over from the client if they are plain and short, or made.

use pyre_http::correlation::{is_request_id, is_traceparent};
use pyre_http::header::find_only;
use pyre_http::message::Request;
use pyre_interp::job::{Job, REQUEST_ID_HEADER};
use pyre_interp::objects::request_id;

/// Gives the request that comes next in a job its id, and notes the trace it belongs to.
pub(crate) fn give(request: &Request, job: &mut Job) {
    let id = of(request, job);
    let table = request.headers_in(&job.headers);
    let trace = find_only(table, &job.bytes, b"traceparent").map(|trace| trace.of(&job.bytes));
    let trace = trace.filter(|trace| is_traceparent(trace)).unwrap_or_default().to_vec();
    job.identify(&id, &trace);
}

/// The id of a request: that of the client if it may be taken over.
pub(crate) fn of(request: &Request, job: &Job) -> Vec<u8> {
    let table = request.headers_in(&job.headers);
    match find_only(table, &job.bytes, b"x-request-id").map(|span| span.of(&job.bytes)) {
        Some(id) if is_request_id(id) => id.to_vec(),
        _ => made(),
    }
}

/// A new id.
pub(crate) fn made() -> Vec<u8> {
    request_id::next().into_bytes()
}

/// The header of an answer that bears an id.
pub(crate) fn header(id: Option<&[u8]>) -> Option<(&'static [u8], &[u8])> {
    id.map(|id| (REQUEST_ID_HEADER, id))
}
