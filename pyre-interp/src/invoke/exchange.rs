//! One request: before hooks, handler, after hooks, answer. Hot path.
//!
//! This is the short way, for what needs no hooks and raises nothing. All else goes the long way,
//! through the stages.

use pyre_ffi::{Owned, Raised};

use crate::invoke::application::{Handler, Plan};
use crate::invoke::arguments::{Unfit, arguments, raw_parameters, raw_texts, runs_python};
use crate::invoke::stages::{Next, Stages};
use crate::serialize::answer::{Answer, Body};
use crate::worker::lane::Lane;

impl<'py> Lane<'py, '_> {
    /// Makes the answer to the request that is loaded. Never fails: what is raised is answered.
    ///
    /// Coroutines are awaited on the interpreter's event loop, while this thread waits.
    #[inline]
    pub(crate) fn exchange(&mut self, handler: &Handler) -> Answer<'py> {
        if !self.app.before.is_empty() || !self.app.ends_with_handlers() {
            let mut stages = Stages::default();
            let next =
                self.in_stages(handler, &mut stages, |lane, stages| lane.begin(handler, stages));
            return self.exchange_in_stages(handler, stages, next);
        }
        match self.invoke(handler).and_then(|result| self.answer(result)) {
            Ok(answer) if answer.is_stream() => self.answer_in_pieces(handler, answer),
            Ok(answer) => answer,
            Err(raised) => self.answer_raised(handler, raised),
        }
    }

    /// An answer on the short way whose body comes in pieces.
    #[cold]
    fn answer_in_pieces(&mut self, handler: &Handler, answer: Answer<'py>) -> Answer<'py> {
        let mut stages = Stages::at_handler();
        let next = self.stream(handler, &mut stages, answer);
        self.exchange_in_stages(handler, stages, next)
    }

    /// Calls the handler.
    #[inline(always)]
    pub(crate) fn invoke(&mut self, handler: &Handler) -> Result<Owned<'py>, Raised> {
        let py = self.py;
        let callable = handler.callable.bind(py);
        match &handler.plan {
            Plan::Request => callable.call1(&*self.request, py),
            Plan::Nothing => callable.call0(py),
            Plan::Mixed(_) | Plan::Socket(_) => self.invoke_with(handler),
        }
    }

    /// Calls a handler with path parameters among its arguments, or opens a WebSocket.
    #[inline(never)]
    fn invoke_with(&mut self, handler: &Handler) -> Result<Owned<'py>, Raised> {
        let py = self.py;
        let plan = match &handler.plan {
            Plan::Mixed(plan) => plan,
            Plan::Socket(socket) => return self.open_socket(handler, socket),
            Plan::Request | Plan::Nothing => &[][..],
        };
        let mut made = std::mem::take(&mut self.arguments);
        let request = self.request.as_any();
        let (parameters, slates) = (&handler.parameters[..], &self.slates);
        let outcome = if runs_python(parameters) {
            // Whoever else has the request may change where its bytes are meanwhile.
            let texts = self.request.get().with_call(raw_texts);
            let raw = |index: usize| &texts[index][..];
            arguments(py, request, raw, plan, parameters, slates, &mut made)
        } else {
            self.request.get().with_call(|job, call| {
                let spans = raw_parameters(job, call.params);
                let raw = |index: usize| spans[index].of(&job.bytes);
                arguments(py, request, raw, plan, parameters, slates, &mut made)
            })
        };
        let result = match outcome {
            Ok(()) => handler.callable.bind(py).call(Owned::borrow_all(&made), py),
            Err(Unfit::Raised(raised)) => Err(raised),
            Err(Unfit::Value { parameter, conversion }) => {
                self.refuse_parameter(parameter, conversion)
            }
        };
        made.clear();
        self.arguments = made;
        result
    }

    /// Turns a result into an answer; that of a coroutine is waited for.
    #[inline]
    fn answer(&mut self, result: Owned<'py>) -> Result<Answer<'py>, Raised> {
        let result = if result.is_coroutine() { self.settle(&result)? } else { result };
        self.encode(result)
    }

    /// Turns a result into an answer.
    #[inline]
    pub(crate) fn encode(&mut self, result: Owned<'py>) -> Result<Answer<'py>, Raised> {
        let conventions = self.conventions();
        self.desk.answer(self.py, result, conventions)
    }

    /// Waits for the result of a coroutine, which runs on the interpreter's event loop.
    #[cold]
    fn settle(&mut self, coroutine: &Owned<'py>) -> Result<Owned<'py>, Raised> {
        let settle = self.app.settle.as_ref().ok_or_else(|| {
            Raised::runtime_error(self.py, "this app has no way to await a coroutine")
        })?;
        settle.bind(self.py).call1(coroutine, self.py)
    }

    /// The answer for what was raised on the short way.
    #[cold]
    fn answer_raised(&mut self, handler: &Handler, raised: Raised) -> Answer<'py> {
        let mut stages = Stages::at_handler();
        let next = self.resume(handler, &mut stages, Err(raised));
        self.exchange_in_stages(handler, stages, next)
    }

    /// What a request comes to when our own code panicked; the panic hook has written message and
    /// place.
    #[cold]
    pub(crate) fn answer_to_fault(&mut self, handler: &Handler) -> Result<Owned<'py>, Raised> {
        let text = format!("the server failed in {}", handler.label);
        let exception = Raised::runtime_error(self.py, &text).take(self.py);
        self.error_for(handler, &exception)
    }

    /// The answer when our own code panicked where no hook can be asked any more.
    #[cold]
    pub(crate) fn answer_panic(&mut self, handler: &Handler) -> Answer<'py> {
        self.desk.clear();
        let answered = self.answer_to_fault(handler).and_then(|result| self.encode(result));
        answered.unwrap_or_else(|raised| self.bare_failure(handler, raised))
    }

    /// The answer to a request for which this interpreter has no handler. What is registered is
    /// compared at the start, so there is one; but if there is none, that must end no process.
    #[cold]
    pub(crate) fn answer_without_handler(&mut self) -> Answer<'py> {
        let raised =
            Raised::runtime_error(self.py, "this interpreter has no handler for a request");
        raised.write_unraisable("the server", self.py);
        let answered = self.error_response(500).and_then(|result| self.encode(result));
        answered.unwrap_or_else(|raised| {
            raised.write_unraisable("the server", self.py);
            self.desk.clear();
            Answer { status: 500, kind: None, body: Body::Empty }
        })
    }

    /// Goes through the stages from here on, waiting for each coroutine.
    fn exchange_in_stages(
        &mut self,
        handler: &Handler,
        mut stages: Stages<'py>,
        mut next: Next<'py>,
    ) -> Answer<'py> {
        loop {
            match next {
                Next::Answer(answer) => return answer,
                Next::Await(coroutine) => {
                    let outcome = self.settle(&coroutine);
                    next = self.in_stages(handler, &mut stages, |lane, stages| {
                        lane.resume(handler, stages, outcome)
                    });
                }
            }
        }
    }
}
