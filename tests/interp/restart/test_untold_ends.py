"""Restarts where the system tells nothing of the ends of children."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from gate import Gate
from restarting import Write, alive, restart, started
from serving import is_running, serve, wait_until

CHILDREN_UNSEEN = {
    "ignored": "signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
    "blocked": "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])",
}


def unseen(file: Path, how: str) -> list[str]:
    """Start a program as some parents do, which want to hear nothing of their children."""
    code = f"import os, signal, sys; {CHILDREN_UNSEEN[how]}; "
    return ["-c", code + f"os.execv(sys.executable, [sys.executable, {str(file)!r}])"]


@pytest.mark.parametrize("how", CHILDREN_UNSEEN)
@pytest.mark.parametrize("end", ["death", "stop", "two stops"])
def test_started_where_ends_of_children_are_not_told(write: Write, how: str, end: str) -> None:
    with serve(unseen(write(), how), workers=1) as server:
        pid = restart(server)
        if end == "death":
            os.kill(pid, signal.SIGKILL)
            assert server.wait() == 128 + signal.SIGKILL
        else:
            server.signal(signal.SIGTERM)
            if end == "stop":
                assert server.wait() == 0
            else:
                server.end_at_once(signal.SIGTERM)
        assert not alive(pid)
        assert "Traceback" not in server.output.text()


@pytest.mark.parametrize("how", CHILDREN_UNSEEN)
def test_an_end_that_was_not_told_before_there_was_a_supervisor(write: Write, how: str) -> None:
    """Nobody knows how the process has ended, but that it has is known."""
    with serve(unseen(write(), how), workers=1) as server, Gate() as gate, server.connect() as peer:
        gate.hold(peer, "a")
        server.signal(signal.SIGHUP)
        server.output.wait_for("serves now")
        pid = started(server)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not is_running(pid), "the new one has ended")
        gate.release("a")
        assert peer.reply().text == "released"
        assert server.wait() == (1 if how == "ignored" else 128 + signal.SIGKILL)
        assert ("nobody knows how" in server.output.text()) == (how == "ignored")


@pytest.mark.parametrize("how", CHILDREN_UNSEEN)
def test_a_new_program_that_fails_where_its_end_is_not_told(write: Write, how: str) -> None:
    with serve(unseen(write(), how), workers=1) as server:
        write(extra="raise LookupError('in the new one')")
        server.signal(signal.SIGHUP)
        said = "has ended, nobody knows how" if how == "ignored" else "ended with code 1"
        server.output.wait_for(f"{said} before it served; {server.pid} goes on serving")
        assert server.get("/").status == 200
