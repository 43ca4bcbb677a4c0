"""Restarts of a small program: how it is written, asked to restart, held up, and loaded."""

from __future__ import annotations

import os
import re
import signal
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from dialogue import Peer
from gate import Gate
from serving import Server, is_supervisor, wait_until

Write = Callable[..., Path]
PROGRAM = """
    import os, socket
    from pyreframework import Pyre

    app = Pyre()
    version = "1"

    @app.get("/")
    def hello(req):
        return f"{version} {os.getpid()}"

    @app.get("/wait/{port:int}/{name}")
    def wait(req, port: int, name: str):
        with socket.create_connection(("127.0.0.1", port)) as gate:
            gate.sendall(name.encode() + b"\\n")
            return gate.makefile().readline().strip()

    app.on_shutdown(lambda: print("shutdown of", os.getpid(), flush=True))
    {extra}

    if __name__ == "__main__":
        app.run({arguments})
        print("past run in", os.getpid(), flush=True)
"""


def serving_pid(server: Server) -> int:
    return int(server.get("/").text.split()[1])


def restart(server: Server) -> int:
    """Restart, and return the process that serves then, once nobody else is left but it."""
    before = serving_pid(server)
    seen = len(server.output.text())
    server.signal(signal.SIGHUP)
    wait_until(lambda: "serves now" in server.output.text()[seen:], "another process serves")
    wait_until(lambda: serving_pid(server) != before, "the process before accepts no more")
    wait_until(lambda: is_supervisor(server.pid), "the first process has become the supervisor")
    wait_until(lambda: before == server.pid or not alive(before), "the process before has ended")
    return serving_pid(server)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def load(server: Server, mistakes: list[str]) -> Iterator[list[int]]:
    """Clients of three kinds, which note whatever goes wrong; counts requests in a list."""
    over = threading.Event()
    counts = [0, 0, 0]

    def client(kind: int, work: Callable[[], None]) -> None:
        while not over.is_set():
            try:
                work()
            except BaseException as error:
                mistakes.append(f"client {kind}: {error!r}")
                return
            counts[kind] += 1

    def anew() -> None:
        """A connection for each request."""
        with server.connect() as peer:
            assert peer.get("/").status == 200

    kept: list[Peer] = []

    def keeping() -> None:
        """One connection, until a reply says that it is the last."""
        if not kept:
            kept.append(server.connect())
        reply = kept[0].get("/")
        assert reply.status == 200
        if reply.closes:
            kept.pop().socket.close()

    with httpx.Client(base_url=server.url, timeout=30) as library:

        def usual() -> None:
            assert library.get("/").status_code == 200

        works = [anew, keeping, usual]
        threads = [
            threading.Thread(target=client, args=[kind, work]) for kind, work in enumerate(works)
        ]
        for thread in threads:
            thread.start()
        try:
            yield counts
        finally:
            over.set()
            for thread in threads:
                thread.join()
            for peer in kept:
                peer.socket.close()


HANGING = """
    import signal
    if "{port}":
        with socket.create_connection(("127.0.0.1", int("{port}"))) as gate:
            gate.sendall(b"start\\n")
            gate.makefile().readline()
"""


def hanging(gate: Gate) -> str:
    return (
        textwrap.dedent(HANGING).replace("{port}", str(gate.port)).strip().replace("\n", "\n    ")
    )


# What was told to end is killed soon if it does not.
IMPATIENT = """
    from pyreframework.serving.signals import endings
    endings.end_patience = lambda: 0.5
"""


def held_by(gate: Gate, name: str) -> str:
    """Let a hook wait at the gate: signals do not end it."""
    return f"""
    def at_the_gate():
        with socket.create_connection(("127.0.0.1", {gate.port})) as gate:
            gate.sendall(b"{name}\\n")
            gate.makefile().readline()
    if __name__ == "__main__":
        {name}(at_the_gate)
"""


def started(server: Server) -> int:
    """The process that was started last."""
    return int(re.findall(r"starting process (\d+) to take over", server.output.text())[-1])
