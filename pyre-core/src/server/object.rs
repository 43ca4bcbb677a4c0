//! `Server`: the Python class that starts, drains and ends everything. Its methods are called by
//! `pyreframework.serving.server`, in order, from the thread that called `run()`.

use std::cell::RefCell;
use std::ffi::CStr;
use std::io;
use std::os::fd::IntoRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pyre_ffi::interpreter::InterpreterHandle;
use pyre_ffi::{
    Arguments, Attached, Bool, Bytes, Class, ClassSpec, Dict, ExceptionKind, Int, List, Object,
    Owned, Raised, Signature, Str, Tuple, Type, none,
};

use crate::inbound::bind::{self, Bound, CannotBind, Handed};
use crate::inbound::socket_file::SocketFile;
use crate::log::functions::access_records;
use crate::log::outbox::Outbox;
use crate::router::RouteTable;
use crate::server::arguments::{read_handed, read_program, read_seconds, to_seconds};
use crate::server::crew::{Crews, LoadedApp, Surroundings};
use crate::server::engine::Engine;
use crate::server::monitor;
use crate::server::moves::Moves;
use crate::server::options;
use crate::server::places::Places;
use crate::server::plumbing::{CrewParts, ReactorParts};
use crate::server::threads::{Threads, deadline_in};
use crate::settings::Settings;
use crate::shared::control::{Control, Stage};
use crate::shared::health::Health;
use crate::shared::vitals::Lanes;

/// One server.
pub(crate) struct Server {
    pub(super) settings: Settings,
    pub(super) app: LoadedApp,
    pub(super) table: Arc<RouteTable>,
    pub(super) places: Places,
    /// What workers load; none: every handler runs on the main interpreter.
    pub(super) program: Option<Arc<Vec<String>>>,
    pub(super) state: RefCell<State>,
    pub(super) crews: Arc<Crews>,
    /// The lanes of workers and of the main interpreter.
    pub(super) lanes: Arc<Threads>,
    pub(super) reactors: Arc<Threads>,
}

/// What the methods leave for each other.
#[derive(Default)]
pub(super) struct State {
    pub(super) bound: Option<Bound>,
    /// Unlinked before their sockets close, unless a successor has taken over.
    pub(super) files: Vec<SocketFile>,
    /// The same of the process before, whose they are until it has heard that this one serves.
    pub(super) handed_files: Vec<SocketFile>,
    /// What a successor would be given; closed when nobody is to be accepted any more.
    pub(super) copies: Vec<Handed>,
    pub(super) waiting: Vec<ReactorParts>,
    pub(super) lanes: Vec<Lanes>,
    /// What the lanes of the main interpreter are made of.
    pub(super) main: Option<(CrewParts, Surroundings)>,
    pub(super) control: Option<Arc<Control>>,
    pub(super) health: Option<Arc<Health>>,
    pub(super) moves: Moves,
    pub(super) outbox: Option<Arc<Outbox>>,
}

impl State {
    fn unlink_files(&mut self) {
        self.files.drain(..).for_each(|file| file.unlink());
    }
}

const SET_READY: Signature<2> = Signature::all("set_ready", ["ready", "seconds"]);

const NEW: Signature<3> = Signature::all("Server", ["app", "settings", "program"]);

const BIND: Signature<1> = Signature::all("bind", ["handed"]);

const fn seconds(function: &'static str) -> Signature<1> {
    Signature::all(function, ["seconds"])
}

const WAIT_LEFT: Signature<1> = seconds("wait_left");
const WAIT_DRAINED: Signature<1> = seconds("wait_drained");
const TAKE_ACCESS_LOG: Signature<1> = seconds("take_access_log");
const STOP: Signature<1> = seconds("stop");

impl Server {
    fn construct(
        py: Attached<'_>,
        given: Arguments<'_>,
        class: &Object<Type>,
    ) -> Result<Self, Raised> {
        let [app, settings, program] = given.parse(&NEW, py)?;
        let (Some(app), Some(settings), Some(program)) = (app, settings, program) else {
            return Err(Raised::type_error(py, "Server() takes app, settings and program"));
        };
        let engine = class.state::<Engine>(py)?;
        let wrong = |what: &str| Raised::type_error(py, what);
        let app = engine.app.cast(&app, py).ok_or_else(|| wrong("app must be an AppTable"))?;
        let frozen = app.get().frozen().ok_or_else(|| wrong("app must be frozen"))?;
        let settings = settings.cast::<Dict>().ok_or_else(|| wrong("settings must be a dict"))?;
        let mut settings = options::read(py, settings)?;
        let program = read_program(py, &program)?;
        if program.is_none() {
            settings.workers = 0;
        }
        Ok(Self {
            places: Places::new(&frozen.application, &settings, program.is_some()),
            settings,
            app: LoadedApp {
                application: frozen.application.clone(),
                toolkit: engine.toolkit.clone(),
            },
            table: frozen.table.clone(),
            program: program.map(Arc::new),
            state: RefCell::new(State::default()),
            crews: Arc::default(),
            lanes: Arc::default(),
            reactors: Arc::default(),
        })
    }

