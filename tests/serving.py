"""Serve small programs in child processes.

`serve` starts a program of `tests/apps` the way a user would (`python program.py`) and learns its
address from the banner. Nothing here sleeps and hopes: `wait_until` and `Output.wait_for` wait for
events. Deadlines are generous, because they only decide how long a failure takes.
"""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dialogue import Peer, Reply

APPS = Path(__file__).parent / "apps"

type Write = Callable[[str, str], Path]
"""The fixture `write`: takes name and text of a file."""

SUCCESS_S = 30.0
"""How long anything that should happen may take, on the slowest machine we can imagine."""

SAME_SIGNAL_S = 0.25
"""How long after the first a stop signal surely counts as the second."""

AGAIN_S = 5.0
"""How long to wait for an end before the signal is sent once more."""

_ADDRESS = re.compile(r"http://(\[[0-9a-fA-F:.]+\]|[^\s:/\[\]]+):(\d+)")
_BROKEN = ("panicked at", "Fatal Python error", "Segmentation fault", "AddressSanitizer")


def wait_until(holds: Callable[[], object], what: str, timeout_s: float = SUCCESS_S) -> None:
    """Return as soon as `holds()` is true; fail, naming `what`, when the deadline passes first."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what}")
        time.sleep(0.005)


def is_running(pid: int) -> bool:
    """Whether there is such a process that has not ended, waited for or not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        # Its first thread ends before the others, and nobody can wait for it before they have.
        return state != "Z" or len(os.listdir(f"/proc/{pid}/task")) > 1
    except (FileNotFoundError, ProcessLookupError):
        # The second: it went between the opening and the reading.
        return False


def stand_still(pid: int) -> None:
    """Stop a process (SIGSTOP) and wait until none of its threads runs, as the signal does not."""
    os.kill(pid, signal.SIGSTOP)

    def stands_still() -> bool:
        states = [
            thread.read_text().rpartition(")")[2].split()[0]
            for thread in Path(f"/proc/{pid}/task").glob("*/stat")
        ]
        return set(states) == {"T"}

    wait_until(stands_still, "no thread of it runs")


def is_supervisor(pid: int) -> bool:
    """Whether a process that has served is by now the supervisor of the one that does."""
    return b"supervise.py" in Path(f"/proc/{pid}/cmdline").read_bytes()


