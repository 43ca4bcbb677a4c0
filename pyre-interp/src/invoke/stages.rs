//! The long way of a request: hooks, handler and exception handlers, any of which may be a
//! coroutine.
//!
//! ```text
//!   Before(0..) ──▶ Handler ──▶ After(0..) ──▶ answer
//!      │ answers ───────────────▲   │  ▲
//!      │ raises     raises      │   │  │ the hooks behind it go on with its result
//!      └────────▶ Recovery ─────┘   │  │
//!                                   └──▶ Recovery: a hook raised, or the result cannot be encoded
//!   A body that comes in pieces has its first one made behind all this (First).
//!   The session of the client is written last (Settling), when nothing is left that may fail.
//! ```
//! However a request ends, each after hook runs once: on what the handler made, on what an exception
//! became, or on what stands for a request that was ended from outside.
//!
//! The lane asks what is next and gets an answer or a coroutine; when that one has ended, however
//! long it took, the lane goes on with its outcome. So the rules stand here once, for lanes that
//! wait for a coroutine and for those that run an event loop.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pyre_ffi::{Exception, Instance, Object, Owned, Raised, Str, import};
use pyre_http::status::CLIENT_CLOSED_REQUEST;

use crate::invoke::application::Handler;
use crate::objects::response::Response;
use crate::serialize::answer::{Answer, Body, Desk};
use crate::worker::lane::Lane;
use crate::worker::lane::pieces::First;

/// Exception handlers that may raise one after the other before it counts as a failure.
const RECOVERIES_MAX: usize = 4;

/// Where a request stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// The before hook with this number runs.
    Before(usize),
    /// The handler runs.
    Handler,
    /// The after hook with this number runs.
    After(usize),
    /// The first piece of the body is made.
    First {
        /// How many exception handlers ran before: what one of them answers with may fail here as well.
        tries: usize,
    },
    /// The session of the client is written.
    Settling,
    /// An exception handler runs, or the error response stands in for it.
    Recovery {
        /// How many ran before.
        tries: usize,
        /// The first after hook that sees its result.
        then: usize,
    },
}

/// What has become of a request so far.
pub(crate) struct Stages<'py> {
    pub(super) stage: Stage,
    /// The answer that waits for its first piece, or for the session, with what of it is on the desk.
    pub(super) waiting: Option<(Answer<'py>, Desk)>,
    /// What becomes of the session is decided: it is asked for once.
    pub(super) is_settled: bool,
    /// What after hooks see.
    response: Option<Owned<'py, Instance<Response>>>,
    /// The exception by which the request was ended from outside, and the status that it stands for
    /// if nobody handles it.
    ended: Option<(Owned<'py, Exception>, u16)>,
}

impl Default for Stages<'_> {
    fn default() -> Self {
        Self::at(Stage::Before(0))
    }
}

impl<'py> Stages<'py> {
    fn at(stage: Stage) -> Self {
        Self { stage, waiting: None, is_settled: false, response: None, ended: None }
    }

    /// The stages of a request whose handler has run.
    pub(crate) fn at_handler() -> Self {
        Self::at(Stage::Handler)
    }

    /// No hook sees any more of the request, whatever becomes of it.
    #[cold]
    pub(crate) fn is_at_the_end(&mut self) {
        self.stage = Stage::Recovery { tries: 0, then: usize::MAX };
    }

    /// The request took longer than it may, and ended by this exception.
    pub(crate) fn overran(&mut self, exception: Owned<'py, Exception>) {
        self.ended = Some((exception, 504));
    }

    /// The server stops, and the request ended by this exception.
    pub(crate) fn closed(&mut self, exception: Owned<'py, Exception>) {
        self.ended = Some((exception, 503));
    }

    /// The client has gone, and the request ended by this exception.
    pub(crate) fn disconnected(&mut self, exception: Owned<'py, Exception>) {
        self.ended = Some((exception, CLIENT_CLOSED_REQUEST));
    }

