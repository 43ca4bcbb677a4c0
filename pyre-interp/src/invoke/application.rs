//! What the user has registered with an app: handlers, hooks, exception handlers.
//!
//! Collected while the program is imported, in every interpreter for itself, and frozen before
//! the first request. Handlers are found by their route's place in the order of registration.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use parking_lot::Mutex;
use pyre_ffi::interpreter::forks;
use pyre_ffi::{Attached, Held, Object, Raised, Str, Tuple, Type, Visitor};

use crate::flow::Wakes;
use crate::flow::topics::Topics;
use crate::job::{RouteId, Target};
use crate::objects::websocket::arrival::Home;

/// What a path parameter, or the annotation of an argument, asks its text to become.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Conversion {
    /// `str`, percent-decoded.
    Str,
    /// `int`.
    Int,
    /// `float`.
    Float,
    /// `bool`: true, false, 1, 0, yes, no, on, off.
    Bool,
    /// `uuid.UUID`.
    Uuid,
}

/// A parameter in the pattern of a route.
pub struct Parameter {
    /// Its name.
    pub name: Held<Str>,
    /// What the pattern says it is.
    pub conversion: Conversion,
}

/// One positional argument of a handler.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Argument {
    /// The request.
    Request,
    /// The value of a path parameter.
    Parameter {
        /// Which one, in the order of the pattern.
        index: usize,
        /// What it becomes.
        conversion: Conversion,
    },
}

/// How a handler is called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Plan {
    /// `handler(req)`.
    Request,
    /// `handler()`.
    Nothing,
    /// Anything else.
    Mixed(Box<[Argument]>),
    /// It speaks with its client over a WebSocket, which stands for the request in these arguments.
    Socket(Box<Socket>),
}

/// What the handler of a WebSocket is registered with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Socket {
    /// Its arguments.
    pub arguments: Box<[Argument]>,
    /// Origins whose pages may connect; all, if there is no list.
    pub origins: Option<Vec<String>>,
    /// Subprotocols that it speaks.
    pub protocols: Vec<String>,
    /// Whether messages may be compressed.
    pub compresses: bool,
}

/// A handler and what it is called with.
pub struct Handler {
    /// The function.
    pub callable: Held,
    /// How it is called.
    pub plan: Plan,
    /// The parameters of its pattern.
    pub parameters: Vec<Parameter>,
    /// Method and pattern, for logs.
    pub label: String,
    /// The pattern, which `req.route` tells; the fallback has none.
    pub pattern: Option<Held<Str>>,
    /// It is an `async def` function.
    pub is_async: bool,
    /// It was registered for the main interpreter.
    pub on_main: bool,
    /// How long it may take, in milliseconds, if that is not what the server says.
    pub timeout_ms: Option<u64>,
    /// It may run on a thread that carries a reactor, once it has proven to be short.
    pub inline: bool,
    /// It is called when the head of a request is there, and takes the body as it comes.
    pub takes_body: bool,
}

/// A count of what is to be done after answers, for those who wait for its end.
#[derive(Clone, Default)]
pub struct Tasks(Arc<AtomicUsize>);

impl Tasks {
    pub(crate) fn begin(&self, count: usize) {
        self.0.fetch_add(count, Relaxed);
    }

    /// One has ended.
    pub fn end(&self) {
        // Never below zero: a program may call what the engine calls.
        let less = |count: usize| count.checked_sub(1);
        let _ = self.0.fetch_update(Relaxed, Relaxed, less);
    }

    /// How many have not ended.
    #[must_use]
    pub fn left(&self) -> usize {
        self.0.load(Relaxed)
    }
}

/// How many threads handlers of WebSockets have that are no coroutines.
#[derive(Clone, Default)]
pub struct Berths(Arc<AtomicUsize>);

/// The place of one handler among them.
pub struct Berth(Arc<AtomicUsize>);

