"""Read answers strictly, and check each piece of theirs."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable

from perf.load.answers import Fields, read_head
from perf.load.flows.wire import Ended, Wire, Wrong

EVENT_STREAM = b"text/event-stream"


async def head(wire: Wire, name: str, told: Callable[[], None] | None = None) -> tuple[int, Fields]:
    """Read the head of the answer to a request; `told` is called if it may send its body."""
    while True:
        found = read_head(await wire.until(b"\r\n\r\n"))
        if isinstance(found, str):
            raise Wrong(found)
        status, fields = found
        if status != 100:
            break
        if told is None:
            raise Wrong("told to go on, without having asked")
        told()
        told = None
    answered = fields.get(b"x-request-id", b"").decode("latin-1")
    if answered != name:
        raise Wrong(f"{status} for {answered!r}")
    return status, fields


async def body(wire: Wire, fields: Fields) -> AsyncIterator[bytes]:
    """Read a body as it comes, by its length or in chunks."""
    coding = fields.get(b"transfer-encoding")
    if coding is None:
        async for data in wire.parts(int(fields[b"content-length"])):
            yield data
        return
    if coding != b"chunked" or b"content-length" in fields:
        raise Wrong(f"fields of two minds: {fields}")
    while True:
        line = await wire.until(b"\r\n", 16)
        if not line or line.strip(b"0123456789abcdefABCDEF"):
            raise Wrong(f"no size of a chunk: {line!r}")
        size = int(line, 16)
        async for data in wire.parts(size):
            yield data
        if await wire.exactly(2) != b"\r\n":
            raise Wrong("a chunk has another size than it says")
        if size == 0:
            return


async def whole(wire: Wire, fields: Fields) -> bytes:
    """Read a body to its end."""
    return b"".join([data async for data in body(wire, fields)])


class Pieces:
    """Takes in what several senders send, and finds what is lost, doubled or out of order."""

    def __init__(self, name: str, senders: int, pieces: int) -> None:
        self._name = name.encode()
        self._next = [0] * senders
        self._pieces = pieces
        self._data = bytearray()
        self.count = 0

    def add(self, data: bytes) -> None:
        """Check the pieces that are whole by now."""
        self._data += data
        start = 0
        while (end := self._data.find(b"\n", start)) >= 0:
            line = bytes(self._data[start:end])
            name, *numbers = line.split(b" ")
            if name != self._name or len(numbers) != 3:
                raise Wrong(f"no piece of {self._name!r}: {line[:100]!r}")
            sender, number, size = map(int, numbers)
            if len(self._data) < end + 1 + size:
                break
            if number != self._next[sender] or number >= self._pieces:
                raise Wrong(f"piece {number} of sender {sender}, not {self._next[sender]}")
            if self._data.count(33 + number % 90, end + 1, end + 1 + size) != size:
                raise Wrong(f"piece {number} of sender {sender} has bytes of others")
            self._next[sender] += 1
            self.count += 1
            start = end + 1 + size
        del self._data[:start]

    @property
    def is_whole(self) -> bool:
        """Whether all have come."""
        return not self._data and all(number == self._pieces for number in self._next)

    def expect_all(self) -> None:
        """Fail if one has not come."""
        if not self.is_whole:
            rest = bytes(self._data[:60])
            raise Wrong(f"only {self._next} of {self._pieces} pieces each, then {rest!r}")


async def pieces(wire: Wire, name: str, senders: int, count: int, *, breaks: bool) -> int:
    """Check an answer of pieces; return how many there were."""
    status, fields = await head(wire, name)
    if status != 200:
        raise Wrong(f"{status}: {(await whole(wire, fields))[:100]!r}")
    found = Pieces(name, senders, count)
    try:
        async for data in body(wire, fields):
            found.add(data)
    except Ended as error:
        if not breaks or "broke" in str(error):
            raise
    else:
        if breaks:
            raise Wrong("an answer that broke off looks whole")
    found.expect_all()
    return found.count


def event(name: str, number: int, size: int) -> str:
    """Return the data of an event, as the program makes it."""
    return f"{name} {number}" + "\n" * (number % 2) + "." * (number * 37 % (size + 1))


async def events(wire: Wire, name: str, count: int, size: int) -> int:
    """Check an event stream; comments may stand between events."""
    status, fields = await head(wire, name)
    if status != 200 or not fields.get(b"content-type", b"").startswith(EVENT_STREAM):
        raise Wrong(f"{status}, {fields}")
    received = bytearray()
    number = 0
    async for data in body(wire, fields):
        received += data
        *blocks, rest = bytes(received).split(b"\n\n")
        received = bytearray(rest)
        for block in blocks:
            if block == b":":
                continue
            lines = [line.partition(": ")[::2] for line in block.decode().split("\n")]
            text = "\n".join(value for field, value in lines if field.startswith("data"))
            others = {field: value for field, value in lines if not field.startswith("data")}
            if others != {"event": "piece", "id": str(number)}:
                raise Wrong(f"not event {number}: {block[:100]!r}")
            if number >= count or text != event(name, number, size):
                raise Wrong(f"data of event {number}: {block[:100]!r}")
            number += 1
    if received or number != count:
        raise Wrong(f"{number} of {count} events, then {bytes(received[:100])!r}")
    return number


async def digest(
    wire: Wire, name: str, sent: bytes, told: Callable[[], None] | None, *, is_last: bool
) -> None:
    """Check that a handler has read these bytes, and that the connection goes on if it has to."""
    status, fields = await head(wire, name, told)
    text = await whole(wire, fields)
    if (status, text) != (200, f"{name} {len(sent)} {hashlib.sha256(sent).hexdigest()}".encode()):
        raise Wrong(f"{status}: {text[:200]!r}, of {len(sent)} bytes")
    if b"connection" not in fields:
        return
    if not is_last:
        raise Wrong(f"it says that it closes: {fields[b'connection']!r}")
    await wire.end()


async def same(wire: Wire, name: str, sent: bytes, told: Callable[[], None] | None) -> None:
    """Check that a body comes back."""
    status, fields = await head(wire, name, told)
    place = 0
    async for data in body(wire, fields):
        if data != sent[place : place + len(data)]:
            raise Wrong(f"{status}: other bytes than were sent, from {place} on: {data[:100]!r}")
        place += len(data)
    if (status, place) != (200, len(sent)):
        raise Wrong(f"{status}: {place} of {len(sent)} bytes came back")
