//! The threads of one interpreter that run handlers: its lanes, and the one that runs its event loop.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use parking_lot::Mutex;
use pyre_ffi::interpreter::{InterpreterHandle, forks};
use pyre_ffi::{Attached, Guarded, Held, Owned, Raised, Str, copy_context, finally, import};
use pyre_interp::invoke::application::Application;
use pyre_interp::objects::toolkit::Toolkit;
use pyre_interp::ring::{Baton, Doorbell, LaneSeat, Roster};
use pyre_interp::worker::departures::Departures;
use pyre_interp::worker::lane::{self, Shared};
use pyre_interp::worker::loop_lane::{self, Bell, Berth};
use pyre_interp::worker::watch::Watch;

use crate::reactor::run::Reactor;
use crate::server::failure;
use crate::server::plumbing::LaneParts;
use crate::server::threads::Threads;
use crate::server::worker::traceback;
use crate::sys::LoopBell;

/// What all lanes of a server know.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) doorbells: Vec<Arc<Doorbell>>,
    pub(crate) server_header: bool,
    pub(crate) request_timeout: Option<Duration>,
    pub(crate) departures: Arc<Departures>,
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

    /// The crews of this moment.
    pub(crate) fn all(&self) -> Vec<Arc<Crew>> {
        self.crews.lock().clone()
    }
}

/// A lane before it runs.
pub(crate) struct LaneBerth {
    shared: Arc<Shared>,
    seat: LaneSeat,
    baton: Option<Arc<Baton<Reactor>>>,
    /// What its thread is called.
    name: String,
}

/// Starts the lanes of an interpreter, the first of them on the calling thread: that one is returned,
/// to be run with [`run_lane`].
///
/// # Errors
/// If the system has no room for another thread.
pub(crate) fn start_lanes(
    py: Attached<'_>,
    parts: LaneParts,
    station: &Station,
    around: &Surroundings,
    is_first_own: bool,
) -> io::Result<Option<LaneBerth>> {
    let (lanes, baton) = (parts.lanes, parts.baton.clone());
    let shared = share(py, parts, around);
    let start_lane: StartLane = {
        let (shared, station, threads) = (shared.clone(), station.clone(), around.threads.clone());
        let baton = baton.clone();
        let number = AtomicUsize::new(usize::from(is_first_own));
        Box::new(move || {
            let number = number.fetch_add(1, Ordering::Relaxed);
            start_lane(&threads, &station, &shared, baton.as_ref(), number)
        })
    };
    let own = is_first_own.then(|| LaneBerth {
        shared: shared.clone(),
        seat: shared.roster.seat(),
        baton,
        name: lane_name(station, 0),
    });
    for _ in usize::from(is_first_own)..lanes {
        start_lane()?;
    }
    around.crews.add(crew_of(station, &shared, Some(start_lane)));
    Ok(own)
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
        pool: parts.pool,
        server_header: around.server_header,
        request_timeout: around.request_timeout,
        departures: around.departures.clone(),
        draining: around.draining.clone(),
        end_fork: failure::end_fork,
    })
}

fn lane_name(station: &Station, number: usize) -> String {
    format!("{}.{number}", station.name)
}

fn start_lane(
    threads: &Arc<Threads>,
    station: &Station,
    shared: &Arc<Shared>,
    baton: Option<&Arc<Baton<Reactor>>>,
    number: usize,
) -> io::Result<()> {
    let name = lane_name(station, number);
    // Taken by the thread, so that it is still here if there is no thread.
    let place = Arc::new(Mutex::new(Some(shared.roster.seat())));
    let station = station.clone();
    let started = {
        let (shared, baton, place) = (shared.clone(), baton.cloned(), place.clone());
        threads.start(name.clone(), station.cpu, move || {
            let handle = station.handle.clone();
            let entered = handle.enter(|py| {
                let seat = place.lock().take();
                let seat = seat.expect("taken only here, or if there is no thread");
                run_lane(py, LaneBerth { shared, seat, baton, name }, &station);
                // Released here, where the interpreter may be touched.
                drop(station);
            });
            // Closed: the interpreter ended before this lane began.
            let _ = entered;
        })
    };
    if started.is_err()
        && let Some(seat) = place.lock().take()
    {
        // Another thread may have it, when the system has room for one.
        seat.give_back();
    }
    started
}

