"""An app that is served from a thread of this process, until it is told to stop.

An app is served once at a time, as its hooks and its event loop are made for that: clients of the
same app share its server, which stops with the last of them. `ServedApp` goes through the same
steps as ``run()``, with three differences: nothing is printed, what goes wrong is raised where the
test can see it, and the process is never ended.
"""

from __future__ import annotations

import contextvars
import functools
import os
import threading
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from pyreframework.app import Pyre
from pyreframework.program import description
from pyreframework.program.outline import outline
from pyreframework.serving import banner
from pyreframework.serving.run import check_serves_here
from pyreframework.serving.server import CannotListen, Serving
from pyreframework.serving.settings.options import UsageError
from pyreframework.serving.signals.endings import left_behind
from pyreframework.serving.signals.stop import Stop
from pyreframework.testing.answering import Answering

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyreframework.serving.settings.resolution import Settings

# How long the end of a client that nobody closed may hold up whoever dropped it.
DROPPED_S = 5.0


class Seat:
    """Where an app is served for its clients, if it is; the lock is held while that changes."""

    def __init__(self) -> None:
        # The collector may drop a client on a thread that is at work here.
        self.lock = threading.RLock()
        self.served: ServedApp | None = None


_seats: WeakKeyDictionary[Pyre, Seat] = WeakKeyDictionary()
_seats_lock = threading.Lock()


def seat_of(app: Pyre) -> Seat:
    """Return the one seat of an app."""
    with _seats_lock:
        return _seats.setdefault(app, Seat())


def acquire(app: Pyre, settings: Settings) -> ServedApp:
    """Serve an app, or share the server of the clients that it has already.

    Raises:
        RuntimeError: It is being served with other options, or by ``run()``.
        Exception: Why it could not be served; see `ServedApp.start`.
    """
    seat = seat_of(app)
    with seat.lock:
        served = seat.served
        if served is not None and served.alive:
            if served.settings != settings:
                raise RuntimeError(
                    "another TestClient serves this app with other options: close it first"
                )
            served.holders += 1
            return served
        if app.serving:
            raise RuntimeError("this app is being served already, by run()")
        check_serves_here(app)
        served = ServedApp(app, settings)
        served.start()
        seat.served = served
        return served


def release(app: Pyre, served: ServedApp) -> None:
    """Let go of a server; it stops if nobody else holds it.

    Raises:
        RuntimeError: See `ServedApp.stop`.
    """
    seat = seat_of(app)
    with seat.lock:
        served.holders -= 1
        if served.holders:
            return
        if seat.served is served:
            seat.served = None
        served.stop()


def drop(app: Pyre, served: ServedApp) -> None:
    """Let go of a server for a client that nobody closed; never raises.

    The collector may call this on any thread, even on one that the server waits for, so it waits
    for a few seconds at most.
    """
    seat = seat_of(app)
    if not seat.lock.acquire(timeout=DROPPED_S):
        return
    try:
        served.holders -= 1
        if not served.holders:
            if seat.served is served:
                seat.served = None
            served.drop()
    finally:
        seat.lock.release()


class ServedApp:
    """One app being served by a thread; the object may be used from any thread.

    Args:
        app: What to serve.
        settings: The options, checked.
    """

    def __init__(self, app: Pyre, settings: Settings) -> None:
        self._app = app
        self.settings = settings
        self.holders = 1
        self.answering = Answering()
        self._stop: Stop | None = None
        self._ready = threading.Event()
        self._pid = os.getpid()
        # A daemon, as `stop` is also called at the end of the process, after Python has waited for
        # all other threads.
        # In the context of whoever starts it, which is the one that the program was loaded in.
        serve = functools.partial(contextvars.copy_context().run, self._run)
        self._thread = threading.Thread(target=serve, name="pyre-test-server", daemon=True)
        self.url = ""
        self.path: str | None = None
        self.failure: BaseException | None = None
        self.complaints: list[str] = []

    def start(self) -> None:
        """Serve; returns once requests are accepted, with `url` set, and `path` if it
        is at a Unix-domain socket.

        Raises:
            Exception: Why it could not: what a hook raised, `StartError` of a worker, `OSError`.
        """
        self._thread.start()
        self._ready.wait()
        if not self.url:
            self._thread.join()
            failure = self.failure
            if isinstance(failure, Exception):
                raise failure
            # SystemExit or KeyboardInterrupt of a hook would end the test run instead of the test.
            raise RuntimeError(f"the start ended with {failure!r}") from failure

    def stop(self) -> None:
        """Let running requests finish, run the last hooks, join all threads.

        Raises:
            RuntimeError: Requests had to be abandoned, or a thread could not be ended.
        """
        if self._pid != os.getpid():
            return  # A fork has no threads; the server belongs to the process that started it.
        with self.answering.until_stopped():
            self._ask()
            self._thread.join()
        if self.complaints:
            raise RuntimeError("; ".join(self.complaints))
        if self.failure is not None:
            raise RuntimeError(f"serving ended with {self.failure!r}") from self.failure

    def drop(self) -> None:
        """Ask it to stop, and wait for that for a few seconds at most."""
        if self._pid == os.getpid():
            self._ask()
            self._thread.join(DROPPED_S)

    @property
    def alive(self) -> bool:
        """Whether it still serves; the app may have stopped itself."""
        return self._thread.is_alive()

    def _ask(self) -> None:
        if self._stop is not None:
            self._stop.request()

    def _run(self) -> None:
        try:
            with Stop() as stop:
                self._stop = stop
                self._app.attach_stop(stop)
                try:
                    TestServing(self, self._app, self.settings, stop).run()
                finally:
                    self._app.detach_stop()
        except BaseException as error:  # noqa: BLE001 - raised again by `start` or `stop`
            self.failure = error
        finally:
            self._ready.set()

    def answer(self, urls: Sequence[str]) -> None:
        """Tell `start` where the app is served."""
        if urls[0].startswith("unix:"):
            self.url, self.path = "http://localhost", urls[0].removeprefix("unix:")
        else:
            self.url = banner.reachable(urls[0])
        self._ready.set()


class TestServing(Serving):
    """The steps of ``run()``, which report to a `ServedApp`."""

    __test__ = False

    def __init__(self, owner: ServedApp, app: Pyre, settings: Settings, stop: Stop) -> None:
        self.owner = owner
        super().__init__(app, settings, stop)

    def describe(self, debug: bool) -> list[str]:
        """Describe the module that the app lives in, as ``__main__`` is the test runner."""
        texts = description.describe_app(
            self.app, self.stop.fd, debug, self.log.described, outline(self.app)
        )
        if texts is None:
            raise UsageError(
                "workers cannot load this app: make it a global of a module or file that can be "
                "imported, or leave mode out to run its handlers on the main interpreter"
            )
        return texts

    def announce(self, urls: list[str]) -> None:
        """Tell the client instead of printing."""
        self.owner.answer(urls)

    def report(self, error: BaseException) -> None:
        """Keep why the start failed, for the client to raise."""
        self.owner.failure = error.__cause__ if isinstance(error, CannotListen) else error

    def complain(self, text: str) -> None:
        """Keep what has to be said, for the client to raise."""
        self.owner.complaints.append(text)

    def leave(self, code: int, reason: str) -> None:
        """Say that a thread was left behind; the process is not ours to end."""
        server = self.server
        left_behind.append(lambda: server.stop(0.0))
        self.complain("a thread of the server could not be ended and goes on running")
