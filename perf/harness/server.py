"""A contender, running in a session of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping

from perf.harness import processes
from perf.harness.contenders import Contender, Unavailable
from perf.harness.exchange import BadAnswer, Client
from perf.harness.places import ROOT

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0


class Server:
    """A running server; use ``running`` to make sure that it ends."""

    def __init__(
        self,
        contender: Contender,
        *,
        workers: int = 1,
        cores: set[int] | None = None,
        environment: Mapping[str, str] | None = None,
        prefix: tuple[str, ...] = (),
        start_timeout_s: float = START_TIMEOUT_S,
    ) -> None:
        """Start it and wait for its first answer.

        Args:
            contender: What to start.
            workers: Workers, processes or threads that serve.
            cores: The only cores it may run on; all if left out.
            environment: Variables on top of ours and the contender's.
            prefix: Words in front of the command, such as a profiler's.
            start_timeout_s: Longest wait for the first answer.

        Raises:
            Unavailable: It ended or did not answer in time.
        """
        _leave_in_order()
        self.contender = contender
        self.port = free_port()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - kill() closes it
        self._paused = False
        variables = {
            **os.environ,
            "PYRE_PORT": str(self.port),
            "PYRE_WORKERS": str(workers),
            "PYRE_HOST": "127.0.0.1",
            **contender.environment,
            **(environment or {}),
        }
        command = [*prefix, *contender.command_for(self.port, workers)]
        if cores is not None:
            listed = ",".join(str(core) for core in sorted(cores))
            command = ["taskset", "--cpu-list", listed, *command]
        started = time.monotonic()
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            self._wait_for_answer(start_timeout_s)
        except BaseException:
            end(self)
            raise
        self.start_s = time.monotonic() - started

    @property
    def id(self) -> int:
        """The first process, which leads the session."""
        return self._process.pid

    @property
    def name(self) -> str:
        return self.contender.name

    def processes(self) -> list[int]:
        """Return all processes of the server."""
        return processes.session(self.id)

    def require_running(self) -> None:
        """Make sure that it has not ended by itself.

        Raises:
            Unavailable: It has; the text says how.
        """
        code = self._process.poll()
        if code is not None:
            raise Unavailable(f"{self.name}: ended with {code}: {self._tail()}")

    def log(self) -> str:
        """Return what it printed."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def pause(self) -> None:
        """Keep it from running at all while others are measured."""
        if not self._paused:
            self._paused = True
            self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Undo ``pause``."""
        if self._paused:
            self._paused = False
            self._signal(signal.SIGCONT)

    def wait(self, timeout_s: float) -> int | None:
        """Return the exit code once it has ended by itself; None if it does not in time."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(timeout_s)
        return None

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> int | None:
        """Ask it to end, insist after a while, and return its exit code (None if killed)."""
        self.go_on()
        code: int | None = None
        with contextlib.suppress(ProcessLookupError):
            if self._process.poll() is None:
                self._process.send_signal(signal.SIGTERM)
            code = self._process.wait(timeout_s)
            if processes.session(self.id):
                self._signal(signal.SIGTERM)
                deadline = time.monotonic() + timeout_s
                while processes.session(self.id) and time.monotonic() < deadline:
                    time.sleep(0.05)
        return code

    def kill(self) -> None:
        """End whatever is left of it."""
        for process in processes.session(self.id):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self._process.wait()
        self._log.close()

    def _signal(self, number: int) -> None:
        for process in processes.session(self.id):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)

    def _wait_for_answer(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            self.require_running()
            try:
                with Client(self.port, timeout_s=2.0) as client:
                    client.ask("GET", "/")
                return
            except (OSError, BadAnswer):
                time.sleep(0.01)
        raise Unavailable(f"{self.name}: no answer within {timeout_s:.0f} s: {self._tail()}")

    def _tail(self) -> str:
        lines = [line for line in self.log().splitlines() if line.strip()]
        return lines[-1] if lines else "it printed nothing"


@contextlib.contextmanager
def running(
    contender: Contender,
    *,
    workers: int = 1,
    cores: set[int] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Run a server for as long as the block lasts."""
    server = Server(contender, workers=workers, cores=cores, environment=environment)
    try:
        yield server
    finally:
        end(server)


def end(server: Server) -> None:
    """Stop a server, by force if it does not listen."""
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.stop()
    finally:
        server.kill()


def _leave_in_order() -> None:
    """Let SIGTERM and SIGHUP end us as an exception does, so that no server outlives us."""

    def leave(number: int, _: object) -> None:
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, leave)


def free_port() -> int:
    """Return a port nobody listens on at the moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
