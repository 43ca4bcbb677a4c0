"""Random requests to `hand_over_app.py`, each with the one answer that is right.

Its handlers do what a request asks for, and an answer says who was asked what, so that no two are
alike.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

DEPTH_MAX = 16
"""Requests in a pipeline."""


@dataclass(frozen=True)
class Work:
    """What a handler is asked to do, how often of a thousand times, and for how long."""

    name: str
    of_thousand: int
    us_least: int = 0
    us_most: int = 0


# With more that take long, routes are proven too rarely to be found out often.
WORKS = (
    Work("return", 904),
    Work("sleep", 30, 1_000, 3_000),
    Work("block", 10, 1_000, 3_000),
    Work("sleep", 12, 15_000, 40_000),
    Work("block", 4, 15_000, 40_000),
    Work("compute", 15, 1_000, 30_000),
    Work("raise", 10),
    Work("fail", 10),
    Work("task", 5),
)
_WEIGHTS = [work.of_thousand for work in WORKS]


@dataclass(frozen=True)
class Request:
    """A request, and the only answer that is right."""

    name: str
    work: str
    wire: bytes
    status: int
    body: bytes


class Plan:
    """Draws requests for one connection; the same seed gives the same."""

    def __init__(self, name: str, seed: str, routes: int) -> None:
        self.chance = random.Random(f"{seed} {name}")
        self._name = name
        self._routes = routes
        self._count = 0

    def batch(self) -> list[Request]:
        """Draw a pipeline: often of one request, else of any depth."""
        deep = self.chance.random() < 0.6
        return [self.request() for _ in range(self.chance.randint(1, DEPTH_MAX) if deep else 1)]

    def request(self) -> Request:
        """Draw the next request."""
        chance = self.chance
        self._count += 1
        name = f"{self._name}.{self._count}"
        work = chance.choices(WORKS, _WEIGHTS)[0]
        us = chance.randint(work.us_least, work.us_most)
        route = f"/r{chance.randrange(self._routes)}"
        word = ""
        path = route
        if chance.random() < 0.5:
            word = f"{chance.getrandbits(40):x}"
            path, route = f"{route}/{word}", f"{route}/{{word}}"
        sent = b""
        if chance.random() < 0.5:
            sent = chance.randbytes(chance.choice((1, 20, 200, 2_000, 2_000, 40_000)))
        # Some answers are more than a socket takes at once.
        pad = chance.randint(100_000, 400_000) if chance.random() < 0.005 else 0
        status, body = _answer(work.name, name, f"{name} {route} {word}\n".encode() + sent)
        if status == 200:
            body += b"." * pad
        target = f"{path}?work={work.name}&us={us}&pad={pad}"
        return Request(name, work.name, _wire(target, name, sent, chance), status, body)

    def pieces(self, wire: bytes) -> deque[bytes]:
        """Cut what is to be sent; often not at all, and never to shreds if it is long."""
        cuts: Iterable[int] = ()
        if self.chance.random() < 0.6:
            count = min(len(wire) - 1, self.chance.choice((1, 1, 2, 3, 8)))
            cuts = sorted(self.chance.sample(range(1, len(wire)), count))
        starts = [0, *cuts]
        return deque(wire[start:end] for start, end in zip(starts, [*cuts, len(wire)], strict=True))


def _answer(work: str, name: str, echo: bytes) -> tuple[int, bytes]:
    match work:
        case "raise":
            return 418, f"raised of {name}".encode()
        case "fail":
            return 500, b'{"error":"internal server error"}'
        case _:
            return 200, echo


def _wire(target: str, name: str, sent: bytes, chance: random.Random) -> bytes:
    head = f"{'POST' if sent else 'GET'} {target} HTTP/1.1\r\nHost: pyre.test\r\n"
    head += f"X-Request-ID: {name}\r\n"
    if not sent:
        return head.encode() + b"\r\n"
    if chance.random() < 0.1:
        middle = len(sent) // 2
        chunks = [chunk for chunk in (sent[:middle], sent[middle:]) if chunk]
        coded = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
        return head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + coded + b"0\r\n\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n%b" % (len(sent), sent)
