"""Requests at random moments, over a fixed set of connections, timed from the moment they are due.

The generator is open: a slow server does not slow it down. A request that finds no free connection
waits, and its wait counts. One thread, one epoll; a timerfd wakes it, as epoll's own timeout knows
only milliseconds. Its own floor is measured against a server that does nothing (``hol.py``).
"""

from __future__ import annotations

import gc
import os
import random
import select
import socket
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

_DRAIN_S = 15.0


@dataclass(frozen=True)
class Arrival:
    """A request due at a moment, in seconds from the start."""

    due_s: float
    path: str


@dataclass(frozen=True)
class Sample:
    """What became of an arrival; status 0 if no answer came."""

    path: str
    seconds: float
    status: int


def poisson(
    rate: float, seconds: float, shares: Sequence[tuple[str, float]], seed: int
) -> list[Arrival]:
    """Return arrivals of a Poisson process.

    Args:
        rate: Requests a second, on average.
        seconds: Length of the process.
        shares: Paths, each with its share of the requests.
        seed: The same seed gives the same arrivals.
    """
    chance = random.Random(seed)
    paths = [path for path, _ in shares]
    weights = [weight for _, weight in shares]
    arrivals = []
    due_s = chance.expovariate(rate)
    while due_s < seconds:
        arrivals.append(Arrival(due_s, chance.choices(paths, weights)[0]))
        due_s += chance.expovariate(rate)
    return arrivals


def run(port: int, arrivals: Sequence[Arrival], connections: int) -> list[Sample]:
    """Send the arrivals when they are due and return what became of them."""
    generator = _Generator(port, connections)
    gc.disable()
    try:
        return generator.run(arrivals)
    finally:
        gc.enable()
        generator.close()


class _Connection:
    """A socket that carries one request at a time."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.received = b""
        self.arrival: Arrival | None = None
        self.open()

    def open(self) -> None:
        self.socket = socket.create_connection(("127.0.0.1", self.port), 5.0)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)

    def status(self) -> int | None:
        """Return the status once the whole answer is here."""
        head_bytes = self.received.find(b"\r\n\r\n")
        if head_bytes < 0:
            return None
        head = self.received[:head_bytes].lower()
        _, found, length = head.partition(b"\r\ncontent-length:")
        body_bytes = int(length.partition(b"\r\n")[0]) if found else 0
        if len(self.received) < head_bytes + 4 + body_bytes:
            return None
        return int(self.received[9:12])


class _Generator:
    def __init__(self, port: int, connections: int) -> None:
        self.port = port
        self.epoll = select.epoll()
        self.timer = os.timerfd_create(time.CLOCK_MONOTONIC, flags=os.TFD_NONBLOCK)
        self.epoll.register(self.timer, select.EPOLLIN)
        self.by_file: dict[int, _Connection] = {}
        self.free: deque[_Connection] = deque()
        self.waiting: deque[Arrival] = deque()
        self.samples: list[Sample] = []
        self.started = 0.0
        for _ in range(connections):
            self.adopt(_Connection(port))

    def adopt(self, connection: _Connection) -> None:
        file = connection.socket.fileno()
        self.by_file[file] = connection
        self.epoll.register(file, select.EPOLLIN)
        self.free.append(connection)

    def run(self, arrivals: Sequence[Arrival]) -> list[Sample]:
        coming = deque(arrivals)
        self.started = time.monotonic()
        end = self.started + arrivals[-1].due_s + _DRAIN_S if arrivals else self.started
        while len(self.samples) < len(arrivals) and time.monotonic() < end:
            now = time.monotonic() - self.started
            while coming and coming[0].due_s <= now:
                self.waiting.append(coming.popleft())
            self.send()
            # Never zero, which would disarm the timer; near the end it only ticks.
            wake_s = self.started + coming[0].due_s if coming else time.monotonic() + 0.1
            os.timerfd_settime_ns(
                self.timer, flags=os.TFD_TIMER_ABSTIME, initial=max(1, int(wake_s * 1e9))
            )
            for file, _ in self.epoll.poll():
                if file == self.timer:
                    self.expire()
                else:
                    self.receive(self.by_file[file])
        self.give_up(coming)
        return self.samples

    def send(self) -> None:
        while self.waiting and self.free:
            connection = self.free.popleft()
            connection.arrival = self.waiting.popleft()
            head = f"GET {connection.arrival.path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n\r\n"
            try:
                connection.socket.send(head.encode())
            except OSError:
                self.replace(connection)

    def receive(self, connection: _Connection) -> None:
        try:
            data = connection.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.replace(connection)
            return
        connection.received += data
        status = connection.status()
        if status is not None:
            self.finish(connection, status)
            connection.received = b""
            self.free.append(connection)

    def finish(self, connection: _Connection, status: int) -> None:
        arrival = connection.arrival
        if arrival is not None:
            seconds = time.monotonic() - self.started - arrival.due_s
            self.samples.append(Sample(arrival.path, seconds, status))
            connection.arrival = None

    def replace(self, connection: _Connection) -> None:
        self.finish(connection, 0)
        self.epoll.unregister(connection.socket)
        del self.by_file[connection.socket.fileno()]
        connection.socket.close()
        if connection in self.free:
            self.free.remove(connection)
        self.adopt(_Connection(self.port))

    def expire(self) -> None:
        try:
            os.read(self.timer, 8)
        except BlockingIOError:
            return

    def give_up(self, coming: deque[Arrival]) -> None:
        for connection in self.by_file.values():
            self.finish(connection, 0)
        for arrival in [*self.waiting, *coming]:
            self.samples.append(Sample(arrival.path, _DRAIN_S, 0))

    def close(self) -> None:
        for connection in self.by_file.values():
            connection.socket.close()
        self.epoll.close()
        os.close(self.timer)