/// Runs a lane to its end. One that panics takes a job with it, whose client would wait for ever;
/// so it takes the process, as a reactor does.
pub(crate) fn run_lane(py: Attached<'_>, berth: LaneBerth, station: &Station) {
    let LaneBerth { shared, seat, baton, name } = berth;
    let LoadedApp { application, toolkit } = &station.app;
    end_process_if_it_fails(py, "a lane", || {
        within_context(py, station, &name, || {
            lane::run(py, &shared, seat, application, toolkit, baton.as_ref())
        })
    });
}

/// Runs what a thread of the interpreter is for, known to `threading` by its name and in a copy of the
/// context in which the program was loaded: which lane has a request decides nothing that it sees.
fn within_context(
    py: Attached<'_>,
    station: &Station,
    name: &str,
    run: impl FnOnce() -> Result<(), Raised>,
) -> Result<(), Raised> {
    let Origin { context, introduce } = &*station.origin;
    introduce.bind(py).call1(&*Str::new(py, name)?, py)?;
    let context = context.bind(py).copied_context(py)?;
    context.enter_context(py)?;
    finally(run(), py, || context.exit_context(py))
}

/// The thread of an event loop, before it runs.
pub(crate) struct LoopSeat {
    shared: Arc<Shared>,
    seat: LaneSeat,
    bell: Arc<LoopBell>,
}

/// Prepares the lane that runs the event loop of an interpreter, and opens that: what is missing for it
/// is found while the start can still fail.
///
/// # Errors
/// If the process has no more descriptors.
pub(crate) fn prepare_loop(
    py: Attached<'_>,
    parts: LaneParts,
    station: &Station,
    around: &Surroundings,
) -> io::Result<LoopSeat> {
    event_loop_of(py, &station.app).map_err(|raised| io::Error::other(traceback(py, raised)))?;
    let bell = Arc::new(LoopBell::new()?);
    let shared = share(py, parts, around);
    let seat = {
        let bell = bell.clone();
        shared.roster.seat_with_bell(move || bell.ring())
    };
    around.crews.add(crew_of(station, &shared, None));
    Ok(LoopSeat { shared, seat, bell })
}

/// Runs the lane of an event loop to its end. Calls `opened` when lanes may await coroutines on it.
pub(crate) fn run_loop(py: Attached<'_>, seat: LoopSeat, station: &Station, opened: impl FnOnce()) {
    let LoopSeat { shared, seat, bell } = seat;
    let LoadedApp { application, toolkit } = &station.app;
    end_process_if_it_fails(py, "an event loop", || {
        within_context(py, station, &loop_name(station), || {
            let event_loop = event_loop_of(py, &station.app)?;
            let berth = Berth { seat, bell: &*bell };
            loop_lane::run(py, &shared, berth, event_loop, application, toolkit, opened)
        })
    });
}

fn loop_name(station: &Station) -> String {
    format!("{}.loop", station.name)
}

/// The loop that the app has opened in this interpreter.
fn event_loop_of<'py>(py: Attached<'py>, app: &LoadedApp) -> Result<Owned<'py>, Raised> {
    let owner = app.application.owner.as_ref().ok_or_else(|| {
        Raised::runtime_error(py, "the app has no owner that could open an event loop")
    })?;
    owner.bind(py).call_method0(&*Str::intern(py, "open_loop")?, py)
}

/// Starts the lane of an event loop on a thread of its own, and waits until the loop is open.
///
/// # Errors
/// If the system has no room for another thread.
pub(crate) fn start_loop(
    py: Attached<'_>,
    threads: &Arc<Threads>,
    station: &Station,
    seat: LoopSeat,
) -> io::Result<()> {
    let station = station.clone();
    let (sender, opened) = mpsc::channel();
    threads.start(loop_name(&station), station.cpu, move || {
        let handle = station.handle.clone();
        let entered = handle.enter(|py| {
            run_loop(py, seat, &station, || {
                // Whoever started it waits for this.
                let _ = sender.send(());
            });
            drop(station);
        });
        let _ = entered;
    })?;
    // A loop that cannot be opened ends the process.
    py.detach(move || opened.recv()).map_err(|_| io::Error::other("the event loop did not open"))
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
