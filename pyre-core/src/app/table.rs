//! `AppTable`: collects what the user registers, in order, and freezes it before serving.

use std::cell::{OnceCell, RefCell};
use std::ffi::CStr;
use std::sync::Arc;

use pyre_ffi::{
    Arguments, Attached, Class, ClassSpec, Held, Int, List, Object, Owned, Raised, Signature, Str,
    Tuple, Type, Visitor, none,
};
use pyre_interp::invoke::application::{Application, Handler, Parameter};

use crate::app::arguments::{callable, conversion, read_plan, read_timeout, required, text};
use crate::router::{Pattern, RouteTable, RouteTableBuilder};

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

const ADD_ROUTE: Signature<8> = Signature {
    function: "add_route",
    names: ["method", "path", "handler", "plan", "on_main", "is_async", "timeout", "inline"],
    required: 8,
    positional_max: 8,
};

const SET_FALLBACK: Signature<3> = Signature {
    function: "set_fallback",
    names: ["handler", "plan", "is_async"],
    required: 3,
    positional_max: 3,
};

const ADD_EXCEPTION_HANDLER: Signature<2> = Signature {
    function: "add_exception_handler",
    names: ["type", "handler"],
    required: 2,
    positional_max: 2,
};

const fn one(function: &'static str, name: &'static str) -> Signature<1> {
    Signature { function, names: [name], required: 1, positional_max: 1 }
}

const ADD_BEFORE: Signature<2> =
    Signature { function: "add_before", names: ["hook", "first"], required: 1, positional_max: 2 };
const ADD_AFTER: Signature<1> = one("add_after", "hook");
const SET_JSON_DEFAULT: Signature<1> = one("set_json_default", "function");
const SET_REPORT: Signature<1> = one("set_report", "function");
const SET_OWNER: Signature<1> = one("set_owner", "owner");
const SET_SETTLE: Signature<1> = one("set_settle", "function");
const SET_RUN_TASKS: Signature<1> = one("set_run_tasks", "function");
const NEED_LOOP: Signature<1> = one("need_loop", "for_requests");
const SET_DEBUG: Signature<1> = one("set_debug", "debug");
const SETTLE: Signature<1> = one("settle", "coroutine");

impl App {
    fn construct(
        py: Attached<'_>,
        given: Arguments<'_>,
        _class: &Object<Type>,
    ) -> Result<Self, Raised> {
        let [] = given.parse(
            &Signature { function: "AppTable", names: [], required: 0, positional_max: 0 },
            py,
        )?;
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

    fn add_route<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let [method, path, handler, plan, on_main, is_async, timeout, inline] =
            required(given.parse(&ADD_ROUTE, py)?);
        let method = text(py, "method", method)?.to_ascii_uppercase();
        let path = text(py, "path", path)?;
        let (on_main, is_async) = (on_main.is_true(py)?, is_async.is_true(py)?);
        let inline = inline.is_true(py)?;
        let timeout_ms = read_timeout(py, &timeout)?;
        let pattern =
            Pattern::parse(path).map_err(|error| Raised::value_error(py, &error.to_string()))?;
        let mut parameters = Vec::new();
        for parameter in pattern.parameters() {
            let name = Held::new(py, Str::intern(py, &parameter.name)?);
            parameters.push(Parameter { name, conversion: conversion(parameter.converter) });
        }
        let handler = Handler {
            callable: callable(py, "handler", handler)?,
            plan: read_plan(py, &plan, &parameters)?,
            parameters,
            label: format!("{method} {path}"),
            pattern: Some(Held::new(py, Str::new(py, path)?)),
            is_async,
            on_main,
            timeout_ms,
            inline,
        };
        let mut handler = Some(handler);
        let added = self.change(py, |building| {
            let added = building.routes.add(&method, path);
            if added.is_ok()
                && let Some(handler) = handler.take()
            {
                building.application.add_route(handler);
            }
            added
        })?;
        // One that was refused is dropped here, where Python code may run.
        drop(handler);
        let id = added.map_err(|error| Raised::value_error(py, &error.to_string()))?;
        Int::new(py, id.0.into()).map(Owned::into_any)
    }

