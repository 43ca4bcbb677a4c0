//! A worker: a sub-interpreter with its own GIL, the user's program in it, and its lanes.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use pyre_ffi::interpreter::{Ended, InterpreterHandle, IsolatedConfig, run_isolated};
use pyre_ffi::{Attached, Bool, Float, List, Object, Owned, Raised, Str, import, none};

use crate::router::{Route, RouteTable};
use crate::server::crew::{self, LoadedApp, Origin, Station, Surroundings};
use crate::server::engine::Engine;
use crate::server::moves::Moves;
use crate::server::plumbing::CrewParts;
use crate::server::start::{Imports, Step, Ticket};

/// How long the end of a worker waits for its lanes and the user's threads. The server stops
/// waiting earlier if it is told to.
const END_WAIT: Duration = Duration::from_secs(600);

/// After this long a thread that computes lets another one have the GIL, in seconds.
const SWITCH_INTERVAL_S: f64 = 0.0005;

/// Descriptors that are needed at a time to make an interpreter.
const DESCRIPTORS: usize = 4;

/// What a worker is started with.
pub(crate) struct WorkerPlan {
    pub(crate) parts: CrewParts,
    pub(crate) around: Surroundings,
    /// What `pyreframework.program.loading.load` takes.
    pub(crate) program: Arc<Vec<String>>,
    /// The main interpreter's routes, which this one must have too.
    pub(crate) routes: Arc<RouteTable>,
    pub(crate) cpu: Option<usize>,
}

/// Runs a worker from its start to its end, on the calling thread, which becomes the thread of its
/// event loop, or its first lane if it has none. The ticket ends when it serves, or cannot.
pub(crate) fn run(plan: WorkerPlan, mut ticket: Ticket) {
    if !ticket.wait_for_turn() {
        return;
    }
    if let Err(error) = find_descriptors() {
        ticket.end(Err(format!("no descriptors for an interpreter: {error}")));
        return;
    }
    let config = IsolatedConfig { end_wait: END_WAIT, ..IsolatedConfig::default() };
    let crews = plan.around.crews.clone();
    let started = run_isolated(config, |py, handle| {
        if let Err(reason) = serve(plan, py, handle, &mut ticket) {
            ticket.end(Err(reason));
        }
        crews.forget(handle);
    });
    match started {
        Ok(((), Ended::Clean | Ended::StillBusy)) => {}
        Err(error) => ticket.end(Err(error.to_string())),
    }
}

fn serve(
    plan: WorkerPlan,
    py: Attached<'_>,
    handle: &InterpreterHandle,
    ticket: &mut Ticket,
) -> Result<(), String> {
    let words = |raised: Raised| traceback(py, raised);
    let go_on =
        |goes_on| if goes_on { Ok(()) } else { Err("another worker has failed".to_owned()) };
    let index = ticket.index();
    go_on(py.detach(|| ticket.wait_for_others()))?;
    if plan.parts.lanes.as_ref().is_some_and(|lanes| lanes.baton.is_some()) {
        shorten_switches(py).map_err(words)?;
    }
    let program = import(py, "pyreframework.program.loading").map_err(words)?;
    ticket.show_imports(imports(py).map_err(words)?);
    let native = load(py, &program, &plan.program).map_err(words)?;
    let app = check(py, &program, &native, &plan.routes)?;
    app.application.topics.open(&plan.around.topics);
    go_on(ticket.reach(Step::Starting))?;
    let (begun, served) = match start(py, &program, &native, index == 0) {
        Ok(moves) => (true, occupy(plan, py, handle, (&program, &native, app), moves, ticket)),
        Err(raised) => (false, Err(words(raised))),
    };
    if let Err(reason) = served {
        // Told first: lanes that have started end once the start of the others is given up.
        ticket.end(Err(reason));
    }
    // Hooks run when no handler does any more; with a lane that is stuck they never would.
    if handle.close(END_WAIT, py) {
        stop(py, &program, &native, begun).map_err(words)?;
    }
    Ok(())
}

