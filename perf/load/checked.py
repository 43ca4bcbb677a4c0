"""A client that knows every answer to the byte: none may be lost, doubled or another's.

Connections send pipelines of random depth, cut into random pieces, and now and then one is closed
in the middle. Each answer must be the very one for the next request of its connection: status, id
and body. One thread, one epoll. The same seed draws the same requests; what is under way at a time
is up to the server.
"""

from __future__ import annotations

import heapq
import re
import select
import socket
import struct
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from perf.load.answers import Fields, read_head
from perf.load.drawn import DEPTH_MAX, Plan, Request
from perf.load.faults import Faults

STALL_S = 30.0
"""A connection that has waited so long for an answer has lost it, on the slowest machine."""
HALF_CLOSED_S = 0.45
"""A client that has closed its side may count as gone after half a second, and loses what is not
answered by then."""
PAUSE_S_MAX = 0.002
"""Between two pieces of a batch."""
READ_BYTES = 1 << 18

_CLOSED_SHARE = 0.02
_PAUSED_SHARE = 0.3
_AHEAD_SHARE = 0.3

_LENGTH = re.compile(rb"[0-9]+")


@dataclass
class Tally(Faults):
    """What became of the requests."""

    sent: int = 0
    """Requests that were begun."""
    answered: int = 0
    """Of these, how many had their right answer."""
    abandoned: int = 0
    """Of these, how many were on a connection that was closed on purpose, or after a fault."""
    lost: int = 0
    """Of those that were abandoned, how many had waited for an answer for too long."""
    connections: int = 0
    closed: int = 0
    """Connections closed on purpose."""
    statuses: Counter[int] = field(default_factory=Counter)
    works: Counter[str] = field(default_factory=Counter)
    longest_s: float = 0.0
    """The longest that a batch took until its last answer."""
    tasks: set[str] = field(default_factory=set)
    """Requests that were answered and left a task, which must have run once."""
    doubtful_tasks: set[str] = field(default_factory=set)
    """Requests that were abandoned and may have left one."""

    def add(self, other: Tally) -> None:
        """Add what another client has seen."""
        self.add_faults(other)
        self.sent += other.sent
        self.answered += other.answered
        self.abandoned += other.abandoned
        self.lost += other.lost
        self.connections += other.connections
        self.closed += other.closed
        self.statuses += other.statuses
        self.works += other.works
        self.longest_s = max(self.longest_s, other.longest_s)
        self.tasks |= other.tasks
        self.doubtful_tasks |= other.doubtful_tasks

    def check_tasks(self, run: Iterable[str]) -> None:
        """Compare the tasks that have run, by the names of their requests, with those left."""
        counted = Counter(run)
        for name in sorted(self.tasks - counted.keys()):
            self.fault(f"{name}: its task has not run")
        for name, count in counted.items():
            if count > 1:
                self.fault(f"{name}: its task has run {count} times")
            if name not in self.tasks and name not in self.doubtful_tasks:
                self.fault(f"{name}: a task that nobody left")

    @property
    def is_accounted_for(self) -> bool:
        """Whether it is known of every request what became of it."""
        return self.answered + self.abandoned == self.sent


class _Connection:
    """A socket, what is to be sent on it and what is to come."""

    def __init__(self, number: int, plan: Plan) -> None:
        self.number = number
        self.plan = plan
        self.socket: socket.socket | None = None
        self.pieces: deque[bytes] = deque()
        self.expected: deque[Request] = deque()
        self.received = bytearray()
        self.began = 0.0
        """When the connection last had nothing to wait for."""
        self.moved = 0.0
        """When something was last sent or answered."""
        self.is_doomed = False
        self.half_closed: float | None = None
        """When this side was closed: then the server may count it as gone a little later."""
        self.is_due = False