class Output:
    """What a process prints, collected by a thread; both streams in one."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.lines: list[str] = []
        self.changed = threading.Condition()
        self.ended = False
        self._stream = process.stdout
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()

    def _collect(self) -> None:
        assert self._stream is not None
        with self._stream:
            for line in self._stream:
                with self.changed:
                    self.lines.append(line.rstrip("\n"))
                    self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def text(self) -> str:
        with self.changed:
            return "\n".join(self.lines)

    def wait_for(
        self, pattern: str, timeout_s: float = SUCCESS_S, *, since: int = 0
    ) -> re.Match[str]:
        """The first line, from line `since` on, with `pattern` in it, as soon as it is printed."""
        wanted = re.compile(pattern)
        deadline = time.monotonic() + timeout_s
        seen = since
        with self.changed:
            while True:
                for line in self.lines[seen:]:
                    if match := wanted.search(line):
                        return match
                seen = len(self.lines)
                left = deadline - time.monotonic()
                if self.ended or left <= 0:
                    shown = "\n".join(self.lines)
                    raise AssertionError(f"never printed {pattern!r}; output:\n{shown}")
                self.changed.wait(left)

    def join(self) -> None:
        self._thread.join(SUCCESS_S)


def child_environment(extra: dict[str, str], options: dict[str, object]) -> dict[str, str]:
    """Our environment without anything that would configure the server, plus what is asked for."""
    ours = ("PORT", "HOST", "WEB_CONCURRENCY")
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYRE_") and k not in ours}
    env |= {"NO_COLOR": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    for name, value in options.items():
        text = str(int(value)) if isinstance(value, bool) else str(value)
        env[f"PYRE_{name.upper()}"] = text
    return env | extra


def launch(
    arguments: list[str], env: dict[str, str], cwd: Path | None = None
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *arguments],
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )


def program_arguments(program: str | Path | list[str]) -> list[str]:
    """Arguments of the interpreter for a program of `tests/apps` (by name), a file, or any."""
    if isinstance(program, str):
        program = APPS / f"{program}.py"
    return [str(program)] if isinstance(program, Path) else program


def with_defaults(options: dict[str, object]) -> dict[str, object]:
    """Options as they are given to most programs; None leaves one out."""
    options = {"port": 0, "workers": 2} | options
    return {name: value for name, value in options.items() if value is not None}


class Server:
    """A program that serves, in a process of its own."""

    def __init__(
        self,
        arguments: list[str],
        *,
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
        **options: object,
    ) -> None:
        environment = child_environment(env or {}, with_defaults(options))
        self.process = launch(arguments, environment, cwd)
        self.pid = self.process.pid
        self.output = Output(self.process)
        try:
            found = self.output.wait_for(_ADDRESS.pattern)
        except BaseException:
            self.kill()
            raise
        self.host = found[1].strip("[]")
        self.port = int(found[2])

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def addresses(self) -> list[tuple[str, int]]:
        """Every address of the banner."""
        found = _ADDRESS.findall(self.output.text())
        return list(dict.fromkeys((host.strip("[]"), int(port)) for host, port in found))

    def connect(self, *, receive_bytes: int | None = None) -> Peer:
        return Peer(self.host, self.port, receive_bytes=receive_bytes)

    def request(
        self,
        method: str,
        target: str,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> Reply:
        """One request on a connection of its own."""
        with self.connect() as peer:
            return peer.request(method, target, headers, body)

    def get(self, target: str, headers: Iterable[tuple[str, str]] = ()) -> Reply:
        return self.request("GET", target, headers)

    def post(self, target: str, body: bytes, headers: Iterable[tuple[str, str]] = ()) -> Reply:
        return self.request("POST", target, headers, body)

    def listens(self) -> bool:
        try:
            self.connect().socket.close()
        except OSError:
            return False
        return True

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def end_at_once(self, number: int) -> None:
        """Send a stop signal that is not the first one, and wait until the process has ended.

        The one before may have been read later than it was sent: then this one is still that one
        again, and yet another is sent.
        """
        due = time.monotonic() + SAME_SIGNAL_S

        def has_ended() -> bool:
            nonlocal due
            if self.process.poll() is None and time.monotonic() >= due:
                self.signal(number)
                due = time.monotonic() + AGAIN_S
            return self.process.poll() is not None

        wait_until(has_ended, "the process ends at once")

    def wait(self, timeout_s: float = SUCCESS_S) -> int:
        """The exit code, once the process has ended by itself."""
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still runs; output:\n{self.output.text()}") from None
        self.output.join()
        return code

    def stop(self) -> int:
        """Ask it to stop, and wait."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.output.join()

    def resident_bytes(self) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found, status
        return int(found[1]) * 1024

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def limit_descriptors(self, soft: int) -> None:
        _, hard = resource.prlimit(self.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def serve(
    program: str | Path | list[str],
    *,
    env: dict[str, str] | None = None,
    cwd: Path | None = None,
    **options: object,
) -> Iterator[Server]:
    """Serve a program of `tests/apps` (by name), a file, or any arguments of the interpreter.

    Options become `PYRE_<NAME>` variables. At the end the server has to stop in order: exit code 0,
    and no trace of a crash in what it printed.
    """
    server = Server(program_arguments(program), env=env, cwd=cwd, **options)
    try:
        yield server
        already = server.process.poll()
        code = server.stop() if already is None else already
        output = server.output.text()
        assert already is not None or code == 0, f"exit code {code}; output:\n{output}"
        for mark in _BROKEN:
            assert mark not in output, output
    finally:
        server.kill()


def banner(server: Server) -> list[str]:
    """What the program has printed, the whole banner at least."""
    server.output.wait_for("try: curl")
    return [line.strip() for line in server.output.text().splitlines()]


@dataclass(frozen=True)
class Ending:
    """How a program that does not come to serve has ended."""

    code: int
    output: str


def run_to_end(
    program: str | Path | list[str],
    *,
    env: dict[str, str] | None = None,
    cwd: Path | None = None,
    **options: object,
) -> Ending:
    """Run a program that is expected to end by itself."""
    environment = child_environment(env or {}, with_defaults(options))
    process = launch(program_arguments(program), environment, cwd)
    try:
        output, _ = process.communicate(timeout=SUCCESS_S)
    except subprocess.TimeoutExpired:
        process.kill()
        output, _ = process.communicate()
        raise AssertionError(f"did not end; output:\n{output}") from None
    return Ending(process.returncode, output)


def allow_many_descriptors() -> None:
    """Raise our own limit, which the servers inherit, as far as the system lets us."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 8192 if hard == resource.RLIM_INFINITY else min(hard, 8192)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
