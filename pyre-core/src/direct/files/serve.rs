//! The answer to a request for a file. Hot path for small ones that were found before.

use std::sync::Arc;

use pyre_http::files::answer::{self, Asked as Request, Payload, Piece};
use pyre_http::files::coding::{self, Coding};
use pyre_http::h1::refuse::write_error;
use pyre_http::h1::serialize::{Connection as Persistence, ResponseHeads};
use pyre_http::method::Method;
use pyre_interp::flow::{Downstream, OpenFile, Transfer};
use pyre_interp::job::{Call, Entry, Job, Target};
use pyre_interp::objects::request_id;

use crate::direct::files::cache::Cache;
use crate::direct::files::look::{Found, MustWait, Outcome, PLAIN, Wanted, look, open_again};
use crate::direct::files::version::Version;
use crate::direct::identity;
use crate::direct::responder::Responder;
use crate::router::{Asked, Mount};
use crate::sys::Patience;

/// What one reactor has of files.
#[derive(Default)]
pub(crate) struct Files {
    cache: Cache,
    /// The key that is looked for; kept for its memory, as the next one.
    key: Vec<u8>,
    scratch: Vec<u8>,
}

/// What becomes of a request for a file.
pub(crate) enum Step {
    /// It is answered; what is large is still to be sent.
    Answered,
    /// There is no such file.
    NotHere,
    /// It has to be looked up where that may wait.
    Look(Wanted, Option<Arc<Found>>),
}

/// What is open of the versions of a file.
type Opened = [Option<Arc<OpenFile>>; PLAIN + 1];

/// Whether a large file has to be opened anew for its answer.
struct MustOpen;

/// Which kind of name a key is for, as [`Wanted`] has them.
const FILE: u8 = 0;
const FOLDER: u8 = 1;
const INSTEAD: u8 = 2;
/// What is never kept.
const NOTHING: u8 = 3;

impl Responder {
    /// Answers the request whose turn it is, which is one for a file. `looked` is what came of looking for
    /// it, if that was needed.
    #[inline]
    pub(crate) fn serve_file(
        &mut self,
        job: &mut Job,
        looked: Option<(Outcome, bool)>,
        now_ms: u64,
    ) -> Step {
        let Some(&Call { request, target: Target::Files(number), .. }) = job.current() else {
            unreachable!("it is the turn of a request for a file");
        };
        let mount = self.frozen.routes.table.mounts().get(number);
        let Files { cache, key, scratch } = &mut self.files;
        let (kind, name) = match mount.asked(request.path.of(&job.bytes), scratch) {
            Asked::File(name) => (FILE, name),
            Asked::Folder(name) => (FOLDER, name),
            Asked::Itself | Asked::Nothing => (NOTHING, &b""[..]),
        };
        set_key(key, number, kind, name);
        if looked.is_none()
            && let Some(found) = cache.fresh(key, now_ms)
            && write(&self.heads, job, found, None, mount).is_ok()
        {
            return Step::Answered;
        }
        self.look_for_file(job, number, looked, now_ms)
    }

    /// As `serve_file`, for what is not in memory, or not there.
    #[cold]
    #[inline(never)]
    fn look_for_file(
        &mut self,
        job: &mut Job,
        number: u32,
        looked: Option<(Outcome, bool)>,
        now_ms: u64,
    ) -> Step {
        let frozen = self.frozen.clone();
        let mount = frozen.routes.table.mounts().get(number);
        let path = call(job).request.path.of(&job.bytes);
        let asked = mount.asked(path, &mut self.files.scratch);
        let is_itself = asked == Asked::Itself;
        let wanted = match asked {
            Asked::File(name) => Some(Wanted::File(name.to_vec())),
            Asked::Folder(name) => Some(Wanted::Folder(name.to_vec())),
            // It is looked whether there is anything to go to.
            Asked::Itself => Some(Wanted::Folder(Vec::new())),
            Asked::Nothing => None,
        };
        let mut looked = looked;
        if !matches!(looked, Some((_, true))) {
            let looked = looked.take().map(|(outcome, _)| outcome);
            match self.find_file(mount, wanted, looked, job.now_s) {
                Err(step) => return step,
                Ok(Outcome::File(..)) if is_itself => return self.redirect(job),
                Ok(Outcome::Missing) => {}
                Ok(outcome) => return self.answer_found(job, mount, outcome, now_ms),
            }
            if mount.spa.is_empty() && !mount.html {
                return Step::NotHere;
            }
        }
        set_key(&mut self.files.key, number, INSTEAD, b"");
        if looked.is_none()
            && let Some(found) = self.files.cache.fresh(&self.files.key, now_ms)
            && write(&self.heads, job, found, None, mount).is_ok()
        {
            return Step::Answered;
        }
        let looked = looked.map(|(outcome, _)| outcome);
        match self.find_file(mount, Some(Wanted::Instead), looked, job.now_s) {
            Err(step) => step,
            Ok(Outcome::Missing) => Step::NotHere,
            Ok(outcome) => self.answer_found(job, mount, outcome, now_ms),
        }
    }

