"""Many connections whose bodies flow, each checked to the byte, in one thread."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field

from perf.load.faults import Faults
from perf.load.flows.drawn import Drawn, Step
from perf.load.flows.wire import Left, Wire, Wrong

TELL_S = 1.0


@dataclass
class FlowTally(Faults):
    """What became of the conversations."""

    begun: int = 0
    """Conversations that were asked for."""
    ended: int = 0
    """Of these, how many came to their right end."""
    abandoned: int = 0
    """Of these, how many were under way when the client left, or after a fault."""
    connections: int = 0
    left: Counter[str] = field(default_factory=Counter)
    """Connections that the client left in the middle, by how it did."""
    works: Counter[str] = field(default_factory=Counter)
    """Of those that ended, which they were."""
    pieces: int = 0
    """Pieces, events and messages that came in their order."""

    def add(self, other: FlowTally) -> None:
        """Add what another client has seen."""
        self.add_faults(other)
        self.begun += other.begun
        self.ended += other.ended
        self.abandoned += other.abandoned
        self.connections += other.connections
        self.left += other.left
        self.works += other.works
        self.pieces += other.pieces

    @property
    def is_accounted_for(self) -> bool:
        """Whether it is known of every conversation what became of it."""
        return self.ended + self.abandoned == self.begun

    def check_noted(self, lines: Iterable[str]) -> int:
        """See that each conversation that the program began has ended once; return how many."""
        begun: Counter[str] = Counter()
        ended: Counter[str] = Counter()
        for line in lines:
            word, _, name = line.partition(" ")
            (begun if word == "begin" else ended)[name] += 1
        for name in sorted(begun.keys() | ended.keys()):
            if (begun[name], ended[name]) != (1, 1):
                self.fault(f"{name}: begun {begun[name]} times, ended {ended[name]} times")
        return len(begun)


class FlowClient:
    """Some connections at a time, each replaced by the next one when it has ended."""

    def __init__(
        self, host: str, port: int, *, connections: int, seed: str, routes: int, name: str = "f"
    ) -> None:
        """Connect to nobody yet; see `perf.load.checked.Client`."""
        self.tally = FlowTally()
        self._address = (host, port)
        self._drawn = [Drawn(f"{name}.{number}", seed, routes) for number in range(connections)]
        self._is_over = False

    def run(
        self,
        *,
        conversations: int | None = None,
        seconds: float | None = None,
        tell: Callable[[FlowTally], None] = lambda _: None,
    ) -> FlowTally:
        """Go on until there were so many, or for so long; then all come to their ends."""
        asyncio.run(self._run(conversations, seconds, tell))
        return self.tally

    async def _run(
        self,
        conversations: int | None,
        seconds: float | None,
        tell: Callable[[FlowTally], None],
    ) -> None:
        end = time.monotonic() + seconds if seconds is not None else float("inf")
        most = conversations if conversations is not None else float("inf")

        def goes_on() -> bool:
            return time.monotonic() < end and self.tally.begun < most

        async def go_on(drawn: Drawn) -> None:
            while goes_on():
                await self._connection(drawn)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(go_on(drawn)) for drawn in self._drawn]
            while not all(task.done() for task in tasks):
                await asyncio.wait(tasks, timeout=TELL_S)
                tell(self.tally)

    async def _connection(self, drawn: Drawn) -> None:
        """Have one connection from its beginning to its end."""
        tally = self.tally
        steps = drawn.steps()
        ended = 0
        wire: Wire | None = None
        tally.begun += len(steps)
        tally.connections += 1
        try:
            wire = await Wire.open(self._address, drawn.chance)
            writing = asyncio.create_task(_send(wire, steps))
            try:
                async with asyncio.timeout(wire.leave.seconds):
                    for step in steps:
                        tally.pieces += await _beside(writing, step.check(wire))
                        tally.works[step.work] += 1
                        ended += 1
            finally:
                writing.cancel()
                with contextlib.suppress(asyncio.CancelledError, OSError, Left):
                    await writing
        except (Left, TimeoutError):
            assert wire is not None
            tally.left[wire.leave.how] += 1
            try:
                await wire.go()
            except Wrong as error:
                tally.fault(f"{_named(steps, ended)}, after {wire.leave}: {error}")
        except (Wrong, OSError) as error:
            tally.fault(f"{_named(steps, ended)}: {error!r}")
        finally:
            tally.ended += ended
            tally.abandoned += len(steps) - ended
            if wire is not None:
                wire.close()


def _named(steps: list[Step], number: int) -> str:
    step = steps[number]
    return f"{step.work}{step.of}, {number + 1} of {[one.work for one in steps]}"


async def _send(wire: Wire, steps: list[Step]) -> None:
    """Send all steps, without waiting for answers."""
    for step in steps:
        async for part in step.sent():
            await wire.send(part)
            if wire.chance.random() < 0.1:
                await asyncio.sleep(wire.chance.random() * 0.005)


async def _beside(writing: asyncio.Task[None], check: Coroutine[None, None, int]) -> int:
    """Read an answer while the requests are sent; `Left` may come from either."""
    reading = asyncio.create_task(check)
    try:
        await asyncio.wait({reading, writing}, return_when=asyncio.FIRST_COMPLETED)
        if writing.done() and not reading.done():
            error = writing.exception()
            # What cannot be sent may have been answered: the reader knows.
            if error is not None and not isinstance(error, OSError):
                raise error
        return await reading
    finally:
        if not reading.done():
            reading.cancel()
            with contextlib.suppress(BaseException):
                await reading
