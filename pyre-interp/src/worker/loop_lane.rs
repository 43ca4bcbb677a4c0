//! The loop lane: the thread of an interpreter that takes jobs for `async def` handlers, steps their
//! coroutines, and runs the asyncio loop on which those that wait go on. Hot path.
//!
//! ```text
//!   take jobs ──▶ step ──▶ ended: write the answer, next call of the job
//!                   └────▶ waits: it is a flight, its task goes on with it
//!   iterate the loop ────▶ flights whose coroutine has ended: as above
//!   cancel flights that are overdue or whose client has gone
//!   sleep until a job comes, the loop's selector is ready, or a timer is due
//! ```
//! With one thread to an interpreter, this lane runs its `def` handlers as well.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pyre_ffi::{Attached, Guarded, Instance, Kind, Owned, Raised, Str, none};

use crate::event_loop::asyncio::EventLoop;
use crate::event_loop::blocking;
use crate::event_loop::drivers::{Driver, Drivers, Stepped};
use crate::event_loop::flights::{End, Flight, Flights};
use crate::event_loop::request_coroutine::{Outcome, Turnstile, cancel_future};
use crate::invoke::application::{Application, Handler};
use crate::invoke::stages::{Next, Stages};
use crate::job::{Job, REPLY_PART_BYTES, Target};
use crate::objects::request::Request;
use crate::objects::toolkit::Toolkit;
use crate::ring::LaneSeat;
use crate::serialize::answer::Answer;
use crate::serialize::wire::Manner;
use crate::worker::inlet::Inlet;
use crate::worker::lane::{Lane, Shared, manner_of};

/// Jobs taken before the loop has its turn.
const JOBS_PER_TURN_MAX: usize = 64;

/// Turns with jobs alone before the loop looks at its selector all the same.
const TURNS_WITHOUT_LOOK_MAX: u32 = 16;

/// Request objects kept for reuse.
const SPARE_REQUESTS_MAX: usize = 1024;

/// How long flights that were cancelled at the end have to end, with their hooks: less than the server
/// waits for a lane that holds requests it has given up.
const LAST_FLIGHTS_MAX: Duration = Duration::from_millis(750);

/// What a loop lane sleeps on, which takes a system call that is not for this crate.
pub trait Bell: Send + Sync {
    /// Waits until the bell rings, the descriptor is readable, or the time is over. Answers whether
    /// the descriptor is readable.
    fn wait(&self, descriptor: i32, timeout: Option<Duration>) -> bool;

    /// Ends the wait, or keeps the next one from beginning.
    fn ring(&self);
}

/// A seat in the roster, and the bell that the roster rings for it.
pub struct Berth<'a> {
    /// The seat.
    pub seat: LaneSeat,
    /// Its bell.
    pub bell: &'a dyn Bell,
}

/// Takes jobs and runs them until the roster is closed, and with them everything else that runs on
/// the loop. Calls `opened` when lanes may await coroutines on it.
///
/// # Errors
/// If the loop is not one that we know, or what a lane works with cannot be made.
///
/// # Threads
/// Blocks the calling thread, on which the loop is the running one meanwhile.
pub fn run(
    py: Attached<'_>,
    shared: &Shared,
    berth: Berth<'_>,
    event_loop: Owned<'_>,
    app: &Arc<Application>,
    tools: &Arc<Toolkit>,
    opened: impl FnOnce(),
) -> Result<(), Raised> {
    let event_loop = event_loop.as_any().to_owned(py);
    let Berth { mut seat, bell } = berth;
    let lane = Lane::new(py, shared, &seat, app, tools)?;
    let turnstile = Arc::new(Turnstile {
        ended: Guarded::new(py, Vec::new()),
        watch: lane.watch.clone(),
        app: app.clone(),
        process: lane.process,
        end_fork: shared.end_fork,
    });
    let event_loop = EventLoop::open(py, event_loop)?;
    opened();
    let mut lane = LoopLane {
        py,
        drivers: Drivers::new(py, turnstile.clone())?,
        lane,
        event_loop,
        turnstile,
        flights: Flights::default(),
        requests: Vec::new(),
        departures: shared.departures.version(),
    };
    lane.serve(&mut seat, bell)?;
    lane.close(bell)
}

