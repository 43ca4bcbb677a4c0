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
from pyreframework import console

PACKAGE = Path(pyreframework.__file__).parent
# Objects of these modules are streams, or print.
PRINTING = {"print", "print_exc", "print_exception", "print_stack"}
STREAMS = {"stdout", "stderr", "__stdout__", "__stderr__"}


def test_no_other_place_prints() -> None:
    """What writes to a standard stream elsewhere might fail, or wait."""
    found = []
    for file in sorted(PACKAGE.rglob("*.py")):
        if file.name == "console.py" or "testing" in file.parts:
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
    assert not console.is_terminal(sys.stdout)
    console.settle()


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

    assert console.encoded(Stream(), text) == expected


def in_child(source: str) -> tuple[int, str]:
    """Return how a process ends in which this is done, and what it then wrote to its last pipe."""
    told, tell = os.pipe()
    # Below it are those that a child closes.
    assert tell > 2
    lines = ["import os, sys", "from pyreframework import console", f"tell = {tell}"]
    process = subprocess.Popen(
        [sys.executable, "-c", "\n".join([*lines, textwrap.dedent(source)])],
        pass_fds=[tell],
    )
    os.close(tell)
    with open(told) as pipe:
        text = pipe.read()
    return process.wait(), text


@pytest.mark.parametrize("closed", [(0,), (1,), (0, 1, 2), (2,), (0, 2)], ids=str)
def test_closed_descriptors_are_opened_on_the_null_device(closed: tuple[int, ...]) -> None:
    source = f"""
        for number in {closed}:
            os.close(number)
        console.open_missing()
        for number in {closed}:
            assert os.readlink(f"/proc/self/fd/{{number}}") == "/dev/null"
            assert os.get_inheritable(number)
        assert os.dup(0) > 2
        os.write(tell, b"done")
    """
    assert in_child(source) == (0, "done")


def test_without_a_null_device() -> None:
    source = """
        console.NULL_DEVICE = "/nowhere/null"
        for number in range(3):
            os.close(number)
        console.open_missing()
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
