//! `Server`: the Python class that starts, drains and ends everything. Its methods are called by
//! `pyreframework.server`, in order, from the thread that called `run()`.

use std::cell::RefCell;
use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::IntoRawFd;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use pyre_ffi::interpreter::InterpreterHandle;
use pyre_ffi::{
    Arguments, Attached, Bool, Bytes, Class, ClassSpec, Dict, ExceptionKind, Float, Int, List,
    Object, Owned, Raised, Signature, Str, Tuple, Type, none,
};

use crate::dispatch::admission::Admission;
use crate::dispatch::classes::Classes;
use crate::dispatch::errands::Errands;
use crate::inbound::listener::{self, Bound, CannotBind, Handed};
use crate::inbound::socket_file::{FileId, SocketFile};
use crate::log::access::AccessLog;
use crate::log::functions::access_records;
use crate::log::outbox::Outbox;
use crate::metrics::ledger::Ledger;
use crate::reactor::keeper::{Loan, keep};
use crate::reactor::run::{Parts, Reactor};
use crate::router::RouteTable;
use crate::server::crew::{self, Crews, LoadedApp, Origin, Station, Surroundings};
use crate::server::engine::Engine;
use crate::server::failure;
use crate::server::monitor;
use crate::server::moves::{self, Moves};
use crate::server::options;
use crate::server::places::Places;
use crate::server::plumbing::{self, CrewParts, ReactorParts};
use crate::server::start::{self, Order};
use crate::server::threads::{Threads, deadline_in};
use crate::server::watchdog;
use crate::server::worker::{self, WorkerPlan};
use crate::settings::{Settings, parse_bind};
use crate::shared::control::{Control, Limit, Stage};
use crate::shared::frozen::{Allowances, Frozen, Routes};
use crate::shared::health::Health;
use crate::shared::vitals::{Inline, Lanes, Vitals};
use crate::sys;

/// One server.
pub(crate) struct Server {
    settings: Settings,
    app: LoadedApp,
    table: Arc<RouteTable>,
    places: Places,
    /// What workers load; none: every handler runs on the main interpreter.
    program: Option<Arc<Vec<String>>>,
    state: RefCell<State>,
    crews: Arc<Crews>,
    /// The lanes of workers and of the main interpreter.
    lanes: Arc<Threads>,
    reactors: Arc<Threads>,
}

/// What the methods leave for each other.
#[derive(Default)]
struct State {
    bound: Option<Bound>,
    /// Unlinked before their sockets close, unless a successor has taken over.
    files: Vec<SocketFile>,
    /// The same of the process before, whose they are until it has heard that this one serves.
    handed_files: Vec<SocketFile>,
    /// What a successor would be given; closed when nobody is to be accepted any more.
    copies: Vec<Handed>,
    waiting: Vec<ReactorParts>,
    lanes: Vec<Lanes>,
    /// What the lanes of the main interpreter are made of.
    main: Option<(CrewParts, Surroundings)>,
    control: Option<Arc<Control>>,
    health: Option<Arc<Health>>,
    moves: Moves,
    outbox: Option<Arc<Outbox>>,
}

impl State {
    fn unlink_files(&mut self) {
        self.files.drain(..).for_each(|file| file.unlink());
    }
}

const SET_READY: Signature<2> = Signature {
    function: "set_ready",
    names: ["ready", "seconds"],
    required: 2,
    positional_max: 2,
};

const NEW: Signature<3> = Signature {
    function: "Server",
    names: ["app", "settings", "program"],
    required: 3,
    positional_max: 3,
};

const BIND: Signature<1> =
    Signature { function: "bind", names: ["handed"], required: 1, positional_max: 1 };

const START_WORKERS: Signature<2> = Signature {
    function: "start_workers",
    names: ["tell", "together"],
    required: 2,
    positional_max: 2,
};

/// How often, at least, it is told what workers that start are at.
const TELL_EVERY: Duration = Duration::from_millis(250);

