//! Step 8b: a request that waits takes off, and lands when its coroutine has ended. Hot path.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use pyre_ffi::{Kind, Owned, Raised, Str, none};

use super::calls::Ride;
use super::{LoopLane, call};
use crate::event_loop::flights::{End, Flight};
use crate::event_loop::request_coroutine::{Outcome, cancel_future};
use crate::invoke::application::Handler;
use crate::invoke::stages::Stages;
use crate::job::Job;
use crate::serialize::answer::Answer;

/// Request objects kept for reuse.
const SPARE_REQUESTS_MAX: usize = 1024;

impl<'py> LoopLane<'py, '_> {
    /// The request that is loaded waits.
    ///
    /// # Panics
    /// If it cannot: without a driver nobody can go on with it. That ends the request.
    pub(super) fn take_off(
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
        if self.lane.shared.disconnects.contains(connection) {
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

    /// Goes on with a flight whose coroutine has ended.
    pub(super) fn land(&mut self, number: u32) {
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
        if let Some(answered) = answered
            && let Some(left) = self.answered(answered)
        {
            self.run_job(left);
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
        let is_plain = outcome.as_ref().is_ok_and(is_plain) && self.lane.app.ends_with_handlers();
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
            Some(End::Disconnected) => {
                stages.disconnected(cancelled.clone());
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
    pub(super) fn drop_request(&mut self, answer: Answer<'py>) {
        drop(answer);
        self.lane.context = None;
        self.lane.desk.clear();
        self.lane.end_piece();
        self.lane.take_tasks();
        let mut job = self.lane.unload();
        job.give_up_rest();
        self.lane.give_back(job);
    }
}

/// Whether a result is encoded without running anything of the program.
fn is_plain(result: &Owned<'_>) -> bool {
    matches!(result.kind(), Kind::None | Kind::Str | Kind::Bytes)
}
