"""Servers found by the socket they are given, whatever becomes of what they print."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dialogue import Peer
from serving import child_environment, is_supervisor, wait_until

PYRE = [sys.executable, "-m", "pyreframework"]
# A stop that waits for nobody takes this long at most, on a busy machine.
STOP_S = 20.0


class Bare:
    """A server that is found by the socket it is given, not by what it prints."""

    def __init__(self, listener: socket.socket, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.pid = process.pid
        self.port = listener.getsockname()[1]

    def get(self, target: str = "/") -> str:
        with Peer("127.0.0.1", self.port) as peer:
            reply = peer.get(target)
        assert reply.status == 200, reply.text
        return reply.text

    def serving(self) -> int:
        return int(self.get())

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def restart(self) -> int:
        """Restart, and return the process that serves then."""
        before = self.serving()
        # The process before may accept once more when its successor has.
        seen = [before]
        self.send(signal.SIGHUP)
        wait_until(lambda: seen.append(self.serving()) or seen[-1] != before, "another serves")
        wait_until(lambda: is_supervisor(self.pid), "the first process has become the supervisor")
        return seen[-1]

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.send(number)
        return self.process.wait(STOP_S)


@contextmanager
def bare(
    arguments: list[str | Path],
    *,
    stdin: Any = subprocess.DEVNULL,
    stdout: Any = subprocess.DEVNULL,
    stderr: Any = subprocess.DEVNULL,
    env: dict[str, str] | None = None,
    cwd: Path | None = None,
    **options: object,
) -> Iterator[Bare]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        options = {"fd": listener.fileno(), "workers": 1, "shutdown_timeout": 2} | options
        options = {name: value for name, value in options.items() if value is not None}
        process = subprocess.Popen(
            [*map(str, arguments)],
            # Whoever runs the tests may have it set; then each print of a program is a write.
            env=child_environment({"PYTHONUNBUFFERED": ""} | (env or {}), options),
            cwd=cwd,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            pass_fds=[listener.fileno()],
            start_new_session=True,
        )
        try:
            yield Bare(listener, process)
        finally:
            # The others of its session end with it, or when they find it gone.
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def run(file: Path) -> list[str | Path]:
    return [sys.executable, file]
