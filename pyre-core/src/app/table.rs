//! `AppTable`: collects what the user registers, in order, and freezes it before serving.

mod registration; // what may be registered

use std::cell::{OnceCell, RefCell};
use std::ffi::CStr;
use std::sync::Arc;

use pyre_ffi::{
    Arguments, Attached, Class, ClassSpec, List, Object, Owned, Raised, Signature, Str, Tuple,
    Type, Visitor, none,
};
use pyre_interp::flow::topics::Topics;
use pyre_interp::invoke::application::Application;

use crate::app::arguments::required;
use crate::router::{RouteTable, RouteTableBuilder};

/// An app before it is served.
#[derive(Default)]
struct Building {
    routes: RouteTableBuilder,
    application: Application,
}

/// An app that changes no more.
pub(crate) struct FrozenApp {
    pub(crate) application: Arc<Application>,
    pub(crate) table: Arc<RouteTable>,
}

/// The native part of an app.
#[derive(Default)]
pub(crate) struct App {
    building: RefCell<Option<Building>>,
    frozen: OnceCell<FrozenApp>,
}
const SETTLE: Signature<1> = one("settle", "coroutine");

const fn one(function: &'static str, name: &'static str) -> Signature<1> {
    Signature::all(function, [name])
}

impl App {
    fn construct(
        py: Attached<'_>,
        given: Arguments<'_>,
        _class: &Object<Type>,
    ) -> Result<Self, Raised> {
        let [] = given.parse(&Signature::all("AppTable", []), py)?;
        Ok(Self { building: RefCell::new(Some(Building::default())), frozen: OnceCell::new() })
    }

    /// Changes the app, unless it is frozen. Nothing of Python may run in `change`, so it drops no
    /// reference to an object either, whose destructor may come here again: what it does not need any
    /// more it gives back.
    fn change<R>(
        &self,
        py: Attached<'_>,
        change: impl FnOnce(&mut Building) -> R,
    ) -> Result<R, Raised> {
        if let Some(building) = &mut *self.building.borrow_mut() {
            return Ok(change(building));
        }
        // Not borrowed any more: `change` is dropped behind this, with all it has brought.
        let text = "the app is being served: register routes and hooks before run()";
        Err(Raised::runtime_error(py, text))
    }

    /// The app as it is served, if it is frozen.
    pub(crate) fn frozen(&self) -> Option<&FrozenApp> {
        self.frozen.get()
    }

    /// Waits for a coroutine as lanes do.
    fn settle<'py>(&self, py: Attached<'py>, given: Arguments<'_>) -> Result<Owned<'py>, Raised> {
        let [coroutine] = required(given.parse(&SETTLE, py)?);
        let settle = {
            let building = self.building.borrow();
            let building = building.as_ref().map(|building| &building.application);
            let frozen = self.frozen.get().map(|frozen| &*frozen.application);
            let settle = building.or(frozen).and_then(|application| application.settle.as_ref());
            settle.map(|settle| settle.to_owned(py))
        };
        match settle {
            Some(settle) => settle.call1(&*coroutine, py),
            None => Err(Raised::runtime_error(py, "this app has no way to await a coroutine")),
        }
    }

    /// What JSON is made with of what it does not know, and where what the app publishes goes if it is
    /// served.
    ///
    /// # Errors
    /// `RuntimeError` in a process that was forked from the one that serves.
    pub(crate) fn publishes_with<'py>(
        &self,
        py: Attached<'py>,
    ) -> Result<(Option<Owned<'py>>, Option<Arc<Topics>>), Raised> {
        let default = |application: &Application| {
            application.json_default.as_ref().map(|default| default.to_owned(py))
        };
        match self.frozen.get() {
            Some(FrozenApp { application, .. }) => {
                Ok((default(application), application.topics.get(py)?))
            }
            None => {
                let building = self.building.borrow();
                Ok((building.as_ref().and_then(|building| default(&building.application)), None))
            }
        }
    }

    fn end_task<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        if let Some(frozen) = self.frozen.get() {
            frozen.application.tasks.end();
        }
        Ok(none(py))
    }

    fn route_table<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        let routes: Vec<(String, String)> = {
            let building = self.building.borrow();
            let routes = match (&*building, self.frozen.get()) {
                (Some(building), _) => building.routes.routes(),
                (None, Some(frozen)) => frozen.table.routes(),
                (None, None) => &[],
            };
            routes
                .iter()
                .map(|route| (route.method.to_string(), route.pattern.text().to_owned()))
                .collect()
        };
        let mut rows = Vec::with_capacity(routes.len());
        for (method, pattern) in routes {
            let row = [Str::new(py, &method)?.into_any(), Str::new(py, &pattern)?.into_any()];
            rows.push(Tuple::new(py, row)?.into_any());
        }
        List::from_vec(py, rows).map(Owned::into_any)
    }

    fn freeze<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        if let Some(Building { routes, application }) = self.building.take() {
            let application = Arc::new(application);
            let frozen = FrozenApp { application, table: Arc::new(routes.freeze()) };
            let _ = self.frozen.set(frozen);
        }
        Ok(none(py))
    }
}

