"""Processes that a program starts and that outlive it, with a copy of its control socket maybe."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from restarting import Write, alive, restart, serving_pid
from serving import serve, wait_until

HELPERS = {
    # It inherits whatever was not closed, before this package is imported.
    "early": "",
    "system": "os.system(command)",
    "fork": """
    if os.fork() == 0:
        os.dup2(os.open(os.devnull, os.O_RDWR), 1)
        os.dup2(1, 2)
        with open(note, "w") as file:
            file.write(str(os.getpid()))
        signal.pause()
""",
}


@pytest.fixture
def helper(tmp_path: Path) -> Iterator[Path]:
    """Where a helper notes its number, which is ended with the test."""
    note = tmp_path / "helper"
    yield note
    if note.exists():
        os.kill(int(note.read_text()), signal.SIGKILL)


def program(write: Write, note: Path, how: str) -> None:
    """A program that starts a helper, and then fails."""
    command = f"exec sleep 600 >/dev/null 2>&1 & echo $! > {note}"
    lines = f"""
    import signal
    command, note = {command!r}, {str(note)!r}
{HELPERS[how] if how == "fork" else "    " + HELPERS[how]}
    while not os.path.exists(note) or not open(note).read():
        pass
    raise SystemExit("no database")
"""
    file = write(extra=lines)
    if how == "early":
        file.write_text(f"import os\nos.system({command!r})\n{file.read_text()}")


@pytest.mark.parametrize("times", [0, 1], ids=["first process", "supervisor"])
@pytest.mark.parametrize("how", HELPERS)
def test_a_program_that_fails_and_leaves_a_helper(
    write: Write, helper: Path, how: str, times: int
) -> None:
    """That it has failed is heard all the same, and no socket stays open in the helper."""
    with serve(write()) as server:
        for _ in range(times):
            restart(server)
        pid = serving_pid(server)
        program(write, helper, how)
        server.signal(signal.SIGHUP)
        server.output.wait_for(f"ended with code 1 before it served; {pid} goes on serving")
        assert alive(int(helper.read_text()))
        write(version="2")
        assert restart(server) != pid
        server.signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
        assert alive(int(helper.read_text()))
        wait_until(lambda: not server.listens(), "nobody is kept waiting")
