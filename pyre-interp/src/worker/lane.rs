//! A lane: one thread of an interpreter that takes jobs and runs them, one after the other.
//! Hot path.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pyre_ffi::{Attached, Guarded, Instance, Owned, Raised};
use pyre_http::h1::serialize::{Connection, ResponseHeads};
use pyre_http::method::Method;

use crate::invoke::application::Application;
use crate::job::{Job, Pool, REPLY_PART_BYTES, Target};
use crate::objects::request::Request;
use crate::objects::toolkit::Toolkit;
use crate::ring::{Doorbell, LaneSeat, Rest, Roster};
use crate::serialize::answer::{Conventions, Desk};
use crate::serialize::wire::{self, Manner};
use crate::worker::inlet::Inlet;

/// What the lanes of one interpreter share with each other and with the reactors.
pub struct Shared {
    /// The interpreter's ends of its rings.
    pub inlet: Guarded<Inlet>,
    /// Who of the lanes sleeps.
    pub roster: Arc<Roster>,
    /// The doorbells of the reactors, by index.
    pub doorbells: Vec<Arc<Doorbell>>,
    /// Which handlers run here.
    pub pool: Pool,
    /// Whether answers name the server.
    pub server_header: bool,
    /// The server drains: the last answer of each connection says so.
    pub draining: Arc<AtomicBool>,
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
    heads: ResponseHeads,
    shared: &'a Shared,
}

/// Takes jobs and runs them until the roster is closed.
///
/// # Errors
/// Only if the objects a lane works with cannot be made.
///
/// # Threads
/// Blocks the calling thread, which is attached while a job runs and detached while it sleeps.
pub fn run(
    py: Attached<'_>,
    shared: &Shared,
    mut seat: LaneSeat,
    app: &Arc<Application>,
    tools: &Arc<Toolkit>,
) -> Result<(), Raised> {
    let mut lane = Lane {
        py,
        app,
        tools,
        request: Request::new(py, tools, app)?,
        desk: Desk::default(),
        arguments: Vec::new(),
        heads: ResponseHeads::new(shared.server_header),
        shared,
    };
    // Reactors that were sent something since they were last woken.
    let mut unrung = Unrung::new(shared.doorbells.len());
    loop {
        if let Some(job) = shared.inlet.with(py, Inlet::take) {
            seat.took();
            let reactor = job.reply_to.reactor as usize;
            let job = lane.run_job(job);
            shared.inlet.with(py, |inlet| inlet.give_back(job));
            unrung.add(reactor);
            continue;
        }
        // The batch is done: each reactor is woken once, if it sleeps.
        unrung.ring(&shared.doorbells);
        seat.announce();
        if !shared.inlet.with(py, |inlet| inlet.is_empty()) {
            seat.cancel();
            continue;
        }
        let seat = &mut seat;
        if py.detach(move || seat.block()) == Rest::Closed
            && shared.inlet.with(py, |inlet| inlet.is_empty())
        {
            return Ok(());
        }
    }
}

impl<'a> Lane<'_, 'a> {
    /// Runs the calls of a job in order, as far as they belong here.
    fn run_job(&mut self, mut job: Box<Job>) -> Box<Job> {
        self.heads.set_now(job.now_s);
        while let Some(call) = job.current() {
            if call.pool != self.shared.pool {
                break;
            }
            let target = call.target;
            let manner = Manner {
                connection: Connection::of(&call.request),
                head_only: call.request.method == Method::Head,
            };
            job = self.run_call(job, target, manner);
            job.next += 1;
            if job.reply.len() >= REPLY_PART_BYTES {
                break;
            }
        }
        job
    }

    /// Runs one call, with the job inside the request object meanwhile.
    fn run_call(&mut self, job: Box<Job>, target: Target, mut manner: Manner) -> Box<Job> {
        self.request.get().load(job);
        let app = self.app;
        let handler = app.handler(target);
        // A fault of our own costs this request and no other.
        let made = catch_unwind(AssertUnwindSafe(|| self.exchange(handler)));
        let answer = made.unwrap_or_else(|_| self.answer_panic(handler));
        let mut job = self.unload();
        let is_last = job.next + 1 == job.entries.len();
        // Relaxed: a request that just misses it is answered, and its connection closed after.
        if is_last && self.shared.draining.load(Ordering::Relaxed) {
            manner.connection = Connection::Close;
            job.closes = true;
        }
        let start = job.reply.len();
        wire::write(&self.heads, &mut job.reply, &answer, &self.desk, manner, self.py);
        job.note_answer(answer.status, start);
        drop(answer);
        self.desk.clear();
        job
    }

    /// Takes the job back. A request object that somebody has kept goes on with a copy of its own
    /// part, and the lane with a new object.
    fn unload(&mut self) -> Box<Job> {
        self.request.get().forget_complaint(self.py);
        if self.request.is_unique() {
            return self.request.get().unload(self.py);
        }
        let job = self.request.get().part();
        self.request =
            Request::new(self.py, self.tools, self.app).expect("memory for a request object");
        job
    }

    pub(crate) fn conventions(&self) -> Conventions<'a> {
        Conventions { tools: self.tools, json_default: self.app.json_default.as_ref() }
    }
}

/// The reactors to wake at the end of a batch.
struct Unrung {
    reactors: Vec<usize>,
}

impl Unrung {
    fn new(reactors: usize) -> Self {
        Self { reactors: Vec::with_capacity(reactors) }
    }

    fn add(&mut self, reactor: usize) {
        if !self.reactors.contains(&reactor) {
            self.reactors.push(reactor);
        }
    }

    fn ring(&mut self, doorbells: &[Arc<Doorbell>]) {
        for reactor in self.reactors.drain(..) {
            doorbells[reactor].notify();
        }
    }
}
