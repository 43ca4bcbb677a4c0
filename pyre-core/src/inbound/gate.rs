//! Step 4: who is answered at all. A request that names another host is refused, and one that has come by plain
//! http is sent on, before anything else is looked at.

use pyre_http::forwarded;
use pyre_http::header::find_only;
use pyre_http::hosts::HttpsRedirect;
use pyre_http::message::Request;
use pyre_http::websocket::handshake::{self, Refusal};
use pyre_interp::job::Job;

use crate::direct::answer::Direct;
use crate::settings::Page;
use crate::shared::frozen::Routes;

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
        if !hosts.allows(host) || named.is_some_and(|name| name != host && !hosts.allows(name)) {
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
        Some(location) => Direct::Moved(redirect.status, location),
        None => Direct::Status(400, None),
    })
}
