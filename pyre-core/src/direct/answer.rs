//! Answers that need no Python: pages, what a route has no handler for, and what cannot be read.

use pyre_http::error::RequestError;
use pyre_http::forwarded;
use pyre_http::h1::refuse::write_error;
use pyre_http::h1::serialize::{Connection as Persistence, Particulars, ResponseHeads};
use pyre_http::message::Request;
use pyre_http::method::Method;
use pyre_http::span::Span;
use pyre_http::websocket::handshake;
use pyre_interp::job::{Entry, Job};

use crate::direct::{identity, page};
use crate::log::access::Asked;
use crate::metrics::ledger::Ledger;
use crate::router::AllowSet;
use crate::settings::Page;
use crate::shared::counters::Label;
use crate::shared::frozen::Routes;

/// An answer that needs no Python.
pub(crate) enum Direct {
    Status(u16, Option<AllowSet>),
    Page(Page),
    /// What is no handshake that a WebSocket takes.
    Handshake(u16),
    /// What pages of other origins may send.
    Preflight,
    /// It is asked for elsewhere: a status, where, and on which fields of the request that depends.
    Moved(u16, Vec<u8>, &'static [u8]),
}

/// Answers a request that begins there and cannot be read.
pub(crate) fn refuse(
    routes: &Routes,
    heads: &ResponseHeads,
    ledger: &mut Ledger,
    job: &mut Job,
    from: usize,
    error: RequestError,
) {
    let status = error.status();
    let id = routes.gives_ids.then(identity::made);
    let write = |out: &mut Vec<u8>| {
        let extra = identity::header(id.as_deref());
        write_error(heads.plain(), out, status, Persistence::Close, extra.as_slice(), false);
        status
    };
    let (status, bytes) = add_answer(ledger, job, write);
    let asked = Asked::of_refused(&job.bytes, from);
    ledger.refused(job.client, asked, status, bytes, id.as_deref().unwrap_or_default());
}

/// Answers a request without Python.
#[cold]
pub(crate) fn answer(
    routes: &Routes,
    heads: &ResponseHeads,
    ledger: &mut Ledger,
    job: &mut Job,
    request: &Request,
    label: Label,
    direct: Direct,
) {
    let head_only = request.method == Method::Head;
    let connection = Persistence::of(request);
    let id = routes.gives_ids.then(|| identity::of(request, job));
    let id = id.as_deref();
    let fields = request.headers_in(&job.headers);
    let cors = routes.cors.as_deref();
    let granted = cors.map(|cors| cors.granted(fields, &job.bytes)).unwrap_or_default();
    let granted = granted.of(&job.bytes).to_vec();
    let is_https = heads.wants_https() && forwarded::is_https(fields, &job.bytes);
    let heads = heads.particular(Particulars { granted: &granted, is_https, nonce: None });
    let preflight = match (&direct, cors) {
        (Direct::Preflight, Some(cors)) => cors.preflight(fields, &job.bytes),
        _ => (0, Vec::new()),
    };
    let (status, bytes) = add_answer(ledger, job, |out| match direct {
        Direct::Page(page) => {
            page::write(page, &routes.vitals, heads, out, connection, head_only, id)
        }
        Direct::Handshake(status) => {
            // RFC 9110 section 15.5.22, RFC 6455 section 4.4.
            let asks: [(&[u8], &[u8]); 3] = [
                (b"Upgrade", b"websocket"),
                (b"Connection", b"Upgrade"),
                (b"Sec-WebSocket-Version", handshake::VERSION.as_bytes()),
            ];
            let asks = if status == 426 { &asks[..] } else { &[] };
            let extra: Vec<_> = asks.iter().copied().chain(identity::header(id)).collect();
            write_error(heads, out, status, connection, &extra, head_only);
            status
        }
        Direct::Preflight => {
            let (status, fields) = preflight;
            let fields = fields.iter().map(|(name, value)| (*name, &value[..]));
            let extra: Vec<_> = fields.chain(identity::header(id)).collect();
            write_error(heads, out, status, connection, &extra, head_only);
            status
        }
        Direct::Moved(status, location, depends_on) => {
            let mut head = heads.begin(out, status);
            head.header(b"Location", &location);
            // RFC 9111 section 4.1: a cache that has it by another scheme would make a loop of it.
            head.header(b"Vary", depends_on);
            if let Some((name, id)) = identity::header(id) {
                head.header(name, id);
            }
            head.finish(0, connection);
            status
        }
        Direct::Status(status, allow) => {
            let mut methods = Vec::new();
            let allow = allow.map(|set| {
                routes.table.write_allow(set, &mut methods);
                (&b"Allow"[..], &methods[..])
            });
            let extra: Vec<_> = allow.into_iter().chain(identity::header(id)).collect();
            write_error(heads, out, status, connection, &extra, head_only);
            status
        }
    });
    ledger.answered(job, request, label, status, bytes, id.unwrap_or_default());
}

/// Appends an answer that needs no Python: to the reply if it is next in order, else to the
/// answers that wait for those before. `write` tells its status, which is returned with its length.
#[cold]
fn add_answer(
    ledger: &Ledger,
    job: &mut Job,
    write: impl FnOnce(&mut Vec<u8>) -> u16,
) -> (u16, usize) {
    let is_first = job.entries.is_empty();
    let out = if is_first { &mut job.reply } else { &mut job.answers };
    let start = out.len();
    let status = write(out);
    let end = out.len();
    if is_first {
        ledger.counters.requests.add(1);
    } else {
        job.entries.push(Entry::Answer(Span { start: index(start), end: index(end) }));
    }
    (status, end - start)
}

fn index(length: usize) -> u32 {
    u32::try_from(length).expect("limits keep a message below 4 GiB")
}
