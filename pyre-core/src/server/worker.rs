//! A worker: a sub-interpreter with its own GIL, the user's program in it, and its lanes.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Sender;
use std::time::Duration;

use pyre_ffi::interpreter::{Ended, InterpreterHandle, IsolatedConfig, run_isolated};
use pyre_ffi::{Attached, Bool, Guarded, List, Object, Owned, Raised, Str, import};
use pyre_interp::invoke::application::Application;
use pyre_interp::job::Pool;
use pyre_interp::objects::toolkit::Toolkit;
use pyre_interp::ring::{Doorbell, LaneSeat};
use pyre_interp::worker::lane::{self, Shared};

use crate::entry::Engine;
use crate::router::{Route, RouteTable};
use crate::server::moves::Moves;
use crate::server::plumbing::LaneParts;
use crate::server::threads::Threads;
use crate::sys;

/// How long the end of a worker waits for its lanes and the user's threads. The server stops
/// waiting earlier if it is told to.
const END_WAIT: Duration = Duration::from_secs(600);

/// What a worker is started with.
pub(crate) struct WorkerPlan {
    pub(crate) index: usize,
    pub(crate) parts: LaneParts,
    pub(crate) doorbells: Vec<Arc<Doorbell>>,
    /// What `pyreframework.program.load` takes.
    pub(crate) program: Arc<Vec<String>>,
    /// The main interpreter's routes, which this one must have too.
    pub(crate) routes: Arc<RouteTable>,
    pub(crate) server_header: bool,
    pub(crate) draining: Arc<AtomicBool>,
    pub(crate) cpu: Option<usize>,
    pub(crate) threads: Arc<Threads>,
}

/// An app as lanes use it.
pub(crate) struct LoadedApp {
    pub(crate) application: Arc<Application>,
    pub(crate) toolkit: Arc<Toolkit>,
}

/// Runs a worker from its start to its end, on the calling thread, which becomes its first lane.
/// Tells `ready` when it serves, or why it cannot.
pub(crate) fn run(plan: WorkerPlan, ready: &Sender<Result<Moves, String>>) {
    let config = IsolatedConfig { end_wait: END_WAIT };
    let started = run_isolated(config, |py, handle| {
        if let Err(reason) = serve(plan, py, handle, ready) {
            let _ = ready.send(Err(reason));
        }
    });
    match started {
        Ok(((), Ended::Clean | Ended::StillBusy)) => {}
        Err(error) => {
            let _ = ready.send(Err(error.to_string()));
        }
    }
}

fn serve(
    plan: WorkerPlan,
    py: Attached<'_>,
    handle: &InterpreterHandle,
    ready: &Sender<Result<Moves, String>>,
) -> Result<(), String> {
    let words = |raised: Raised| traceback(py, raised);
    let program = import(py, "pyreframework.program").map_err(words)?;
    let native = load(py, &program, &plan.program).map_err(words)?;
    let loaded = check(py, &native, &plan.routes)?;
    let lanes = plan.parts.lanes;
    let shared = Arc::new(Shared {
        inlet: Guarded::new(py, plan.parts.inlet),
        roster: plan.parts.roster,
        doorbells: plan.doorbells,
        pool: Pool::Workers,
        server_header: plan.server_header,
        draining: plan.draining,
    });
    let moves = start(py, &program, &native, plan.index == 0).map_err(words)?;
    for lane in 1..lanes {
        let name = format!("pyre-worker-{}.{lane}", plan.index);
        let (shared, handle) = (shared.clone(), handle.clone());
        let (application, toolkit) = (loaded.application.clone(), loaded.toolkit.clone());
        let seat = shared.roster.seat();
        plan.threads
            .start(name, plan.cpu, move || {
                let entered = handle.enter(|py| {
                    run_lane(py, &shared, seat, &application, &toolkit);
                    // Released here, where the interpreter may be touched.
                    drop((application, toolkit));
                });
                // Closed: the worker ended before this lane began.
                let _ = entered;
            })
            .map_err(|error| format!("no thread for a lane: {error}"))?;
    }
    let seat = shared.roster.seat();
    let _ = ready.send(Ok(moves));
    run_lane(py, &shared, seat, &loaded.application, &loaded.toolkit);
    // Hooks run when no handler does any more; with a lane that is stuck they never would.
    if handle.close(END_WAIT, py) {
        call(py, &program, "stop_worker", &native).map_err(words)?;
    }
    Ok(())
}

/// Runs a lane to its end. One that panics takes a job with it, whose client would wait for ever;
/// so it takes the process, as a reactor does.
pub(crate) fn run_lane(
    py: Attached<'_>,
    shared: &Shared,
    seat: LaneSeat,
    application: &Arc<Application>,
    toolkit: &Arc<Toolkit>,
) {
    sys::end_process_if_it_fails("a lane", || {
        if let Err(raised) = lane::run(py, shared, seat, application, toolkit) {
            raised.write_unraisable("a lane", py);
            return Err(io::Error::from(io::ErrorKind::OutOfMemory));
        }
        Ok(())
    });
}

