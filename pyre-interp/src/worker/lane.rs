//! A lane: one thread of an interpreter that takes jobs and runs them, one after the other.
//! Hot path.

pub(crate) mod sockets; // requests that ask for a WebSocket
pub(crate) mod pieces; // answers whose body comes in pieces
mod files; // answers whose body is a file
mod tasks; // what requests have left to be done

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pyre_ffi::interpreter::forks;
use pyre_ffi::{Attached, Guarded, Instance, Owned, Raised, ThreadId, withdraw_from_thread};
use pyre_http::compression::Compression;
use pyre_http::cors::Cors;
use pyre_http::h1::serialize::{Connection, ResponseHeads};
use pyre_http::method::Method;
use pyre_http::security::SecurityHeaders;

use crate::flow::Mailbox;
use crate::flow::topics::Topics;
use crate::invoke::application::{Application, Handler};
use crate::invoke::arguments::Slates;
use crate::job::{
    Call, Entry, Job, NonceOf, Pool, REPLY_PART_BYTES, REQUEST_ID_HEADER, Stint, Target,
};
use crate::objects::request::Request;
use crate::objects::toolkit::Toolkit;
use crate::ring::{Baton, Doorbell, LaneSeat, Rest, Roster};
use crate::serialize::answer::{Answer, Conventions, Desk};
use crate::serialize::wire::{self, Manner, Press};
use crate::worker::carry::{self, Carried};
use crate::worker::disconnects::Disconnects;
use crate::worker::inlet::Inlet;
use crate::worker::unrung::Unrung;
use crate::worker::watch::Watch;
use tasks::Tasks;

/// What the lanes of one interpreter share with each other and with the reactors.
pub struct Shared {
    /// The interpreter's ends of its rings.
    pub inlet: Guarded<Inlet>,
    /// Who of the lanes sleeps.
    pub roster: Arc<Roster>,
    /// What each lane runs, by the number of its seat.
    pub watches: Vec<Arc<Watch>>,
    /// The doorbells of the reactors, by index.
    pub doorbells: Vec<Arc<Doorbell>>,
    /// Where they look for answers that come in pieces.
    pub mailboxes: Vec<Arc<Mailbox>>,
    /// What connections may subscribe to.
    pub topics: Arc<Topics>,
    /// Which handlers run here.
    pub pool: Pool,
    /// Whether answers name the server.
    pub server_header: bool,
    /// Who may read answers, of pages elsewhere.
    pub cors: Option<Arc<Cors>>,
    /// What answers say to protect who reads them.
    pub security: Option<Arc<SecurityHeaders>>,
    /// Which answers are compressed.
    pub compression: Option<Arc<Compression>>,
    /// Bodies are decoded that clients have compressed, and may be so long then.
    pub decodes: Option<usize>,
    /// How long a handler may take, unless its route says otherwise.
    pub request_timeout: Option<Duration>,
    /// Handlers of WebSockets that may have a thread at once.
    pub ws_threads: usize,
    /// Who needs no answer any more.
    pub disconnects: Arc<Disconnects>,
    /// The server drains: the last answer of each connection says so.
    pub draining: Arc<AtomicBool>,
    /// Ends a process that something of the program has forked, and in which that returned.
    pub end_fork: fn() -> !,
}

/// What a lane works with.
pub(crate) struct Lane<'py, 'a> {
    pub(crate) py: Attached<'py>,
    pub(crate) app: &'a Arc<Application>,
    pub(crate) tools: &'a Arc<Toolkit>,
    /// The request object, used again for the next request unless the handler kept it.
    pub(crate) request: Owned<'py, Instance<Request>>,
    pub(crate) desk: Desk,
    /// Room for the arguments of a call; empty between calls.
    pub(crate) arguments: Vec<Owned<'py>>,
    /// Texts among them.
    pub(crate) slates: Slates,
    pub(crate) shared: &'a Shared,
    pub(crate) watch: Arc<Watch>,
    /// Reactors that were sent something since they were last woken.
    pub(crate) unrung: Unrung,
    /// What is to be done once the answers are on their way, for each request that has left something.
    pub(crate) tasks: Vec<Tasks<'py>>,
    /// The context in which the generator of the next answer goes on, if it is not the one that runs.
    pub(crate) context: Option<Result<Owned<'py>, Raised>>,
    /// The process that the lane serves in, as [`forks`] numbers them.
    pub(crate) process: usize,
    heads: ResponseHeads,
    /// What answers are compressed with, once one is.
    press: Option<Box<Press>>,
}