/// Starts the lanes of a worker whose program is ready, and runs the one that is this thread's to its
/// end.
fn occupy(
    plan: WorkerPlan,
    py: Attached<'_>,
    handle: &InterpreterHandle,
    (program, native, app): (&Object, &Object, LoadedApp),
    moves: Moves,
    ticket: &mut Ticket,
) -> Result<(), String> {
    let words = |raised: Raised| traceback(py, raised);
    let no_thread = |error: io::Error| format!("no thread for a lane: {error}");
    let name = format!("pyre-worker-{}", ticket.index());
    let origin = Origin::here(py).map_err(words)?;
    let station = Station { name, handle: handle.clone(), app, cpu: plan.cpu, origin };
    let CrewParts { lanes, event_loop } = plan.parts;
    let seat = match event_loop {
        Some(parts) => Some(
            crew::prepare_loop(py, parts, &station, &plan.around)
                .map_err(|error| format!("no descriptors for an event loop: {error}"))?,
        ),
        None => None,
    };
    let own = match lanes {
        Some(parts) => crew::start_lanes(py, parts, &station, &plan.around, seat.is_none())
            .map_err(no_thread)?,
        None => None,
    };
    // All descriptors are open, and what is left disturbs nobody.
    ticket.pass_turn();
    settle(py, program, native).map_err(words)?;
    let begun = |outcome: io::Result<()>| {
        ticket.end(outcome.map(|()| moves).map_err(no_thread));
    };
    if let Some(seat) = seat {
        crew::run_loop(py, seat, &station, begun);
    } else if let Some(berth) = own {
        crew::run_lane(py, berth, &station, begun);
    }
    Ok(())
}

/// What the program of this interpreter imports, as `pyreframework.program.imports` notes it.
fn imports(py: Attached<'_>) -> Result<Imports, Raised> {
    let module = import(py, "pyreframework.engine")?;
    Engine::of(&module, py).map(|engine| engine.imports.clone())
}

/// Finds out whether there are descriptors for the files that an interpreter reads while it is made.
/// CPython does not say that they were lacking, and prints its whole configuration.
fn find_descriptors() -> io::Result<()> {
    let opened: io::Result<Vec<_>> = (0..DESCRIPTORS).map(|_| File::open("/")).collect();
    opened.map(drop)
}

/// Lets threads of this interpreter wait less for its GIL, as the one that carries a reactor does each
/// time that another computes. Before the program is loaded, which may say otherwise.
fn shorten_switches(py: Attached<'_>) -> Result<(), Raised> {
    let interval = Float::new(py, SWITCH_INTERVAL_S)?;
    let set = Str::intern(py, "setswitchinterval")?;
    import(py, "sys")?.call_method1(&set, &*interval, py).map(drop)
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

fn settle(py: Attached<'_>, program: &Object, native: &Object) -> Result<(), Raised> {
    program.call_method1(&*Str::intern(py, "settle_worker")?, native, py).map(drop)
}

/// Ends the program in Python; its hooks run if those of the start have.
fn stop(py: Attached<'_>, program: &Object, native: &Object, begun: bool) -> Result<(), Raised> {
    let name = Str::intern(py, "stop_worker")?;
    program.call_method2(&name, native, &*Bool::new(py, begun), py).map(drop)
}

/// Checks that this interpreter has the same routes as the main one, as they are called by number, and
/// with them all else that decides an answer, which Python compares.
fn check(
    py: Attached<'_>,
    program: &Object,
    native: &Object,
    expected: &RouteTable,
) -> Result<LoadedApp, String> {
    let words = |raised: Raised| traceback(py, raised);
    let module = import(py, "pyreframework.engine").map_err(words)?;
    let engine = Engine::of(&module, py).map_err(words)?;
    let Some(app) = engine.app.cast(native, py) else {
        return Err("the program's app is no AppTable of this interpreter".to_owned());
    };
    let Some(frozen) = app.get().frozen() else {
        return Err("the program's app is not frozen".to_owned());
    };
    let difference = difference(frozen.table.routes(), expected.routes());
    if let Some(reason) = refuse(py, program, native, difference).map_err(words)? {
        return Err(reason);
    }
    Ok(LoadedApp { application: frozen.application.clone(), toolkit: engine.toolkit.clone() })
}

/// Why this worker cannot serve, with the remedy, if anything differs from the main interpreter.
fn refuse(
    py: Attached<'_>,
    program: &Object,
    native: &Object,
    difference: Option<String>,
) -> Result<Option<String>, Raised> {
    let difference = match difference {
        Some(text) => Str::new(py, &text)?.into_any(),
        None => none(py),
    };
    let name = Str::intern(py, "refuse")?;
    let reason = program.call_method2(&name, native, &difference, py)?;
    reason.cast::<Str>().map(|text| text.as_utf8(py).map(str::to_owned)).transpose()
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
        let text = import(py, "pyreframework.logs.traces")?
            .call_method1(&*Str::intern(py, "text_of")?, &*exception, py)?
            .str(py)?;
        // It names files, whose names need not be UTF-8.
        Ok(format!("{}\n", text.view().to_string_lossy()))
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
