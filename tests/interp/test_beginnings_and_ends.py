"""Beginnings that fail half-way, ends that come from elsewhere, and what both leave behind."""

from __future__ import annotations

import gc
import importlib.util
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from gate import Gate
from places import MODES
from serving import APPS, Output, Server, child_environment, run_to_end, serve, wait_until

from pyreframework.testing import TestClient

MEBIBYTE = 1 << 20
BROKEN = ("Fatal Python error", "panicked", "Traceback")

# ------------------------------------------------------ the program ends while a thread serves

IN_A_THREAD = """
    import _thread, socket, sys, threading, time
    from pyreframework import Pyre

    app = Pyre()
    app.get("/", lambda req: "hello")

    @app.get("/wait/{port:int}/{name}")
    def wait(req, port: int, name: str):
        return through(port, name)

    def through(port, name):
        with socket.create_connection(("127.0.0.1", port)) as gate:
            gate.sendall(name.encode() + b"\\n")
            return gate.makefile().readline().strip()

    app.on_shutdown(lambda: print("shut down", flush=True))

    if __name__ == "__main__":
        START
        sys.stdin.readline()
        END
"""
DAEMON = "threading.Thread(target=app.run, daemon=True).start()"
ANONYMOUS = "_thread.start_new_thread(app.run, ())"


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(start: str = DAEMON, end: str = "") -> Path:
        file = tmp_path / "program.py"
        text = textwrap.dedent(IN_A_THREAD).replace("START", start).replace("END", end)
        file.write_text(text)
        return file

    return write


@contextmanager
def serving(file: Path, **options: object) -> Iterator[tuple[Server, Callable[[], None]]]:
    """The server, and what lets the main thread of its program go on."""
    with beginning(file, **options) as (server, go_on):
        found = server.output.wait_for(r"http://([^:]+):(\d+)")
        server.host, server.port = found[1], int(found[2])
        yield server, go_on