/// Takes jobs and runs them until the roster is closed; and carries the reactor of `baton`, if there
/// is one, whenever the lane is chosen for that.
///
/// # Errors
/// Only if the objects a lane works with cannot be made.
///
/// # Threads
/// Blocks the calling thread, which is attached while a job runs and detached while it sleeps.
pub fn run<R: Carried>(
    py: Attached<'_>,
    shared: &Shared,
    mut seat: LaneSeat,
    app: &Arc<Application>,
    tools: &Arc<Toolkit>,
    baton: Option<&Arc<Baton<R>>>,
) -> Result<(), Raised> {
    let mut lane = Lane::new(py, shared, &seat, app, tools)?;
    loop {
        if lane.watch.take_replaced() {
            lane.unrung.ring(&shared.doorbells);
            let seat = &mut seat;
            if py.detach(move || seat.retire()) == Rest::Closed {
                return Ok(());
            }
        }
        if !seat.steps_aside()
            && let Some(job) = shared.inlet.with(py, Inlet::take)
        {
            seat.took();
            let job = lane.run_job(job);
            lane.give_back(job);
            lane.run_tasks();
            continue;
        }
        // The batch is done: each reactor is woken once, if it sleeps.
        lane.unrung.ring(&shared.doorbells);
        seat.announce();
        let has_jobs = !shared.inlet.with(py, |inlet| inlet.is_empty());
        let cancelled = if has_jobs { seat.cancel() } else { None };
        if cancelled == Some(Rest::Called) {
            continue;
        }
        let (rest, errand) = {
            let seat = &mut seat;
            // What needs no interpreter is done before the lane waits for it.
            py.detach(move || {
                let rest = cancelled.unwrap_or_else(|| seat.block());
                let chosen = baton.filter(|_| rest == Rest::Chosen);
                (rest, chosen.and_then(|baton| carry::pick_up(baton, seat)))
            })
        };
        if let Some(errand) = errand {
            lane.carry(errand);
        }
        match rest {
            Rest::Called => {}
            Rest::Chosen => seat.look(),
            Rest::Closed if shared.inlet.with(py, |inlet| inlet.is_empty()) => return Ok(()),
            Rest::Closed => {}
        }
    }
}

impl<'py, 'a> Lane<'py, 'a> {
    /// What a lane works with, on the thread that runs it.
    pub(crate) fn new(
        py: Attached<'py>,
        shared: &'a Shared,
        seat: &LaneSeat,
        app: &'a Arc<Application>,
        tools: &'a Arc<Toolkit>,
    ) -> Result<Self, Raised> {
        let watch = shared.watches[seat.number()].clone();
        watch.settle(ThreadId::current(py));
        Ok(Self {
            py,
            app,
            tools,
            request: Request::new(py, tools, app, &shared.disconnects, shared.decodes)?,
            desk: Desk::default(),
            arguments: Vec::new(),
            slates: Slates::default(),
            shared,
            watch,
            unrung: Unrung::new(shared.doorbells.len()),
            tasks: Vec::new(),
            context: None,
            process: forks(),
            heads: ResponseHeads::new(
                shared.server_header,
                shared.cors.as_deref(),
                shared.security.clone(),
            )
            .of_compressed(shared.compression.is_some()),
            press: None,
        })
    }

    /// Runs the calls of a job in order, as far as they belong here.
    pub(crate) fn run_job(&mut self, mut job: Box<Job>) -> Box<Job> {
        if self.shared.disconnects.contains(job.reply_to) {
            return job;
        }
        self.set_now(job.now_s);
        let mut timed_from = job.is_timed.then(Instant::now);
        while let Some(call) = job.current() {
            let (pool, target, manner) = (call.pool, call.target, manner_of(call));
            if pool != self.shared.pool || job.next >= job.until {
                break;
            }
            job = self.run_call(job, target, manner);
            self.end_if_forked();
            job.next += 1;
            if let Some(began) = &mut timed_from {
                note_stint(&mut job, target, began);
            }
            if job.reply.len() >= REPLY_PART_BYTES || job.flow.is_some() || self.watch.is_recalled()
            {
                break;
            }
        }
        job.leaves_tasks |= !self.tasks.is_empty();
        job
    }

    /// Something of the program has returned. If it has forked, this may be the child: nobody waits for
    /// the answer there, and what else this process has of requests is for the other one to run.
    #[inline(always)]
    pub(crate) fn end_if_forked(&self) {
        if forks() != self.process {
            (self.shared.end_fork)();
        }
    }

    /// Runs one call, with the job inside the request object meanwhile.
    fn run_call(&mut self, job: Box<Job>, target: Target, manner: Manner) -> Box<Job> {
        self.request.get().load(job);
        let app = self.app;
        let Some(handler) = app.find(target) else {
            let answer = self.answer_without_handler();
            return self.finish_apart(answer, manner);
        };
        self.watch.begin(target);
        let answer = self.guarded(handler, |lane| lane.exchange(handler), Lane::answer_panic);
        self.end_piece();
        self.finish(answer, manner)
    }

    /// Runs a part of an exchange. A fault of our own costs this request and no other.
    #[inline]
    pub(crate) fn guarded<R>(
        &mut self,
        handler: &Handler,
        part: impl FnOnce(&mut Self) -> R,
        failed: impl FnOnce(&mut Self, &Handler) -> R,
    ) -> R {
        let made = catch_unwind(AssertUnwindSafe(|| part(self)));
        made.unwrap_or_else(|_| failed(self, handler))
    }

