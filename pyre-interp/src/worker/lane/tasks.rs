//! What requests have left to be done once their answers are on their way.

use pyre_ffi::{Exception, List, Owned, Raised, copy_context, finally, none};

use super::Lane;

/// What one request has left to be done.
pub(crate) struct Tasks<'py> {
    /// What the program has left.
    list: Option<Owned<'py, List>>,
    /// What makes the answer in pieces, or speaks over a WebSocket: it comes first.
    delivery: Option<Owned<'py>>,
    /// A copy of the context that its handler ran in: the request, and the variables that it has set.
    /// Or why there is none.
    context: Result<Owned<'py>, Owned<'py, Exception>>,
}

impl<'py> Lane<'py, '_> {
    /// Takes what the request that is loaded has left to be done, in the context that runs.
    #[inline]
    pub(crate) fn take_tasks(&mut self) {
        if let Some(tasks) = self.request.get().take_tasks(self.py) {
            self.keep_tasks(Some(tasks), None, copy_context(self.py));
        }
    }

    /// Keeps what a request has left to be done until its answer is on its way.
    #[cold]
    pub(crate) fn keep_tasks(
        &mut self,
        list: Option<Owned<'py, List>>,
        delivery: Option<Owned<'py>>,
        context: Result<Owned<'py>, Raised>,
    ) {
        self.app.tasks.begin(list.as_ref().map_or(0, |list| list.len()));
        // An exception must not stay set until then.
        let context = context.map_err(|raised| raised.take(self.py));
        self.tasks.push(Tasks { list, delivery, context });
    }

    /// Wakes the reactors and runs what handlers have left to be done. On a loop lane it only begins
    /// here.
    #[inline]
    pub(crate) fn run_tasks(&mut self) {
        if !self.tasks.is_empty() {
            self.run_each_task();
        }
    }

    #[cold]
    fn run_each_task(&mut self) {
        self.unrung.ring(&self.shared.doorbells);
        for tasks in std::mem::take(&mut self.tasks) {
            self.watch.begin_callbacks();
            if let Err(raised) = self.run_tasks_of(tasks) {
                raised.write_unraisable("what a request left to be done", self.py);
            }
            self.end_piece();
            self.end_if_forked();
        }
    }

    /// Runs the tasks of one request in its context. On a loop lane what begins here takes it over.
    fn run_tasks_of(&self, tasks: Tasks<'py>) -> Result<(), Raised> {
        let Some(run) = &self.app.run_tasks else { return Ok(()) };
        let context = tasks.context.map_err(|exception| Raised::restore(self.py, exception))?;
        let py = self.py;
        let list = tasks.list.map_or_else(|| none(py), Owned::into_any);
        context.enter_context(py)?;
        let ran = match tasks.delivery {
            None => run.bind(py).call1(&list, py),
            Some(delivery) => run.bind(py).call2(&list, &delivery, py),
        };
        finally(ran, self.py, || context.exit_context(self.py)).map(drop)
    }
}
