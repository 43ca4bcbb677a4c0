"""One app being served: start, serve, drain, stop.

    settings -> listen -> on_startup -> workers -> accept -> wait for a stop
             -> drain -> workers end -> on_shutdown

The thread that called ``run()`` only waits; requests are served by threads of the engine. A failure
before ``accept`` ends what was started and exits with code 3; a request that does not end in time,
or a thread that cannot be ended, exits with code 1.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from time import monotonic

from pyreframework.engine import Server, StartError
from pyreframework.logs import console
from pyreframework.logs.console import complain
from pyreframework.program import description, frames, loading
from pyreframework.program.apps import FALLBACK
from pyreframework.program.outline import outline
from pyreframework.serving import banner
from pyreframework.serving.log import Log
from pyreframework.serving.processes.channel import close_all
from pyreframework.serving.progress import Progress, warn_of_tracing
from pyreframework.serving.readiness import Checking
from pyreframework.serving.settings.addresses import as_bytes
from pyreframework.serving.settings.options import UsageError
from pyreframework.serving.shortage import shortage
from pyreframework.serving.signals import endings, forks
from pyreframework.serving.signals.endings import (
    ABANDONED,
    GRACEFUL,
    START_FAILED,
    USAGE,
    end_fork,
    exit_now,
)
from pyreframework.serving.signals.stop import News, Stop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pyreframework.serving.app import App
    from pyreframework.serving.processes.channel import Listeners
    from pyreframework.serving.settings.resolution import Settings

# How often a step of the end is taken that something raised in.
ATTEMPTS = 5
# What has forked if it was neither a hook nor a handler.
PROGRAM = "a signal handler"


class CannotListen(Exception):
    """An address cannot be listened on; its text is the engine's, for people."""


class Stopped(Exception):
    """A stop was asked for before anything was served."""


class CannotStay(Exception):
    """A route with ``gil=False`` cannot run on workers; its text is for people."""