    /// The piece of work that the watch shows has ended. What was to interrupt it is withdrawn.
    #[inline]
    pub(crate) fn end_piece(&self) {
        if self.watch.end() {
            withdraw_from_thread(self.py, self.watch.thread());
        }
    }

    /// Writes the answer of the request that is loaded, and takes the job out again.
    #[inline(always)]
    pub(crate) fn finish(&mut self, answer: Answer<'py>, mut manner: Manner) -> Box<Job> {
        if answer.is_stream() {
            return self.finish_stream(answer, manner);
        }
        self.take_tasks();
        let mut job = self.unload();
        let is_last = job.next + 1 == job.entries.len();
        // A request whose body is read as it comes is the last one of its job.
        if is_last && (self.is_draining() || job.intake.is_some() && is_body_coming(&job)) {
            manner.connection = Connection::Close;
            job.closes = true;
        }
        if let Some(id) = job.id() {
            self.desk.fields.push_if_absent(REQUEST_ID_HEADER, id);
        }
        let start = job.reply.len();
        if self.heads.is_particular() {
            self.write_particular(&mut job, &answer, manner);
        } else {
            let heads = self.heads.plain();
            wire::write(heads, &mut job.reply, &answer, &self.desk, manner, self.py);
        }
        job.note_answer(answer.status, start);
        answer.body.let_go();
        self.desk.clear();
        job
    }

    /// Writes an answer whose head depends on its request, or that may be compressed.
    #[inline(never)]
    fn write_particular(&mut self, job: &mut Job, answer: &Answer<'py>, manner: Manner) {
        let Job { bytes, headers, entries, next, nonce, reply, .. } = job;
        let entry = &entries[*next];
        let heads = self.heads.particular_if(|wants_https| {
            let nonce = NonceOf::entry(nonce.as_ref(), *next);
            entry.particulars(headers, bytes, nonce, wants_https)
        });
        match (&self.shared.compression, entry) {
            (Some(terms), Entry::Call(call)) => {
                let asked = (call.request.headers_in(headers), &bytes[..]);
                let with = (&**terms, &mut **self.press.get_or_insert_default());
                let (desk, py) = (&self.desk, self.py);
                wire::write_compressed(heads, reply, answer, desk, manner, asked, with, py);
            }
            _ => wire::write(heads, reply, answer, &self.desk, manner, self.py),
        }
    }

    /// Whether the last answer of each connection says that it ends.
    #[inline(always)]
    fn is_draining(&self) -> bool {
        // Relaxed: a request that just misses it is answered, and its connection closed after.
        self.shared.draining.load(Ordering::Relaxed)
    }

    /// [`Self::finish`] for the loop lane, so that the hot path of other lanes has it to itself.
    #[inline(never)]
    pub(crate) fn finish_apart(&mut self, answer: Answer<'py>, manner: Manner) -> Box<Job> {
        self.finish(answer, manner)
    }

    /// Gives a job back to its reactor, which is woken at the end of the batch.
    #[inline]
    pub(crate) fn give_back(&mut self, job: Box<Job>) {
        let reactor = job.reply_to.reactor as usize;
        self.shared.inlet.with(self.py, |inlet| inlet.give_back(job));
        self.unrung.add(reactor);
    }

    /// Sets the time that answers bear.
    #[inline]
    pub(crate) fn set_now(&mut self, now_s: u64) {
        self.heads.set_now(now_s);
    }

    /// Takes the job back. A request object that somebody has kept goes on with a copy of its own
    /// part, and the lane with a new object.
    #[inline(always)]
    pub(crate) fn unload(&mut self) -> Box<Job> {
        if self.request.is_unique() {
            return self.request.get().unload(self.py);
        }
        let job = self.request.get().part();
        self.request = self.new_request().expect("memory for a request object");
        job
    }

    /// A request object with nothing loaded.
    pub(crate) fn new_request(&self) -> Result<Owned<'py, Instance<Request>>, Raised> {
        let Shared { disconnects, decodes, .. } = self.shared;
        Request::new(self.py, self.tools, self.app, disconnects, *decodes)
    }

    pub(crate) fn conventions(&self) -> Conventions<'a> {
        Conventions { tools: self.tools, json_default: self.app.json_default.as_ref() }
    }
}

/// Whether an answer comes before the body has: it is the last of its connection, as nobody reads that up
/// to the next request (RFC 9112 section 9.3).
#[cold]
#[inline(never)]
fn is_body_coming(job: &Job) -> bool {
    job.intake.as_ref().is_some_and(|intake| !intake.has_come())
}

/// Notes how long a call took, and that the next one begins.
#[cold]
fn note_stint(job: &mut Job, target: Target, began: &mut Instant) {
    let now = Instant::now();
    let took_us = u32::try_from((now - *began).as_micros()).unwrap_or(u32::MAX);
    job.stints.push(Stint { target, took_us });
    *began = now;
}

/// How the answer to a call is written.
#[inline]
pub(crate) fn manner_of(call: &Call) -> Manner {
    Manner {
        connection: Connection::of(&call.request),
        head_only: call.request.method == Method::Head,
    }
}
