//! One request: before hooks, handler, after hooks, answer. Hot path.

use pyre_ffi::{Held, Owned, Raised};

use crate::invoke::application::{Argument, Handler, Plan};
use crate::invoke::arguments::{Unfit, arguments};
use crate::objects::response::Response;
use crate::serialize::answer::Answer;
use crate::worker::lane::Lane;

impl<'py> Lane<'py, '_> {
    /// Makes the answer to the request that is loaded. Never fails: what is raised is answered.
    #[inline]
    pub(crate) fn exchange(&mut self, handler: &Handler) -> Answer<'py> {
        if !self.app.before.is_empty() || !self.app.after.is_empty() {
            return self.exchange_with_hooks(handler);
        }
        let answered = self.invoke(handler).and_then(|result| self.answer(result));
        match answered {
            Ok(answer) => answer,
            Err(raised) => self.answer_raised(handler, raised),
        }
    }

    /// Calls the handler.
    #[inline]
    fn invoke(&mut self, handler: &Handler) -> Result<Owned<'py>, Raised> {
        let py = self.py;
        let callable = handler.callable.bind(py);
        match &handler.plan {
            Plan::Request => callable.call1(&*self.request, py),
            Plan::Nothing => callable.call0(py),
            Plan::Mixed(plan) => self.invoke_with(handler, plan),
        }
    }

    /// Calls a handler with path parameters among its arguments.
    fn invoke_with(&mut self, handler: &Handler, plan: &[Argument]) -> Result<Owned<'py>, Raised> {
        let py = self.py;
        let mut made = std::mem::take(&mut self.arguments);
        let request = self.request.as_any();
        let outcome = self.request.get().with_call(|job, call| {
            arguments(py, request, job, call.params, plan, &handler.parameters, &mut made)
        });
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

    #[inline]
    pub(crate) fn answer(&mut self, result: Owned<'py>) -> Result<Answer<'py>, Raised> {
        let conventions = self.conventions();
        self.desk.answer(self.py, result, conventions)
    }

    /// The long way round: every hook sees the request, and the answer as a response object.
    fn exchange_with_hooks(&mut self, handler: &Handler) -> Answer<'py> {
        let answered = self
            .run_before(handler)
            .or_else(|raised| self.recover(handler, raised))
            .and_then(|result| self.run_after(result));
        match answered {
            Ok(answer) => answer,
            Err(raised) => self.answer_raised(handler, raised),
        }
    }

    /// The first before hook that answers, else the handler.
    fn run_before(&mut self, handler: &Handler) -> Result<Owned<'py>, Raised> {
        let app = self.app;
        for hook in &app.before {
            let result = self.call_hook(hook)?;
            if !result.is_none() {
                return Ok(result);
            }
        }
        self.invoke(handler)
    }

    fn call_hook(&mut self, hook: &Held) -> Result<Owned<'py>, Raised> {
        hook.bind(self.py).call1(&*self.request, self.py)
    }

    /// Shows the response to every after hook; one that returns something replaces it.
    fn run_after(&mut self, result: Owned<'py>) -> Result<Answer<'py>, Raised> {
        let (py, app) = (self.py, self.app);
        if app.after.is_empty() {
            return self.answer(result);
        }
        let mut response = Response::of_result(py, self.tools, result)?;
        for hook in &app.after {
            let replaced = hook.bind(py).call2(&*self.request, &*response, py)?;
            if !replaced.is_none() {
                response = Response::of_result(py, self.tools, replaced)?;
            }
        }
        self.answer(response.into_any())
    }
}
