"""What is printed: where it goes, and that no other place of the package prints."""

from __future__ import annotations

import ast
import io
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import pyreframework
from pyreframework.logs import console, streams

PACKAGE = Path(pyreframework.__file__).parent
# Objects of these modules are streams, or print.
PRINTING = {"print", "print_exc", "print_exception", "print_stack"}
STREAMS = {"stdout", "stderr", "__stdout__", "__stderr__"}


def test_no_other_place_prints() -> None:
    """What writes to a standard stream elsewhere might fail, or wait."""
    found = []
    for file in sorted(PACKAGE.rglob("*.py")):
        if file.name in ("console.py", "streams.py") or "testing" in file.parts:
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call):
                continue
            called = node.func
            name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
            owner = getattr(getattr(called, "value", None), "attr", "")
            if name in PRINTING or (owner in STREAMS and name != "isatty"):
                found.append(f"{file.name}:{node.lineno}: {ast.unparse(node)}")
    assert found == []


class Failing(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError("nobody reads")

    def flush(self) -> None:
        raise OSError("nobody reads")

    def isatty(self) -> bool:
        raise ValueError("it is closed")


@pytest.mark.parametrize("stream", [None, Failing()], ids=["none", "failing"])
def test_a_stream_of_the_program_that_fails(
    stream: io.StringIO | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(sys, "stdout", stream)
    console.complain("a message")
    console.report(KeyError("a"), None)
    console.show("a banner", sys.stdout)
    assert not streams.is_terminal(sys.stdout)
    streams.settle()


def test_a_stream_of_the_program_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    console.complain("two\nlines\n")
    console.report(KeyError("a"), None)
    assert stream.getvalue() == "pyre: two\nlines\nKeyError: 'a'\n"


@pytest.mark.parametrize(
    ("encoding", "text", "expected"),
    [
        ("utf-8", "é\udcff", b"\xc3\xa9\\udcff"),
        ("ascii", "é", b"\\xe9"),
        ("latin-1", "é€", b"\xe9\\u20ac"),
        (None, "é", b"\xc3\xa9"),
        ("no such encoding", "é", b"\xc3\xa9"),
    ],
)
def test_what_an_encoding_has_no_characters_for(
    encoding: str | None, text: str, expected: bytes
) -> None:
    class Stream(io.StringIO):
        @property
        def encoding(self) -> Any:
            return encoding

    assert streams.encoded(Stream(), text) == expected


def in_child(source: str) -> tuple[int, str]:
    """Return how a process ends in which this is done, and what it then wrote to its last pipe."""
    told, tell = os.pipe()
    # Below it are those that a child closes.
    assert tell > 2
    lines = ["import os, sys", "from pyreframework.logs import console, streams", f"tell = {tell}"]
    process = subprocess.Popen(
        [sys.executable, "-c", "\n".join([*lines, textwrap.dedent(source)])],
        pass_fds=[tell],
    )
    os.close(tell)
    with open(told) as pipe:
        text = pipe.read()
    return process.wait(), text


FULL = """
import os, resource, threading
from time import monotonic, sleep
from pyreframework import engine

def fill(number):
    reader, writer = os.pipe()
    os.dup2(writer, number)
    os.set_blocking(number, False)
    try:
        while True:
            os.write(number, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(number, True)
    return reader

def field(name):
    line = [line for line in open("/proc/self/status") if line.startswith(name)][0]
    return int(line.split()[1])

def until_stalled():
    # Who has begun to wait has waited for longer than a reader is given.
    deadline = monotonic() + 1.5
    while (left := deadline - monotonic()) > 0:
        sleep(left)

out = os.dup(1)
"""


def told(program: str) -> str:
    """What a program tells on ``out`` whose standard streams are what it makes of them."""
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FULL + program],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_messages_to_a_reader_that_has_stopped_take_one_thread() -> None:
    """However many there are, and however often; and it is noticed that nobody reads."""
    program = """
before = field("Threads")
fill(1)
for _ in range(60):
    engine.write_stream(1, b"hello\\n", 0.01)
threads = field("Threads") - before
until_stalled()
engine.write_stream(1, b"hello\\n", 0.01)
written = engine.write_stream(1, b"hello\\n", 3600)
os.write(out, f"{threads} {written}".encode())
os._exit(0)
"""
    assert told(program) == "1 False"


def test_messages_arrive_in_turn_once_a_reader_goes_on() -> None:
    program = """
reader = fill(1)
engine.write_stream(1, b"first\\n", 0.01)
lost = engine.write_stream(1, b"second\\n", 0.01)
thread = threading.Thread(target=engine.write_stream, args=[1, b"third\\n", 3600])
thread.start()
read = b""
while not read.endswith(b"third\\n"):
    read += os.read(reader, 65536)
thread.join()
os.write(out, read.lstrip(b"x") + str(lost).encode())
os._exit(0)
"""
    assert told(program) == "first\nthird\nFalse"


def test_waiting_for_the_log_takes_no_memory_that_grows() -> None:
    """Nobody reads, so nothing is taken out of the queue."""
    program = """
fill(2)
engine.say("ERROR", "pyre: ", "hello")
engine.flush_log(0)
before = field("VmRSS")
flushed = 0
for _ in range(100_000):
    flushed += engine.flush_log(0)
grown = field("VmRSS") - before
until_stalled()
flushed += engine.flush_log(3600)
os.write(out, f"{flushed} {grown < 8192} {grown}".encode())
os._exit(0)
"""
    assert told(program).split()[:2] == ["0", "True"]


@pytest.mark.parametrize("number", [1, 2])
def test_a_forked_process_does_not_wait_for_the_reader_of_its_parent(number: int) -> None:
    """Also if a thread of the parent, which is not there, had waited for long as it was forked."""
    program = f"""
fill({number})
engine.say("ERROR", "pyre: ", "hello")
engine.write_stream({number}, b"hello\\n", 0.01)
until_stalled()
pid = os.fork()
if pid == 0:
    os.dup2(out, {number})
    written = engine.write_stream({number}, b"child\\n", 30)
    os.write(out, f"{{written}}".encode())
    os._exit(0)
os.waitpid(pid, 0)
os._exit(0)
"""
    assert told(program) == "child\nTrue"


def test_a_log_goes_on_that_could_have_no_thread_at_first() -> None:
    """What was logged until then is written as well, in its order."""
    program = """
said, log = os.pipe()
os.dup2(log, 2)
_, hard = resource.getrlimit(resource.RLIMIT_AS)
# A stack of a thread takes more.
resource.setrlimit(resource.RLIMIT_AS, (field("VmSize") * 1024 + 2**19, hard))
engine.emit_python_log("ERROR", "a", "first")
none = field("Threads")
resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
engine.emit_python_log("ERROR", "a", "second")
flushed = engine.flush_log(30)
os.set_blocking(said, False)
lines = os.read(said, 65536).decode().split("\\n")
words = [line.split()[-1] for line in lines if line]
os.write(out, f"{none} {flushed} {words}".encode())
os._exit(0)
"""
    assert told(program) == "1 True ['first', 'second']"


@pytest.mark.parametrize("closed", [(0,), (1,), (0, 1, 2), (2,), (0, 2)], ids=str)
def test_closed_descriptors_are_opened_on_the_null_device(closed: tuple[int, ...]) -> None:
    source = f"""
        for number in {closed}:
            os.close(number)
        streams.open_missing()
        for number in {closed}:
            assert os.readlink(f"/proc/self/fd/{{number}}") == "/dev/null"
            assert os.get_inheritable(number)
        assert os.dup(0) > 2
        os.write(tell, b"done")
    """
    assert in_child(source) == (0, "done")


def test_without_a_null_device() -> None:
    source = """
        streams.NULL_DEVICE = "/nowhere/null"
        for number in range(3):
            os.close(number)
        streams.open_missing()
        assert os.dup(0) > 2
        assert os.read(0, 1) == b""
        for number in (1, 2):
            try:
                os.write(number, b"a")
            except OSError as error:
                os.write(tell, str(error).encode())
    """
    assert in_child(source) == (0, "[Errno 9] Bad file descriptor" * 2)


@pytest.mark.parametrize("number", [0, 3, -1, "1"])
def test_what_is_no_standard_stream_to_write_to(number: Any) -> None:
    from pyreframework.engine import takes_at_once, write_stream

    with pytest.raises(ValueError, match="is 1 or 2"):
        takes_at_once(number)
    with pytest.raises(ValueError, match="is 1 or 2"):
        write_stream(number, b"", 0)