class Client:
    """Some connections to a server, all in one thread."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        connections: int,
        seed: str,
        routes: int,
        name: str = "a",
    ) -> None:
        """Connect to nobody yet.

        Args:
            host: Where the server listens.
            port: Where the server listens.
            connections: How many are open at a time.
            seed: What is drawn depends on it, and on the name.
            routes: How many the program has.
            name: Begins the name of each request, so that several clients draw different ones.
        """
        self.tally = Tally()
        self._address = (host, port)
        self._connections = [
            _Connection(number, Plan(f"{name}.{number}", seed, routes))
            for number in range(connections)
        ]
        self._by_file: dict[int, _Connection] = {}
        self._due: list[tuple[float, int]] = []
        self._epoll = select.epoll()
        self._is_ending = False

    def run(
        self,
        *,
        requests: int | None = None,
        seconds: float | None = None,
        tell: Callable[[Tally], None] = lambda _: None,
    ) -> Tally:
        """Send until there were so many requests, or for so long; wait for all answers.

        Args:
            requests: How many to send, or a pipeline more.
            seconds: For how long.
            tell: Called once a second.
        """
        now = time.monotonic()
        end = now + seconds if seconds is not None else float("inf")
        told = now
        try:
            for connection in self._connections:
                self._open(connection, now)
            while self._by_file:
                now = time.monotonic()
                if now >= end or (requests is not None and self.tally.sent >= requests):
                    self._end()
                if now - told >= 1.0:
                    told = now
                    self._find_stalled(now)
                    tell(self.tally)
                self._act(now)
                pause_s = max(0.0, self._due[0][0] - time.monotonic()) if self._due else 1.0
                for file, _ in self._epoll.poll(min(pause_s, 0.1)):
                    if file in self._by_file:
                        self._receive(self._by_file[file])
        finally:
            for connection in self._connections:
                if connection.socket is not None:
                    connection.socket.close()
            self._epoll.close()
        return self.tally

    def _open(self, connection: _Connection, now: float) -> None:
        opened = socket.create_connection(self._address, STALL_S)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.setblocking(False)
        connection.socket = opened
        connection.pieces.clear()
        connection.expected.clear()
        connection.received.clear()
        connection.began = connection.moved = now
        connection.is_doomed = False
        connection.half_closed = None
        self._by_file[opened.fileno()] = connection
        self._epoll.register(opened, select.EPOLLIN)
        self.tally.connections += 1
        self._act_at(connection, now)

    def _close(self, connection: _Connection, now: float, *, abort: bool = False) -> None:
        """Close; whatever the connection still waits for is abandoned."""
        assert connection.socket is not None
        for request in connection.expected:
            self.tally.abandoned += 1
            if request.work == "task":
                self.tally.doubtful_tasks.add(request.name)
        file = connection.socket.fileno()
        self._epoll.unregister(file)
        del self._by_file[file]
        if abort:
            connection.socket.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
        connection.socket.close()
        connection.socket = None
        if not self._is_ending:
            self._open(connection, now)

    def _end(self) -> None:
        """Begin nothing new: each connection ends once it has all its answers."""
        if self._is_ending:
            return
        self._is_ending = True
        for connection in list(self._by_file.values()):
            if not (connection.pieces or connection.expected or connection.half_closed is not None):
                self._half_close(connection)

    def _half_close(self, connection: _Connection) -> None:
        """Say that no more requests come; then no more answers may come than were asked for."""
        assert connection.socket is not None
        connection.half_closed = time.monotonic()
        try:
            connection.socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            self._broken(connection, f"half closed: {error}")

    def _act_at(self, connection: _Connection, when: float) -> None:
        if not connection.is_due:
            connection.is_due = True
            heapq.heappush(self._due, (when, connection.number))

    def _act(self, now: float) -> None:
        """Let each connection go on whose time has come."""
        while self._due and self._due[0][0] <= now:
            _, number = heapq.heappop(self._due)
            connection = self._connections[number]
            connection.is_due = False
            if connection.socket is not None and connection.half_closed is None:
                self._go_on(connection, now)

    def _go_on(self, connection: _Connection, now: float) -> None:
        chance = connection.plan.chance
        if connection.is_doomed:
            self.tally.closed += 1
            if not connection.pieces and chance.random() < 0.3:
                self._half_close(connection)
            else:
                self._close(connection, now, abort=chance.random() < 0.5)
            return
        if not connection.pieces:
            if self._is_ending:
                if not connection.expected:
                    self._half_close(connection)
                return
            self._begin(connection, now)
        self._send_piece(connection, now)

    def _begin(self, connection: _Connection, now: float) -> None:
        """Draw a batch; not all of it is sent at once."""
        batch = connection.plan.batch()
        if not connection.expected:
            connection.began = now
        connection.expected.extend(batch)
        connection.pieces = connection.plan.pieces(b"".join(request.wire for request in batch))
        self.tally.sent += len(batch)
        self.tally.works.update(request.work for request in batch)

    def _send_piece(self, connection: _Connection, now: float) -> None:
        assert connection.socket is not None
        chance = connection.plan.chance
        piece = connection.pieces.popleft()
        try:
            taken = connection.socket.send(piece)
        except BlockingIOError:
            taken = 0
        except OSError as error:
            self._broken(connection, f"sending: {error}")
            return
        connection.moved = now
        if taken < len(piece):
            connection.pieces.appendleft(piece[taken:])
        # A connection goes after some of what it has sent, and maybe in the middle of a request.
        connection.is_doomed = chance.random() < _CLOSED_SHARE
        may_go_ahead = len(connection.expected) < DEPTH_MAX and not self._is_ending
        if connection.pieces or connection.is_doomed:
            paused = connection.is_doomed or chance.random() < _PAUSED_SHARE or taken == 0
            self._act_at(connection, now + chance.random() * PAUSE_S_MAX if paused else now)
        elif may_go_ahead and chance.random() < _AHEAD_SHARE:
            self._act_at(connection, now + chance.random() * PAUSE_S_MAX)

    def _receive(self, connection: _Connection) -> None:
        assert connection.socket is not None
        try:
            data = connection.socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._broken(connection, f"receiving: {error}")
            return
        now = time.monotonic()
        if data:
            connection.moved = now
            connection.received += data
            self._read_answers(connection, now)
            return
        half_closed = connection.half_closed
        is_given_up = half_closed is not None and now - half_closed >= HALF_CLOSED_S
        if (
            half_closed is not None
            and not connection.received
            and (is_given_up or not connection.expected)
        ):
            self._close(connection, now)
        else:
            self._broken(connection, f"closed after {bytes(connection.received[:100])!r}")

    def _read_answers(self, connection: _Connection, now: float) -> None:
        received = connection.received
        start = 0
        while (end := received.find(b"\r\n\r\n", start)) >= 0:
            head = _read_head(bytes(received[start:end]))
            if isinstance(head, str):
                self._broken(connection, head)
                return
            status, fields = head
            length = int(fields[b"content-length"])
            if len(received) < end + 4 + length:
                break
            body = bytes(received[end + 4 : end + 4 + length])
            start = end + 4 + length
            if not connection.expected:
                self._broken(connection, f"an answer too many: {status} {body[:60]!r}")
                return
            wrong = difference(connection.expected[0], status, fields, body)
            if wrong:
                self._broken(connection, wrong)
                return
            request = connection.expected.popleft()
            self.tally.answered += 1
            self.tally.statuses[status] += 1
            if request.work == "task":
                self.tally.tasks.add(request.name)
        del received[:start]
        if start and not connection.expected:
            self.tally.longest_s = max(self.tally.longest_s, now - connection.began)
            if connection.half_closed is None:
                self._act_at(connection, now)

    def _broken(self, connection: _Connection, text: str) -> None:
        """Note what went wrong on a connection, of which nothing can be trusted any more."""
        next_one = connection.expected[0].name if connection.expected else "nothing"
        self.tally.fault(f"waiting for {next_one}, of {len(connection.expected)}: {text}")
        self._close(connection, time.monotonic())

    def _find_stalled(self, now: float) -> None:
        for connection in list(self._by_file.values()):
            is_waiting = bool(connection.expected) or connection.half_closed is not None
            if is_waiting and now - connection.moved > STALL_S:
                self.tally.lost += len(connection.expected)
                self._broken(connection, f"no answer for {STALL_S:g} s")


def _read_head(head: bytes) -> tuple[int, Fields] | str:
    """Return status and fields of an answer with a length; else what is wrong with it."""
    found = read_head(head)
    if isinstance(found, str):
        return found
    _, fields = found
    if b"transfer-encoding" in fields or not _LENGTH.fullmatch(fields.get(b"content-length", b"")):
        return f"no length: {head[:200]!r}"
    return found


def difference(request: Request, status: int, fields: Fields, body: bytes) -> str:
    """Return how an answer differs from the right one, or nothing."""
    name = fields.get(b"x-request-id", b"").decode("latin-1")
    if (name, status, body) == (request.name, request.status, request.body):
        return "it says that it closes" if b"connection" in fields else ""
    shown = f"{status} {body[:60]!r} ({len(body)} bytes) with the id {name!r}"
    return f"{shown}, not {request.status} {request.body[:60]!r} ({len(request.body)} bytes)"