@contextmanager
def beginning(file: Path, **options: object) -> Iterator[tuple[Server, Callable[[], None]]]:
    """As `serving`, for a server that does not come to serve yet."""
    # As `Server` does, which waits for the banner and has nothing to say to its program.
    server = object.__new__(Server)
    given = {"port": 0, "workers": 2} | options
    given = {name: value for name, value in given.items() if value is not None}
    server.process = subprocess.Popen(
        [sys.executable, str(file)],
        env=child_environment({}, given),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    server.pid = server.process.pid
    server.output = Output(server.process)
    stdin = server.process.stdin
    assert stdin is not None
    try:
        yield server, stdin.close
    finally:
        stdin.close()
        server.kill()


@MODES
@pytest.mark.parametrize("start", [DAEMON, ANONYMOUS], ids=["daemon", "anonymous"])
@pytest.mark.parametrize(
    ("end", "code"),
    [("", 0), ("sys.exit(5)", 5), ("raise LookupError", 1)],
    ids=["returns", "exits", "raises"],
)
def test_main_thread_ends_while_run_serves_in_a_daemon_thread(
    write: Callable[..., Path], start: str, end: str, code: int, mode: str | None
) -> None:
    """It stops as if it had been told to, and the exit code is the program's."""
    with serving(write(start, end), mode=mode) as (server, go_on):
        assert server.get("/").text == "hello"
        go_on()
        assert server.wait() == code, server.output.text()
        assert "shut down" in server.output.text()
        for mark in BROKEN[: 2 if code == 1 else 3]:
            assert mark not in server.output.text()


@MODES
def test_requests_are_finished_when_the_main_thread_ends(
    write: Callable[..., Path], mode: str | None
) -> None:
    with serving(write(), mode=mode) as (server, go_on), Gate() as gate, server.connect() as peer:
        gate.hold(peer, "a")
        go_on()
        wait_until(lambda: not server.listens(), "nobody is accepted any more")
        gate.release("a", "late")
        assert peer.reply().text == "late"
        assert server.wait() == 0


def test_main_thread_ends_while_a_daemon_thread_starts_to_serve(
    write: Callable[..., Path],
) -> None:
    """With a hook of the start still running."""
    with Gate() as gate:
        start = f"app.on_startup(lambda: through({gate.port}, 'start')); {DAEMON}"
        with beginning(write(start)) as (server, go_on):
            assert gate.entered() == "start"
            go_on()
            gate.release("start")
            assert server.wait() == 0
            output = server.output.text()
            assert "shut down" in output
            assert not any(mark in output for mark in BROKEN), output


def test_what_does_not_finish_is_left_when_the_main_thread_ends(
    write: Callable[..., Path],
) -> None:
    with serving(write(), shutdown_timeout=0.2) as (server, go_on), Gate() as gate:
        with server.connect() as peer:
            gate.hold(peer, "a")
            go_on()
            assert server.wait() == 1
        assert not any(mark in server.output.text() for mark in BROKEN), server.output.text()


def test_interrupt_while_the_main_thread_waits_for_the_one_that_serves(
    write: Callable[..., Path],
) -> None:
    """Python stops waiting for threads that are no daemons then, and goes on to its end."""
    start = "threading.Thread(target=app.run).start()"
    with serving(write(start, "print('at the end', flush=True)")) as (server, go_on):
        go_on()
        server.output.wait_for("at the end")
        while server.process.poll() is None:
            # One may come before the wait begins, or while Python tells of the one before.
            server.signal(signal.SIGINT)
            try:
                server.process.wait(2)
            except subprocess.TimeoutExpired:
                pass
        # The program ends as one that was interrupted, or at once, as one was too many.
        assert server.wait() in (0, 1, -signal.SIGINT)
        output = server.output.text()
        assert "Fatal" not in output
        assert "shut down" in output or "stopped at once by a second signal" in output


# -------------------------------------------------------------------------------- destructors


def test_destructors_of_a_worker_run_when_it_ends() -> None:
    with serve("ends", workers=2) as server:
        assert server.get("/").text == "hello"
        assert "is gone" not in server.output.text().partition("on http://")[2]
    said = server.output.text()
    assert said.count("an object of the module is gone") == 3  # One of them is main's.
    assert said.count("a part of a cycle is gone") == 3


HANGS = """
    import threading
    from pyreframework import Pyre

    app = Pyre()
    app.get("/", lambda req: "hello")

    class Stuck:
        wait = threading.Event().wait

        def __del__(self):
            self.wait()

    if __name__ != "__main__":
        stuck = Stuck()
"""


def test_a_destructor_that_does_not_return_does_not_hold_up_the_end(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(HANGS) + "app.run()\n")
    with serve(program, workers=2) as server:
        server.signal(signal.SIGTERM)
        assert server.wait() == 1
        assert "a worker could not be ended; leaving without it" in server.output.text()


def test_a_test_client_that_leaves_a_worker_behind_does_not_abort_the_process(
    tmp_path: Path,
) -> None:
    (tmp_path / "stuck.py").write_text(textwrap.dedent(HANGS).replace("__main__", "main"))
    program = tmp_path / "program.py"
    program.write_text(
        "import threading, stuck\n"
        "from pyreframework.testing import TestClient\n"
        "stuck.stuck.wait = lambda: None\n"
        "client = TestClient(stuck.app, mode='subinterp', workers=1)\n"
        "print(client.get('/').text)\n"
        "try:\n"
        "    client.close()\n"
        "except RuntimeError as error:\n"
        "    print(error, flush=True)\n"
    )
    ending = run_to_end(program)
    assert "could not be ended and goes on running" in ending.output
    assert "leaving without it" in ending.output
    assert ending.code == 1, ending.output


# ---------------------------------------------------------------------- what is left behind


def load(name: str) -> object:
    """Import a program of `tests/apps` under a name by which workers find its file."""
    spec = importlib.util.spec_from_file_location(f"{name}_in_tests", APPS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module
    spec.loader.exec_module(module)
    return module


def resident_bytes() -> int:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def threads() -> int:
    return len(os.listdir("/proc/self/task"))


def test_memory_of_a_workers_program_comes_back() -> None:
    """All but what CPython leaves of an interpreter, which is 6 MiB at most.

    In a process of its own, as others leave memory behind that is used again.
    """
    text = f"""
import sys
sys.path[:0] = {[str(APPS.parent), str(Path(__file__).parent)]!r}
from test_beginnings_and_ends import *

module = load("ends")
def once():
    with TestClient(module.app, mode="subinterp", workers=2) as client:
        assert client.get("/").text == "hello"
    gc.collect()

for _ in range(2):
    once()
before, had, ran = resident_bytes(), descriptors(), threads()
for _ in range(5):
    once()
print('grown by', (resident_bytes() - before) // 5)
assert descriptors() == had, (descriptors(), had)
for _ in range(1000):
    if threads() <= ran:
        break
    import time; time.sleep(0.005)
assert threads() <= ran
"""
    ended = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, timeout=300,
        env=child_environment({}, {}),
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    found = re.search(r"grown by (-?\d+)", ended.stdout)
    assert found
    grown = int(found[1])
    assert grown < 2 * 8 * MEBIBYTE, f"{grown / MEBIBYTE:.1f} MiB a start and stop"


FAILING = """
    import os
    from pyreframework import Pyre

    app = Pyre()
    app.get("/", lambda req: "hello")
    app.get("/main", lambda req: "hello", gil=True)
    where = os.environ.get("FAILS_IN", "")

    @app.on_startup
    def startup():
        assert os.environ.get("FAILS_IN") != "startup"

    @app.on_worker_start
    def begin():
        if os.environ.get("FAILS_IN") == "worker":
            raise LookupError

    if __name__ == "__mp_main__":
        assert where != "load"
"""


# Enough for some threads, and not for all: of the worker, and of the main interpreter.
ROOMS_MIB = (6, 12, 20, 30)


@pytest.mark.parametrize("fails_in", ["startup", "worker", "load", "port", "descriptors", "memory"])
def test_a_start_that_fails_half_way_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails_in: str
) -> None:
    file = tmp_path / f"failing_{fails_in}.py"
    file.write_text(textwrap.dedent(FAILING))
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, file.stem, module)
    spec.loader.exec_module(module)
    options: dict[str, object] = {}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        if fails_in == "port":
            options["port"] = taken.getsockname()[1]

        def attempt(fails: bool, room_mib: int = ROOMS_MIB[-1]) -> None:
            if fails:
                limits = limited(fails_in, room_mib)
                # With a port it starts at once.
                with pytest.raises((OSError, RuntimeError, AssertionError)), limits:
                    TestClient(module.app, mode="subinterp", workers=1, **options).get("/")  # type: ignore[arg-type]
                return
            with TestClient(module.app, mode="subinterp", workers=1, **options) as client:  # type: ignore[arg-type]
                assert client.get("/").text == "hello"

        if fails_in != "port":
            attempt(False)
        monkeypatch.setenv("FAILS_IN", fails_in)
        attempt(True)
        gc.collect()
        had, ran = descriptors(), threads()
        # Threads that have started come to their interpreter sooner or later than it is given up.
        for room_mib in ROOMS_MIB * (6 if fails_in == "memory" else 1):
            attempt(True, room_mib)
        gc.collect()
        assert descriptors() == had
        wait_until(lambda: threads() <= ran, "no more threads than before")
        monkeypatch.delenv("FAILS_IN")
        if fails_in != "port":
            attempt(False)