    /// What is there under the key.
    fn find_file(
        &mut self,
        mount: &Mount,
        wanted: Option<Wanted>,
        looked: Option<Outcome>,
        now_s: u64,
    ) -> Result<Outcome, Step> {
        let Some(wanted) = wanted else { return Ok(Outcome::Missing) };
        let outcome = match looked {
            Some(outcome) => outcome,
            None => {
                let before = self.files.cache.last(&self.files.key);
                match look(mount, &wanted, before.as_deref(), now_s, Patience::Now) {
                    Ok(outcome) => outcome,
                    Err(MustWait) => return Err(Step::Look(wanted, before)),
                }
            }
        };
        if !matches!(outcome, Outcome::File(..)) {
            self.files.cache.forget(&self.files.key);
        }
        Ok(outcome)
    }

    fn answer_found(
        &mut self,
        job: &mut Job,
        mount: &Mount,
        outcome: Outcome,
        now_ms: u64,
    ) -> Step {
        match outcome {
            Outcome::File(found, opened) => {
                if self.files.key[KIND_AT] != NOTHING {
                    self.files.cache.keep(&self.files.key, found.clone(), now_ms);
                }
                if write(&self.heads, job, &found, Some(&opened), mount).is_err() {
                    self.refuse_file(job, 500);
                }
            }
            Outcome::Folder => return self.redirect(job),
            Outcome::Missing => return Step::NotHere,
            Outcome::Busy => self.refuse_file(job, 503),
            Outcome::Broken => self.refuse_file(job, 500),
        }
        Step::Answered
    }

    /// Sends the client to the name with the slash. Only a path that has no empty segment and no backslash
    /// comes here, so that it cannot be read as the name of another host.
    fn redirect(&self, job: &mut Job) -> Step {
        let request = call(job).request;
        let id = id_of(job);
        let mut location = request.path.of(&job.bytes).to_vec();
        location.push(b'/');
        if !request.query.is_empty() {
            location.push(b'?');
            location.extend_from_slice(request.query.of(&job.bytes));
        }
        let start = job.reply.len();
        let heads = self.heads.particular_if(|wants_https| {
            job.entries[job.next].particulars(&job.headers, &job.bytes, None, wants_https)
        });
        let mut head = heads.begin(&mut job.reply, 301);
        head.header(b"Location", &location);
        if let Some((name, id)) = identity::header(id.as_deref()) {
            head.header(name, id);
        }
        head.finish(0, Persistence::of(&request));
        job.note_answer(301, start);
        Step::Answered
    }

    /// Answers the request whose turn it is with a status and what that says.
    #[cold]
    pub(crate) fn refuse_file(&self, job: &mut Job, status: u16) {
        let request = call(job).request;
        let id = id_of(job);
        let again = (status == 503).then_some((&b"Retry-After"[..], &b"1"[..]));
        let extra: Vec<_> = again.into_iter().chain(identity::header(id.as_deref())).collect();
        let (start, head_only) = (job.reply.len(), request.method == Method::Head);
        let connection = Persistence::of(&request);
        let heads = self.heads.particular_if(|wants_https| {
            job.entries[job.next].particulars(&job.headers, &job.bytes, None, wants_https)
        });
        write_error(heads, &mut job.reply, status, connection, &extra, head_only);
        job.note_answer(status, start);
    }
}

