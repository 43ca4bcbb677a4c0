//! Step 4: method and path find a route; what needs no Python is answered here. Hot path.

use pyre_http::cors::Cors;
use pyre_http::h1::serialize::ResponseHeads;
use pyre_http::limits::Limits;
use pyre_http::message::Request;
use pyre_http::method::Method;
use pyre_interp::job::{Call, Entry, Job, Pool, Target};

use crate::connection::state::Connection;
use crate::direct::answer::{self, Direct};
use crate::direct::identity;
use crate::inbound::{gate, socket, upload};
use crate::metrics::ledger::Ledger;
use crate::router::{AllowSet, ExactEndpoint, Found};
use crate::shared::counters::Label;
use crate::shared::frozen::Routes;

/// What is done with a request.
enum Decision {
    Run(Target, Pool),
    Answer(Label, Direct),
}

fn decide(
    routes: &Routes,
    job: &mut Job,
    request: &Request,
    exact: Option<ExactEndpoint>,
) -> Decision {
    let fields = request.headers_in(&job.headers);
    if routes.cors.is_some() && Cors::is_preflight(request.method, fields, &job.bytes) {
        return Decision::Answer(Label::Unmatched, Direct::Preflight);
    }
    let method = request.method_span.of(&job.bytes);
    let path = request.path.of(&job.bytes);
    if let Some((index, page)) = routes.vitals.pages.find(path) {
        let direct = match request.method {
            Method::Get | Method::Head => Direct::Page(page),
            Method::Options => Direct::Status(204, Some(AllowSet::READ_ONLY)),
            _ => Direct::Status(405, Some(AllowSet::READ_ONLY)),
        };
        return Decision::Answer(Label::Direct(index), direct);
    }
    let status = |status, allow| Decision::Answer(Label::Unmatched, Direct::Status(status, allow));
    let found =
        routes.table.find(exact, request.method, method, path, &mut job.params, request.path.start);
    match found {
        Found::Route(id) => {
            let sockets = routes.sockets.as_ref();
            match sockets.and_then(|sockets| socket::refusal(sockets, id, request, job)) {
                Some(status) => {
                    Decision::Answer(Label::Target(Target::Route(id)), Direct::Handshake(status))
                }
                None => Decision::Run(Target::Route(id), routes.pools[id.0 as usize]),
            }
        }
        Found::MethodNotAllowed(allow) => status(405, Some(allow)),
        Found::Options(allow) => status(204, Some(allow)),
        Found::NotFound => without_route(routes, request.method, path),
    }
}

/// What is done with a request that no route matches.
#[cold]
fn without_route(routes: &Routes, method: Method, path: &[u8]) -> Decision {
    let mount = routes.table.mounts().find(path);
    let allow = Some(AllowSet::READ_ONLY);
    match (mount, method, routes.fallback) {
        (Some(mount), Method::Get | Method::Head, _) => {
            Decision::Run(Target::Files(mount), Pool::Reactor)
        }
        (_, _, Some(pool)) => Decision::Run(Target::Fallback, pool),
        (None, _, None) => Decision::Answer(Label::Unmatched, Direct::Status(404, None)),
        (Some(mount), method, None) => {
            let status = if method == Method::Options { 204 } else { 405 };
            let label = Label::Target(Target::Files(mount));
            Decision::Answer(label, Direct::Status(status, allow))
        }
    }
}

/// What lies behind a request that was admitted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Behind {
    /// Another request, if anything.
    Requests,
    /// Maybe frames: it asks for a WebSocket.
    Frames,
}

/// Adds a whole request to the job, or answers it.
#[inline(always)]
pub(crate) fn admit(
    routes: &Routes,
    heads: &ResponseHeads,
    ledger: &mut Ledger,
    job: &mut Job,
    request: &Request,
) -> Behind {
    if routes.looks_closely {
        return admit_closely(routes, heads, ledger, job, request);
    }
    let exact = routes.table.exact(request.path.of(&job.bytes));
    let route = exact.and_then(|endpoint| routes.table.route_at(endpoint, request.method));
    let Some(route) = route else {
        return admit_any(routes, heads, ledger, job, request, exact);
    };
    let pool = routes.pools[route.0 as usize];
    let target = Target::Route(route);
    if routes.gives_ids {
        identity::give(request, job);
    }
    job.entries.push(Entry::Call(Call::new(*request, (0, 0), target, pool)));
    // Routes of WebSockets are not found this way.
    Behind::Requests
}