impl Berths {
    /// A place, if fewer than that are taken.
    pub(crate) fn take(&self, count_max: usize) -> Option<Berth> {
        let more = |count: usize| (count < count_max).then_some(count + 1);
        self.0.fetch_update(Relaxed, Relaxed, more).ok().map(|_| Berth(self.0.clone()))
    }
}

impl Drop for Berth {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// The topics of an app, for as long as it is served.
#[derive(Default)]
pub struct OpenTopics(Mutex<Option<(Arc<Topics>, usize)>>);

impl OpenTopics {
    /// What is published goes here from now on.
    pub fn open(&self, topics: &Arc<Topics>) {
        *self.0.lock() = Some((topics.clone(), forks()));
    }

    /// What is published does not go there any more.
    pub fn shut(&self, topics: &Arc<Topics>) {
        self.0.lock().take_if(|(open, _)| Arc::ptr_eq(open, topics));
    }

    /// The topics, if the app is served.
    ///
    /// # Errors
    /// `RuntimeError` in a process that was forked from the one that serves: no reactor is here.
    pub fn get(&self, py: Attached<'_>) -> Result<Option<Arc<Topics>>, Raised> {
        match &*self.0.lock() {
            Some((_, process)) if *process != forks() => {
                let text = "a process that was forked from the server has no subscribers";
                Err(Raised::runtime_error(py, text))
            }
            Some((topics, _)) => Ok(Some(topics.clone())),
            None => Ok(None),
        }
    }
}

/// What belongs to the event loop that serves an app. It may be served again, by another one.
pub struct OfLoop<T>(Mutex<Option<Arc<T>>>);

impl<T> Default for OfLoop<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> OfLoop<T> {
    /// That of a loop which begins to serve takes the place of the one before, which is returned.
    pub fn replace(&self, now: Arc<T>) -> Option<Arc<T>> {
        self.0.lock().replace(now)
    }

    /// That of the last loop, once there was one.
    #[must_use]
    pub fn get(&self) -> Option<Arc<T>> {
        self.0.lock().clone()
    }
}

/// A handler for exceptions of a class.
struct ExceptionHandler {
    class: Held<Type>,
    callable: Held,
}

/// Everything registered with one app.
#[derive(Default)]
pub struct Application {
    routes: Vec<Handler>,
    fallback: Option<Handler>,
    /// Called with the request, in order; the first answer ends the row.
    pub before: Vec<Held>,
    /// Called with request and response, in order.
    pub after: Vec<Held>,
    /// Reads the sessions of clients, and writes them.
    pub sessions: Option<Held>,
    exceptions: Vec<ExceptionHandler>,
    /// Asked for what the JSON encoder does not know.
    pub json_default: Option<Held>,
    /// Told of exceptions that nothing else handles.
    pub report: Option<Held>,
    /// Runs a coroutine on the interpreter's event loop and waits for its result; for lanes that
    /// have no loop of their own.
    pub settle: Option<Held>,
    /// Runs what a handler left to be done after its answer.
    pub run_tasks: Option<Held>,
    /// Has a generator begin to make an answer.
    pub deliver: Option<Held>,
    /// Tells a sender on the event loop that it can go on, by its number.
    pub wake: Option<Held>,
    /// Where reactors put those numbers, once there is a loop.
    pub wakes: OfLoop<Wakes>,
    /// That loop.
    pub home: OfLoop<Home>,
    /// Hooks or exception handlers are `async def` functions.
    pub has_async_hooks: bool,
    /// Something that is no handler needs an event loop.
    pub wants_loop: bool,
    /// A handler takes bodies as they come.
    pub takes_bodies: bool,
    /// Coroutines that block their event loop are reported.
    pub debug: bool,
    /// How many tasks have been left and have not ended.
    pub tasks: Tasks,
    /// The threads of WebSockets.
    pub berths: Berths,
    /// Where what it publishes goes, while it is served.
    pub topics: OpenTopics,
    /// The Python object that owns the app; `req.app`.
    pub owner: Option<Held>,
}

impl Application {
    /// Adds the handler of the next route.
    pub fn add_route(&mut self, handler: Handler) {
        self.takes_bodies |= handler.takes_body;
        self.routes.push(handler);
    }