    /// Whether nobody is there to be answered.
    pub(crate) fn is_disconnected(&self) -> bool {
        matches!(self.ended, Some((_, CLIENT_CLOSED_REQUEST)))
    }

    /// Whether all that is left to do is done for the program's sake, and not for the client: it
    /// goes on when that has gone.
    pub(crate) fn is_past_client(&self) -> bool {
        let is_past_handler = matches!(
            self.stage,
            Stage::After(_) | Stage::Settling | Stage::Recovery { then: 1.., .. }
        );
        is_past_handler || self.ended.is_some()
    }
}

/// What comes next of a request.
pub(crate) enum Next<'py> {
    /// This coroutine has to end first.
    Await(Owned<'py>),
    /// Its answer, on the lane's desk: to be written before anything else is encoded.
    Answer(Answer<'py>),
}

/// What follows from the outcome of a stage.
enum Step<'py> {
    Run(Stage),
    Finish(Owned<'py>),
    HandOver(Answer<'py>),
    Answer(Answer<'py>),
    Recover(Owned<'py, Exception>),
}

impl<'py> Lane<'py, '_> {
    /// Begins the stages of the request that is loaded.
    pub(crate) fn begin(&mut self, handler: &Handler, stages: &mut Stages<'py>) -> Next<'py> {
        self.proceed(handler, stages, Step::Run(self.before_or_handler(0)))
    }

    /// Goes on with the outcome of the stage that has ended. Never fails.
    pub(crate) fn resume(
        &mut self,
        handler: &Handler,
        stages: &mut Stages<'py>,
        outcome: Result<Owned<'py>, Raised>,
    ) -> Next<'py> {
        let step = self.follow(stages, outcome);
        self.proceed(handler, stages, step)
    }

    fn proceed(
        &mut self,
        handler: &Handler,
        stages: &mut Stages<'py>,
        mut step: Step<'py>,
    ) -> Next<'py> {
        loop {
            let outcome = match step {
                Step::Run(stage) => {
                    stages.stage = stage;
                    match self.run_stage(handler, stages, stage) {
                        Ok(result) if result.is_coroutine() => return Next::Await(result),
                        outcome => outcome,
                    }
                }
                Step::Recover(exception) => match self.recover(handler, stages, exception) {
                    Ok(Ok(result)) if result.is_coroutine() => return Next::Await(result),
                    Ok(outcome) => outcome,
                    Err(hopeless) => return Next::Answer(self.bare_failure(handler, hopeless)),
                },
                Step::HandOver(answer) => return self.hand_over(handler, stages, answer),
                Step::Answer(answer) => return Next::Answer(answer),
                Step::Finish(result) => match self.encode(result) {
                    Ok(answer) if answer.is_stream() => {
                        return self.stream(handler, stages, answer);
                    }
                    Ok(answer) => return self.hand_over(handler, stages, answer),
                    Err(raised) => {
                        self.desk.clear();
                        stages.response = None;
                        Err(raised)
                    }
                },
            };
            step = self.follow(stages, outcome);
        }
    }

    /// Goes on with an answer whose body comes in pieces: its first piece is made before it is sent.
    #[cold]
    pub(crate) fn stream(
        &mut self,
        handler: &Handler,
        stages: &mut Stages<'py>,
        mut answer: Answer<'py>,
    ) -> Next<'py> {
        self.request.get().is_headed(true);
        let tries = match stages.stage {
            Stage::Recovery { tries, .. } => tries + 1,
            _ => 0,
        };
        let begun = self.close_session(stages).and_then(|()| {
            stages.stage = Stage::First { tries };
            self.first_piece(&mut answer)
        });
        match begun {
            Ok(First::Done) => self.hand_over(handler, stages, answer),
            Ok(First::Await(coroutine)) => {
                stages.waiting = Some((answer, Desk::default()));
                Next::Await(coroutine)
            }
            Err(raised) => {
                drop(answer);
                self.resume(handler, stages, Err(raised))
            }
        }
    }

    /// What follows when the current stage has ended like this.
    fn follow(
        &mut self,
        stages: &mut Stages<'py>,
        outcome: Result<Owned<'py>, Raised>,
    ) -> Step<'py> {
        let followed = outcome.and_then(|result| match stages.stage {
            Stage::Before(index) if result.is_none() => {
                Ok(Step::Run(self.before_or_handler(index + 1)))
            }
            Stage::Before(_) | Stage::Handler => self.show_to_after_hooks(stages, result, 0),
            Stage::Recovery { then, .. } => self.show_to_after_hooks(stages, result, then),
            Stage::First { .. } => {
                let (answer, _) = stages.waiting.take().expect("it waits for its first piece");
                Ok(Step::HandOver(answer))
            }
            Stage::Settling => match stages.waiting.take() {
                Some((mut answer, desk)) => {
                    self.desk = desk;
                    self.tell_of_session(&mut answer, Some(&result))?;
                    Ok(Step::Answer(answer))
                }
                // What stands for a fault of our own in it.
                None => Ok(Step::Finish(result)),
            },
            Stage::After(index) => {
                let is_known = stages.response.as_ref().is_some_and(|known| known.is(&result));
                if !result.is_none() && !is_known {
                    stages.response = Some(Response::of_result(self.py, self.tools, result)?);
                }
                Ok(self.after_or_finish(stages, index + 1))
            }
        });
        followed.unwrap_or_else(|raised| Step::Recover(raised.take(self.py)))
    }

    fn before_or_handler(&self, index: usize) -> Stage {
        if index < self.app.before.len() { Stage::Before(index) } else { Stage::Handler }
    }

    /// The after hooks from this one on see a result. One that is no response is an exception of the
    /// stage that made it, so that they see what becomes of that.
    fn show_to_after_hooks(
        &mut self,
        stages: &mut Stages<'py>,
        result: Owned<'py>,
        from: usize,
    ) -> Result<Step<'py>, Raised> {
        // What a WebSocket is answered with, and when, only its handler knows.
        if !self.has_after_hook(from) || self.tools.websocket.cast(&result, self.py).is_some() {
            return Ok(Step::Finish(result));
        }
        stages.response = Some(Response::of_result(self.py, self.tools, result)?);
        Ok(self.after_or_finish(stages, from))
    }

    fn after_or_finish(&self, stages: &mut Stages<'py>, index: usize) -> Step<'py> {
        if self.has_after_hook(index) {
            return Step::Run(Stage::After(index));
        }
        let response = stages.response.take().expect("after hooks were shown a response");
        // What cannot be encoded is answered without them.
        stages.stage = Stage::After(index);
        Step::Finish(response.into_any())
    }

    fn has_after_hook(&self, index: usize) -> bool {
        index < self.app.after.len()
    }

    /// Calls what the stage consists of.
    fn run_stage(
        &mut self,
        handler: &Handler,
        stages: &Stages<'py>,
        stage: Stage,
    ) -> Result<Owned<'py>, Raised> {
        let (py, app) = (self.py, self.app);
        self.request.get().rewind();
        match stage {
            Stage::Before(index) => {
                let hook = app.before[index].bind(py);
                if self.has_waiting_hooks(handler) {
                    return self.call_apart(&hook, None);
                }
                hook.call1(&*self.request, py)
            }
            Stage::Handler => self.invoke(handler),
            Stage::After(index) => {
                let response = stages.response.as_ref().expect("it was made before this stage");
                let hook = app.after[index].bind(py);
                if self.has_waiting_hooks(handler) {
                    return self.call_apart(&hook, Some(response.clone().into_any()));
                }
                hook.call2(&*self.request, &**response, py)
            }
            Stage::First { .. } | Stage::Settling => unreachable!("it begins with an answer"),
            Stage::Recovery { .. } => unreachable!("recovery has an exception to begin with"),
        }
    }

    /// Whether hooks may have to wait for the body, while this thread runs an event loop that must not.
    #[inline]
    fn has_waiting_hooks(&self, handler: &Handler) -> bool {
        handler.takes_body
            && self.shared.pool.is_loop()
            && (handler.is_async || self.app.has_async_hooks)
    }

    /// Calls a hook or an exception handler where it may wait: beside this thread, unless it is a coroutine
    /// function.
    #[cold]
    fn call_apart(
        &self,
        function: &Object,
        more: Option<Owned<'py>>,
    ) -> Result<Owned<'py>, Raised> {
        let py = self.py;
        let call =
            import(py, "pyreframework.handlers.apart")?.attr(&*Str::intern(py, "call")?, py)?;
        let mut given = vec![function.to_owned(py), self.request.clone().into_any()];
        given.extend(more);
        call.call(Owned::borrow_all(&given), py)
    }

    /// Finds out what stands for an exception: the result of the user's exception handler, or an
    /// error response, after a report.
    ///
    /// # Errors
    /// If not even the error response could be made.
    #[cold]
    fn recover(
        &mut self,
        handler: &Handler,
        stages: &mut Stages<'py>,
        mut exception: Owned<'py, Exception>,
    ) -> Result<Result<Owned<'py>, Raised>, Raised> {
        let py = self.py;
        self.desk.clear();
        stages.waiting = None;
        let (tries, then) = match stages.stage {
            Stage::Before(_) | Stage::Handler => (0, 0),
            Stage::After(index) => (0, index + 1),
            Stage::First { tries } => {
                // There is no head yet: what answers instead may change the session.
                self.reopen_session();
                (tries, usize::MAX)
            }
            Stage::Settling => (0, usize::MAX),
            Stage::Recovery { tries, then } => (tries + 1, then),
        };
        stages.stage = Stage::Recovery { tries, then };
        if tries < RECOVERIES_MAX {
            match self.app.exception_handler(&exception.class(py), py) {
                // It may raise an exception that has a handler itself, such as HTTPError.
                Ok(Some(function)) if self.has_waiting_hooks(handler) => {
                    return Ok(self.call_apart(&function.bind(py), Some(exception.into_any())));
                }
                Ok(Some(function)) => {
                    return Ok(function.bind(py).call2(&*self.request, &*exception, py));
                }
                Ok(None) => {}
                Err(raised) => exception = raised.take(py),
            }
        }
        if tries > RECOVERIES_MAX + 1 {
            return Err(Raised::restore(py, exception));
        }
        stages.stage = Stage::Recovery { tries: tries.max(RECOVERIES_MAX), then };
        if let Some((ended, status)) = &stages.ended
            && ended.is(&exception)
        {
            let status = *status;
            return Ok(self.error_response(status));
        }
        Ok(self.error_for(handler, &exception))
    }

    /// Runs a part of the stages. A fault of our own in it is answered without asking any exception
    /// handler, as it is none of the program's business; the after hooks that have not run do.
    pub(crate) fn in_stages(
        &mut self,
        handler: &Handler,
        stages: &mut Stages<'py>,
        part: impl FnOnce(&mut Self, &mut Stages<'py>) -> Next<'py>,
    ) -> Next<'py> {
        if let Ok(next) = catch_unwind(AssertUnwindSafe(|| part(self, stages))) {
            return next;
        }
        let gone_on = catch_unwind(AssertUnwindSafe(|| {
            self.desk.clear();
            let outcome = self.answer_to_fault(handler);
            self.resume(handler, stages, outcome)
        }));
        gone_on.unwrap_or_else(|_| Next::Answer(self.answer_panic(handler)))
    }

    /// The answer when not even the answer to a failure can be made: whoever reads standard error
    /// is told.
    #[cold]
    pub(crate) fn bare_failure(&mut self, handler: &Handler, raised: Raised) -> Answer<'py> {
        raised.write_unraisable(&handler.label, self.py);
        self.desk.clear();
        Answer { status: 500, kind: None, body: Body::Empty }
    }
}