/// As `admit`, where not all are let in, or answers name the origin of their request.
#[inline(never)]
fn admit_closely(
    routes: &Routes,
    heads: &ResponseHeads,
    ledger: &mut Ledger,
    job: &mut Job,
    request: &Request,
) -> Behind {
    if let Some(direct) = gate::refusal(routes, job, request) {
        answer::answer(routes, heads, ledger, job, request, Label::Unmatched, direct);
        return Behind::Requests;
    }
    let entries = job.entries.len();
    let exact = routes.table.exact(request.path.of(&job.bytes));
    let named = exact.and_then(|endpoint| routes.table.route_at(endpoint, request.method));
    let behind = match named {
        Some(route) => {
            if routes.gives_ids {
                identity::give(request, job);
            }
            let pool = routes.pools[route.0 as usize];
            let call = Call::new(*request, (0, 0), Target::Route(route), pool);
            job.entries.push(Entry::Call(call));
            Behind::Requests
        }
        None => admit_any(routes, heads, ledger, job, request, exact),
    };
    if let Some(cors) = &routes.cors
        && let origin = cors.granted(request.headers_in(&job.headers), &job.bytes)
        && let Some(Entry::Call(call)) = job.entries[entries..].first_mut()
    {
        call.origin = origin;
    }
    behind
}

/// As `admit`, for paths with parameters and for what has no route.
fn admit_any(
    routes: &Routes,
    heads: &ResponseHeads,
    ledger: &mut Ledger,
    job: &mut Job,
    request: &Request,
    exact: Option<ExactEndpoint>,
) -> Behind {
    let first = job.params.len();
    match decide(routes, job, request, exact) {
        Decision::Run(target, pool) => {
            let params = (index(first), index(job.params.len()));
            if routes.gives_ids {
                identity::give(request, job);
            }
            job.entries.push(Entry::Call(Call::new(*request, params, target, pool)));
            behind(routes, target)
        }
        Decision::Answer(label, direct) => {
            job.params.truncate(first);
            answer::answer(routes, heads, ledger, job, request, label, direct);
            Behind::Requests
        }
    }
}

/// What lies behind a request for this handler.
fn behind(routes: &Routes, target: Target) -> Behind {
    match (&routes.sockets, target) {
        (Some(sockets), Target::Route(id)) if sockets[id.0 as usize].is_some() => Behind::Frames,
        _ => Behind::Requests,
    }
}

/// A request whose body is coming: it goes to its handler, if that takes the body as it comes. Otherwise a
/// client that waits before it sends the body is told to go on, or that it need not. A body that nobody
/// will read is dropped as it comes: whatever is sent to nowhere takes no room.
///
/// RFC 9110 section 10.1.1: `100 Continue` is sent when the body is wanted; a final answer in
/// its place closes the connection, as the body may or may not follow.
#[cold]
#[inline(never)]
pub(crate) fn answer_early(
    routes: &Routes,
    heads: &ResponseHeads,
    ledger: &mut Ledger,
    job: &mut Job,
    connection: &mut Connection,
    limits: &Limits,
    is_draining: bool,
) {
    // Answers of earlier requests go first: the question is asked again when they are out.
    let takes_bodies = !routes.takes_body.is_empty();
    if !job.entries.is_empty() || takes_bodies && !job.reply.is_empty() {
        return;
    }
    let fields = job.headers.len();
    let Some(request) = connection.protocol.coming(is_draining, job, limits) else { return };
    let first = job.params.len();
    let exact = routes.table.exact(request.path.of(&job.bytes));
    let decision = match gate::refusal(routes, job, &request) {
        Some(direct) => Decision::Answer(Label::Unmatched, direct),
        None => decide(routes, job, &request, exact),
    };
    job.params.truncate(first);
    match decision {
        Decision::Run(Target::Route(route), _) if routes.takes_body(route) => {
            job.headers.truncate(fields);
            upload::begin(routes, heads, ledger, job, connection, limits);
            return;
        }
        Decision::Run(Target::Files(_), _) if request.expects_continue || is_draining => {
            job.headers.truncate(fields);
            begin_without_body(routes, heads, ledger, job, connection, limits);
            return;
        }
        Decision::Run(..) if request.expects_continue => {
            connection.protocol.write_continue(&mut job.reply);
        }
        // A server that leaves does not wait for what nobody reads.
        Decision::Answer(label, direct) if request.expects_continue || is_draining => {
            connection.last = true;
            let request = Request { keep_alive: false, ..request };
            answer::answer(routes, heads, ledger, job, &request, label, direct);
        }
        // It is asked again when its body is there.
        Decision::Run(Target::Files(_), _) | Decision::Answer(..) => {
            connection.protocol.drop_body(job);
        }
        Decision::Run(..) => {}
    }
    // Its fields come again with its body.
    job.headers.truncate(fields);
}

/// Adds the request whose head is there to the job, which has no other one. It is the last of its connection,
/// as nobody reads its body.
fn begin_without_body(
    routes: &Routes,
    heads: &ResponseHeads,
    ledger: &mut Ledger,
    job: &mut Job,
    connection: &mut Connection,
    limits: &Limits,
) {
    let Some(requests) = connection.protocol.requests() else { return };
    let Ok(Some((request, _))) = requests.begin_body(job, limits) else { return };
    connection.last = true;
    ledger.came_in += 1;
    admit(routes, heads, ledger, job, &Request { keep_alive: false, ..request });
}

fn index(length: usize) -> u32 {
    u32::try_from(length).expect("limits keep a message below 4 GiB")
}