struct LoopLane<'py, 'a> {
    py: Attached<'py>,
    lane: Lane<'py, 'a>,
    event_loop: EventLoop<'py>,
    drivers: Drivers<'py>,
    turnstile: Arc<Turnstile>,
    flights: Flights<'py>,
    /// Request objects with nothing loaded.
    requests: Vec<Owned<'py, Instance<Request>>>,
    /// The version of the departures that has been looked at.
    departures: u64,
}

/// What a request carries from one stretch of work to the next.
struct Ride<'py> {
    target: Target,
    manner: Manner,
    stages: Stages<'py>,
    /// The driver that it had before, not entered.
    driver: Option<Driver<'py>>,
}

impl<'py> LoopLane<'py, '_> {
    fn serve(&mut self, seat: &mut LaneSeat, bell: &dyn Bell) -> Result<(), Raised> {
        // The loop has something to do that shows in its selector or is due by its timers.
        let mut is_due = false;
        let mut turns_without_look = 0;
        loop {
            let mut is_idle = !self.take_jobs(seat);
            self.lane.unrung.ring(&self.lane.shared.doorbells);
            self.run_tasks();
            self.cancel_departed();
            self.cancel_overdue();
            turns_without_look += 1;
            let looks = turns_without_look >= TURNS_WITHOUT_LOOK_MAX && !is_idle;
            if is_due || looks || self.event_loop.has_ready() {
                turns_without_look = 0;
                is_due = false;
                self.iterate();
                self.lane.unrung.ring(&self.lane.shared.doorbells);
                self.run_tasks();
                is_idle = false;
            }
            if !is_idle && !seat.is_closed() {
                continue;
            }
            seat.announce();
            let has_jobs = !self.lane.shared.inlet.with(self.py, |inlet| inlet.is_empty());
            if has_jobs || self.lane.shared.departures.version() != self.departures {
                seat.look();
                continue;
            }
            if seat.is_closed() {
                seat.look();
                return Ok(());
            }
            let settled = self.drivers.settle(&self.event_loop);
            self.tell(settled);
            // Whoever waits for the task of a request, or for what it has kept, hears of its end now.
            if self.event_loop.has_ready() {
                seat.look();
                continue;
            }
            is_due = self.sleep(bell)?;
            seat.look();
        }
    }

    /// Sleeps until there is something to do. Tells whether it is the loop that has it.
    fn sleep(&self, bell: &dyn Bell) -> Result<bool, Raised> {
        let selector = self.event_loop.selector();
        let timer = self.event_loop.next_timer()?;
        let deadline = self.flights.next_deadline();
        if timer.is_none() && deadline.is_none() {
            return Ok(self.py.detach(|| bell.wait(selector, None)));
        }
        let began = Instant::now();
        let deadline = deadline.map(|moment| moment.saturating_duration_since(began));
        let timeout = timer.into_iter().chain(deadline).min();
        let is_ready = self.py.detach(|| bell.wait(selector, timeout));
        Ok(is_ready || timer.is_some_and(|timer| began.elapsed() >= timer))
    }

    fn run_tasks(&mut self) {
        if !self.lane.tasks.is_empty() {
            // What is left to be done has a context of its own, and no task is the current one.
            let left = self.drivers.leave(&self.event_loop);
            self.tell(left);
            self.lane.run_tasks();
        }
    }

    /// Takes the jobs that are there, up to a bound. Tells whether there was one.
    fn take_jobs(&mut self, seat: &mut LaneSeat) -> bool {
        for number in 0..JOBS_PER_TURN_MAX {
            let Some(job) = self.lane.shared.inlet.with(self.py, Inlet::take) else {
                return number > 0;
            };
            seat.took();
            if !self.lane.shared.departures.contains(job.reply_to) {
                self.lane.set_now(job.now_s);
                self.run_job(job);
            } else {
                self.lane.give_back(job);
            }
        }
        true
    }

    /// Runs the calls of a job in order, as far as they belong here, and gives it back; unless one
    /// waits, which the others then wait for.
    fn run_job(&mut self, mut job: Box<Job>) {
        while let Some(call) = job.current() {
            if call.pool != self.lane.shared.pool {
                break;
            }
            let (target, manner) = (call.target, manner_of(call));
            let answered = self.run_call(job, target, manner);
            self.lane.end_if_forked();
            let Some(answered) = answered else { return };
            job = answered;
            job.next += 1;
            if job.reply.len() >= REPLY_PART_BYTES {
                break;
            }
        }
        self.lane.give_back(job);
    }

    /// Runs one call. The job stays inside the request object if the call waits. A fault of our own
    /// costs this request and no other.
    fn run_call(&mut self, job: Box<Job>, target: Target, manner: Manner) -> Option<Box<Job>> {
        self.lane.request.get().load(job);
        let Some(handler) = self.lane.app.find(target) else {
            let answer = self.lane.answer_without_handler();
            return Some(self.lane.finish_apart(answer, manner));
        };
        let run = AssertUnwindSafe(|| self.run_loaded(handler, target, manner));
        catch_unwind(run).unwrap_or_else(|_| self.give_up(handler, manner))
    }

    /// The request that is loaded, if one is, after a fault that no stage has answered.
    #[cold]
    fn give_up(&mut self, handler: &Handler, manner: Manner) -> Option<Box<Job>> {
        self.lane.end_piece();
        if !self.lane.request.get().is_loaded() {
            return None;
        }
        let answer = self.lane.answer_panic(handler);
        Some(self.lane.finish_apart(answer, manner))
    }

    fn run_loaded(
        &mut self,
        handler: &Handler,
        target: Target,
        manner: Manner,
    ) -> Option<Box<Job>> {
        self.lane.watch.begin(target);
        let began = self.lane.app.debug.then(Instant::now);
        let app = self.lane.app;
        let is_alone = app.before.is_empty() && app.after.is_empty();
        let answer = if handler.is_async && is_alone {
            self.run_alone(handler, target, manner)
        } else {
            let mut ride = Ride { target, manner, stages: Stages::default(), driver: None };
            let next = if handler.is_async || app.has_async_hooks {
                self.begin(handler, &mut ride)
            } else {
                self.begin_sync(handler, &mut ride)
            };
            self.proceed(handler, ride, next)
        };
        self.lane.end_piece();
        if let Some(began) = began {
            blocking::report(self.py, &handler.label, began.elapsed());
        }
        answer.map(|answer| self.lane.finish_apart(answer, manner))
    }

    /// The short way of a coroutine with no hook around it, as most are: it ends at once with a
    /// result that can be encoded, or goes on as all others do.
    #[inline]
    fn run_alone(
        &mut self,
        handler: &Handler,
        target: Target,
        manner: Manner,
    ) -> Option<Answer<'py>> {
        let ride = || Ride { target, manner, stages: Stages::at_handler(), driver: None };
        let entered = self.drivers.enter_clean(&self.event_loop, &self.lane.tools.coroutine);
        let outcome = match entered.and_then(|()| self.lane.invoke(handler)) {
            Ok(coroutine) if coroutine.is_coroutine() => {
                match self.drivers.step(&self.event_loop, &coroutine, target) {
                    Stepped::Ended(outcome) => outcome,
                    Stepped::Waits { future, cancel } => {
                        self.take_off(handler, ride(), coroutine, future, cancel);
                        return None;
                    }
                }
            }
            // What is awaited has to be a coroutine: this is a result.
            outcome => outcome,
        };
        match outcome.and_then(|result| self.lane.encode(result)) {
            Ok(answer) => Some(answer),
            Err(raised) => {
                let mut ride = ride();
                let next = self.resume(handler, &mut ride.stages, Err(raised));
                self.proceed(handler, ride, next)
            }
        }
    }

    #[inline]
    fn begin(&mut self, handler: &Handler, ride: &mut Ride<'py>) -> Next<'py> {
        let entered = self.drivers.enter_clean(&self.event_loop, &self.lane.tools.coroutine);
        if let Err(raised) = entered {
            return self.lane.resume(handler, &mut ride.stages, Err(raised));
        }
        self.begin_stages(handler, ride)
    }

    /// Begins a request that has no business with the loop: its handler may run one of its own.
    fn begin_sync(&mut self, handler: &Handler, ride: &mut Ride<'py>) -> Next<'py> {
        let left = self.drivers.leave(&self.event_loop);
        if let Err(raised) = left.and_then(|()| self.event_loop.set_running(false)) {
            return self.lane.resume(handler, &mut ride.stages, Err(raised));
        }
        let next = self.begin_stages(handler, ride);
        match self.event_loop.set_running(true) {
            Ok(()) => next,
            Err(raised) => self.lane.resume(handler, &mut Stages::at_the_end(), Err(raised)),
        }
    }

    fn begin_stages(&mut self, handler: &Handler, ride: &mut Ride<'py>) -> Next<'py> {
        self.lane.in_stages(handler, &mut ride.stages, |lane, stages| lane.begin(handler, stages))
    }

    fn resume(
        &mut self,
        handler: &Handler,
        stages: &mut Stages<'py>,
        outcome: Result<Owned<'py>, Raised>,
    ) -> Next<'py> {
        self.lane.in_stages(handler, stages, |lane, stages| lane.resume(handler, stages, outcome))
    }

    /// Goes on with the request that is loaded, until it is answered or waits: then it is a flight.
    fn proceed(
        &mut self,
        handler: &Handler,
        mut ride: Ride<'py>,
        mut next: Next<'py>,
    ) -> Option<Answer<'py>> {
        loop {
            let coroutine = match next {
                Next::Await(coroutine) => coroutine,
                Next::Answer(answer) => {
                    self.let_go(ride.driver);
                    if ride.stages.is_departed() {
                        self.drop_request(answer);
                        return None;
                    }
                    return Some(answer);
                }
            };
            let entered = match ride.driver.take() {
                Some(driver) => self.drivers.enter(&self.event_loop, driver),
                None => self.drivers.enter_any(&self.event_loop, &self.lane.tools.coroutine),
            };
            let outcome = match entered {
                Err(raised) => Err(raised),
                Ok(()) => match self.drivers.step(&self.event_loop, &coroutine, ride.target) {
                    Stepped::Ended(outcome) => outcome,
                    Stepped::Waits { future, cancel } => {
                        self.take_off(handler, ride, coroutine, future, cancel);
                        return None;
                    }
                },
            };
            drop(coroutine);
            next = self.resume(handler, &mut ride.stages, outcome);
        }
    }

    /// A request has ended: its driver may serve another one. The one that is entered stays so.
    #[inline]
    fn let_go(&mut self, driver: Option<Driver<'py>>) {
        if let Some(driver) = driver {
            // What it has left to be done is done in the context that its handler ran in.
            if let Some(tasks) = self.lane.request.get().take_tasks(self.py) {
                self.lane.keep_tasks(tasks, driver.copied_context(self.py));
            }
            let given_back = self.drivers.give_back(&self.event_loop, driver);
            self.tell(given_back);
        }
    }

    /// The request that is loaded waits.
    ///
    /// # Panics
    /// If it cannot: without a driver nobody can go on with it. That ends the request.
    fn take_off(
        &mut self,
        handler: &Handler,
        ride: Ride<'py>,
        coroutine: Owned<'py>,
        future: Owned<'py>,
        cancel: Option<Owned<'py>>,
    ) {
        if let Err(raised) = self.make_flight(ride, coroutine, future, cancel) {
            raised.write_unraisable(&handler.label, self.py);
            panic!("a request was lost on its way to the event loop");
        }
    }

    /// The request that is loaded becomes a flight: another request object takes its place.
    fn make_flight(
        &mut self,
        ride: Ride<'py>,
        coroutine: Owned<'py>,
        future: Owned<'py>,
        cancel: Option<Owned<'py>>,
    ) -> Result<(), Raised> {
        let spare = match self.requests.pop() {
            Some(request) => request,
            None => self.lane.new_request()?,
        };
        let driver = self.drivers.take(&self.event_loop)?.expect("it has just been stepped");
        driver.has_flown.set(true);
        let request = mem::replace(&mut self.lane.request, spare);
        let connection = request.get().with_call(|job, _| job.reply_to);
        let Ride { target, manner, stages, .. } = ride;
        let number = self.flights.next_number();
        driver.coroutine.hand_over(self.py, coroutine, future.clone(), number);
        let task = driver.task.clone();
        let flight = Flight { request, driver, stages, target, manner, connection, end: None };
        let timeout_ms = self.lane.app.handler(target).timeout_ms;
        let span = match timeout_ms {
            Some(0) => None,
            Some(timeout_ms) => Some(Duration::from_millis(timeout_ms)),
            None => self.lane.shared.request_timeout,
        };
        self.flights.insert(flight, Instant::now(), span);
        if let Some(message) = cancel {
            self.tell(self.pass_on_cancelling(&task, &future, &message));
        }
        if self.lane.shared.departures.contains(connection) {
            self.cancel_for_client(number);
        }
        Ok(())
    }

    /// The task was asked to cancel before it waited for this future.
    #[cold]
    fn pass_on_cancelling(
        &self,
        task: &Owned<'py>,
        future: &Owned<'py>,
        message: &Owned<'py>,
    ) -> Result<(), Raised> {
        let cancelled = cancel_future(future, Some(message), self.py)?;
        // As asyncio does it: if what it waits for cannot be cancelled, its next step is.
        if !cancelled.is_true(self.py)? {
            cancel_future(task, Some(message), self.py)?;
            call(task, "uncancel", self.py)?;
        }
        Ok(())
    }

    /// One iteration of the loop, and what has ended by it.
    fn iterate(&mut self) {
        // Tasks of the loop enter themselves.
        let left = self.drivers.leave(&self.event_loop);
        self.tell(left);
        self.lane.watch.begin_callbacks();
        let iterated = self.event_loop.run_once();
        self.lane.end_piece();
        self.lane.end_if_forked();
        // What a callback raises is reported by the loop; this is for what ends programs, such as
        // SystemExit: here it ends nothing.
        self.tell(iterated);
        loop {
            let ended = self.turnstile.ended.with(self.py, mem::take);
            if ended.is_empty() {
                return;
            }
            self.lane.set_now(now_s());
            for number in ended {
                self.land(number);
            }
            let left = self.drivers.leave(&self.event_loop);
            self.tell(left);
        }
    }

    /// Goes on with a flight whose coroutine has ended.
    fn land(&mut self, number: u32) {
        let Some(flight) = self.flights.remove(number) else { return };
        let (target, manner) = (flight.target, flight.manner);
        let spare = mem::replace(&mut self.lane.request, flight.request.clone());
        if self.requests.len() < SPARE_REQUESTS_MAX {
            self.requests.push(spare);
        }
        let handler = self.lane.app.handler(target);
        let land = AssertUnwindSafe(|| self.land_loaded(handler, flight));
        let answered = catch_unwind(land).unwrap_or_else(|_| self.give_up(handler, manner));
        self.lane.end_if_forked();
        let Some(mut job) = answered else { return };
        job.next += 1;
        if self.lane.shared.departures.contains(job.reply_to) {
            // What it has sent behind is not begun.
            job.give_up_rest();
        }
        if job.is_finished() || job.reply.len() >= REPLY_PART_BYTES {
            self.lane.give_back(job);
        } else {
            self.run_job(job);
        }
    }

    /// Goes on with a flight whose request is loaded again.
    fn land_loaded(&mut self, handler: &Handler, flight: Flight<'py>) -> Option<Box<Job>> {
        let Flight { request, driver, stages, target, manner, end, .. } = flight;
        // The lane has it: whoever else does has kept it.
        drop(request);
        let outcome = driver.coroutine.take_outcome(self.py).expect("it has ended");
        self.lane.watch.begin(target);
        let mut ride = Ride { target, manner, stages, driver: Some(driver) };
        // Hooks, exception handlers and what results are encoded by see the context variables that
        // the handler has set. For a result that is as good as encoded that is not worth it.
        let is_plain = outcome.as_ref().is_ok_and(is_plain) && self.lane.app.after.is_empty();
        let entered = match ride.driver.take_if(|_| !is_plain) {
            Some(driver) => self.drivers.enter(&self.event_loop, driver),
            // The driver that is entered may be another request's.
            None => self.drivers.leave(&self.event_loop),
        };
        self.tell(entered);
        let outcome = self.outcome_of(outcome, end, &mut ride.stages);
        let next = self.resume(handler, &mut ride.stages, outcome);
        let answer = self.proceed(handler, ride, next);
        self.lane.end_piece();
        answer.map(|answer| self.lane.finish_apart(answer, manner))
    }

    /// What a coroutine ended with, as exception handlers and hooks see it. One that was cancelled
    /// for taking too long ends as a plain handler does, by `RequestTimeout`.
    fn outcome_of(
        &mut self,
        outcome: Outcome<'py>,
        end: Option<End>,
        stages: &mut Stages<'py>,
    ) -> Result<Owned<'py>, Raised> {
        let py = self.py;
        let raised = match outcome {
            Ok(value) => return Ok(value),
            Err(exception) => Raised::restore(py, exception),
        };
        if !self.drivers.is_cancellation(&raised) {
            return Err(raised);
        }
        let cancelled = match end {
            None => return Err(raised),
            Some(_) => raised.take(py),
        };
        let exception = match end {
            Some(End::Overrun) => {
                let overrun = self.lane.tools.overrun.bind(py);
                let exception = Raised::with(py, &overrun, &none(py)).take(py);
                exception.set_attr(&*Str::intern(py, "__cause__")?, &*cancelled, py)?;
                stages.overran(exception.clone());
                exception
            }
            Some(End::Departed) => {
                stages.departed(cancelled.clone());
                cancelled
            }
            Some(End::Closed) | None => {
                stages.closed(cancelled.clone());
                cancelled
            }
        };
        Err(Raised::restore(py, exception))
    }

    /// Gives the job back without the answer to the request that is loaded: its client has gone.
    #[cold]
    fn drop_request(&mut self, answer: Answer<'py>) {
        drop(answer);
        self.lane.desk.clear();
        self.lane.end_piece();
        self.lane.take_tasks();
        let mut job = self.lane.unload();
        job.give_up_rest();
        self.lane.give_back(job);
    }

    /// Cancels flights whose client has gone since the last look.
    fn cancel_departed(&mut self) {
        let version = self.lane.shared.departures.version();
        if version == self.departures {
            return;
        }
        self.departures = version;
        let flights = &self.flights;
        let departed = self.lane.shared.departures.among(|id| flights.of(id).is_some());
        for connection in departed {
            if let Some(number) = self.flights.of(&connection) {
                self.cancel_for_client(number);
            }
        }
    }

    /// Cancels a flight whose client has gone, unless all it does is done for the program's sake.
    fn cancel_for_client(&mut self, number: u32) {
        if self.flights.get(number).is_some_and(|flight| !flight.stages.is_past_client()) {
            self.cancel(number, End::Departed);
        }
    }

    /// Cancels flights that have lasted as long as they may.
    fn cancel_overdue(&mut self) {
        if self.flights.next_deadline().is_none() {
            return;
        }
        let now = Instant::now();
        while let Some(number) = self.flights.overdue(now) {
            self.cancel(number, End::Overrun);
        }
    }

    /// Cancels a flight, once for each reason that is graver than the one before: whoever catches the
    /// first may yet end when nobody waits any more.
    #[cold]
    fn cancel(&mut self, number: u32, end: End) {
        let Some(flight) = self.flights.get(number) else { return };
        if flight.end < Some(end) {
            flight.end = Some(end);
            let task = flight.driver.task.clone();
            // What the flight waits for may be of the user's making, and raise; it must not see the
            // context of another request.
            let left = self.drivers.leave(&self.event_loop);
            self.tell(left);
            self.tell(call(&task, "cancel", self.py));
            self.lane.end_if_forked();
        }
    }

    /// Ends what still flies, and the tasks that wait for requests.
    fn close(&mut self, bell: &dyn Bell) -> Result<(), Raised> {
        // Hooks behind a handler are not cancelled, but have the same time.
        for number in self.flights.numbers() {
            if self.flights.get(number).is_some_and(|flight| !flight.stages.is_past_client()) {
                self.cancel(number, End::Closed);
            }
        }
        let until = Instant::now() + LAST_FLIGHTS_MAX;
        // They may wait for something once more as they clean up, and so may their hooks.
        while !self.flights.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            if !self.event_loop.has_ready() {
                let timer = self.event_loop.next_timer()?.unwrap_or(left);
                let selector = self.event_loop.selector();
                self.py.detach(|| bell.wait(selector, Some(timer.min(left))));
            }
            self.iterate();
        }
        self.lane.unrung.ring(&self.lane.shared.doorbells);
        // Those that take longer end with the loop itself.
        for number in self.flights.numbers() {
            if let Some(flight) = self.flights.remove(number) {
                flight.driver.coroutine.end_after_this();
            }
        }
        self.drivers.end(&self.event_loop)?;
        if self.event_loop.has_ready() {
            self.iterate();
        }
        self.event_loop.close()
    }

    /// Tells of a failure that concerns no request, and goes on.
    fn tell(&self, done: Result<(), Raised>) {
        if let Err(raised) = done {
            raised.write_unraisable("the event loop", self.py);
        }
    }
}

/// Whether a result is encoded without running anything of the program.
fn is_plain(result: &Owned<'_>) -> bool {
    matches!(result.kind(), Kind::None | Kind::Str | Kind::Bytes)
}

fn call(object: &Owned<'_>, method: &str, py: Attached<'_>) -> Result<(), Raised> {
    object.call_method0(&*Str::intern(py, method)?, py).map(drop)
}

/// Unix time in seconds.
fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
