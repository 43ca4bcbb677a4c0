"""Numbered requests in batches, at a steady rate, with a record of which were sent when.

Each connection gets a batch at its turn, in one write, and answers have to come in the order of the
numbers. On loopback a write that has returned has put its bytes into the server's receive queue, so
what was sent before a moment had been received before it. One thread, one epoll.
"""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length: "
_QUIET_S = 15.0


@dataclass
class Outcome:
    """What became of the requests."""

    sent_before: int = 0
    """Whole requests that were sent before the moment that counts."""
    answered_before: int = 0
    """Of these, how many had their answer at that moment."""
    answered: int = 0
    """Of those sent before, how many were answered in the end."""
    answered_after: int = 0
    """Answers to requests that were sent later, which nobody promised."""
    wrong: list[str] = field(default_factory=list)
    """Answers that were not those to the next number, or not 200."""
    resets: int = 0
    """Connections that ended with a reset instead of an orderly close."""
    announced: int = 0
    """Connections on which the last answer said that it was the last."""
    seconds: float = 0.0
    """From the first request to the moment that counts."""

    @property
    def lost(self) -> int:
        """Return how many requests the server had and did not answer."""
        return self.sent_before - self.answered

    @property
    def per_second(self) -> float:
        """Return the rate of sending before the moment."""
        return self.sent_before / self.seconds if self.seconds else 0.0


class _Connection:
    """A connection with the numbers it has sent."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 5.0)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.expected: deque[int] = deque()
        self.unsent = b""
        self.received = b""
        self.sent = 0
        self.answered = 0
        self.sent_before: int | None = None
        self.answered_before = 0
        self.told_to_close = False

    def offer(self, numbers: Sequence[int], paths: Sequence[str]) -> None:
        """Send a batch, or as much of it as the socket takes, unless an earlier one waits."""
        if self.unsent or self.told_to_close:
            return
        self.expected.extend(numbers)
        self.unsent = b"".join(
            f"GET {path}/{number} HTTP/1.1\r\nHost: pyre.test\r\n\r\n".encode()
            for number, path in zip(numbers, paths, strict=True)
        )
        self.push()

    def push(self) -> None:
        """Send what is left of a batch."""
        try:
            while self.unsent:
                taken = self.socket.send(self.unsent)
                self.sent += self.unsent.count(_HEAD_END, 0, taken + len(_HEAD_END) - 1)
                self.unsent = self.unsent[taken:]
        except BlockingIOError:
            return

    def mark(self) -> None:
        """Note what has been sent and answered up to now."""
        self.sent_before, self.answered_before = self.sent, self.answered


def run(
    port: int,
    *,
    connections: int,
    depth: int,
    per_second: float,
    seconds: float,
    slow_share: float,
    at_the_end: Callable[[], None],
) -> Outcome:
    """Send at a steady rate for some seconds, then call `at_the_end` and go on until all is closed.

    Args:
        port: Where the server listens.
        connections: How many.
        depth: Requests in a batch.
        per_second: Requests a second, all connections together.
        seconds: How long until the moment that counts.
        slow_share: Share of the batches that begin with a request to a handler that sleeps.
        at_the_end: Called at that moment, between two writes.
    """
    peers = [_Connection(port) for _ in range(connections)]
    outcome = Outcome()
    loop = _Loop(peers, depth, per_second, slow_share, outcome)
    try:
        outcome.seconds = loop.send_until(time.monotonic() + seconds)
        for peer in peers:
            peer.mark()
        at_the_end()
        loop.send_until_closed()
    finally:
        for peer in peers:
            peer.socket.close()
        loop.epoll.close()
    for peer in peers:
        before = peer.sent_before or 0
        outcome.sent_before += before
        outcome.answered_before += peer.answered_before
        outcome.answered += min(peer.answered, before)
        outcome.answered_after += max(0, peer.answered - before)
        outcome.announced += peer.told_to_close
    return outcome


class _Loop:
    def __init__(
        self,
        peers: list[_Connection],
        depth: int,
        per_second: float,
        slow_share: float,
        outcome: Outcome,
    ) -> None:
        self.open = {peer.socket.fileno(): peer for peer in peers}
        self.turns = deque(peers)
        self.depth = depth
        self.pause_s = depth / per_second
        self.slow_every = round(1 / slow_share) if slow_share else 0
        self.outcome = outcome
        self.number = 0
        self.batches = 0
        self.epoll = select.epoll()
        for file in self.open:
            self.epoll.register(file, select.EPOLLIN)

    def send_until(self, end: float) -> float:
        """Send batches in time until `end`; return how long that took."""
        began = time.monotonic()
        due = began
        while (now := time.monotonic()) < end:
            while due <= now:
                self.batch()
                due += self.pause_s
            self.poll(min(due, end))
        return time.monotonic() - began

    def send_until_closed(self) -> None:
        """Go on sending until the server has closed every connection."""
        due = time.monotonic()
        quiet_at = due + _QUIET_S
        while self.open and (now := time.monotonic()) < quiet_at:
            if due <= now:
                self.batch()
                due += self.pause_s
            self.poll(due)
        if self.open:
            self.outcome.wrong.append(f"{len(self.open)} connections were not closed")

    def batch(self) -> None:
        """Send the next batch on the next connection that is open."""
        for _ in range(len(self.turns)):
            peer = self.turns[0]
            self.turns.rotate(-1)
            file = peer.socket.fileno()
            if file in self.open:
                numbers = range(self.number, self.number + self.depth)
                self.number += self.depth
                self.batches += 1
                slow = self.slow_every and self.batches % self.slow_every == 0
                paths = ["/sleepy" if slow else "/number", *["/number"] * (self.depth - 1)]
                try:
                    peer.offer(numbers, paths)
                except OSError:
                    # The server has closed; what it said before is read in its turn.
                    peer.unsent = b""
                return

    def poll(self, until: float) -> None:
        """Read what comes until a moment, and send what a full socket has left."""
        for file, _ in self.epoll.poll(max(0.0, until - time.monotonic())):
            peer = self.open.get(file)
            if peer is not None:
                self.receive(peer)
        for peer in self.open.values():
            if peer.unsent:
                try:
                    peer.push()
                except OSError:
                    peer.unsent = b""

    def receive(self, peer: _Connection) -> None:
        try:
            data = peer.socket.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            self.outcome.resets += 1
            data = b""
        if data:
            peer.received += data
            self.read_answers(peer)
            return
        if peer.received:
            self.outcome.wrong.append(f"cut off after {peer.received[:100]!r}")
        file = peer.socket.fileno()
        self.epoll.unregister(file)
        del self.open[file]

    def read_answers(self, peer: _Connection) -> None:
        received, start = peer.received, 0
        while (end := received.find(_HEAD_END, start)) >= 0:
            head = received[start:end].lower()
            length = int(head.partition(_LENGTH)[2].partition(b"\r\n")[0])
            body = received[end + 4 : end + 4 + length]
            if len(body) < length:
                break
            start = end + 4 + length
            number = peer.expected.popleft() if peer.expected else None
            if not head.startswith(b"http/1.1 200 ") or body != str(number).encode():
                self.outcome.wrong.append(f"{head[:12].decode()} {body[:40]!r} for {number}")
            peer.answered += 1
            if b"connection: close" in head:
                peer.told_to_close = True
        peer.received = received[start:]