impl Class for App {
    const NAME: &'static CStr = c"pyreframework.engine.AppTable";
    const DOC: &'static CStr =
        c"AppTable()\n--\n\nThe native part of an app: routes and hooks in order, frozen while serving.";

    fn describe(spec: &mut ClassSpec<Self>) {
        spec.gc()
            .constructor(Self::construct)
            .method(
                c"add_route",
                c"add_route($self, method, path, handler, plan, on_main, is_async, timeout, inline, takes_body, socket=None)\n--\n\nAdd a route; returns its number.",
                Self::add_route,
            )
            .method(
                c"mount",
                c"mount($self, prefix, label, directory, index, cache_control, html, spa, follow_symlinks)\n--\n\nServe the files of a folder.",
                Self::mount,
            )
            .method(
                c"set_fallback",
                c"set_fallback($self, handler, plan, is_async)\n--\n\nAnswer what no route matches.",
                Self::set_fallback,
            )
            .method(c"add_before", c"add_before($self, hook, first=False)\n--\n\nCall hook(req) before handlers.", Self::add_before)
            .method(c"add_after", c"add_after($self, hook)\n--\n\nCall hook(req, resp) after handlers.", Self::add_after)
            .method(
                c"add_exception_handler",
                c"add_exception_handler($self, type, handler)\n--\n\nAnswer exceptions of a class.",
                Self::add_exception_handler,
            )
            .method(
                c"set_json_default",
                c"set_json_default($self, function)\n--\n\nAsk function for what JSON does not know.",
                Self::set_json_default,
            )
            .method(
                c"set_report",
                c"set_report($self, function)\n--\n\nCall function(route, request_id, exception) for what nothing \
                  else handles; a str it returns is the page for the client.",
                Self::set_report,
            )
            .method(
                c"set_settle",
                c"set_settle($self, function)\n--\n\nCall function(coroutine) to wait for its result.",
                Self::set_settle,
            )
            .method(
                c"set_run_tasks",
                c"set_run_tasks($self, function)\n--\n\nCall function(tasks) for what req.add_task() left.",
                Self::set_run_tasks,
            )
            .method(
                c"set_deliver",
                c"set_deliver($self, function)\n--\n\nCall function(stream, generator, is_async, waits, route, id) for what a generator makes.",
                Self::set_deliver,
            )
            .method(
                c"set_sessions",
                c"set_sessions($self, sessions)\n--\n\nCall its open(cookies, is_late) for req.session; close(req) before the body of an \
                  answer in pieces begins, and reopen(req) if that fails; and settle(req, status) once the answer is \
                  ready, which returns the text of a Set-Cookie or None, or a coroutine of that.",
                Self::set_sessions,
            )
            .method(
                c"set_wake",
                c"set_wake($self, function)\n--\n\nCall function(number) for a sender on the event loop that can go on.",
                Self::set_wake,
            )
            .method(
                c"need_loop",
                c"need_loop($self, for_requests)\n--\n\nSomething is async: interpreters need an event loop.",
                Self::need_loop,
            )
            .method(
                c"set_debug",
                c"set_debug($self, debug)\n--\n\nTell of coroutines that block their event loop.",
                Self::set_debug,
            )
            .method(
                c"settle",
                c"settle($self, coroutine)\n--\n\nWait for a coroutine's result, as lanes do.",
                Self::settle,
            )
            .method0(
                c"end_task",
                c"end_task($self)\n--\n\nOne of the tasks of run_tasks has ended.",
                Self::end_task,
            )
            .method(c"set_owner", c"set_owner($self, owner)\n--\n\nWhat req.app shows.", Self::set_owner)
            .method0(
                c"route_table",
                c"route_table($self)\n--\n\nMethod and pattern of each route, in order.",
                Self::route_table,
            )
            .method0(c"freeze", c"freeze($self)\n--\n\nLet nothing more be registered.", Self::freeze);
    }

    fn traverse(&self, visitor: &mut Visitor<'_>) {
        if let Some(building) = &*self.building.borrow() {
            building.application.traverse(visitor);
        }
        // What lanes and servers share is in use, whoever else has forgotten the app: only the last
        // owner may say that its handlers hang on nothing else, or they are cleared while they run.
        if let Some(frozen) = self.frozen.get()
            && Arc::strong_count(&frozen.application) == 1
        {
            frozen.application.traverse(visitor);
        }
    }

    fn clear(&self, _py: Attached<'_>) {
        // A frozen app lives as long as its interpreter. One that is still collected may be part
        // of a cycle through its own handlers: letting go of them breaks it.
        let building = self.building.take();
        drop(building);
    }
}