const fn seconds(function: &'static str) -> Signature<1> {
    Signature { function, names: ["seconds"], required: 1, positional_max: 1 }
}

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
            py.detach(|| listener::bind(settings, handed)).map_err(|wrong| match wrong {
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

    fn start_workers<'py>(
        self_: &Object<pyre_ffi::Instance<Self>>,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let [tell, together] = given.parse(&START_WORKERS, py)?;
        let (Some(tell), Some(together)) = (tell, together) else {
            return Err(Raised::type_error(py, "start_workers() takes tell and together"));
        };
        let order = if together.is_true(py)? { Order::Together } else { Order::InTurn };
        let this = self_.get();
        let engine = self_.state::<Engine>(py)?;
        let fail = |text: &str| match Str::new(py, text) {
            Ok(text) => Raised::with(py, &engine.start_error.bind(py), &*text),
            Err(raised) => raised,
        };
        sys::return_large_blocks_to_the_system();
        let settings = &this.settings;
        let worker_crew = this.places.worker_crew(settings.lanes);
        let main_crew = this.places.main_crew(settings.main_lanes);
        let plumbing = plumbing::lay(settings, worker_crew, main_crew)
            .map_err(|error| fail(&format!("no descriptors for the reactors: {error}")))?;
        let limit =
            match this.settings.requests_max {
                0 => None,
                requests_max => Some(Limit {
                    requests_max,
                    notify: File::from(sys::duplicate(this.settings.notify).map_err(|error| {
                        fail(&format!("nobody to tell of max_requests: {error}"))
                    })?),
                    requests: AtomicU64::new(0),
                }),
            };
        let control = Arc::new(Control::new(plumbing.doorbells.clone(), limit));
        let around = Surroundings {
            doorbells: plumbing.doorbells,
            server_header: settings.server_header,
            request_timeout: (settings.request_timeout_ms > 0)
                .then(|| Duration::from_millis(settings.request_timeout_ms)),
            departures: control.departures(),
            draining: control.draining(),
            crews: this.crews.clone(),
            threads: this.lanes.clone(),
        };
        {
            let mut state = this.state.borrow_mut();
            state.control = Some(control);
            state.lanes = plumbing.lanes;
            state.waiting = plumbing.reactors;
        }
        let cpus = if settings.pin { sys::allowed_cpus() } else { Vec::new() };
        let plans = this.program.as_ref().map_or(Vec::new(), |program| {
            let plan = |(index, parts)| WorkerPlan {
                parts,
                around: around.clone(),
                program: program.clone(),
                routes: this.table.clone(),
                cpu: cpu_of(&cpus, index),
            };
            plumbing.workers.into_iter().enumerate().map(plan).collect()
        });
        let (tickets, mut arrivals) = start::prepare(plans.len(), order);
        for (ticket, plan) in tickets.into_iter().zip(plans) {
            let name = format!("pyre-worker-{}.0", ticket.index());
            this.lanes
                .start(name, plan.cpu, move || worker::run(plan, ticket))
                .map_err(|error| fail(&format!("no thread for a worker: {error}")))?;
        }
        let found = loop {
            let found = py.detach(|| arrivals.wait(TELL_EVERY)).map_err(|text| fail(&text))?;
            tell.call1(&*arrivals.show(py)?, py)?;
            if let Some(found) = found {
                break found;
            }
        };
        let mut found = found.into_iter();
        let moves = found.next().unwrap_or_default();
        if let Some(difference) = found.find_map(|later| moves.lacks(&later)) {
            return Err(fail(&difference));
        }
        this.state.borrow_mut().moves = moves;
        // What loading has left free is in many places, of a heap for each worker.
        if this.program.is_some() {
            py.detach(sys::return_free_pages_to_the_system);
        }
        let mut state = this.state.borrow_mut();
        let state = &mut *state;
        if this.places.use_main(&this.app.application, &state.moves) {
            state.main = Some((plumbing.main, around));
        } else {
            state.waiting.iter_mut().for_each(|parts| parts.dispatch.forget_main());
            state.lanes.retain(|lanes| !lanes.is_on_main);
        }
        state.moves.show(py)
    }

    /// Starts the lanes of the main interpreter, if handlers run there. Its hooks have run.
    fn start_main<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        let Some((parts, around)) = self.state.borrow_mut().main.take() else {
            return Ok(none(py));
        };
        let handle = InterpreterHandle::main(py);
        let name = "pyre-main".to_owned();
        let origin = Origin::here(py)?;
        let station = Station { name, handle, app: self.app.clone(), cpu: None, origin };
        let start = || {
            if let Some(parts) = parts.event_loop {
                let seat = crew::prepare_loop(py, parts, &station, &around)?;
                crew::start_loop(py, &around.threads, &station, seat)?;
            }
            if let Some(parts) = parts.lanes {
                crew::start_lanes(py, parts, &station, &around, false)?;
            }
            Ok(())
        };
        start().map(|()| none(py)).map_err(|error: std::io::Error| {
            Raised::new(py, ExceptionKind::OSError, &format!("cannot start a lane: {error}"))
        })
    }

    fn accept<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        let (bound, parts, control, lanes) = {
            let mut state = self.state.borrow_mut();
            let parts = std::mem::take(&mut state.waiting);
            (state.bound.take(), parts, state.control.clone(), state.lanes.clone())
        };
        let (Some(bound), Some(control)) = (bound, control) else {
            return Err(Raised::runtime_error(py, "bind() and start_workers() come first"));
        };
        if self.settings.uds_mode_for_handed {
            for file in &bound.handed_files {
                file.set_mode(self.settings.uds_mode).map_err(|error| {
                    let text = format!("cannot set the mode of {file}: {error}");
                    Raised::new(py, ExceptionKind::OSError, &text)
                })?;
            }
        }
        self.state.borrow_mut().handed_files = bound.handed_files;
        let moves = std::mem::take(&mut self.state.borrow_mut().moves);
        let application = &self.app.application;
        let place = |number, handler| self.places.of(handler, moves.contains(number));
        let routes = (0..).zip(application.routes());
        let pools = routes.map(|(number, handler)| place(number, handler)).collect();
        let fallback = application.fallback().map(|handler| place(moves::FALLBACK, handler));
        let may_be_inline =
            |(number, handler)| self.places.may_be_inline(handler, moves.contains(number));
        let mut may_be_short: Vec<bool> =
            (0..).zip(application.routes()).map(may_be_inline).collect();
        may_be_short.push(
            application
                .fallback()
                .is_some_and(|fallback| may_be_inline((moves::FALLBACK, fallback))),
        );
        let own_timeouts = application.routes().iter().map(|handler| handler.timeout_ms);
        let allowances = Allowances::new(self.settings.request_timeout_ms, own_timeouts);
        let admission = Admission::new(self.settings.in_flight_max);
        monitor::start(&self.lanes, &self.crews, &control, &allowances).map_err(|error| {
            Raised::new(py, ExceptionKind::OSError, &format!("cannot start the monitor: {error}"))
        })?;
        let health = Arc::new(Health::new(control.clone(), self.settings.has_readiness_check));
        let to_program = self.settings.access_log.is_some_and(|style| style.to_program);
        let outbox: Option<Arc<Outbox>> = to_program.then(Arc::default);
        {
            let mut state = self.state.borrow_mut();
            state.health = Some(health.clone());
            state.outbox.clone_from(&outbox);
        }
        let watched = match self.settings.gil_watchdog {
            Some(_) => watchdog::interpreters(&self.crews),
            None => Vec::new(),
        };
        let gil = watched.iter().map(|one| one.wait.clone()).collect();
        if let Some(held_max) = self.settings.gil_watchdog {
            watchdog::start(watched, &self.lanes, &self.crews, &control, held_max).map_err(
                |error| {
                    let text = format!("cannot start a watchdog: {error}");
                    Raised::new(py, ExceptionKind::OSError, &text)
                },
            )?;
        }
        let Settings { proof_calls, proof_calls_max, .. } = self.settings;
        let new_classes = || Classes::new(&may_be_short, proof_calls, proof_calls_max);
        let loans: Vec<(Loan, Arc<Classes>)> = parts
            .iter()
            .filter_map(|parts| parts.loan.clone())
            .map(|loan| (loan, Arc::new(new_classes())))
            .collect();
        let inline = loans
            .iter()
            .map(|(loan, classes)| {
                let classes = classes.clone();
                let handlers = Box::new(move || classes.shown().collect());
                Inline { carrier: loan.lanes.carrier.clone(), handlers }
            })
            .collect();
        let vitals = Vitals::new(&self.settings, self.table.clone(), lanes, health, gil, inline);
        let frozen = Arc::new(Frozen {
            routes: Routes {
                table: self.table.clone(),
                pools,
                fallback,
                gives_ids: self.settings.gives_ids,
                vitals,
            },
            settings: self.settings.clone(),
            allowances,
        });
        let cpus = if self.settings.pin { sys::allowed_cpus() } else { Vec::new() };
        let mut loans = loans.into_iter();
        for (index, (parts, listeners)) in parts.into_iter().zip(bound.listeners).enumerate() {
            let ReactorParts { poll, dispatch, loan: _ } = parts;
            let (loan, classes) = loans.next().unzip();
            let errands = loan
                .as_ref()
                .zip(classes)
                .map(|(loan, classes)| Errands::new(classes, loan.lanes.clone()));
            let number = u32::try_from(index).expect("reactors are few");
            let parts = Parts {
                poll,
                dispatch,
                admission: admission.clone(),
                ledger: new_ledger(&frozen, index, outbox.as_ref()),
                errands,
            };
            let (frozen, control) = (frozen.clone(), control.clone());
            let started =
                Reactor::new(number, parts, listeners, frozen, control).and_then(|reactor| {
                    let name = format!("pyre-reactor-{index}");
                    self.reactors.start(name, cpu_of(&cpus, index), move || {
                        failure::end_process_if_it_fails("a reactor", || keep(reactor, loan));
                    })
                });
            started.map_err(|error| {
                Raised::new(py, ExceptionKind::OSError, &format!("cannot start a reactor: {error}"))
            })?;
        }
        Ok(none(py))
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
                control.wait_drained(patience)
                    && control.wait_until(deadline, || crews.tasks_left() == 0)
            })
        });
        Ok(Bool::new(py, drained).into_any())
    }

    fn abandoned<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        let running = self.state.borrow().control.as_ref().map_or(0, |control| control.running());
        let number = |count: usize| Int::new(py, i64::try_from(count).unwrap_or(i64::MAX));
        let counts = [number(running)?.into_any(), number(self.crews.tasks_left())?.into_any()];
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
            py.detach(|| monitor::interrupt_what_runs(threads, &crews, control));
            control.advance(Stage::Stopping);
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

