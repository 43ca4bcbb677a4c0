//! The threads of one interpreter that run handlers: its lanes, and the one that runs its event loop.

mod lanes; // its lanes
mod event_loop; // the one that runs its event loop

use std::io;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use parking_lot::Mutex;
use pyre_ffi::interpreter::{InterpreterHandle, Invitation, Refused, forks};
use pyre_ffi::{Attached, Guarded, Held, Owned, Raised, Str, copy_context, import};
use pyre_http::compression::Compression;
use pyre_http::cors::Cors;
use pyre_http::security::SecurityHeaders;
use pyre_interp::flow::Mailbox;
use pyre_interp::flow::topics::Topics;
use pyre_interp::invoke::application::Application;
use pyre_interp::objects::toolkit::Toolkit;
use pyre_interp::ring::{Doorbell, Roster};
use pyre_interp::worker::disconnects::Disconnects;
use pyre_interp::worker::lane::Shared;
use pyre_interp::worker::watch::Watch;

use crate::server::failure;
use crate::server::plumbing::LaneParts;
use crate::server::threads::Threads;
use crate::server::worker::traceback;

pub(crate) use event_loop::{prepare_loop, run_loop, start_loop};
pub(crate) use lanes::{run_lane, start_lanes};

/// What all lanes of a server know.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) doorbells: Vec<Arc<Doorbell>>,
    pub(crate) mailboxes: Vec<Arc<Mailbox>>,
    pub(crate) topics: Arc<Topics>,
    pub(crate) server_header: bool,
    pub(crate) cors: Option<Arc<Cors>>,
    pub(crate) security: Option<Arc<SecurityHeaders>>,
    pub(crate) compression: Option<Arc<Compression>>,
    pub(crate) decodes: Option<usize>,
    pub(crate) request_timeout: Option<Duration>,
    pub(crate) ws_threads: usize,
    pub(crate) disconnects: Arc<Disconnects>,
    pub(crate) draining: Arc<AtomicBool>,
    pub(crate) crews: Arc<Crews>,
    pub(crate) threads: Arc<Threads>,
}

/// An app as lanes use it.
#[derive(Clone)]
pub(crate) struct LoadedApp {
    pub(crate) application: Arc<Application>,
    pub(crate) toolkit: Arc<Toolkit>,
}

/// An interpreter with the app in it, ready for lanes.
#[derive(Clone)]
pub(crate) struct Station {
    /// What its threads are called.
    pub(crate) name: String,
    pub(crate) handle: InterpreterHandle,
    pub(crate) app: LoadedApp,
    pub(crate) cpu: Option<usize>,
    pub(crate) origin: Arc<Origin>,
}

/// What each thread of an interpreter begins with.
pub(crate) struct Origin {
    /// What context variables have for the thread that has loaded the program: `decimal.getcontext()`,
    /// and what is set at the top of a module. Each thread has a copy.
    context: Held,
    /// Makes a thread known to `threading`. Imported before, as a lane may have no descriptor for it.
    introduce: Held,
}

impl Origin {
    /// On the thread that has loaded the program.
    pub(crate) fn here(py: Attached<'_>) -> Result<Arc<Self>, Raised> {
        let lanes = import(py, "pyreframework.handlers.lanes")?;
        Ok(Arc::new(Self {
            context: Held::new(py, copy_context(py)?),
            introduce: Held::new(py, lanes.attr(&*Str::intern(py, "introduce")?, py)?),
        }))
    }
}

/// Lanes that are watched together.
pub(crate) struct Crew {
    pub(crate) name: String,
    pub(crate) handle: InterpreterHandle,
    pub(crate) app: LoadedApp,
    pub(crate) roster: Arc<Roster>,
    pub(crate) watches: Vec<Arc<Watch>>,
    /// Starts one more lane; an event loop's thread has no other.
    pub(crate) start_lane: Option<StartLane>,
    /// A thread is on its way to interrupt a handler.
    pub(crate) is_interrupting: AtomicBool,
}

type StartLane = Box<dyn Fn() -> io::Result<()> + Send + Sync>;

/// All crews of a server. An interpreter takes out its own before it ends, as they refer to it.
#[derive(Default)]
pub(crate) struct Crews {
    crews: Mutex<Vec<Arc<Crew>>>,
}

impl Crews {
    fn add(&self, crew: Crew) {
        self.crews.lock().push(Arc::new(crew));
    }

    /// Forgets the crews of an interpreter.
    ///
    /// # Threads
    /// On a thread that is attached to it, as this drops references to its objects.
    pub(crate) fn forget(&self, handle: &InterpreterHandle) {
        let mut left = Vec::new();
        let mut crews = self.crews.lock();
        while let Some(at) = crews.iter().position(|crew| crew.handle.id() == handle.id()) {
            left.push(crews.swap_remove(at));
        }
        // Dropped without the lock: Python code may run.
        drop(crews);
    }

