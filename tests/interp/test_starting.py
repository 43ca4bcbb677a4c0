"""The start of the workers: in what order they load the program, what is said, and how it fails."""

from __future__ import annotations

import re
import signal
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import pytest
from gate import Gate
from serving import Output, child_environment, launch, run_to_end, serve

from pyreframework.program import loading as package_program

# Each worker passes the gate twice: when its program begins, and when that is loaded.
PROGRAM = """
import os, socket, sys
from pyreframework import Pyre
from pyreframework.program import loading

IN_WORKER = __name__ != "__main__"
if not IN_WORKER:
    loading.MAY_LOAD_TOGETHER = {together}

def gate(name):
    with socket.create_connection(("127.0.0.1", int(os.environ["GATE"]))) as peer:
        peer.sendall(name.encode() + b"\\n")
        return peer.makefile().readline().strip()

app = Pyre()

@app.get("/")
def index(req):
    return "hello"

{more}

if __name__ == "__main__":
    app.run()
"""

type Write = Callable[..., Path]


@pytest.fixture
def gate() -> Iterator[Gate]:
    with Gate() as gate:
        yield gate


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(more: str, together: bool = True) -> Path:
        path = tmp_path / "program.py"
        path.write_text(PROGRAM.format(together=together, more=textwrap.dedent(more)))
        return path

    return write


class Starting:
    """A server that does not serve yet."""

    def __init__(self, program: Path, gate: Gate, **options: object) -> None:
        environment = child_environment({"GATE": str(gate.port)}, {"port": 0} | options)
        self.process = launch([str(program)], environment)
        self.output = Output(self.process)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self.output.join()

    def wait_for(self, pattern: str) -> None:
        self.output.wait_for(pattern)

    def end(self) -> tuple[int, str]:
        """The exit code, and what it has printed."""
        code = self.process.wait(60)
        self.output.join()
        return code, self.output.text()

    def serve_and_stop(self) -> None:
        self.wait_for(r"^Pyre .* on http")
        self.process.send_signal(signal.SIGTERM)
        code, text = self.end()
        assert code == 0, text


AT_THE_GATE = """
if IN_WORKER:
    name = str(id(app))
    assert gate(name) == "go on"
"""


def test_workers_load_the_program_at_the_same_time(write: Write, gate: Gate) -> None:
    """All of them are in the middle of it before one has ended."""
    with Starting(write(AT_THE_GATE), gate, workers=4) as server:
        names = [gate.entered() for _ in range(4)]
        assert len(set(names)) == 4
        for name in names:
            gate.release(name, "go on")
        server.serve_and_stop()


def test_workers_load_the_program_in_turn(write: Write, gate: Gate) -> None:
    with Starting(write(AT_THE_GATE, together=False), gate, workers=3) as server:
        for _ in range(3):
            name = gate.entered()
            assert gate.is_empty(0.1)
            gate.release(name, "go on")
        server.serve_and_stop()


def test_where_the_program_may_be_loaded_together() -> None:
    """Interpreters share a counter that has no lock before 3.14 (gh-116909)."""
    assert (sys.version_info >= (3, 14)) == package_program.MAY_LOAD_TOGETHER


def test_one_worker_fails_while_others_load(write: Write, gate: Gate) -> None:
    """Its traceback is shown once, and the others do not begin to serve."""
    more = """
    if IN_WORKER:
        if gate(str(id(app))) == "fail":
            raise LookupError("this one fails")

    @app.on_worker_start
    def begun():
        print("a worker has begun", flush=True)
    """
    with Starting(write(more), gate, workers=3) as server:
        first, *others = [gate.entered() for _ in range(3)]
        gate.release(first, "fail")
        server.wait_for("LookupError: this one fails")
        for name in others:
            gate.release(name, "go on")
        code, text = server.end()
        assert code == 3
        assert text.count("Traceback") == text.count("LookupError: this one fails") == 1, text
        assert text.count("a worker could not start") == 1
        assert "a worker has begun" not in text and "another worker" not in text


@pytest.mark.parametrize("together", [True, False])
def test_all_workers_fail(write: Write, together: bool) -> None:
    ending = run_to_end(write("assert not IN_WORKER, 'not here'", together), workers=6)
    assert ending.code == 3
    assert ending.output.count("AssertionError: not here") == 1, ending.output