    fn set_fallback<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let [handler, plan, is_async] = required(given.parse(&SET_FALLBACK, py)?);
        let is_async = is_async.is_true(py)?;
        let handler = Handler {
            callable: callable(py, "handler", handler)?,
            plan: read_plan(py, &plan, &[])?,
            parameters: Vec::new(),
            label: "fallback".to_owned(),
            pattern: None,
            is_async,
            on_main: false,
            timeout_ms: None,
            inline: true,
        };
        let before = self.change(py, |building| building.application.set_fallback(handler))?;
        // Dropped here, where Python code may run.
        drop(before);
        Ok(none(py))
    }

    fn add_before<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let [hook, first] = given.parse(&ADD_BEFORE, py)?;
        let hook = callable(py, "hook", hook.expect("the signature requires it"))?;
        let is_first = first.map_or(Ok(false), |first| first.is_true(py))?;
        self.change(py, |building| {
            let before = &mut building.application.before;
            before.insert(if is_first { 0 } else { before.len() }, hook);
        })?;
        Ok(none(py))
    }

    fn add_after<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let [hook] = required(given.parse(&ADD_AFTER, py)?);
        let hook = callable(py, "hook", hook)?;
        self.change(py, |building| building.application.after.push(hook))?;
        Ok(none(py))
    }

    fn add_exception_handler<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let [class, handler] = required(given.parse(&ADD_EXCEPTION_HANDLER, py)?);
        let Some(class) = class.cast::<Type>() else {
            let text = format!("an exception handler needs a class, not {}", class.type_name());
            return Err(Raised::type_error(py, &text));
        };
        let class = Held::new(py, class.to_owned(py));
        let handler = callable(py, "handler", handler)?;
        let replaced = self.change(py, |building| {
            building.application.set_exception_handler(py, class, handler)
        })?;
        drop(replaced);
        Ok(none(py))
    }

    fn set_json_default<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        self.replace(py, given, &SET_JSON_DEFAULT, |application| &mut application.json_default)
    }

    fn set_report<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        self.replace(py, given, &SET_REPORT, |application| &mut application.report)
    }

    fn set_owner<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        self.replace(py, given, &SET_OWNER, |application| &mut application.owner)
    }

    fn set_settle<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        self.replace(py, given, &SET_SETTLE, |application| &mut application.settle)
    }

    fn set_run_tasks<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        self.replace(py, given, &SET_RUN_TASKS, |application| &mut application.run_tasks)
    }

    fn need_loop<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let [for_requests] = required(given.parse(&NEED_LOOP, py)?);
        let for_requests = for_requests.is_true(py)?;
        self.change(py, |building| {
            building.application.wants_loop = true;
            building.application.has_async_hooks |= for_requests;
        })?;
        Ok(none(py))
    }

    fn set_debug<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let [debug] = required(given.parse(&SET_DEBUG, py)?);
        let debug = debug.is_true(py)?;
        if self.frozen.get().is_none() {
            self.change(py, |building| building.application.debug = debug)?;
        }
        Ok(none(py))
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

    fn end_task<'py>(&self, py: Attached<'py>) -> Result<Owned<'py>, Raised> {
        if let Some(frozen) = self.frozen.get() {
            frozen.application.tasks.end();
        }
        Ok(none(py))
    }

    /// Puts the one argument into a place of the app; `None` empties it.
    fn replace<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
        signature: &Signature<1>,
        place: impl FnOnce(&mut Application) -> &mut Option<Held>,
    ) -> Result<Owned<'py>, Raised> {
        let [value] = required(given.parse(signature, py)?);
        let value = (!value.is_none()).then(|| Held::new(py, value.to_owned(py)));
        let before =
            self.change(py, |building| std::mem::replace(place(&mut building.application), value))?;
        // Dropped here, where Python code may run.
        drop(before);
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
                c"add_route($self, method, path, handler, plan, on_main, is_async, timeout, inline)\n--\n\nAdd a route; returns its number.",
                Self::add_route,
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
