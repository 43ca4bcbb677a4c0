"""Connections that have subscribed to a topic, and note when what is published comes."""

from __future__ import annotations

import contextlib
import multiprocessing
import re
import select
import socket
import time
from array import array
from multiprocessing.connection import Connection
from typing import Self

_STAMP = re.compile(rb"#(\d+) (\d+)#")
_READ_BYTES = 1 << 16
_PATIENCE_S = 60.0
_REQUESTS = {
    "websocket": (
        (
            b"GET /ws HTTP/1.1\r\nHost: perf\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        ),
        b"HTTP/1.1 101 ",
    ),
    "event stream": (b"GET /events HTTP/1.1\r\nHost: perf\r\n\r\n", b"HTTP/1.1 200 "),
}
KINDS = tuple(_REQUESTS)


class Missed(Exception):
    """A listener has not heard what was published, or heard it twice."""


class Listeners:
    """Many of them, shared out among some processes, as one could not read as fast as they hear."""

    def __init__(self, port: int, kind: str, *, connections: int, clients: int) -> None:
        """Connect; returns once all of them listen."""
        context = multiprocessing.get_context("spawn")
        self._running = []
        for number in range(clients):
            share = connections // clients + (number < connections % clients)
            ours, theirs = context.Pipe()
            process = context.Process(target=_listen, args=(theirs, port, kind, share), daemon=True)
            process.start()
            theirs.close()
            self._running.append((ours, process))
        for ours, _ in self._running:
            _answer(ours, "connected")

    def heard(self, number: int) -> list[float]:
        """Return how late each of them was to hear a publication, in seconds."""
        late: list[float] = []
        for ours, _ in self._running:
            ours.send(number)
        for ours, _ in self._running:
            nanoseconds = array("q")
            nanoseconds.frombytes(_answer(ours, f"publication {number}"))
            late.extend(one / 1e9 for one in nanoseconds)
        return late

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for ours, process in self._running:
            with contextlib.suppress(OSError):
                ours.send(-1)
            process.join(_PATIENCE_S)
            process.kill()
            ours.close()


def _answer(pipe: Connection, what: str) -> bytes:
    if not pipe.poll(_PATIENCE_S):
        raise Missed(f"{what}: not all within {_PATIENCE_S:g} s")
    try:
        said = pipe.recv()
    except EOFError:
        raise Missed(f"{what}: a client has failed") from None
    if isinstance(said, str):
        raise Missed(f"{what}: {said}")
    found: bytes = said
    return found


def _connect(port: int, kind: str) -> socket.socket:
    request, expected = _REQUESTS[kind]
    connection = socket.create_connection(("127.0.0.1", port), _PATIENCE_S)
    connection.sendall(request)
    head = b""
    while b"\r\n\r\n" not in head:
        more = connection.recv(_READ_BYTES)
        if not more:
            raise Missed(f"ended: {head!r}")
        head += more
    if not head.startswith(expected):
        raise Missed(f"answered {head!r}")
    connection.setblocking(False)
    return connection


def _listen(pipe: Connection, port: int, kind: str, count: int) -> None:
    """Hear what is published, and say of each publication how late it came."""
    try:
        connections = [_connect(port, kind) for _ in range(count)]
        poll = select.epoll()
        by_number = {one.fileno(): one for one in connections}
        for number in by_number:
            poll.register(number, select.EPOLLIN | select.EPOLLET)
        pipe.send(b"")
        late: dict[int, dict[int, int]] = {}
        wanted = None
        poll.register(pipe.fileno(), select.EPOLLIN)
        while True:
            for descriptor, _ in poll.poll():
                if descriptor == pipe.fileno():
                    wanted = pipe.recv()
                    if wanted < 0:
                        return
                    continue
                with contextlib.suppress(BlockingIOError):
                    while data := by_number[descriptor].recv(_READ_BYTES):
                        now = time.monotonic_ns()
                        for publication, at in _STAMP.findall(data):
                            of_it = late.setdefault(int(publication), {})
                            if descriptor in of_it:
                                raise Missed("heard twice")
                            of_it[descriptor] = now - int(at)
                    raise Missed("the connection has ended")
            if wanted is not None and len(late.get(wanted, ())) == count:
                pipe.send(array("q", late.pop(wanted).values()).tobytes())
                wanted = None
    except (Missed, OSError) as error:
        pipe.send(str(error))