@pytest.mark.parametrize("together", [True, False])
def test_one_worker_has_other_routes(write: Write, gate: Gate, together: bool) -> None:
    more = """
    if IN_WORKER and gate(str(id(app))) == "differ":
        app.get("/more", index)
    """
    with Starting(write(more, together), gate, workers=3) as server:
        for answer in ("go on", "differ", "go on")[: 3 if together else 2]:
            gate.release(gate.entered(), answer)
        code, text = server.end()
        assert code == 3
        assert "this worker has 2 routes and the main interpreter has 1" in text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_while_all_workers_load(write: Write, gate: Gate, number: int) -> None:
    """It waits until they have, as an interpreter in the middle of an import cannot be ended."""
    with Starting(write(AT_THE_GATE), gate, workers=3) as server:
        names = [gate.entered() for _ in range(3)]
        server.process.send_signal(number)
        for name in names:
            gate.release(name, "go on")
        code, text = server.end()
        assert code == 0
        assert "Traceback" not in text


def test_a_thread_that_the_program_starts_on_import(write: Write) -> None:
    more = """
    import threading

    found = []
    ready = threading.Event()

    def look():
        import sqlite3
        found.append(sqlite3.sqlite_version)
        ready.set()

    thread = threading.Thread(target=look)
    thread.start()
    import decimal, email, zoneinfo

    @app.get("/found")
    def show(req):
        ready.wait()
        return found
    """
    with serve(write(more), workers=4) as server:
        assert server.get("/found").json()[0].startswith("3.")


def test_what_workers_print_while_they_load(write: Write) -> None:
    """Line by line, however many load at a time."""
    more = "for number in range(50):\n    print('line', number, 'of', 50)\n"
    with serve(write(more), workers=4) as server:
        lines = [line for line in server.output.lines if line.startswith("line")]
    assert sorted(lines) == sorted(f"line {number} of 50" for number in range(50) for _ in range(5))


SLOW = """
from pyreframework.serving import progress
progress.PATIENCE_SECONDS = 0.05

if IN_WORKER:
    sys.path.insert(0, os.path.dirname(__file__))
    import slow_part
"""


def test_a_slow_start_names_the_import_it_waits_for(
    write: Write, gate: Gate, tmp_path: Path
) -> None:
    (tmp_path / "slow_part.py").write_text("from __mp_main__ import gate\ngate('slow')\n")
    with Starting(write(SLOW), gate, workers=1) as server:
        assert gate.entered() == "slow"
        server.wait_for(r"0 of 1 worker has started \(.*\); worker 0 is importing slow_part$")
        gate.release("slow")
        server.serve_and_stop()


def test_a_slow_hook_is_named_too(write: Write, gate: Gate) -> None:
    more = """
    from pyreframework.serving import progress
    progress.PATIENCE_SECONDS = 0.05

    @app.on_worker_start
    def wait():
        gate("hook")
    """
    with Starting(write(more), gate, workers=1) as server:
        assert gate.entered() == "hook"
        server.wait_for("worker 0 is running its start hooks$")
        gate.release("hook")
        server.serve_and_stop()


@pytest.mark.parametrize("together", [True, False])
def test_verbose_tells_of_each_worker(write: Write, together: bool) -> None:
    with serve(write("", together), workers=3, verbose=1) as server:
        pass
    text = server.output.text()
    line = r"pyre\.server: worker (\d) has started \(.*\), (\d) of 3 workers$"
    found = re.findall(line, text, re.MULTILINE)
    assert sorted(number for number, _ in found) == ["0", "1", "2"]
    assert [count for _, count in found] == ["1", "2", "3"]


def test_nothing_is_said_of_a_quick_start(write: Write) -> None:
    with serve(write(""), workers=2) as server:
        assert "has started" not in server.output.text()


TYPES = """
import ctypes

def without_version():
    # tp_version_tag, where CPython 3.13 has it.
    kinds, waiting = {object}, [object]
    while waiting:
        new = set(type.__subclasses__(waiting.pop())) - kinds
        kinds |= new
        waiting += new
    fixed = [kind for kind in kinds if kind.__flags__ & 1 << 8]
    assert len(fixed) > 100
    return [str(one) for one in fixed if not ctypes.c_uint32.from_address(id(one) + 0x180).value]

if IN_WORKER:
    before = len(without_version())

@app.get("/types")
def types(req):
    return [before, without_version()]
"""


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="versions are counted up atomically")
def test_types_have_their_versions_before_requests_come(write: Write) -> None:
    """Interpreters that give them at the same time may give the same twice (gh-116909)."""
    with serve(write(TYPES, together=False), workers=2) as server:
        before, after = server.get("/types").json()
    assert before > 20
    assert after == []


def test_an_address_of_ipv4_that_is_written_as_one_of_ipv6(write: Write) -> None:
    ending = run_to_end(write(""), bind="[::ffff:127.0.0.1]:0", port=None)
    assert ending.code == 3
    assert "[::ffff:127.0.0.1]:0 is an address of IPv4: give 127.0.0.1:0 instead" in ending.output
