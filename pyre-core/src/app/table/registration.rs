//! What is registered: routes, the fallback, hooks, exception handlers, and what the package brings along.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use pyre_ffi::{Arguments, Attached, Bytes, Held, Int, Owned, Raised, Signature, Str, Type, none};
use pyre_interp::invoke::application::{Application, Handler, Parameter, Plan};

use super::{App, one};
use crate::app::arguments::{
    callable, conversion, read_plan, read_socket, read_timeout, required, text,
};
use crate::router::{Mount, Pattern};

const ADD_ROUTE: Signature<10> = Signature {
    function: "add_route",
    names: [
        "method",
        "path",
        "handler",
        "plan",
        "on_main",
        "is_async",
        "timeout",
        "inline",
        "takes_body",
        "socket",
    ],
    required: 9,
    positional_max: 10,
};

const MOUNT: Signature<8> = Signature::all(
    "mount",
    ["prefix", "label", "directory", "index", "cache_control", "html", "spa", "follow_symlinks"],
);

const SET_FALLBACK: Signature<3> = Signature::all("set_fallback", ["handler", "plan", "is_async"]);

const ADD_EXCEPTION_HANDLER: Signature<2> =
    Signature::all("add_exception_handler", ["type", "handler"]);

const ADD_BEFORE: Signature<2> =
    Signature { function: "add_before", names: ["hook", "first"], required: 1, positional_max: 2 };
const ADD_AFTER: Signature<1> = one("add_after", "hook");
const SET_JSON_DEFAULT: Signature<1> = one("set_json_default", "function");
const SET_REPORT: Signature<1> = one("set_report", "function");
const SET_OWNER: Signature<1> = one("set_owner", "owner");
const SET_SETTLE: Signature<1> = one("set_settle", "function");
const SET_RUN_TASKS: Signature<1> = one("set_run_tasks", "function");
const SET_SESSIONS: Signature<1> = Signature::all("set_sessions", ["sessions"]);
const SET_DELIVER: Signature<1> = one("set_deliver", "function");
const SET_WAKE: Signature<1> = one("set_wake", "function");
const NEED_LOOP: Signature<1> = one("need_loop", "for_requests");
const SET_DEBUG: Signature<1> = one("set_debug", "debug");

impl App {
    pub(super) fn add_route<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let [method, path, handler, plan, on_main, is_async, timeout, inline, takes_body, socket] =
            given.parse(&ADD_ROUTE, py)?;
        let [method, path, handler, plan, on_main, is_async, timeout, inline, takes_body] =
            required([method, path, handler, plan, on_main, is_async, timeout, inline, takes_body]);
        let method = text(py, "method", method)?.to_ascii_uppercase();
        let path = text(py, "path", path)?;
        let (on_main, is_async) = (on_main.is_true(py)?, is_async.is_true(py)?);
        let (inline, takes_body) = (inline.is_true(py)?, takes_body.is_true(py)?);
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
            plan: read_socket(py, read_plan(py, &plan, &parameters)?, socket.as_deref())?,
            parameters,
            label: format!("{method} {path}"),
            pattern: Some(Held::new(py, Str::new(py, path)?)),
            is_async,
            on_main,
            timeout_ms,
            inline,
            takes_body,
        };
        let is_socket = matches!(handler.plan, Plan::Socket(_));
        let mut handler = Some(handler);
        let added = self.change(py, |building| {
            let added = if is_socket {
                building.routes.add_apart(&method, path)
            } else {
                building.routes.add(&method, path)
            };
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

    pub(super) fn mount<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let [prefix, label, directory, index, cache_control, html, spa, follow_symlinks] =
            required(given.parse(&MOUNT, py)?);
        let Some(directory) = directory.cast::<Bytes>() else {
            return Err(Raised::type_error(py, "directory must be bytes"));
        };
        let cache_control = match cache_control.is_none() {
            true => None,
            false => Some(text(py, "cache_control", cache_control)?.into()),
        };
        let mount = Mount {
            prefix: text(py, "prefix", prefix)?.into(),
            label: text(py, "label", label)?.into(),
            directory: OsStr::from_bytes(directory.as_slice()).into(),
            index: text(py, "index", index)?.into(),
            cache_control,
            html: html.is_true(py)?,
            spa: text(py, "spa", spa)?.into(),
            follows_links: follow_symlinks.is_true(py)?,
            local: Arc::default(),
        };
        let added = self.change(py, |building| building.routes.mount(mount))?;
        added.map_err(|error| Raised::value_error(py, &error.to_string()))?;
        Ok(none(py))
    }

    pub(super) fn set_fallback<'py>(
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
            takes_body: false,
        };
        let before = self.change(py, |building| building.application.set_fallback(handler))?;
        // Dropped here, where Python code may run.
        drop(before);
        Ok(none(py))
    }

    pub(super) fn add_before<'py>(
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

    pub(super) fn add_after<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        let [hook] = required(given.parse(&ADD_AFTER, py)?);
        let hook = callable(py, "hook", hook)?;
        self.change(py, |building| building.application.after.push(hook))?;
        Ok(none(py))
    }

    pub(super) fn add_exception_handler<'py>(
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

    pub(super) fn set_json_default<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        self.replace(py, given, &SET_JSON_DEFAULT, |application| &mut application.json_default)
    }

    pub(super) fn set_report<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        self.replace(py, given, &SET_REPORT, |application| &mut application.report)
    }

    pub(super) fn set_owner<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        self.replace(py, given, &SET_OWNER, |application| &mut application.owner)
    }

    pub(super) fn set_settle<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        self.replace(py, given, &SET_SETTLE, |application| &mut application.settle)
    }

    pub(super) fn set_run_tasks<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        self.replace(py, given, &SET_RUN_TASKS, |application| &mut application.run_tasks)
    }

    pub(super) fn set_deliver<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        self.replace(py, given, &SET_DELIVER, |application| &mut application.deliver)
    }

    pub(super) fn set_sessions<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        self.replace(py, given, &SET_SESSIONS, |application| &mut application.sessions)
    }

    pub(super) fn set_wake<'py>(
        &self,
        py: Attached<'py>,
        given: Arguments<'_>,
    ) -> Result<Owned<'py>, Raised> {
        self.replace(py, given, &SET_WAKE, |application| &mut application.wake)
    }

    pub(super) fn need_loop<'py>(
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

    pub(super) fn set_debug<'py>(
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
}
