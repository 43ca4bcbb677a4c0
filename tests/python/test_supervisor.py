"""What the supervisor decides by: what it was told so far, whichever way that came."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from pyreframework.serving.processes.channel import Channel
from pyreframework.serving.processes.supervisor import Supervisor


@pytest.fixture
def supervised() -> Iterator[tuple[Supervisor, Channel, socket.socket]]:
    """One, the other end of the channel to a process that serves, and where signals are written."""
    ours, theirs = Channel.pair()
    reader, signals = socket.socketpair()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        state = {
            "folder": None, "file": None, "activated": 0, "listeners": [], "end_patience": 1.0,
            "terminal": False, "signals": reader.detach(), "handled": [], "child": child.pid,
            "channel": ours.socket.detach(), "patience": 1.0, "apps": 1, "stopping": False,
            "again": False,
        }  # fmt: skip
        made: list[Supervisor] = []
        # On another thread it leaves the signals of this process alone.
        thread = threading.Thread(
            target=lambda: made.append(Supervisor([sys.executable, "-c", ""], state))
        )
        thread.start()
        thread.join()
        (supervisor,) = made
        yield supervisor, theirs, signals
        for known in supervisor.children():
            known.channel.close()
        supervisor.close()
        theirs.close()
        signals.close()
        child.communicate(b"\n")


def test_what_was_said_before_a_signal_came_counts(
    supervised: tuple[Supervisor, Channel, socket.socket],
) -> None:
    """Even if the selector names the signal first: the process serves two apps by then."""
    supervisor, process, signals = supervised
    process.tell("apps", 2)
    signals.send(bytes([signal.SIGHUP]))
    supervisor.hear_signals()
    assert supervisor.current is not None and supervisor.current.apps == 2
    assert supervisor.next is None