/// What the reactor of this index notes of its answers.
fn new_ledger(frozen: &Frozen, index: usize, outbox: Option<&Arc<Outbox>>) -> Ledger {
    let vitals = &frozen.routes.vitals;
    let style = frozen.settings.access_log;
    let access = style.map(|style| AccessLog::new(vitals.clone(), style, outbox.cloned()));
    Ledger::new(vitals.counters[index].clone(), access)
}

fn cpu_of(cpus: &[usize], index: usize) -> Option<usize> {
    (!cpus.is_empty()).then(|| cpus[index % cpus.len()])
}

fn read_program(py: Attached<'_>, program: &Object) -> Result<Option<Vec<String>>, Raised> {
    if program.is_none() {
        return Ok(None);
    }
    let wrong = || Raised::type_error(py, "program must be a list of str, or None");
    let list = program.cast::<List>().ok_or_else(wrong)?;
    let mut texts = Vec::with_capacity(list.len());
    while let Some(item) = list.get(texts.len(), py) {
        texts.push(item.cast::<Str>().ok_or_else(wrong)?.as_utf8(py)?.to_owned());
    }
    Ok(Some(texts))
}

/// Sockets from an address, its descriptors, which stay the caller's, and its file for each.
fn read_handed(py: Attached<'_>, handed: &Object) -> Result<Vec<Handed>, Raised> {
    let wrong =
        || Raised::type_error(py, "handed must be a list of (bytes, list of int, str or None)");
    let list = handed.cast::<List>().ok_or_else(wrong)?;
    let mut entries = Vec::new();
    while let Some(item) = list.get(entries.len(), py) {
        let entry = item.cast::<Tuple>().ok_or_else(wrong)?;
        let &[address, numbers, file] = entry.items() else { return Err(wrong()) };
        let address = address.cast::<Bytes>().ok_or_else(wrong)?.as_slice();
        let numbers = numbers.cast::<List>().ok_or_else(wrong)?;
        let mut sockets = Vec::new();
        while let Some(number) = numbers.get(sockets.len(), py) {
            let number = number.cast::<Int>().and_then(|number| number.as_i64());
            let number = number.and_then(|number| number.try_into().ok()).ok_or_else(wrong)?;
            sockets.push(sys::duplicate(number).map_err(|error| {
                let text = format!("descriptor {number} was not handed over: {error}");
                Raised::new(py, ExceptionKind::OSError, &text)
            })?);
        }
        let file = match file.is_none() {
            true => None,
            false => {
                let text = file.cast::<Str>().ok_or_else(wrong)?.as_utf8(py)?;
                Some(FileId::parse(text).ok_or_else(wrong)?)
            }
        };
        entries.push(Handed { bind: parse_bind(address).ok_or_else(wrong)?, sockets, file });
    }
    Ok(entries)
}