@contextmanager
def limited(what: str, room_mib: int) -> Iterator[None]:
    """Too little of something to start with."""
    kind, room = {
        "descriptors": (resource.RLIMIT_NOFILE, descriptors() + 3),
        "memory": (resource.RLIMIT_AS, 0),
    }.get(what, (None, 0))
    if kind is None:
        yield
        return
    if what == "memory":
        found = re.search(r"VmSize:\s+(\d+) kB", Path("/proc/self/status").read_text())
        assert found
        room = int(found[1]) * 1024 + room_mib * MEBIBYTE
    soft, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(kind, (soft, hard))


@MODES
def test_what_a_destructor_raises_at_the_end_is_told(tmp_path: Path, mode: str | None) -> None:
    """Whoever tells of it can import nothing any more."""
    file = tmp_path / "program.py"
    text = """
        from pyreframework import Pyre

        class Raises:
            def __del__(self):
                raise ValueError("del failed")

        kept = Raises()
        app = Pyre()
        app.get("/", lambda req: "hello")
        app.run()
    """
    file.write_text(textwrap.dedent(text))
    with serve(file, mode=mode) as server:
        assert server.get("/").text == "hello"
        assert server.stop() == 0
    server.output.wait_for("del failed")
    assert "ImportError" not in server.output.text()


NO_ROOM = """
    import re, resource
    from pathlib import Path
    from pyreframework import Pyre

    app = Pyre()

    @app.get("/")
    async def hello(req):
        return "hello"

    app.get("/plain")(lambda req: "hello")

    @app.on_worker_start
    async def leave_no_room():
        # For no stack of a thread, which takes twice as much; there is room for all else.
        status = Path("/proc/self/status").read_text()
        size = int(re.search(r"VmSize:\\s+(\\d+) kB", status)[1]) << 10
        resource.setrlimit(resource.RLIMIT_AS, (size + (4 << 20), before[1]))
        print("opened", flush=True)

    @app.on_worker_stop
    async def leave_room():
        resource.setrlimit(resource.RLIMIT_AS, before)
        print("closed", flush=True)

    before = resource.getrlimit(resource.RLIMIT_AS)
    if __name__ == "__main__":
        app.run()
"""


def test_a_worker_without_room_for_its_threads_closes_what_its_hooks_have_opened(
    tmp_path: Path,
) -> None:
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(NO_ROOM))
    # CPython tells of what was not closed.
    env = {"PYTHONWARNINGS": "default::ResourceWarning"}
    ending = run_to_end(program, env=env, workers=1)
    assert ending.code == 3, ending.output
    assert re.findall(r"^(?:opened|closed)$", ending.output, re.MULTILINE) == ["opened", "closed"]
    assert "needs more memory or threads" in ending.output
    assert "ResourceWarning" not in ending.output


def test_a_start_without_threads_is_told_once(tmp_path: Path) -> None:
    """Not again by the step of the end whose time a thread would bound."""
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(NO_ROOM))
    ending = run_to_end(program, mode="default")
    assert ending.code == 3, ending.output
    said = [line for line in ending.output.splitlines() if line.startswith("pyre: ")]
    assert len(said) == 1, said
    assert "needs more memory or threads" in said[0]
    assert re.findall(r"^(?:opened|closed)$", ending.output, re.MULTILINE) == ["opened", "closed"]
