//! Step 4: who is answered at all. A request that names another host is refused, and one that has come by plain
//! http is sent on, before anything else is looked at.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pyre_http::forwarded;
use pyre_http::header::find_only;
use pyre_http::hosts::HttpsRedirect;
use pyre_http::message::Request;
use pyre_http::websocket::handshake::{self, Refusal};
use pyre_interp::job::Job;

use crate::direct::answer::Direct;
use crate::log::writer;
use crate::settings::Page;
use crate::shared::frozen::Routes;

/// How much of a host is logged: as much as a name can have (RFC 1035 section 2.3.4).
const HOST_BYTES_MAX: usize = 255;

/// How long nothing is said of further hosts.
const WARNING: Duration = Duration::from_secs(10);

/// When it was last said that a host is not served.
static SAID: Mutex<Option<Instant>> = Mutex::new(None);

/// What is answered to a request that is not let in.
pub(super) fn refusal(routes: &Routes, job: &Job, request: &Request) -> Option<Direct> {
    let (hosts, redirect) = (routes.hosts.as_deref(), routes.https_redirect.as_deref());
    if hosts.is_none() && redirect.is_none() {
        return None;
    }
    // Who asks whether a process lives asks its address, without TLS.
    let page = routes.vitals.pages.find(request.path.of(&job.bytes));
    if matches!(page, Some((_, Page::Live | Page::Ready))) {
        return None;
    }
    if let Some(hosts) = hosts {
        let host = request.host.of(&job.bytes);
        if host.is_empty() {
            // RFC 9112 section 3.2 asks it of HTTP/1.1 alone to name one; here it is asked of all.
            return Some(Direct::Status(400, None));
        }
        // RFC 9112 section 3.2.2: a target with an authority wins over Host, which handlers read all the same.
        let fields = request.headers_in(&job.headers);
        let named = find_only(fields, &job.bytes, b"host").map(|name| name.of(&job.bytes));
        let refused = if hosts.allows(host) {
            named.filter(|&name| name != host && !hosts.allows(name))
        } else {
            Some(host)
        };
        if let Some(refused) = refused {
            say_whom(refused);
            // RFC 9110 sections 7.4 and 15.5.20.
            return Some(Direct::Status(421, None));
        }
    }
    let fields = request.headers_in(&job.headers);
    let redirect = redirect.filter(|_| HttpsRedirect::concerns(request, &job.bytes))?;
    if forwarded::is_https(fields, &job.bytes) {
        return None;
    }
    let handshake = handshake::read(request, fields, &job.bytes);
    let is_socket = !matches!(handshake, Err(Refusal::NoUpgrade | Refusal::Malformed));
    Some(match redirect.location(request, &job.bytes, is_socket) {
        Some(location) => {
            Direct::Moved(redirect.status, location, forwarded::looked_at(fields, &job.bytes))
        }
        None => Direct::Status(400, None),
    })
}

/// Says which host was refused, not too often: clients can name as many as they like.
#[cold]
fn say_whom(host: &[u8]) {
    let now = Instant::now();
    let mut said = SAID.lock();
    if said.is_some_and(|at| now.duration_since(at) < WARNING) {
        return;
    }
    *said = Some(now);
    drop(said);
    let shown = host[..host.len().min(HOST_BYTES_MAX)].escape_ascii();
    let text =
        format!("a request for the host {shown} was refused (421): trusted_hosts has it not");
    writer::say("WARNING", "pyre: ", &text);
}