/// Where a key says which kind of name it is for.
const KIND_AT: usize = size_of::<u32>();

#[inline]
fn set_key(key: &mut Vec<u8>, number: u32, kind: u8, name: &[u8]) {
    key.clear();
    key.extend_from_slice(&number.to_le_bytes());
    key.push(kind);
    key.extend_from_slice(name);
}

/// The request whose turn it is.
#[inline]
fn call(job: &Job) -> &Call {
    match &job.entries[job.next] {
        Entry::Call(call) => call,
        Entry::Answer(_) => unreachable!("ready answers are copied before"),
    }
}

#[inline]
fn id_of(job: &Job) -> Option<Vec<u8>> {
    job.id().map(<[u8]>::to_vec)
}

/// Writes the answer with a file that was found. Of a large one the head is written, and the rest is sent
/// behind it.
///
/// # Errors
/// If it is large, and not open: nothing is written then.
#[inline]
fn write(
    heads: &ResponseHeads,
    job: &mut Job,
    found: &Found,
    opened: Option<&Opened>,
    mount: &Mount,
) -> Result<(), MustOpen> {
    let request = call(job).request;
    let fields = request.headers_in(&job.headers);
    let there = [0, 1, 2].map(|index| found.versions[index].is_some());
    let coding = if there == [false; 3] { None } else { coding::choose(fields, &job.bytes, there) };
    let index = coding.map_or(PLAIN, Coding::index);
    let Some(version) = &found.versions[index] else { return Err(MustOpen) };
    let start = job.reply.len();
    if version.body().is_some()
        && request.method == Method::Get
        && Persistence::of(&request) == Persistence::KeepAlive
        && !answer::is_particular(fields, &job.bytes)
        && job.identities.is_empty()
    {
        job.reply.reserve(version.ready.len() + HEAD_BYTES);
        let heads = heads.particular_if(|wants_https| {
            job.entries[job.next].particulars(&job.headers, &job.bytes, None, wants_https)
        });
        heads.begin(&mut job.reply, found.status).finish_prepared(&version.ready);
        job.note_answer(found.status, start);
        return Ok(());
    }
    let opened = opened.and_then(|opened| opened[index].clone());
    write_particular(heads, job, found.status, version, opened, mount)
}

/// The head of an answer as far as it is not prepared, about.
const HEAD_BYTES: usize = 128;

#[inline(never)]
fn write_particular(
    heads: &ResponseHeads,
    job: &mut Job,
    status: u16,
    version: &Version,
    opened: Option<Arc<OpenFile>>,
    mount: &Mount,
) -> Result<(), MustOpen> {
    let request = call(job).request;
    let id = id_of(job);
    let extra = identity::header(id.as_deref());
    let asked = Request {
        request: &request,
        fields: request.headers_in(&job.headers),
        bytes: &job.bytes,
        extra: extra.as_slice(),
        now_s: job.now_s,
    };
    let start = job.reply.len();
    let heads = heads.particular_if(|wants_https| {
        job.entries[job.next].particulars(&job.headers, &job.bytes, None, wants_https)
    });
    let file = version.representation();
    let (status, payload) =
        answer::write(heads, &mut job.reply, status, &file, asked, request_id::next);
    match (version.body(), payload) {
        (_, Payload::None) => {}
        (Some(body), Payload::Whole) => job.reply.extend_from_slice(body),
        (Some(body), Payload::Pieces(pieces)) => {
            for piece in pieces {
                job.reply.extend_from_slice(match &piece {
                    Piece::Text(text) => text,
                    Piece::Part(at, bytes) => &body[*at as usize..(at + bytes) as usize],
                });
            }
        }
        (None, payload) => {
            let Some(opened) = opened.or_else(|| open_again(mount, version)) else {
                job.reply.truncate(start);
                return Err(MustOpen);
            };
            let pieces = match payload {
                Payload::Pieces(pieces) => pieces,
                _ => vec![Piece::Part(0, version.size())],
            };
            job.flow = Some(Downstream::of_file(Transfer::new(opened, pieces)));
        }
    }
    job.note_answer(status, start);
    Ok(())
}
