//! Step 4: method and path find a route; what needs no Python is answered here. Hot path.

use pyre_http::error::RequestError;
use pyre_http::h1::refuse::write_error;
use pyre_http::h1::serialize::{CONTINUE, Connection as Persistence, ResponseHeads};
use pyre_http::message::Request;
use pyre_http::method::Method;
use pyre_http::span::Span;
use pyre_interp::job::{Call, Entry, Job, Pool, Target};

use crate::connection::state::Connection;
use crate::direct;
use crate::direct::identity;
use crate::metrics::ledger::Ledger;
use crate::router::{AllowSet, ExactEndpoint, Found};
use crate::settings::Page;
use crate::shared::counters::Label;
use crate::shared::frozen::Routes;

/// What is done with a request.
enum Decision {
    Run(Target, Pool),
    Answer(Label, Direct),
}

/// An answer that needs no Python.
enum Direct {
    Status(u16, Option<AllowSet>),
    Page(Page),
}

impl Routes {
    fn decide(&self, job: &mut Job, request: &Request, exact: Option<ExactEndpoint>) -> Decision {
        let method = request.method_span.of(&job.bytes);
        let path = request.path.of(&job.bytes);
        if let Some((index, page)) = self.vitals.pages.find(path) {
            let direct = match request.method {
                Method::Get | Method::Head => Direct::Page(page),
                Method::Options => Direct::Status(204, Some(AllowSet::READ_ONLY)),
                _ => Direct::Status(405, Some(AllowSet::READ_ONLY)),
            };
            return Decision::Answer(Label::Direct(index), direct);
        }
        let status =
            |status, allow| Decision::Answer(Label::Unmatched, Direct::Status(status, allow));
        let found = self.table.find(
            exact,
            request.method,
            method,
            path,
            &mut job.params,
            request.path.start,
        );
        match found {
            Found::Route(id) => Decision::Run(Target::Route(id), self.pools[id.0 as usize]),
            Found::MethodNotAllowed(allow) => status(405, Some(allow)),
            Found::Options(allow) => status(204, Some(allow)),
            Found::NotFound => match self.fallback {
                Some(pool) => Decision::Run(Target::Fallback, pool),
                None => status(404, None),
            },
        }
    }

    /// Adds a whole request to the job, or answers it.
    #[inline]
    pub(crate) fn admit(
        &self,
        heads: &ResponseHeads,
        ledger: &mut Ledger,
        job: &mut Job,
        request: &Request,
    ) {
        let exact = self.table.exact(request.path.of(&job.bytes));
        let route = exact.and_then(|endpoint| self.table.route_at(endpoint, request.method));
        let Some(route) = route else {
            return self.admit_any(heads, ledger, job, request, exact);
        };
        let pool = self.pools[route.0 as usize];
        let target = Target::Route(route);
        if self.gives_ids {
            identity::give(request, job);
        }
        job.entries.push(Entry::Call(Call::new(*request, (0, 0), target, pool)));
    }

    /// As `admit`, for paths with parameters and for what has no route.
    fn admit_any(
        &self,
        heads: &ResponseHeads,
        ledger: &mut Ledger,
        job: &mut Job,
        request: &Request,
        exact: Option<ExactEndpoint>,
    ) {
        let first = job.params.len();
        match self.decide(job, request, exact) {
            Decision::Run(target, pool) => {
                let params = (index(first), index(job.params.len()));
                if self.gives_ids {
                    identity::give(request, job);
                }
                job.entries.push(Entry::Call(Call::new(*request, params, target, pool)));
            }
            Decision::Answer(label, direct) => {
                job.params.truncate(first);
                self.answer(heads, ledger, job, request, label, direct);
            }
        }
    }

    /// Answers a request that cannot be read.
    pub(crate) fn refuse(
        &self,
        heads: &ResponseHeads,
        ledger: &mut Ledger,
        job: &mut Job,
        error: RequestError,
    ) {
        let status = error.status();
        let id = self.gives_ids.then(identity::made);
        let write = |out: &mut Vec<u8>| {
            let extra = identity::header(id.as_deref());
            write_error(heads, out, status, Persistence::Close, extra.as_slice(), false);
            status
        };
        add_answer(ledger, job, None, Label::Unmatched, id.as_deref(), write);
    }