class Serving:
    """One app being served."""

    def __init__(self, app: App, settings: Settings, stop: Stop) -> None:
        self.app = app
        self.settings = settings
        self.stop = stop
        stop.patience = settings.seconds("shutdown_timeout") + endings.end_patience()
        stop.in_child.append(self.forget)
        app.end_fork = end_fork
        # What it listens on.
        self.names: set[object] = set()
        self.begun = False
        # Whether the start has failed for want of memory, threads or descriptors.
        self.is_short = False
        # What a signal handler has raised while the app was served, or ended.
        self.raised: BaseException | None = None
        # When the end began, and when running requests are given up.
        self.ends_since = 0.0
        self.due: float | None = None
        # What runs on the main interpreter although nobody said so: route and reason.
        self.moved: list[tuple[str, str]] = []
        # What else workers have to say for the banner.
        self.notes: list[str] = []
        self.on_main = settings.on_main
        debug = bool(settings.values["debug"])
        self.log = Log(app, settings)
        texts = None if self.on_main else self.describe(debug)
        if texts is None and not self.on_main:
            raise UsageError(
                "this program is neither a file nor a module, so workers cannot load it; "
                'run(mode="default") or PYRE_MODE=default runs it on the main interpreter'
            )
        try:
            app.require_exempt_routes()
            pages = app.pages_to_serve(bool(settings.values["metrics"]))
        except ValueError as error:
            raise UsageError(str(error)) from None
        app.freeze(debug)
        needed = settings.for_engine(stop.fd) | {
            "pages": [f"{name} {path}" for path, name in pages.items()],
            "has_readiness_check": app.readiness is not None,
            "gives_ids": app.gives_ids,
            "cors": app.shares,
            "security_headers": app.security_headers,
            "trusted_hosts": app.hosts,
            "https_redirect": app.https_redirect,
            "compression": app.compresses,
            **self.log.for_engine(),
        }
        self.server = Server(app.native, needed, texts)
        self.checking: Checking | None = None

    def describe(self, debug: bool) -> list[str] | None:
        """Describe the program for the workers, or return None if they could not load it."""
        return description.describe(
            self.app.number, self.stop.fd, debug, self.log.described, outline(self.app), self.app
        )

    def run(self) -> int:
        """Start, serve and stop, with a log; return the exit code."""
        self.log.open()
        if not self.on_main:
            frames.guard()
        try:
            return self.serve()
        finally:
            if not self.on_main:
                frames.release()
            self.log.close()

    def serve(self) -> int:
        """Start, serve and stop; return the exit code."""
        started = False
        try:
            urls = self.listen()
            self.app.begin()
            started = True
            self.check_goes_on()
            self.start_workers()
            if self.runs_handlers():
                self.app.begin_worker()
                self.begun = True
            self.server.start_main()
            self.check_goes_on()
            self.server.accept()
            self.log.follow(self.server)
            if self.app.readiness is not None:
                self.checking = Checking(self.app.readiness, self.server)
            self.opened()
        except BaseException as error:  # noqa: BLE001 - reported, and the process ends
            return self.fail(error, started)
        try:
            self.announce(urls)
            self.wait()
        except BaseException as error:  # noqa: BLE001 - raised once all has ended
            self.put_off(error)
        else:
            end_fork(PROGRAM)
        # Also if printing fails, or a signal handler of the program raises: interpreters with
        # threads in them would abort the process at its end.
        code = self.finish(bool(self.insist(self.drain)))
        if self.raised is not None:
            raise self.raised
        return code

    def put_off(self, error: BaseException) -> None:
        """Note what a signal handler of the program has raised; the first counts."""
        end_fork(PROGRAM, error)
        if self.raised is None:
            self.raised = error

    def insist[T](
        self,
        step: Callable[..., T],
        *given: object,
        hear: Callable[[BaseException], object] | None = None,
    ) -> T | None:
        """Take a step of the end, again where a signal handler of the program raises in its midst.

        Args:
            step: The step.
            *given: What it is called with.
            hear: Called with what is raised; if not given, the first of it is raised at the end.

        Returns:
            What the step returns; None if it cannot be taken.
        """
        for _ in range(ATTEMPTS):
            try:
                return step(*given)
            except BaseException as error:  # noqa: BLE001 - heard, or raised once all has ended
                (hear or self.put_off)(error)
        return None

    def start_workers(self) -> None:
        """Let every worker load the program, and note what they find."""
        warn_of_tracing()
        # Workers that import it first, at the same time, crash CPython (gh-136421).
        import datetime  # noqa: F401, ICN001

        if not loading.MAY_LOAD_TOGETHER:
            loading.version_types()
        progress = Progress(bool(self.settings.values["verbose"]))
        found = self.server.start_workers(progress.tell, loading.MAY_LOAD_TOGETHER)
        self.note_moves(found)

    def check_goes_on(self) -> None:
        """See that nobody has asked for a stop since the start began.

        Raises:
            Stopped: Somebody has.
        """
        end_fork(PROGRAM)
        if self.stop.is_asked:
            raise Stopped

    def listen(self) -> list[str]:
        """Open the listeners and return their addresses."""
        return self.bind([])

    def listeners(self) -> Listeners:
        """Return new descriptors of all listening sockets, by address."""
        found = self.server.listeners()
        return [(os.fsdecode(address), sockets, file) for address, sockets, file in found]

    def bind(self, handed: Listeners) -> list[str]:
        """Listen, on sockets that were handed over where there are any for an address."""
        try:
            urls = self.server.bind(
                [(as_bytes(bind), sockets, file) for bind, sockets, file in handed]
            )
            listeners = self.listeners()
        except OSError as error:
            raise CannotListen(str(error)) from error
        except ValueError as error:
            raise UsageError(str(error)) from error
        self.names = forks.local_names([number for _, some, _ in listeners for number in some])
        close_all(listeners)
        return urls

    def forget(self) -> None:
        """Let go of the server, in a process that was forked from this one."""
        self.app.detach_stop()
        # Sockets of the program's own stay open there as here.
        own = [int(bind[3:]) for bind in self.settings.binds if bind.startswith("fd:")]
        forks.forget_sockets(self.names, own)

    def note_moves(self, moves: Sequence[tuple[int, str]]) -> None:
        """Note which routes run on the main interpreter as workers cannot run them.

        Raises:
            CannotStay: One of them was registered with ``gil=False``.
        """
        table = self.app.native.route_table()
        insists = {number for number, _, gil in self.app.handlers() if gil is False}
        for number, reason in moves:
            if number < FALLBACK:
                self.notes.append(reason)
                continue
            route = "the fallback" if number == FALLBACK else " ".join(table[number])
            if number in insists:
                raise CannotStay(
                    f"{route} has gil=False, but {reason}: use gil=True, or leave gil out and the "
                    "route moves to the main interpreter by itself"
                )
            self.moved.append((route, reason))

    def opened(self) -> None:
        """Do what is due once connections are accepted."""

    def wait(self) -> None:
        """Wait until it is time to drain."""
        while self.stop.wait() is not News.STOP:
            pass

    def runs_handlers(self) -> bool:
        """Tell whether any handler runs on the main interpreter."""
        return self.on_main or self.app.has_gil_routes or bool(self.moved)

    def announce(self, urls: list[str]) -> None:
        """Say where the app is served."""
        mistaken = description.twin(self.app)
        if mistaken is not None:
            complain(mistaken, "WARNING")
        if self.app.shares_with_all:
            complain(
                "enable_cors(allow_credentials=True) is for all origins: any page that a user "
                "looks at can act for him here; name the origins",
                "WARNING",
            )
        # A WebSocket is no page to try.
        routes = [
            ("WS" if "websocket" in chosen else method, path)
            for (method, path), chosen in zip(
                self.app.native.route_table(), self.app.chosen, strict=True
            )
        ]
        folders = [prefix for prefix, _ in self.app.folders]
        text = banner.lines(self.settings, urls, routes, folders)
        # Behind what is served, before what to try.
        told = banner.moves(self.moved, len(routes)) + self.notes
        text[2:2] = [f"  {line}" for line in told]
        banner.show(text)

    def drain(self) -> bool:
        """Stop accepting and wait for running requests; tell whether all of them have ended."""
        self.server.begin_drain()
        if self.checking is not None:
            self.checking.stop()
        due = self.set_due(monotonic())
        return self.server.wait_drained(max(due - monotonic(), 0.0))

    def set_due(self, since: float) -> float:
        """Set when running requests are given up, if that is not set yet, and return it.

        Args:
            since: When the end began.
        """
        if self.due is None:
            self.ends_since = since
            self.due = monotonic() + self.settings.seconds("shutdown_timeout")
        return self.due

    def finish(self, drained: bool) -> int:
        """End workers and run the last hooks; return the exit code, or end the process."""
        if not drained:
            seconds = round(self.set_due(monotonic()) - self.ends_since, 3)
            left = banner.abandoned(*self.server.abandoned())
            self.complain(f"gave up {left} after {seconds:g} s (shutdown_timeout)")
        patience = endings.THREADS_SECONDS if drained else endings.GIVE_UP_SECONDS
        ended = self.insist(self.server.stop, patience)
        self.insist(self.log.follow_to_the_end)
        # Hooks that have run do not run again.
        self.insist(self.run_last_hooks, ABANDONED, self.runs_handlers(), True)
        if not self.insist(self.close_loop, ABANDONED, patience) and ended:
            self.leave(ABANDONED, "something on the event loop did not end; leaving without it")
        if not ended:
            self.leave(ABANDONED, "a worker could not be ended; leaving without it")
        return GRACEFUL if drained else ABANDONED

    def fail(self, error: BaseException, started: bool) -> int:
        """Report why the start failed and end what was started; return the exit code."""
        end_fork(PROGRAM, error)
        code = START_FAILED
        if isinstance(error, (Stopped, UsageError)):
            code = GRACEFUL if isinstance(error, Stopped) else USAGE
        if code != GRACEFUL:
            self.report(error)
        ended = self.server.stop(endings.THREADS_SECONDS)
        self.run_last_hooks(code or ABANDONED, self.begun, started)
        self.close_loop(code or ABANDONED, endings.THREADS_SECONDS)
        if not ended:
            self.leave(code or ABANDONED, "a worker could not be ended; leaving without it")
        return code

    def run_last_hooks(self, code: int, of_worker: bool, of_app: bool) -> None:
        """Run what was registered for the end; if it hangs, leave with this code in its midst.

        Args:
            code: The exit code then.
            of_worker: Run the hooks of an interpreter that has run handlers.
            of_app: Run the ``on_shutdown`` hooks.
        """
        with self.bounded(code, lambda: self.app.last_hook or "what ends the program"):
            if of_worker:
                self.app.end_worker()
            if of_app:
                self.app.end()

    def close_loop(self, code: int, patience: float) -> bool:
        """Close the event loop; tell whether all on it has ended. A task may also block the loop.

        Args:
            code: The exit code then.
            patience: Seconds that tasks have, and then threads.
        """
        with self.bounded(
            code, lambda: "a task on the event loop", 2 * patience + endings.GIVE_UP_SECONDS
        ):
            return self.app.loop.close(patience)

    @contextmanager
    def bounded(
        self, code: int, what: Callable[[], str], seconds: float | None = None
    ) -> Iterator[None]:
        """Bound the time of what the program does at its end; beyond that, leave with this code.

        Only a thread beside can do that: nothing interrupts a call that waits in the system.
        """
        seconds = endings.HOOKS_SECONDS if seconds is None else seconds
        ended = threading.Event()
        # Whoever has it decides: the program has ended it in time, or is left.
        decision = threading.Lock()

        def watch() -> None:
            if not ended.wait(seconds) and decision.acquire(blocking=False):
                said = f"{what()} did not end in {seconds:g} s; leaving without it"
                try:
                    self.leave_behind(code, said)
                except BaseException as error:  # noqa: BLE001 - nobody else would end the process
                    console.report(error, error.__traceback__)
                    exit_now(code, said)

        watching = threading.Thread(target=watch, name="pyre-end", daemon=True)
        try:
            watching.start()
        except RuntimeError as error:
            # Where threads lack, the start has failed for that, which is said already.
            if not self.is_short:
                self.complain(f"nothing bounds the time of {what()}: {error}")
        try:
            yield
        finally:
            ended.set()
            # The other thread does not give it back: the process ends.
            decision.acquire()
            if watching.ident is not None:
                # It would keep the program alive at the end of Python, where it stood still.
                watching.join()

    def leave_behind(self, code: int, reason: str) -> None:
        """End the process from a thread beside the one in which the program hangs."""
        self.leave(code, reason)

    def report(self, error: BaseException) -> None:
        """Say why the start failed."""
        short = shortage(error)
        if short is not None:
            self.is_short = True
            self.complain(short)
        elif isinstance(error, StartError):
            self.complain(f"a worker could not start\n{str(error).rstrip()}")
        elif isinstance(error, (CannotListen, CannotStay, UsageError)):
            self.complain(str(error))
        else:
            console.report(error, error.__traceback__)
            self.complain("the start failed")

    def complain(self, text: str) -> None:
        """Say what went wrong."""
        complain(text)

    def leave(self, code: int, reason: str) -> None:
        """End the process, in which a thread would not survive the end of Python."""
        exit_now(code, reason)
