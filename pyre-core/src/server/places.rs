//! Which handler runs where: on workers or on the main interpreter, on a lane or on an event loop.

use pyre_interp::invoke::application::{Application, Handler};
use pyre_interp::job::Pool;
use pyre_interp::ring::LANES_MAX;

use crate::server::moves::Moves;
use crate::settings::{HandOver, Settings};

/// The rules, for one app and its settings.
pub(crate) struct Places {
    /// There are workers: the program can be loaded again.
    has_workers: bool,
    /// Something in the app is an `async def` function: each interpreter has a loop, on which lanes
    /// await the coroutines of hooks.
    needs_loop: bool,
    /// Interpreters whose handlers must never run at the same time: one thread does everything.
    one_thread_in_workers: bool,
    one_thread_on_main: bool,
    /// Lanes of workers carry reactors.
    lends: bool,
}

/// The threads of one interpreter that run handlers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Crew {
    /// Threads that run `def` handlers.
    pub(crate) lanes: usize,
    /// Whether one more thread runs an event loop.
    pub(crate) has_loop: bool,
    /// Whether its lanes carry a reactor, for which there is one more of them.
    pub(crate) carries: bool,
}

impl Places {
    pub(crate) fn new(application: &Application, settings: &Settings, has_workers: bool) -> Self {
        Self {
            has_workers,
            needs_loop: application.needs_loop(),
            one_thread_in_workers: settings.lanes == 1,
            one_thread_on_main: settings.main_lanes == 1,
            // A lane waits for the coroutines of hooks while another thread runs them. And there has
            // to be room for one lane more.
            lends: settings.hand_over == HandOver::Auto
                && has_workers
                && (2..LANES_MAX).contains(&settings.lanes)
                && !application.has_async_hooks,
        }
    }

    /// Whether a handler may ever run on the thread that carries a reactor.
    pub(crate) fn may_be_inline(&self, handler: &Handler, has_moved: bool) -> bool {
        self.lends
            && handler.inline
            && !handler.takes_body
            && self.of(handler, has_moved) == Pool::Workers
    }

    /// Where a handler runs, which may have moved to the main interpreter.
    pub(crate) fn of(&self, handler: &Handler, has_moved: bool) -> Pool {
        let on_main = handler.on_main || has_moved || !self.has_workers;
        let one_thread = if on_main { self.one_thread_on_main } else { self.one_thread_in_workers };
        let on_loop = handler.is_async || (one_thread && self.needs_loop);
        match (on_main, on_loop) {
            (false, false) => Pool::Workers,
            (false, true) => Pool::WorkerLoops,
            (true, false) => Pool::Main,
            (true, true) => Pool::MainLoop,
        }
    }

    /// Whether any handler runs on the main interpreter.
    pub(crate) fn use_main(&self, application: &Application, moves: &Moves) -> bool {
        let mut handlers = application.routes().iter().chain(application.fallback());
        !self.has_workers || !moves.is_empty() || handlers.any(|handler| handler.on_main)
    }

    /// The threads of a worker that is to have so many.
    pub(crate) fn worker_crew(&self, threads: usize) -> Crew {
        Crew { carries: self.lends, ..self.main_crew(threads) }
    }

    /// The threads of the main interpreter, if it is to have so many.
    pub(crate) fn main_crew(&self, threads: usize) -> Crew {
        let has_loop = self.needs_loop;
        Crew { lanes: if has_loop && threads == 1 { 0 } else { threads }, has_loop, carries: false }
    }
}