    /// Tells a client that waits before it sends a body to go on, or that it need not.
    ///
    /// RFC 9110 section 10.1.1: `100 Continue` is sent when the body is wanted; a final answer in
    /// its place closes the connection, as the body may or may not follow.
    pub(crate) fn answer_early(
        &self,
        heads: &ResponseHeads,
        ledger: &mut Ledger,
        job: &mut Job,
        connection: &mut Connection,
    ) {
        // Answers of earlier requests go first: the question is asked again when they are out.
        if connection.continued || !job.entries.is_empty() {
            return;
        }
        let Some(&request) = connection.reader.pending() else { return };
        if !request.expects_continue || !request.body.is_empty() {
            return;
        }
        connection.continued = true;
        let first = job.params.len();
        let exact = self.table.exact(request.path.of(&job.bytes));
        let decision = self.decide(job, &request, exact);
        job.params.truncate(first);
        match decision {
            Decision::Run(..) => job.reply.extend_from_slice(CONTINUE),
            Decision::Answer(label, direct) => {
                connection.last = true;
                let request = Request { keep_alive: false, ..request };
                self.answer(heads, ledger, job, &request, label, direct);
            }
        }
    }

    /// Answers a request without Python.
    #[cold]
    fn answer(
        &self,
        heads: &ResponseHeads,
        ledger: &mut Ledger,
        job: &mut Job,
        request: &Request,
        label: Label,
        direct: Direct,
    ) {
        let head_only = request.method == Method::Head;
        let connection = Persistence::of(request);
        let id = self.gives_ids.then(|| identity::of(request, job));
        let id = id.as_deref();
        add_answer(ledger, job, Some(request), label, id, |out| match direct {
            Direct::Page(page) => {
                direct::write(page, &self.vitals, heads, out, connection, head_only, id)
            }
            Direct::Status(status, allow) => {
                let mut methods = Vec::new();
                let allow = allow.map(|set| {
                    self.table.write_allow(set, &mut methods);
                    (&b"Allow"[..], &methods[..])
                });
                let extra: Vec<_> = allow.into_iter().chain(identity::header(id)).collect();
                write_error(heads, out, status, connection, &extra, head_only);
                status
            }
        });
    }
}

/// Appends an answer that needs no Python: to the reply if it is next in order, else to the
/// answers that wait for those before. `write` tells its status.
#[cold]
fn add_answer(
    ledger: &mut Ledger,
    job: &mut Job,
    request: Option<&Request>,
    label: Label,
    id: Option<&[u8]>,
    write: impl FnOnce(&mut Vec<u8>) -> u16,
) {
    let is_first = job.entries.is_empty();
    let out = if is_first { &mut job.reply } else { &mut job.answers };
    let start = out.len();
    let status = write(out);
    let end = out.len();
    ledger.answered(job, request, label, status, end - start, id.unwrap_or_default());
    if is_first {
        ledger.counters.requests.add(1);
    } else {
        job.entries.push(Entry::Answer(Span { start: index(start), end: index(end) }));
    }
}

/// Answers all that is left of a job with one status.
#[cold]
pub(crate) fn answer_rest(
    heads: &ResponseHeads,
    job: &mut Job,
    status: u16,
    extra: &[(&[u8], &[u8])],
) {
    while let Some(&Call { request, .. }) = job.current() {
        let head_only = request.method == Method::Head;
        let connection = Persistence::of(&request);
        let start = job.reply.len();
        let mut reply = std::mem::take(&mut job.reply);
        let extra: Vec<_> = extra.iter().copied().chain(identity::header(job.id())).collect();
        write_error(heads, &mut reply, status, connection, &extra, head_only);
        job.reply = reply;
        job.note_answer(status, start);
        job.next += 1;
    }
}

fn index(length: usize) -> u32 {
    u32::try_from(length).expect("limits keep a message below 4 GiB")
}
