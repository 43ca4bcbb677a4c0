"""Clients of event streams, all in one thread, that see how late each event is.

An event says when it was due, on the clock that all processes of a machine share. Whatever lies
between that and the moment in which it has been read counts, the queue in front of this process
included.
"""

from __future__ import annotations

import select
import socket
import time
from array import array
from dataclasses import dataclass, field

from perf.load.faults import Faults

_READ_BYTES = 1 << 16
_OPENED_WITHIN_S = 1.0
_CONNECT_TIMEOUT_S = 10.0


@dataclass
class Heard(Faults):
    """What the clients have seen."""

    late_ns: array[int] = field(default_factory=lambda: array("q"))
    """How late each event was, from the moment on in which its stream began."""
    first_ns: array[int] = field(default_factory=lambda: array("q"))
    """How long after it was asked for each stream has brought its first event."""
    whole: int = 0
    """Streams that came to their end in order, with all their events."""
    busy_s: float = 0.0
    """Processor time of the thread that reads."""
    seconds: float = 0.0


class _Stream:
    """A connection, and what of its answer has been understood."""

    def __init__(self, opened: socket.socket, count: int) -> None:
        self.socket = opened
        self.count = count
        self.asked_ns = time.monotonic_ns()
        self.number = 0
        """Of the next event."""
        self.rest = b""
        """What came behind the last whole chunk."""
        self.text = b""
        """What stands behind the last whole event."""
        self.has_head = False
        self.has_end = False

    def take(self, part: bytes, now: int, heard: Heard) -> None:
        """Take in what has arrived; ValueError if it is not what must come."""
        data = self.rest + part if self.rest else part
        at = 0
        if not self.has_head:
            head, found, data = data.partition(b"\r\n\r\n")
            if not found:
                self.rest = head
                return
            self._read_head(head)
        while (line := data.find(b"\r\n", at)) >= 0:
            start = line + 2
            end = start + int(data[at:line], 16)
            if len(data) < end + 2:
                break
            if self.has_end or data[end : end + 2] != b"\r\n":
                raise ValueError(f"no chunk: {data[at : end + 2][:80]!r}")
            if start == end:
                self.has_end = True
            else:
                self._read_events(data[start:end], now, heard)
            at = end + 2
        self.rest = data[at:]

    def _read_head(self, head: bytes) -> None:
        lines = head.decode("latin-1").lower().split("\r\n")
        if not lines[0].startswith("http/1.1 200 ") or "transfer-encoding: chunked" not in lines:
            raise ValueError(f"no answer in chunks: {lines}")
        self.has_head = True

    def _read_events(self, chunk: bytes, now: int, heard: Heard) -> None:
        *events, self.text = (self.text + chunk).split(b"\n\n")
        for event in events:
            if event.startswith(b":"):
                continue
            name, number, due, token = event.split(b" ")
            if (name, int(number), token) != (b"data:", self.number, b"token"):
                raise ValueError(f"{event!r} instead of event {self.number}")
            if not self.number:
                heard.first_ns.append(now - self.asked_ns)
            self.number += 1
            heard.late_ns.append(now - int(due))

    @property
    def is_whole(self) -> bool:
        """All has come, and nothing else."""
        return self.has_end and not (self.rest or self.text) and self.number == self.count


def run(port: int, *, clients: int, count: int, per_second: int, patience_s: float) -> Heard:
    """Open so many streams within a second, and read them to their end.

    Args:
        port: Where the server listens.
        clients: How many streams.
        count: Events of each.
        per_second: Events of each in a second.
        patience_s: How much longer than that it may take before the rest is given up.
    """
    heard = Heard()
    path = f"/tokens/{count}/{per_second}"
    asked = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode()
    streams: dict[int, _Stream] = {}
    started, busy = time.monotonic(), time.thread_time()
    until = started + _OPENED_WITHIN_S + count / per_second + patience_s
    opened = 0
    with select.epoll() as epoll:
        while opened < clients or streams:
            now = time.monotonic()
            if now >= until:
                break
            while opened < clients and now >= started + opened * _OPENED_WITHIN_S / clients:
                connection = socket.create_connection(("127.0.0.1", port), _CONNECT_TIMEOUT_S)
                connection.sendall(asked)
                connection.setblocking(False)
                streams[connection.fileno()] = _Stream(connection, count)
                epoll.register(connection, select.EPOLLIN)
                opened += 1
            for file, _ in epoll.poll(0.1 if opened == clients else 0.001):
                if _read(streams[file], heard):
                    streams.pop(file).socket.close()
    heard.seconds, heard.busy_s = time.monotonic() - started, time.thread_time() - busy
    for stream in streams.values():
        heard.fault(f"a stream with {stream.number} of {count} events at the end of the time")
        stream.socket.close()
    return heard


def _read(stream: _Stream, heard: Heard) -> bool:
    """Read what is there; true if the stream has come to its end."""
    try:
        part = stream.socket.recv(_READ_BYTES)
        stream.take(part, time.monotonic_ns(), heard)
    except BlockingIOError:
        return False
    except (OSError, ValueError) as error:
        heard.fault(str(error))
        return True
    if part:
        return False
    if stream.is_whole:
        heard.whole += 1
    else:
        heard.fault(f"the connection ended after {stream.number} of {stream.count} events")
    return True
