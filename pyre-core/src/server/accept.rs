//! Beginning to serve: everything is put together, and the reactors start.

use std::io;
use std::sync::Arc;

use pyre_ffi::{Attached, ExceptionKind, Owned, Raised, none};
use pyre_interp::invoke::application::{Application, Handler, Plan};
use pyre_interp::job::Pool as Handlers;

use crate::direct::files::pool::Pool;
use crate::direct::responder::Responder;
use crate::dispatch::admission::Admission;
use crate::dispatch::classes::Classes;
use crate::dispatch::errands::Errands;
use crate::dispatch::hand_over::Dispatch;
use crate::log::access::AccessLog;
use crate::log::outbox::Outbox;
use crate::metrics::ledger::Ledger;
use crate::reactor::keeper::{Loan, keep};
use crate::reactor::run::Reactor;
use crate::server::failure;
use crate::server::monitor;
use crate::server::moves::{self, Moves};
use crate::server::object::Server;
use crate::server::plumbing::ReactorParts;
use crate::server::threads::cpu_of;
use crate::server::watchdog;
use crate::settings::Settings;
use crate::shared::control::Control;
use crate::shared::frozen::{Allowances, Frozen, Routes, Sockets};
use crate::shared::gil::GilWait;
use crate::shared::health::Health;
use crate::shared::vitals::{Inline, Vitals};
use crate::sys;

impl Server {
    pub(super) fn accept<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
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
        let Placed { pools, fallback, may_be_short } = self.place(&moves);
        let application = &self.app.application;
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
        let gil = self.watch_gil(&control).map_err(|error| {
            Raised::new(py, ExceptionKind::OSError, &format!("cannot start a watchdog: {error}"))
        })?;
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
        let vitals = {
            let topics = control.topics().clone();
            Vitals::new(&self.settings, self.table.clone(), lanes, health, topics, gil, inline)
        };
        let frozen = Arc::new(Frozen {
            routes: Routes {
                table: self.table.clone(),
                pools,
                takes_body: takes_body(application),
                fallback,
                sockets: sockets_of(&self.app.application),
                cors: self.settings.cors.clone(),
                hosts: self.settings.hosts.clone(),
                https_redirect: self.settings.https_redirect.clone(),
                looks_closely: self.settings.cors.as_ref().is_some_and(|cors| cors.is_by_origin())
                    || self.settings.hosts.is_some()
                    || self.settings.https_redirect.is_some(),
                gives_ids: self.settings.gives_ids,
                vitals,
            },
            settings: self.settings.clone(),
            allowances,
        });
        let cpus = if self.settings.pin { sys::allowed_cpus() } else { Vec::new() };
        let mut loans = loans.into_iter();
        let disk: Arc<Pool> = Arc::default();
        for (index, (parts, listeners)) in parts.into_iter().zip(bound.listeners).enumerate() {
            let ReactorParts { poll, workers, loan: _ } = parts;
            let (loan, classes) = loans.next().unzip();
            let errands = loan
                .as_ref()
                .zip(classes)
                .map(|(loan, classes)| Errands::new(classes, loan.lanes.clone()));
            let number = u32::try_from(index).expect("reactors are few");
            let dispatch =
                Dispatch::new(workers, admission.clone(), control.disconnects(), errands);
            let ledger = new_ledger(&frozen, index, outbox.as_ref());
            let responder = Responder::new(frozen.clone(), ledger);
            let disk = disk.clone();
            let control = control.clone();
            let started = Reactor::new(number, poll, listeners, responder, dispatch, control, disk)
                .and_then(|reactor| {
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

    /// Where each handler runs, and which may be short.
    fn place(&self, moves: &Moves) -> Placed {
        let application = &self.app.application;
        let place = |number, handler| self.places.of(handler, moves.contains(number));
        let may_be_short =
            |(number, handler)| self.places.may_be_inline(handler, moves.contains(number));
        let routes = || (0..).zip(application.routes());
        let fallback = application.fallback().map(|handler| (moves::FALLBACK, handler));
        Placed {
            pools: routes().map(|(number, handler)| place(number, handler)).collect(),
            fallback: fallback.map(|(number, handler)| place(number, handler)),
            may_be_short: routes()
                .map(may_be_short)
                .chain([fallback.is_some_and(may_be_short)])
                .collect(),
        }
    }

    /// Has the GIL of each interpreter watched, if that is asked for. Returns what is found of them.
    fn watch_gil(&self, control: &Arc<Control>) -> io::Result<Vec<Arc<GilWait>>> {
        let Some(held_max) = self.settings.gil_watchdog else { return Ok(Vec::new()) };
        let watched = watchdog::interpreters(&self.crews);
        let gil = watched.iter().map(|one| one.wait.clone()).collect();
        watchdog::start(watched, &self.lanes, &self.crews, control, held_max)?;
        Ok(gil)
    }
}

/// Of each route whether its handler takes a body as it comes; empty if none does.
fn takes_body(application: &Application) -> Vec<bool> {
    let takes: Vec<bool> = application.routes().iter().map(|handler| handler.takes_body).collect();
    if takes.contains(&true) { takes } else { Vec::new() }
}

/// Which routes are WebSockets, if any is.
fn sockets_of(application: &Application) -> Option<Sockets> {
    let rules = |handler: &Handler| match &handler.plan {
        Plan::Socket(socket) => Some(socket.origins.clone()),
        _ => None,
    };
    let all: Sockets = application.routes().iter().map(rules).collect();
    all.iter().any(Option::is_some).then_some(all)
}

/// Where handlers run, routes in their order.
struct Placed {
    pools: Vec<Handlers>,
    fallback: Option<Handlers>,
    /// The fallback last.
    may_be_short: Vec<bool>,
}

/// What the reactor of this index notes of its answers.
fn new_ledger(frozen: &Frozen, index: usize, outbox: Option<&Arc<Outbox>>) -> Ledger {
    let vitals = &frozen.routes.vitals;
    let style = frozen.settings.access_log;
    let access = style.map(|style| AccessLog::new(vitals.clone(), style, outbox.cloned()));
    Ledger::new(vitals.counters[index].clone(), access)
}
