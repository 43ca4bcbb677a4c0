"""A connection whose client may leave after any byte, or at any moment."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass

STALL_S = 30.0
"""A client that has waited so long for a byte has lost it, on the slowest machine."""
PAUSE_S_MAX = 0.02
READ_BYTES = 1 << 16
SMALL_BYTES = 4096
"""Buffers of a client that reads slowly, so that those of the server fill up."""


class Wrong(Exception):
    """What has come is not what had to come."""


class Ended(Wrong):
    """The connection has ended, in order or not, before what had to come."""


class Left(Exception):
    """The moment has come at which this client leaves."""


@dataclass
class Leave:
    """When a client leaves: after so many bytes in one direction, or after a time."""

    sent: int | None = None
    received: int | None = None
    seconds: float | None = None
    how: str = "close"
    """``close``, ``abort`` or ``half``: closes only its own side."""

    @classmethod
    def drawn(cls, chance: random.Random) -> Leave:
        """Draw one; most stay to the end."""
        leave = cls(how=chance.choice(("close", "abort", "half")))
        # Many bytes at the beginning, and some in the middle of long answers.
        count = int(10 ** (chance.random() * 6))
        match chance.choices(("stay", "sent", "received", "seconds"), (6, 1, 1, 1))[0]:
            case "sent":
                leave.sent = count
            case "received":
                leave.received = count
            case "seconds":
                leave.seconds = chance.random() * 0.3
        return leave


class Wire:
    """Sends and receives bytes; `Left` is raised where the client leaves."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        chance: random.Random,
        leave: Leave,
        *,
        is_slow: bool,
    ) -> None:
        self.chance = chance
        self.leave = leave
        self.received = bytearray()
        self._reader = reader
        self._writer = writer
        self._is_slow = is_slow
        self._sent_left = leave.sent
        self._received_left = leave.received

    @classmethod
    async def open(cls, address: tuple[str, int], chance: random.Random) -> Wire:
        """Connect; a slow reader has small buffers."""
        is_slow = chance.random() < 0.2
        ours = socket.socket()
        if is_slow:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BYTES)
        ours.setblocking(False)
        try:
            async with asyncio.timeout(STALL_S):
                await asyncio.get_running_loop().sock_connect(ours, address)
        except BaseException:
            ours.close()
            raise
        limit = SMALL_BYTES if is_slow else READ_BYTES
        reader, writer = await asyncio.open_connection(sock=ours, limit=limit)
        return cls(reader, writer, chance, Leave.drawn(chance), is_slow=is_slow)

    async def send(self, data: bytes) -> None:
        """Send this, up to where the client leaves."""
        if self._sent_left is not None:
            data = data[: self._sent_left]
            self._sent_left -= len(data)
        self._writer.write(data)
        await self._writer.drain()
        if self._sent_left == 0:
            raise Left

    async def more(self) -> None:
        """Receive something, now and then after a pause.

        Raises:
            Ended: Nothing comes any more.
        """
        if self._is_slow or self.chance.random() < 0.02:
            await asyncio.sleep(self.chance.random() * PAUSE_S_MAX)
        try:
            async with asyncio.timeout(STALL_S):
                data = await self._reader.read(READ_BYTES)
        except TimeoutError:
            raise Wrong(f"nothing for {STALL_S:g} s") from None
        except OSError as error:
            raise Ended(f"broke: {error}") from None
        if not data:
            raise Ended(f"ended after {bytes(self.received[-100:])!r}")
        self.received += data
        if self._received_left is not None:
            self._received_left -= len(data)
            if self._received_left <= 0:
                raise Left

    async def until(self, end: bytes, most: int = 1 << 16) -> bytes:
        """Take what comes before the next ``end``, which is taken too."""
        start = 0
        while (place := self.received.find(end, start)) < 0:
            start = max(0, len(self.received) - len(end) + 1)
            if start > most:
                raise Wrong(f"no {end!r} in {bytes(self.received[:100])!r}")
            await self.more()
        found = bytes(self.received[:place])
        del self.received[: place + len(end)]
        return found

    async def exactly(self, count: int) -> bytes:
        """Take so many bytes."""
        while len(self.received) < count:
            await self.more()
        found = bytes(self.received[:count])
        del self.received[:count]
        return found

    async def parts(self, count: int) -> AsyncIterator[bytes]:
        """Take so many bytes as they come."""
        while count:
            if not self.received:
                await self.more()
            found = bytes(self.received[:count])
            del self.received[:count]
            count -= len(found)
            yield found

    async def end(self) -> None:
        """Expect the end of the connection, and nothing before it."""
        try:
            while not self.received:
                await self.more()
        except Ended:
            return
        raise Wrong(f"more than was asked for: {bytes(self.received[:100])!r}")

    async def go(self) -> None:
        """Leave, as it was drawn; who closes one side only has to see the other end."""
        if self.leave.how == "half" and not self._writer.transport.is_closing():
            self._received_left = None
            try:
                self._writer.write_eof()
                while True:
                    self.received.clear()
                    await self.more()
            except (Ended, OSError):
                pass
        self.close(abort=self.leave.how == "abort")

    def close(self, *, abort: bool = False) -> None:
        """Close, by a reset if asked to."""
        if abort:
            ours = self._writer.get_extra_info("socket")
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._writer.transport.abort()
        else:
            self._writer.close()