    fn bind<'py>(&self, py: Attached<'py>, given: Arguments<'_>) -> Result<Owned<'py>, Raised> {
        let [handed] = given.parse(&BIND, py)?;
        let handed = read_handed(py, &handed.expect("the signature requires it"))?;
        let settings = &self.settings;
        let mut bound =
            py.detach(|| bind::bind(settings, handed)).map_err(|wrong| match wrong {
                CannotBind::Twice(text) => Raised::value_error(py, &text),
                CannotBind::Failed(text) => Raised::new(py, ExceptionKind::OSError, &text),
            })?;
        let mut urls = Vec::new();
        for url in &bound.urls {
            urls.push(Str::new(py, url)?.into_any());
        }
        let mut state = self.state.borrow_mut();
        state.files = std::mem::take(&mut bound.files);
        state.copies = std::mem::take(&mut bound.copies);
        state.bound = Some(bound);
        List::from_vec(py, urls).map(Owned::into_any)
    }

    /// New descriptors of all listening sockets, by the entry of `binds` they belong to. They are
    /// the caller's to close.
    fn listeners<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        let mut entries = Vec::new();
        // All of them before the first becomes a number, which nobody would close.
        let copies: io::Result<Vec<Handed>> =
            self.state.borrow().copies.iter().map(Handed::try_clone).collect();
        let copies = copies.map_err(|error| {
            Raised::new(py, ExceptionKind::OSError, &format!("no descriptor: {error}"))
        })?;
        for Handed { bind, sockets, file } in copies {
            let mut numbers = Vec::new();
            for socket in sockets {
                numbers.push(Int::new(py, i64::from(socket.into_raw_fd()))?.into_any());
            }
            let address = Bytes::new(py, &bind.to_bytes())?.into_any();
            let file = match file {
                Some(id) => Str::new(py, &id.to_string())?.into_any(),
                None => none(py),
            };
            let entry = [address, List::from_vec(py, numbers)?.into_any(), file];
            entries.push(Tuple::new(py, entry)?.into_any());
        }
        List::from_vec(py, entries).map(Owned::into_any)
    }

    /// The process before this one hears, or has heard, that this one serves.
    fn succeed<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        let state = &mut *self.state.borrow_mut();
        state.files.append(&mut state.handed_files);
        Ok(none(py))
    }

    fn take_access_log<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let patience = deadline_in(read_seconds(py, &given, &TAKE_ACCESS_LOG)?) - Instant::now();
        let Some(outbox) = self.state.borrow().outbox.clone() else { return Ok(none(py)) };
        match py.detach(|| outbox.take(patience)) {
            Ok(batch) => access_records(py, batch.as_deref()),
            Err(_closed) => Ok(none(py)),
        }
    }

    fn set_ready<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let [ready, seconds] = given.parse(&SET_READY, py)?;
        let (Some(ready), Some(seconds)) = (ready, seconds) else {
            return Err(Raised::type_error(py, "set_ready() takes ready and seconds"));
        };
        let counts = Duration::try_from_secs_f64(to_seconds(py, &seconds)?.max(0.0));
        let is_ready = ready.is_true(py)?;
        if let Some(health) = &self.state.borrow().health {
            health.found(is_ready, counts.unwrap_or(Duration::MAX));
        }
        Ok(none(py))
    }

    fn leave<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        // They are the successor's now.
        self.state.borrow_mut().files.clear();
        self.accept_no_more(Stage::Leaving);
        Ok(none(py))
    }

    fn begin_drain<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        self.accept_no_more(Stage::Draining);
        Ok(none(py))
    }

    fn accept_no_more(&self, stage: Stage) {
        // While the sockets are open: then the files are surely still theirs, if their numbers say so.
        self.state.borrow_mut().unlink_files();
        // First: once the reactors have closed theirs, the addresses shall be free.
        let copies = std::mem::take(&mut self.state.borrow_mut().copies);
        drop(copies);
        if let Some(control) = &self.state.borrow().control {
            control.advance(stage);
        }
    }

    fn wait_left<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let deadline = deadline_in(read_seconds(py, &given, &WAIT_LEFT)?);
        let control = self.state.borrow().control.clone();
        if let Some(control) = control {
            let patience = deadline.saturating_duration_since(Instant::now());
            py.detach(|| control.wait_drained(Stage::Leaving, patience));
        }
        Ok(none(py))
    }

    fn wait_drained<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let deadline = deadline_in(read_seconds(py, &given, &WAIT_DRAINED)?);
        let control = self.state.borrow().control.clone();
        let patience = deadline.saturating_duration_since(Instant::now());
        let crews = &self.crews;
        let drained = control.is_none_or(|control| {
            py.detach(|| {
                control.wait_drained(Stage::Draining, patience)
                    && control.wait_until(deadline, || crews.tasks_left() == 0)
            })
        });
        Ok(Bool::new(py, drained).into_any())
    }

    fn abandoned<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        let of = |control: &Arc<Control>| (control.running(), control.holding());
        let (running, holding) = self.state.borrow().control.as_ref().map(of).unwrap_or_default();
        let number = |count: usize| {
            Int::new(py, i64::try_from(count).unwrap_or(i64::MAX)).map(Owned::into_any)
        };
        let counts = [
            number(running)?,
            number(self.crews.tasks_left())?,
            number(holding.unsent)?,
            number(holding.untaken)?,
        ];
        Tuple::new(py, counts).map(Owned::into_any)
    }

    fn stop<'py>(&self, py: Attached<'py>, given: Arguments<'_>) -> Result<Owned<'py>, Raised> {
        let deadline = deadline_in(read_seconds(py, &given, &STOP)?);
        let mut state = self.state.take();
        // As in `accept_no_more`, where nothing was drained before.
        state.unlink_files();
        // Its last records are still to be taken.
        self.state.borrow_mut().outbox.clone_from(&state.outbox);
        let crews = self.crews.clone();
        if let Some(control) = &state.control {
            // What still runs has been given up, but may clean up before its interpreter ends.
            let threads = &self.lanes;
            py.detach(|| monitor::give_up_what_runs(threads, &crews, control));
            control.advance(Stage::Stopping);
            // Who waits to publish something would hold up the end.
            control.topics().close();
            self.app.application.topics.shut(control.topics());
        }
        let main = InterpreterHandle::main(py);
        let (reactors, lanes) = (&*self.reactors, &*self.lanes);
        let ended = py.detach(move || {
            // Reactors first: they let go of their rings, so that no lane waits for them.
            let quiet = reactors.wait(deadline.max(Instant::now() + Duration::from_secs(1)));
            state.lanes.iter().for_each(|lanes| lanes.roster.close());
            state.outbox.iter().for_each(|outbox| outbox.close());
            let ended = lanes.wait(deadline);
            drop(state);
            quiet && ended
        });
        crews.forget(&main);
        Ok(Bool::new(py, ended).into_any())
    }
}

