//! Steps 8 and 8a on the loop lane: the calls of a job, one after the other, each until it is answered
//! or waits. Hot path.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use pyre_ffi::{Owned, Raised};

use super::LoopLane;
use crate::event_loop::blocking;
use crate::event_loop::drivers::{Driver, Stepped};
use crate::invoke::application::Handler;
use crate::invoke::stages::{Next, Stages};
use crate::job::{Job, REPLY_PART_BYTES, Target};
use crate::serialize::answer::Answer;
use crate::serialize::wire::Manner;
use crate::worker::lane::manner_of;

/// What a request carries from one stretch of work to the next.
pub(super) struct Ride<'py> {
    pub(super) target: Target,
    pub(super) manner: Manner,
    pub(super) stages: Stages<'py>,
    /// The driver that it had before, not entered.
    pub(super) driver: Option<Driver<'py>>,
}

impl<'py> LoopLane<'py, '_> {
    /// Runs the calls of a job in order, as far as they belong here, and gives it back; unless one
    /// waits, which the others then wait for.
    pub(super) fn run_job(&mut self, mut job: Box<Job>) {
        while let Some(call) = job.current() {
            if call.pool != self.lane.shared.pool {
                break;
            }
            let (target, manner) = (call.target, manner_of(call));
            let answered = self.run_call(job, target, manner);
            self.lane.end_if_forked();
            let Some(answered) = answered else { return };
            let Some(left) = self.answered(answered) else { return };
            job = left;
        }
        self.lane.give_back(job);
    }

    /// A call has its answer. Returns the job if its next one may be run now.
    #[inline]
    pub(super) fn answered(&mut self, mut job: Box<Job>) -> Option<Box<Job>> {
        job.next += 1;
        if self.lane.shared.disconnects.contains(job.reply_to) {
            // What its client has sent behind is not begun.
            job.give_up_rest();
        }
        if job.is_finished() || job.reply.len() >= REPLY_PART_BYTES || job.flow.is_some() {
            self.lane.give_back(job);
            return None;
        }
        Some(job)
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
    pub(super) fn give_up(&mut self, handler: &Handler, manner: Manner) -> Option<Box<Job>> {
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
        let is_alone = app.before.is_empty() && app.ends_with_handlers();
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
            Ok(answer) if answer.is_stream() => {
                let mut ride = ride();
                let next = self.lane.stream(handler, &mut ride.stages, answer);
                self.proceed(handler, ride, next)
            }
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
            Err(raised) => {
                ride.stages.is_at_the_end();
                self.lane.resume(handler, &mut ride.stages, Err(raised))
            }
        }
    }

    fn begin_stages(&mut self, handler: &Handler, ride: &mut Ride<'py>) -> Next<'py> {
        self.lane.in_stages(handler, &mut ride.stages, |lane, stages| lane.begin(handler, stages))
    }

    pub(super) fn resume(
        &mut self,
        handler: &Handler,
        stages: &mut Stages<'py>,
        outcome: Result<Owned<'py>, Raised>,
    ) -> Next<'py> {
        self.lane.in_stages(handler, stages, |lane, stages| lane.resume(handler, stages, outcome))
    }

    /// Goes on with the request that is loaded, until it is answered or waits: then it is a flight.
    pub(super) fn proceed(
        &mut self,
        handler: &Handler,
        mut ride: Ride<'py>,
        mut next: Next<'py>,
    ) -> Option<Answer<'py>> {
        loop {
            let coroutine = match next {
                Next::Await(coroutine) => coroutine,
                Next::Answer(answer) => {
                    let is_stream = answer.is_stream();
                    if let Some(driver) = ride.driver.as_ref().filter(|_| is_stream) {
                        // What it has left to be done comes behind all that is sent.
                        self.lane.context = Some(driver.copied_context(self.py));
                    }
                    self.let_go(ride.driver, !is_stream);
                    if ride.stages.is_disconnected() {
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
    fn let_go(&mut self, driver: Option<Driver<'py>>, with_tasks: bool) {
        if let Some(driver) = driver {
            // What it has left to be done is done in the context that its handler ran in.
            if with_tasks && let Some(tasks) = self.lane.request.get().take_tasks(self.py) {
                self.lane.keep_tasks(Some(tasks), None, driver.copied_context(self.py));
            }
            let given_back = self.drivers.give_back(&self.event_loop, driver);
            self.tell(given_back);
        }
    }
}