    /// How many tasks that were left for after an answer have not ended.
    pub(crate) fn tasks_left(&self) -> usize {
        let crews = self.crews.lock();
        // The crews of one interpreter share their count.
        let mut counted = Vec::new();
        let mut left = 0;
        for crew in &*crews {
            if !counted.contains(&crew.handle.id()) {
                counted.push(crew.handle.id());
                left += crew.app.application.tasks.left();
            }
        }
        left
    }

    /// The crews of one interpreter.
    ///
    /// # Threads
    /// On a thread that is attached to it, as the last of them may be dropped by the caller.
    pub(crate) fn of(&self, handle: &InterpreterHandle) -> Vec<Arc<Crew>> {
        let crews = self.crews.lock();
        crews.iter().filter(|crew| crew.handle.id() == handle.id()).cloned().collect()
    }

    /// The crews of this moment, but for those whose interpreters are ending.
    pub(crate) fn all(&self) -> Vec<Guest> {
        self.crews.lock().iter().filter_map(Guest::of).collect()
    }
}

/// A crew for whoever is not attached to its interpreter, which does not end meanwhile: so its objects
/// are never left to a thread that cannot touch them.
pub(crate) struct Guest {
    // Dropped first.
    crew: Arc<Crew>,
    invitation: Invitation,
}

impl Guest {
    fn of(crew: &Arc<Crew>) -> Option<Self> {
        let invitation = crew.handle.invite().ok()?;
        Some(Self { crew: crew.clone(), invitation })
    }

    /// One more, for another thread; none if the interpreter is ending.
    pub(crate) fn again(&self) -> Option<Self> {
        Self::of(&self.crew)
    }

    /// Runs `f` attached to the interpreter, which this is the way into.
    ///
    /// # Errors
    /// If there is no memory for that.
    pub(crate) fn enter<R: Send>(
        self,
        f: impl FnOnce(Attached<'_>, &Crew) -> R + Send,
    ) -> Result<R, Refused> {
        let Self { crew, invitation } = self;
        invitation.enter(move |py| f(py, &crew))
    }
}

impl Deref for Guest {
    type Target = Crew;

    fn deref(&self) -> &Crew {
        &self.crew
    }
}

fn crew_of(station: &Station, shared: &Shared, start_lane: Option<StartLane>) -> Crew {
    Crew {
        name: station.name.clone(),
        handle: station.handle.clone(),
        app: station.app.clone(),
        roster: shared.roster.clone(),
        watches: shared.watches.clone(),
        start_lane,
        is_interrupting: AtomicBool::new(false),
    }
}

fn share(py: Attached<'_>, parts: LaneParts, around: &Surroundings) -> Arc<Shared> {
    Arc::new(Shared {
        inlet: Guarded::new(py, parts.inlet),
        roster: parts.roster,
        watches: parts.watches,
        doorbells: around.doorbells.clone(),
        mailboxes: around.mailboxes.clone(),
        topics: around.topics.clone(),
        pool: parts.pool,
        server_header: around.server_header,
        cors: around.cors.clone(),
        security: around.security.clone(),
        compression: around.compression.clone(),
        decodes: around.decodes,
        request_timeout: around.request_timeout,
        ws_threads: around.ws_threads,
        disconnects: around.disconnects.clone(),
        draining: around.draining.clone(),
        end_fork: failure::end_fork,
    })
}

/// Makes a thread of the interpreter known to `threading` by its name, and has it enter a copy of the
/// context in which the program was loaded: which lane has a request decides nothing that it sees.
/// Returns the context, to be left at the thread's end.
///
/// # Errors
/// If there is no memory for that: nothing is lost yet, and whoever starts the thread may still fail.
fn begin<'py>(py: Attached<'py>, station: &Station, name: &str) -> io::Result<Owned<'py>> {
    let begun = || {
        let Origin { context, introduce } = &*station.origin;
        introduce.bind(py).call1(&*Str::new(py, name)?, py)?;
        let context = context.bind(py).copied_context(py)?;
        context.enter_context(py)?;
        Ok(context)
    };
    begun().map_err(|raised| io::Error::other(traceback(py, raised)))
}

fn end_process_if_it_fails(py: Attached<'_>, name: &str, run: impl FnOnce() -> Result<(), Raised>) {
    failure::end_process_if_it_fails(name, || {
        let process = forks();
        let outcome = run();
        if forks() != process {
            failure::end_fork();
        }
        outcome.map_err(|raised| {
            raised.write_unraisable(name, py);
            io::Error::other("the reason stands above")
        })
    });
}