impl Class for Server {
    const NAME: &'static CStr = c"pyreframework.engine.Server";
    const DOC: &'static CStr = c"Server(app, settings, program)\n--\n\n\
        Everything that serves one app: reactors, workers, lanes.";

    fn describe(spec: &mut ClassSpec<Self>) {
        spec.constructor(Self::construct)
            .method(
                c"bind",
                c"bind($self, handed)\n--\n\nOpen the listeners, or take those of (address, descriptors, file); returns their URLs. Raises \
                  OSError in words, and ValueError if two of the addresses are the same.",
                Self::bind,
            )
            .method0(
                c"listeners",
                c"listeners($self)\n--\n\nNew descriptors of the listening sockets, as bind() takes them.",
                Self::listeners,
            )
            .bound_method(
                c"start_workers",
                c"start_workers($self, tell, together)\n--\n\nLoad the program in every interpreter, together or in turn, and start their lanes; returns \
                  the routes that move to the main interpreter, by number, and why. Meanwhile calls \
                  tell() with what each worker is at. Raises StartError.",
                Self::start_workers,
            )
            .method0(
                c"start_main",
                c"start_main($self)\n--\n\nStart the lanes of the main interpreter, if handlers run there.",
                Self::start_main,
            )
            .method0(c"accept", c"accept($self)\n--\n\nBegin to serve.", Self::accept)
            .method0(
                c"succeed",
                c"succeed($self)\n--\n\nWhat was handed over is this server's from here on, to remove at the end.",
                Self::succeed,
            )
            .method(
                c"take_access_log",
                c"take_access_log($self, seconds)\n--\n\nWait for records of the access log; returns them, or None after the last.",
                Self::take_access_log,
            )
            .method(
                c"set_ready",
                c"set_ready($self, ready, seconds)\n--\n\nSay what the readiness check found, and how long that counts.",
                Self::set_ready,
            )
            .method0(
                c"leave",
                c"leave($self)\n--\n\nA successor accepts now: requests that come are the last of their connections.",
                Self::leave,
            )
            .method(
                c"wait_left",
                c"wait_left($self, seconds)\n--\n\nAfter leave(), wait until no connection is left, or begin_drain() is called.",
                Self::wait_left,
            )
            .method0(
                c"begin_drain",
                c"begin_drain($self)\n--\n\nAccept no more; requests that are running finish.",
                Self::begin_drain,
            )
            .method(
                c"wait_drained",
                c"wait_drained($self, seconds)\n--\n\nAfter begin_drain(), wait until no connection is left; returns whether that is so.",
                Self::wait_drained,
            )
            .method0(
                c"abandoned",
                c"abandoned($self)\n--\n\nWhat is left after begin_drain(): requests that are running, tasks of add_task(), \
                  connections whose request has not come whole, and those that do not take their answers.",
                Self::abandoned,
            )
            .method(
                c"stop",
                c"stop($self, seconds)\n--\n\nEnd reactors, lanes and interpreters; returns False if one is stuck.",
                Self::stop,
            );
    }
}