/// Runs the user's program and returns its native app.
fn load<'py>(py: Attached<'py>, program: &Object, texts: &[String]) -> Result<Owned<'py>, Raised> {
    let list = List::new(py)?;
    for text in texts {
        list.append(&*Str::new(py, text)?, py)?;
    }
    program.call_method1(&*Str::intern(py, "load")?, &*list, py)
}

/// Ends the start of the program in Python; returns the routes that cannot run here.
fn start(
    py: Attached<'_>,
    program: &Object,
    native: &Object,
    first: bool,
) -> Result<Moves, Raised> {
    let name = Str::intern(py, "start_worker")?;
    let moves = program.call_method2(&name, native, &*Bool::new(py, first), py)?;
    Moves::read(py, &moves)
}

fn call(py: Attached<'_>, program: &Object, function: &str, native: &Object) -> Result<(), Raised> {
    program.call_method1(&*Str::intern(py, function)?, native, py).map(drop)
}

/// Checks that this interpreter has the same routes as the main one: they are called by number.
fn check(py: Attached<'_>, native: &Object, expected: &RouteTable) -> Result<LoadedApp, String> {
    let words = |raised: Raised| traceback(py, raised);
    let module = import(py, "pyreframework.engine").map_err(words)?;
    let engine = Engine::of(&module, py).map_err(words)?;
    let Some(app) = engine.app.cast(native, py) else {
        return Err("the program's app is no PyreApp of this interpreter".to_owned());
    };
    let Some(frozen) = app.get().frozen() else {
        return Err("the program's app is not frozen".to_owned());
    };
    if let Some(difference) = difference(frozen.table.routes(), expected.routes()) {
        return Err(format!(
            "{difference}; a program must register the same routes in the same order wherever it \
             is imported"
        ));
    }
    Ok(LoadedApp { application: frozen.application.clone(), toolkit: engine.toolkit.clone() })
}

/// How the routes of a worker differ from those of the main interpreter, in words.
fn difference(here: &[Route], there: &[Route]) -> Option<String> {
    let text = |route: &Route| format!("{} {}", route.method, route.pattern.text());
    let (more, fewer, where_more, where_fewer) = match here.len().cmp(&there.len()) {
        Ordering::Greater => (here, there, "this worker", "the main interpreter"),
        Ordering::Less => (there, here, "the main interpreter", "this worker"),
        Ordering::Equal => {
            let pairs = here.iter().zip(there).enumerate();
            let mut texts = pairs.map(|(number, (here, there))| (number, text(here), text(there)));
            let (number, here, there) = texts.find(|(_, here, there)| here != there)?;
            return Some(format!(
                "route {number} is {here} in this worker and {there} in the main interpreter"
            ));
        }
    };
    let known: HashSet<String> = fewer.iter().map(text).collect();
    let mut extra = more.iter().map(text).filter(|route| !known.contains(route));
    let extra = extra.next().expect("no two routes of a table are equal");
    Some(format!(
        "{where_more} has {} routes and {where_fewer} has {}: {extra} is only in {where_more}",
        more.len(),
        fewer.len(),
    ))
}

/// The exception as Python prints it.
pub(crate) fn traceback(py: Attached<'_>, raised: Raised) -> String {
    let exception = raised.take(py);
    let formatted = (|| {
        let lines = import(py, "traceback")?.call_method1(
            &*Str::intern(py, "format_exception")?,
            &*exception,
            py,
        )?;
        let text =
            Str::new(py, "")?.as_any().call_method1(&*Str::intern(py, "join")?, &lines, py)?;
        let text = text.str(py)?;
        text.as_utf8(py).map(str::to_owned)
    })();
    formatted.unwrap_or_else(|raised: Raised| {
        raised.clear(py);
        format!("{} (it could not be formatted)", exception.type_name())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::Pattern;

    fn check(here: &[&str], there: &[&str], expected: Option<&str>) {
        let [here, there] = [here, there].map(|routes| {
            let routes = routes.iter().map(|text| {
                let (method, pattern) = text.split_once(' ').unwrap();
                Route { method: method.into(), pattern: Pattern::parse(pattern).unwrap() }
            });
            routes.collect::<Vec<_>>()
        });
        assert_eq!(difference(&here, &there).as_deref(), expected);
    }

    #[test]
    fn a_route_that_differs_is_named() {
        check(&[], &[], None);
        check(&["GET /", "GET /{a}"], &["GET /", "GET /{a}"], None);
        check(
            &["GET /", "GET /a"],
            &["GET /", "POST /a"],
            Some("route 1 is GET /a in this worker and POST /a in the main interpreter"),
        );
        check(
            &["GET /", "GET /a", "GET /b"],
            &["GET /", "GET /b"],
            Some(
                "this worker has 3 routes and the main interpreter has 2: GET /a is only in this worker",
            ),
        );
        check(
            &[],
            &["GET /", "GET /b"],
            Some(
                "the main interpreter has 2 routes and this worker has 0: GET / is only in the main interpreter",
            ),
        );
    }
}
