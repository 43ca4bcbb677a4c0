"""`Pyre`: an app, its routes, hooks and settings, and ``run()`` to serve it.

Imported in every worker: what only the serving side needs is imported by ``run()``.
"""

from __future__ import annotations

import sys

from pyreframework import engine
from pyreframework.clients import Clients
from pyreframework.compressing import Compressing
from pyreframework.engine import AppTable
from pyreframework.folders import Folders
from pyreframework.handlers.event_loop import is_debugged
from pyreframework.hooks import Hooks
from pyreframework.insight import Insight
from pyreframework.logs import records
from pyreframework.pages import Pages
from pyreframework.program import apps
from pyreframework.program.apps import FALLBACK, Enrolled
from pyreframework.routing import Routes
from pyreframework.security import Security
from pyreframework.sharing import Sharing
from pyreframework.uploads import FormLimits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any, Literal, Never

    from pyreframework.engine import PyreStream
    from pyreframework.handlers.background import Task
    from pyreframework.handlers.deliveries import Delivery
    from pyreframework.handlers.sockets import Conversation
    from pyreframework.hooks import Lifespan
    from pyreframework.routing import AnyCall
    from pyreframework.serving.signals.stop import Stop

MAX_BODY_SIZE = 10 * 1024 * 1024


class Pyre(
    Routes, Folders, Pages, Insight, Sharing, Compressing, Security, Clients, Hooks, Enrolled
):
    """A web application.

    Each app has its own routes, hooks and settings; several can live in one process.

    Args:
        debug: Show tracebacks to clients. Never in production.
        log_config: For ``logging.config.dictConfig``, applied in each interpreter as the app is
            made; or ``level``, ``access_log`` and ``format`` as `init_logger` takes them.
        lifespan: ``lifespan(app)`` gives an async context manager, which is entered in each
            interpreter that runs handlers, on its event loop, before the first request, and left
            after the last.
        trusted_hosts: The hosts that are served, such as ``example.com`` and ``*.example.com``; a
            request for another one is answered 421. None are all.

    Example:
        >>> app = Pyre()
        >>> @app.get("/hello/{name}")
        ... def hello(req, name: str):
        ...     return {"hello": name}
    """

    def __init__(
        self,
        debug: bool = False,
        log_config: dict[str, Any] | None = None,
        *,
        lifespan: Lifespan | None = None,
        trusted_hosts: Iterable[str] = (),
    ) -> None:
        super().__init__()
        self._lifespan = lifespan
        self.listed = []
        self.chosen = []
        self.named = []
        self.native = AppTable()
        self.native.set_owner(self)
        self.native.set_report(self.report)
        self.native.set_settle(self.loop.settle)
        self.native.set_run_tasks(self._go_on)
        self.native.set_deliver(self._deliver)
        self.native.set_wake(self._wake)
        if lifespan is not None:
            self.native.need_loop(False)
        self.debug = debug
        self._shows_tracebacks = False
        self._max_body_size: int | None = None
        self._form_limits = FormLimits()
        self._json_default: Callable[[Any], Any] | None = None
        self._stop: Stop | int | None = None
        self.configures_logging = False
        if log_config is not None and records.OURS.issuperset(log_config):
            self.chosen_log = records.choice(**log_config)
        elif log_config is not None:
            from logging.config import dictConfig

            dictConfig(log_config)
            self.configures_logging = True
        if trusted_hosts != ():
            self.trusted_hosts = trusted_hosts
        self.made_in = sys._getframemodulename(1)  # noqa: SLF001 - there is no other name for it
        self.number = apps.enroll(self)

    @property
    def debug(self) -> bool:
        """Whether clients see tracebacks."""
        return self._debug

    @debug.setter
    def debug(self, debug: bool) -> None:
        self._debug = bool(debug)

    @property
    def max_body_size(self) -> int:
        """Largest body of a request in bytes; more is answered 413. 10 MiB unless set."""
        return MAX_BODY_SIZE if self._max_body_size is None else self._max_body_size

    @max_body_size.setter
    def max_body_size(self, size: int) -> None:
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise ValueError(f"max_body_size must be a number of bytes, not {size!r}")
        self._max_body_size = size

    @property
    def form_limits(self) -> FormLimits:
        """How much a form may have, unless the call that reads it says otherwise."""
        return self._form_limits

    @form_limits.setter
    def form_limits(self, limits: FormLimits) -> None:
        if not isinstance(limits, FormLimits):
            raise TypeError(f"form_limits must be FormLimits, not {type(limits).__qualname__}")
        self._form_limits = limits

    @property
    def json_default(self) -> Callable[[Any], Any] | None:
        """A function that turns an object of an unknown type into one that JSON has, or raises."""
        return self._json_default

    @json_default.setter
    def json_default(self, default: Callable[[Any], Any] | None) -> None:
        if default is not None and not callable(default):
            raise TypeError(f"json_default needs a function, not {type(default).__qualname__}")
        self.native.set_json_default(default)
        self._json_default = default

    def run(
        self,
        host: str | None = None,
        port: int | None = None,
        workers: int | None = None,
        mode: str | None = None,
        reload: bool | None = None,
        io_workers: int | None = None,
        *,
        bind: str | Sequence[str] | None = None,
        uds: str | None = None,
        uds_mode: int | None = None,
        fd: int | None = None,
        reuse_port: bool | None = None,
        backlog: int | None = None,
        threads: int | None = None,
        gil_threads: int | None = None,
        hand_over: Literal["auto", "ring"] | None = None,
        pin: bool | None = None,
        debug: bool | None = None,
        head_timeout: float | None = None,
        body_timeout: float | None = None,
        keep_alive_timeout: float | None = None,
        stream_idle_timeout: float | None = None,
        ws_ping: float | None = None,
        ws_threads: int | None = None,
        max_message_size: int | None = None,
        request_timeout: float | None = None,
        max_in_flight: int | None = None,
        shutdown_timeout: float | None = None,
        max_body_size: int | None = None,
        max_head_bytes: int | None = None,
        queue_depth: int | None = None,
        max_requests: int | None = None,
        max_requests_jitter: int | None = None,
        server_header: bool | None = None,
        log_level: str | None = None,
        log_format: str | None = None,
        access_log: bool | None = None,
        verbose: bool | None = None,
        gil_watchdog: float | None = None,
        metrics: bool | None = None,
        **unknown: Never,
    ) -> None:
        """Serve until a stop signal or ``stop()``, then let running requests finish.

        Each option that is not given comes from the variable ``PYRE_<NAME>`` or a default; the
        reference page has the table. In a worker this hands the app over and does not return.
        Signals are handled when called on the main thread; elsewhere only ``stop()`` ends it.

        Args:
            host: Address or name to listen on.
            port: TCP port; 0 lets the system choose and the banner tell.
            workers: Sub-interpreters that run handlers.
            mode: ``auto`` or ``subinterp`` for workers; any other word runs every handler on the
                main interpreter.
            reload: Restart when a file changes that the program has imported.
            io_workers: Threads that read and write.
            bind: Addresses to listen on, in place of ``host`` and ``port``.
            uds: Path of a Unix-domain socket to listen on.
            uds_mode: Mode of the Unix-domain sockets that are made, such as ``0o660``.
            fd: Descriptor of a socket that listens already.
            reuse_port: Share the port with other processes.
            backlog: Connections the kernel holds until they are accepted.
            threads: Threads in each worker.
            gil_threads: Threads on the main interpreter.
            hand_over: ``auto`` runs handlers that have proven to be short on the thread that has
                read their request; ``ring`` runs none there.
            pin: Bind each thread to one CPU.
            debug: Show tracebacks to clients.
            head_timeout: Seconds for the head of a request to arrive.
            body_timeout: Seconds without a further byte of a body.
            keep_alive_timeout: Seconds an idle connection is kept.
            stream_idle_timeout: Seconds an answer in pieces may go on without one; 0 for no limit.
            ws_ping: Seconds a WebSocket may be silent before its client is pinged; 0 for no pings.
            ws_threads: Threads in each worker for WebSocket handlers that are not ``async def``.
            max_message_size: Bytes of the largest message of a WebSocket.
            request_timeout: Seconds a handler may take; 0 for no limit.
            max_in_flight: Requests that may be with handlers at once; 0 for no limit.
            shutdown_timeout: Seconds running requests have to finish after a stop signal.
            max_body_size: Bytes of the largest body.
            max_head_bytes: Bytes of the largest head.
            queue_depth: Batches that may wait for a worker.
            max_requests: Requests after which a new process takes over; 0 for never.
            max_requests_jitter: Up to so many more, by chance.
            server_header: Send ``Server: pyre``.
            log_level: Least level of what is logged.
            log_format: ``text``, or ``json`` for one object a line.
            access_log: Log every answer.
            verbose: Log each worker as it starts.
            gil_watchdog: Seconds that a GIL may be held before the log says who ran.
            metrics: Count answers and show all metrics at ``/metrics``.
            **unknown: Refused by name.

        Raises:
            SystemExit: 1 if running requests had to be abandoned, 2 if an option or a variable
                cannot be used, 3 if the start failed. After a graceful stop this returns.
            RuntimeError: The app is being served already.
        """
        given: dict[str, object] = dict(locals())
        if apps.in_worker():
            apps.hand_over(self)
            return
        from pyreframework.serving.run import serve

        del given["self"], given["unknown"]
        serve(self, given | unknown)

    def publish(
        self,
        topic: str,
        data: Any,
        *,
        event: str | None = None,
        id: str | int | None = None,  # noqa: A002 - the name that events have for it
        timeout: float | None = None,
    ) -> None:
        """Send a message to all connections that have subscribed to a topic.

        From any thread of any interpreter. It is on its way when this returns: the engine writes it
        to the subscribers, WebSockets and event streams of all workers. If the app is not served
        there are none, and nothing happens. When more than 16 MiB are on their way this waits for
        room; on a thread with a running event loop it raises instead.

        Args:
            topic: Its name, 1 to 256 bytes in UTF-8.
            data: A text; bytes, which become a binary message; anything else as JSON.
            event: The type of the event; for event streams only.
            id: The id of the event; for event streams only.
            timeout: Seconds to wait for room; None for as long as it takes.

        Raises:
            BlockingIOError: There is no room, and an event loop runs on this thread. Await
                ``asyncio.to_thread(app.publish, topic, data)`` in its place.
            TimeoutError: There was no room in time.
            TypeError: The value cannot be JSON.
            ValueError: The topic cannot be a name, or the bytes are not UTF-8 and event streams
                have subscribed to it.
        """
        engine.publish(self.native, topic, data, event, id, timeout)

    def stop(self) -> None:
        """Ask ``run()`` to stop gracefully; from any thread of any interpreter, without waiting.

        Does nothing if the app is not being served.
        """
        stop = self._stop
        if isinstance(stop, int):
            from os import write

            write(stop, b"\0")
        elif stop is not None:
            stop.request()

    def attach_stop(self, stop: Stop | int) -> None:
        """Say where ``stop()`` goes: an object of ``run()``, or in a worker a file descriptor."""
        self._stop = stop

    def detach_stop(self) -> None:
        """Take back what `attach_stop` said: the app is not served any more."""
        self._stop = None

    @property
    def serving(self) -> bool:
        """Whether ``run()`` or a test client is at work on this app."""
        return self._stop is not None

    def properties(self) -> dict[str, object]:
        """Return the settings made on the app itself, which go before variables."""
        return {
            "max_body_size": self._max_body_size,
            "debug": self._debug or None,
            "metrics": self.has_page("metrics") or None,
            **self.log_properties(),
        }

    def singles(self) -> list[tuple[str, AnyCall | None]]:
        """Return what there is one of at most, with its kind."""
        return [*super().singles(), ("json_default", self._json_default)]

    def handlers(self) -> list[tuple[int, AnyCall, bool | None]]:
        """Return every handler by the number of its route, `FALLBACK` for that of no route.

        With it comes the ``gil`` that it was registered with.
        """
        found = [(number, call, gil) for number, (_, _, call, gil) in enumerate(self.listed)]
        if self._fallback is not None:
            found.append((FALLBACK, self._fallback, None))
        return found

    @property
    def shows_tracebacks(self) -> bool:
        """Whether clients do see tracebacks, by what the settings came to."""
        return self._shows_tracebacks

    def freeze(self, debug: bool) -> None:
        """Let nothing more be registered: from here on the app is served.

        Args:
            debug: Whether clients see tracebacks; what the settings came to.
        """
        self._shows_tracebacks = debug
        self.loop.debug = debug
        self._catch_http_errors()
        self.native.set_debug(debug or is_debugged())
        self.native.freeze()

    def open_loop(self) -> AbstractEventLoop:
        """Return the event loop of this interpreter; called by the engine, which drives it."""
        return self.loop.open()

    def _deliver(
        self,
        stream: PyreStream,
        generator: Any,
        is_async: bool,
        waits: bool,
        route: str,
        request_id: str,
    ) -> Delivery:
        """Have a generator begin to make an answer; called by the engine."""
        from pyreframework.handlers.deliveries import Delivery

        delivery = Delivery(self, stream, generator, waits, (route, request_id))
        delivery.begin(is_async, self.loop)
        return delivery

    def _go_on(
        self, tasks: list[Task] | None, delivery: Delivery | Conversation | None = None
    ) -> None:
        """Run what ``req.add_task`` left, behind what a generator makes, or a WebSocket.

        Called by the engine once the answer, or its head, is on its way.
        """
        if delivery is not None:
            delivery.follow(tasks)
        elif tasks:
            self.run_tasks(tasks)

    def run_tasks(self, tasks: list[Task]) -> None:
        """Run what ``req.add_task`` left; for the engine and what sends answers."""
        from pyreframework.handlers.background import run

        run(tasks, self.native, self.end_fork)

    def _wake(self, number: int) -> None:
        """Let go on who sends or reads on the event loop; called by the engine."""
        from pyreframework.handlers.streams import wake

        wake(number)

    def report(self, route: str, request_id: object, error: BaseException) -> str | None:
        """Log what a handler or hook raised; in debug mode return a page for the client."""
        if apps.in_worker():
            from pyreframework.program import refusals

            refusals.explain(error, route)
        records.raised(route, request_id, error)
        if not self._shows_tracebacks:
            return None
        from pyreframework.handlers.debug_page import page

        return page(route, error)


# The name that programs of 1.5 know it by as well.
PyreApp = Pyre
