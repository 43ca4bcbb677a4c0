"""A conversation over WebSocket: each message comes back, in its order, and others come between."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import AsyncIterator

from perf.load.flows import frames
from perf.load.flows.answers import Pieces
from perf.load.flows.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame
from perf.load.flows.wire import Wire, Wrong

IN_FLIGHT_MAX = 32
LATE_S = 0.9
"""After a second a server may answer a close frame before the messages that stand before it."""


class Talk:
    """What one client says, and what it has to hear."""

    def __init__(
        self, name: str, target: str, senders: int, pieces: int, chance: random.Random
    ) -> None:
        self._name = name
        self._target = target
        self._chance = chance
        self._pushed = Pieces(name, senders, pieces)
        self._expected: deque[tuple[int, bytes]] = deque()
        self._pings: deque[bytes] = deque()
        self._offer = chance.choice(("", *frames.OFFERS))
        self._key = frames.drawn_key(chance)
        # Without an offer nothing can be agreed on that the first message would have to keep to.
        self._goes_ahead = not self._offer and chance.random() < 0.5
        self._closes_early = chance.random() < 0.3
        self._agreed: str | None = None
        self._count = 0
        self._close = b""
        self._closed_at: float | None = None
        self._moved = asyncio.Event()
        """Something was agreed on, or has come."""

    async def sent(self) -> AsyncIterator[bytes]:
        """Make what is sent."""
        chance = self._chance
        yield frames.handshake(self._target, self._name, self._key, self._offer)
        if not self._goes_ahead:
            while self._agreed is None:
                await self._wait()
        deflater = frames.Deflater(self._agreed) if self._agreed else None
        for number in range(chance.choice((0, 1, 10, 100))):
            while len(self._expected) >= IN_FLIGHT_MAX:
                await self._wait()
            for part in self._message(number, deflater):
                yield part
            if chance.random() < 0.1:
                self._pings.append(b"%d" % number)
                yield frame(PING, b"%d" % number, self._mask())
        # Whoever closes early has what was sent before answered, but not what others still send.
        while self._expected and not self._closes_early:
            await self._wait()
        while not self._pushed.is_whole:
            await self._wait()
        self._close = chance.choice((1000, 1001, 3000, 4999)).to_bytes(2) + b"bye"
        self._closed_at = time.monotonic()
        yield frame(CLOSE, self._close, self._mask())

    async def _wait(self) -> None:
        self._moved.clear()
        await self._moved.wait()

    def _mask(self) -> bytes:
        return self._chance.randbytes(4)

    def _message(self, number: int, deflater: frames.Deflater | None) -> list[bytes]:
        """Return a message in frames, with a ping between them now and then."""
        chance = self._chance
        kind = chance.choice((TEXT, BINARY))
        size = chance.choice((0, 0, 30, 300, 300, 3000, 70_000))
        filler = (
            b"ab" * (size // 2) if kind == TEXT or chance.random() < 0.5 else chance.randbytes(size)
        )
        payload = b"echo %d of %b " % (number, self._name.encode()) + filler
        if chance.random() < 0.02:
            payload = b""
        self._expected.append((kind, payload))
        is_deflated = deflater is not None and chance.random() < 0.7
        data = deflater.deflated(payload) if deflater is not None and is_deflated else payload
        count = min(max(0, len(data) - 1), chance.choice((0, 0, 0, 1, 4)))
        cuts = sorted(chance.sample(range(1, len(data)), count)) if count else []
        found = []
        for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
            is_first = start == 0
            found.append(
                frame(
                    kind if is_first else CONTINUATION,
                    data[start:end],
                    self._mask(),
                    final=end == len(data),
                    deflated=is_deflated and is_first,
                )
            )
            if count and end < len(data) and chance.random() < 0.2:
                self._pings.append(b"in %d" % number)
                found.append(frame(PING, b"in %d" % number, self._mask()))
        # Small ones often travel together, and large ones never as a whole.
        return [b"".join(found)] if chance.random() < 0.5 else found

    async def check(self, wire: Wire) -> int:
        """Read all that comes, up to the end; return how many messages there were."""
        self._agreed = await frames.accepted(wire, self._name, self._key)
        if self._agreed and not self._offer:
            raise Wrong(f"{self._agreed!r} was not offered")
        self._moved.set()
        incoming = frames.Incoming(wire, self._agreed)
        while True:
            kind, payload = await incoming.next()
            self._moved.set()
            if kind == CLOSE:
                break
            if kind == PING:
                # To one who is silent for long, as it reads slowly.
                await wire.send(frame(PONG, payload, self._mask()))
            else:
                self._take(kind, payload)
        is_late = self._closed_at is not None and time.monotonic() - self._closed_at > LATE_S
        if self._closed_at is None or payload[:2] != self._close[:2]:
            raise Wrong(f"closed with {payload!r}, not {self._close!r}")
        if not is_late and self._expected:
            raise Wrong(f"closed, and {len(self._expected)} messages have not come back")
        self._pushed.expect_all()
        await wire.end()
        return self._count

    def _take(self, kind: int, payload: bytes) -> None:
        if kind == PONG:
            # A server may answer the latest ping only.
            while self._pings:
                if self._pings.popleft() == payload:
                    return
            raise Wrong(f"a pong that nobody asked for: {payload!r}")
        self._count += 1
        if payload.startswith(self._name.encode() + b" "):
            self._pushed.add(payload)
            return
        if not self._expected:
            raise Wrong(f"a message too many: {payload[:60]!r}")
        expected = self._expected.popleft()
        if (kind, payload) != expected:
            shown = f"{kind} {payload[:60]!r} ({len(payload)} bytes)"
            raise Wrong(f"{shown}, not {expected[0]} {expected[1][:60]!r} ({len(expected[1])})")
