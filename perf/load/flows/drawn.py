"""What flowing clients ask for on a connection: some requests, and a WebSocket as the last, maybe.

Requests are sent without waiting for the answers to those before; each step knows how its answer
has to look.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field

from perf.load.checked import difference
from perf.load.drawn import Plan
from perf.load.flows import answers
from perf.load.flows.talk import Talk
from perf.load.flows.wire import Wire, Wrong

SENDERS = 3
STEPS_MAX = 5
BODY_BYTES_MAX = 600_000

ANSWERS = ("generator", "async_generator", "measured")
STREAMS = ("by_threads", "by_tasks")
EVENTS = ("events_of_a_thread", "events_of_a_task")
UPLOADS = ("take", "take_async", "read", "read_async")
ECHOES = ("echo_body", "echo_body_async")
SOCKETS = ("echo", "echo_async", "push", "push_async")
WORKS = (*ANSWERS, *STREAMS, *EVENTS, *UPLOADS, *ECHOES, *SOCKETS, "plain")


@dataclass
class Step:
    """A request, and what has to come back."""

    work: str
    sent: Callable[[], AsyncIterator[bytes]]
    """Makes what is sent, piece by piece."""
    check: Callable[[Wire], Coroutine[None, None, int]]
    """Reads the answer, and returns how many pieces or messages it had."""
    is_last: bool = False
    """Whether the connection ends with it."""
    of: str = ""
    """What else is to be known of it, if it goes wrong."""


@dataclass
class _Body:
    """A body that is sent in parts, maybe only once the server asks for it."""

    head: bytes
    data: bytes
    is_chunked: bool
    waits: bool
    chance: random.Random
    may_go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def sent(self) -> AsyncIterator[bytes]:
        yield self.head
        if self.waits:
            await self.may_go_on.wait()
        for part in cut(self.data, self.chance):
            yield b"%x\r\n%b\r\n" % (len(part), part) if self.is_chunked else part
        if self.is_chunked:
            yield b"0\r\n\r\n"


def cut(data: bytes, chance: random.Random) -> list[bytes]:
    """Cut into a few parts, none of them empty."""
    count = min(max(0, len(data) - 1), chance.choice((0, 1, 3, 8)))
    cuts = sorted(chance.sample(range(1, len(data)), count)) if count else []
    ends = zip([0, *cuts], [*cuts, len(data)], strict=True)
    return [data[start:end] for start, end in ends if end > start]


class Drawn:
    """Draws for one connection after the other; the same seed gives the same."""

    def __init__(self, name: str, seed: str, routes: int) -> None:
        self.chance = random.Random(f"{seed} {name}")
        self._plan = Plan(f"{name}.p", seed, routes)
        self._name = name
        self._count = 0

    def steps(self) -> list[Step]:
        """Draw what is asked on a connection."""
        found: list[Step] = []
        count = self.chance.randint(1, STEPS_MAX)
        while len(found) < count and not (found and found[-1].is_last):
            makers = (self._answer, self._events, self._upload, self._plain, self._socket)
            make = self.chance.choices(makers, (4, 1, 4, 3, 3))[0]
            found.append(make())
        return found

    def _next_name(self) -> str:
        self._count += 1
        return f"{self._name}.{self._count}"

    def _place(self) -> str:
        return self.chance.choice(("/flow", "/flow", "/flow", "/flow/main"))

    def _get(self, name: str, target: str) -> Callable[[], AsyncIterator[bytes]]:
        wire = f"GET {target} HTTP/1.1\r\nHost: pyre.test\r\nX-Request-ID: {name}\r\n\r\n".encode()
        return lambda: _parts(wire, self.chance)

    def _pieces(self) -> tuple[int, int]:
        """Draw how many pieces there are, and how long at most: few of any size or many small."""
        chance = self.chance
        return chance.choice(
            ((1, 10), (20, 100), (20, 2000), (200, 50), (30, 40_000), (5, 200_000))
        )

    def _answer(self) -> Step:
        work, name = self.chance.choice((*ANSWERS, *STREAMS)), self._next_name()
        count, size = self._pieces()
        senders = SENDERS if work in STREAMS else 1
        breaks = work in ("generator", "async_generator") and self.chance.random() < 0.1
        # What has been made before the exception is sent; the first piece comes with the head.
        sent = self.chance.randint(1, count) if breaks and count > 1 else count
        breaks = sent < count
        target = (
            f"{self._place()}/{work}?pieces={count}&size={size}&breaks={sent if breaks else -1}"
        )
        return Step(
            work,
            self._get(name, target),
            lambda wire: answers.pieces(wire, name, senders, sent, breaks=breaks),
            is_last=breaks,
        )

    def _events(self) -> Step:
        work, name = self.chance.choice(EVENTS), self._next_name()
        count, size = self._pieces()
        target = f"{self._place()}/{work}?pieces={count}&size={size}"
        return Step(
            work, self._get(name, target), lambda wire: answers.events(wire, name, count, size)
        )

    def _upload(self) -> Step:
        chance = self.chance
        work, name = chance.choice((*UPLOADS, *ECHOES)), self._next_name()
        data = chance.randbytes(
            int(chance.choice((1, 1, 100, 5000, BODY_BYTES_MAX)) * chance.random())
        )
        expected, is_last, query = data, False, ""
        if work.startswith("read"):
            size, most = chance.choice((1000, 10_000, 100_000)), chance.choice((-1, -1, 1, 3))
            query = f"?size={size}&pieces={most}"
            if most > 0:
                expected = data[: size * most]
                is_last = True
        is_chunked = chance.random() < 0.4
        # Without a body there is nothing to wait for.
        waits = bool(data) and chance.random() < 0.2
        fields = ["Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {len(data)}"]
        if waits:
            fields.append("Expect: 100-continue")
        lines = [
            f"POST {self._place()}/{work}{query} HTTP/1.1",
            "Host: pyre.test",
            f"X-Request-ID: {name}",
            *fields,
            "\r\n",
        ]
        body = _Body("\r\n".join(lines).encode(), data, is_chunked, waits, chance)
        told = body.may_go_on.set if waits else None

        async def check(wire: Wire) -> int:
            if work in ECHOES:
                await answers.same(wire, name, data, told)
            else:
                await answers.digest(wire, name, expected, told, is_last=is_last)
            return 1

        of = f" {name} {', '.join(fields)} ({len(data)} bytes)"
        return Step(work, body.sent, check, is_last, of)

    def _plain(self) -> Step:
        request = self._plan.request()
        # Whoever leaves would have to know which tasks may have run.
        while request.work == "task":
            request = self._plan.request()

        async def check(wire: Wire) -> int:
            status, fields = await answers.head(wire, request.name)
            wrong = difference(request, status, fields, await answers.whole(wire, fields))
            if wrong:
                raise Wrong(wrong)
            return 1

        return Step("plain", lambda: _parts(request.wire, self.chance), check)

    def _socket(self) -> Step:
        work, name = self.chance.choice(SOCKETS), self._next_name()
        count, size = self._pieces() if work.startswith("push") else (0, 0)
        target = f"{self._place()}/{work}?pieces={count}&size={size}"
        talk = Talk(name, target, SENDERS if count else 0, count, self.chance)
        return Step(work, talk.sent, talk.check, is_last=True)


async def _parts(data: bytes, chance: random.Random) -> AsyncIterator[bytes]:
    for part in cut(data, chance):
        yield part