    /// Sets the handler for what no route matches.
    pub fn set_fallback(&mut self, handler: Handler) -> Option<Handler> {
        self.fallback.replace(handler)
    }

    /// Sets the handler for exceptions of a class, and returns the one it replaces.
    pub fn set_exception_handler(
        &mut self,
        py: Attached<'_>,
        class: Held<Type>,
        callable: Held,
    ) -> Option<Held> {
        match self.exceptions.iter_mut().find(|known| known.class.bind(py).is(&class.bind(py))) {
            Some(known) => Some(std::mem::replace(&mut known.callable, callable)),
            None => {
                self.exceptions.push(ExceptionHandler { class, callable });
                None
            }
        }
    }

    /// The handlers of all routes, in order.
    #[must_use]
    pub fn routes(&self) -> &[Handler] {
        &self.routes
    }

    /// The fallback handler.
    #[must_use]
    pub fn fallback(&self) -> Option<&Handler> {
        self.fallback.as_ref()
    }

    /// The handler of a call, if this interpreter has it.
    #[inline]
    pub(crate) fn find(&self, target: Target) -> Option<&Handler> {
        match target {
            Target::Route(RouteId(index)) => self.routes.get(index as usize),
            Target::Fallback => self.fallback.as_ref(),
            Target::Files(_) => None,
        }
    }

    /// The handler of a call that a lane has begun.
    #[inline]
    pub(crate) fn handler(&self, target: Target) -> &Handler {
        self.find(target).expect("a lane begins no call without a handler")
    }

    /// Method and pattern of what a target stands for.
    #[must_use]
    pub fn label(&self, target: Target) -> &str {
        self.find(target).map_or("a route that is not here", |handler| &handler.label)
    }

    /// Whether anything here needs an event loop.
    #[must_use]
    pub fn needs_loop(&self) -> bool {
        self.wants_loop || self.routes.iter().chain(&self.fallback).any(|handler| handler.is_async)
    }

    /// Whether nothing runs behind a handler.
    #[inline]
    pub(crate) fn ends_with_handlers(&self) -> bool {
        self.after.is_empty() && self.sessions.is_none()
    }

    /// The exception handler for the nearest class in the method resolution order.
    pub(crate) fn exception_handler<'a>(
        &'a self,
        class: &Object<Type>,
        py: Attached<'a>,
    ) -> Result<Option<&'a Held>, Raised> {
        if self.exceptions.is_empty() {
            return Ok(None);
        }
        let order = class.attr(&*Str::new(py, "__mro__")?, py)?;
        let Some(order) = order.cast::<Tuple>() else { return Ok(None) };
        for ancestor in order.items() {
            if let Some(known) =
                self.exceptions.iter().find(|known| known.class.bind(py).is(&*ancestor))
            {
                return Ok(Some(&known.callable));
            }
        }
        Ok(None)
    }

    /// Shows every object held here to the garbage collector.
    pub fn traverse(&self, visitor: &mut Visitor<'_>) {
        for handler in self.routes.iter().chain(&self.fallback) {
            visitor.held(&handler.callable);
        }
        self.before.iter().chain(&self.after).for_each(|hook| visitor.held(hook));
        self.exceptions.iter().for_each(|known| visitor.held(&known.callable));
        self.json_default
            .iter()
            .chain(&self.sessions)
            .chain(&self.report)
            .chain(&self.settle)
            .chain(&self.run_tasks)
            .chain(&self.deliver)
            .chain(&self.wake)
            .chain(&self.owner)
            .for_each(|function| visitor.held(function));
        if let Some(home) = self.home.get() {
            home.traverse(visitor);
        }
    }
}