fn read_seconds(
    py: Attached<'_>,
    given: &Arguments<'_>,
    signature: &Signature<1>,
) -> Result<f64, Raised> {
    let [seconds] = given.parse(signature, py)?;
    to_seconds(py, &seconds.expect("the signature requires it"))
}

fn to_seconds(py: Attached<'_>, seconds: &Object) -> Result<f64, Raised> {
    if let Some(number) = seconds.cast::<Float>() {
        return Ok(number.as_f64());
    }
    let whole = seconds.cast::<Int>().and_then(|number| number.as_i64());
    whole
        .map(|number| number as f64)
        .ok_or_else(|| Raised::type_error(py, "seconds must be a number"))
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
            .method0(
                c"begin_drain",
                c"begin_drain($self)\n--\n\nAccept no more; requests that are running finish.",
                Self::begin_drain,
            )
            .method(
                c"wait_drained",
                c"wait_drained($self, seconds)\n--\n\nWait until no connection is left; returns whether that is so.",
                Self::wait_drained,
            )
            .method0(
                c"abandoned",
                c"abandoned($self)\n--\n\nHow many requests are still running after begin_drain(), and tasks of \
                  add_task().",
                Self::abandoned,
            )
            .method(
                c"stop",
                c"stop($self, seconds)\n--\n\nEnd reactors, lanes and interpreters; returns False if one is stuck.",
                Self::stop,
            );
    }
}
