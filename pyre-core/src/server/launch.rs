//! Starting the interpreters: workers load the program, the main interpreter gets its lanes.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use pyre_ffi::interpreter::InterpreterHandle;
use pyre_ffi::{Arguments, Attached, ExceptionKind, Object, Owned, Raised, Signature, Str, none};

use crate::server::crew::{self, Origin, Station, Surroundings};
use crate::server::engine::Engine;
use crate::server::object::Server;
use crate::server::plumbing;
use crate::server::start::{self, Order};
use crate::server::threads::cpu_of;
use crate::server::worker::{self, WorkerPlan};
use crate::shared::control::{Control, Limit};
use crate::sys;

const START_WORKERS: Signature<2> = Signature::all("start_workers", ["tell", "together"]);

/// How often, at least, it is told what workers that start are at.
const TELL_EVERY: Duration = Duration::from_millis(250);

impl Server {
    pub(super) fn start_workers<'py>(
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
        // What the program publishes on the main interpreter is heard from now on.
        this.app.application.topics.open(control.topics());
        let around = Surroundings {
            doorbells: plumbing.doorbells,
            mailboxes: control.mailboxes(),
            topics: control.topics().clone(),
            server_header: settings.server_header,
            cors: settings.cors.clone(),
            security: settings.security.clone(),
            compression: settings.compression.clone(),
            decodes: settings
                .compression
                .as_ref()
                .filter(|compression| compression.decodes)
                .map(|_| settings.limits.body_bytes_max),
            request_timeout: (settings.request_timeout_ms > 0)
                .then(|| Duration::from_millis(settings.request_timeout_ms)),
            ws_threads: settings.ws_threads,
            disconnects: control.disconnects(),
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
            state.waiting.iter_mut().for_each(|parts| parts.workers.forget_main());
            state.lanes.retain(|lanes| !lanes.is_on_main);
        }
        state.moves.show(py)
    }

    /// Starts the lanes of the main interpreter, if handlers run there. Its hooks have run.
    pub(super) fn start_main<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
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
}
