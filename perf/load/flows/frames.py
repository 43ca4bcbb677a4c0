"""WebSocket as a client speaks it: frames that are masked, and messages that may be compressed."""

from __future__ import annotations

import base64
import hashlib
import random
import zlib

from perf.load.flows.answers import head
from perf.load.flows.wire import Wire, Wrong

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
OFFERS = (
    "permessage-deflate; client_max_window_bits",
    "permessage-deflate; server_no_context_takeover",
    "permessage-deflate; client_no_context_takeover; client_max_window_bits=10",
    "permessage-deflate; server_max_window_bits=9",
)
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TAIL = b"\0\0\xff\xff"


def handshake(target: str, name: str, key: str, offer: str) -> bytes:
    """Return the request for a WebSocket."""
    lines = [
        f"GET {target} HTTP/1.1",
        "Host: pyre.test",
        f"X-Request-ID: {name}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {key}",
    ]
    if offer:
        lines.append(f"Sec-WebSocket-Extensions: {offer}")
    return "\r\n".join([*lines, "\r\n"]).encode()


def drawn_key(chance: random.Random) -> str:
    """Return the key of a handshake."""
    return base64.b64encode(chance.randbytes(16)).decode()


async def accepted(wire: Wire, name: str, key: str) -> str:
    """Read the answer to a handshake; return what was agreed on."""
    status, fields = await head(wire, name)
    if status != 101:
        raise Wrong(f"a handshake is answered {status}: {bytes(wire.received[:100])!r}")
    accept = base64.b64encode(hashlib.sha1(key.encode() + _GUID).digest())
    if fields.get(b"sec-websocket-accept") != accept:
        raise Wrong(f"another's handshake: {fields}")
    return fields.get(b"sec-websocket-extensions", b"").decode()


def frame(
    opcode: int, payload: bytes, key: bytes, *, final: bool = True, deflated: bool = False
) -> bytes:
    """Return a frame."""
    first = opcode | (0x80 if final else 0) | (0x40 if deflated else 0)
    length = len(payload)
    if length < 126:
        start = bytes([first, 0x80 | length])
    elif length < 65536:
        start = bytes([first, 0x80 | 126]) + length.to_bytes(2)
    else:
        start = bytes([first, 0x80 | 127]) + length.to_bytes(8)
    mask = (key * (length // 4 + 1))[:length]
    return start + key + (int.from_bytes(payload) ^ int.from_bytes(mask)).to_bytes(length)


class Deflater:
    """Compresses what is sent as it was agreed on."""

    def __init__(self, agreed: str) -> None:
        self._bits = 15
        self._takes_over = "client_no_context_takeover" not in agreed
        if "client_max_window_bits=" in agreed:
            self._bits = int(agreed.partition("client_max_window_bits=")[2].split(";")[0])
        self._zlib = zlib.compressobj(wbits=-self._bits)

    def deflated(self, payload: bytes) -> bytes:
        """Return a message as it is sent."""
        if not self._takes_over:
            self._zlib = zlib.compressobj(wbits=-self._bits)
        return (self._zlib.compress(payload) + self._zlib.flush(zlib.Z_SYNC_FLUSH))[:-4]


class Incoming:
    """Reads frames of a server and puts messages together."""

    def __init__(self, wire: Wire, agreed: str) -> None:
        self._wire = wire
        self._is_deflated = bool(agreed)
        self._zlib = zlib.decompressobj(wbits=-15)
        self._takes_over = "server_no_context_takeover" not in agreed

    async def next(self) -> tuple[int, bytes]:
        """Return kind and payload of the next message, or frame of control."""
        kind, first, data = await self._frame()
        if kind >= CLOSE:
            return kind, data
        # Our server does not send fragments.
        if kind not in (TEXT, BINARY) or not first & 0x80:
            raise Wrong(f"a frame that begins with {first:#x}")
        return kind, self._inflated(data) if first & 0x40 else data

    async def _frame(self) -> tuple[int, int, bytes]:
        first, length = await self._wire.exactly(2)
        if first & 0x30 or length > 127 or (first & 0x40 and not self._is_deflated):
            raise Wrong(f"a frame that begins with {first:#x} {length:#x}")
        if length >= 126:
            length = int.from_bytes(await self._wire.exactly(2 if length == 126 else 8))
        if length > 1 << 24:
            raise Wrong(f"a frame of {length} bytes")
        return first & 15, first, await self._wire.exactly(length)

    def _inflated(self, data: bytes) -> bytes:
        if not self._takes_over:
            self._zlib = zlib.decompressobj(wbits=-15)
        try:
            return self._zlib.decompress(data + _TAIL)
        except zlib.error as error:
            raise Wrong(f"{len(data)} bytes cannot be inflated: {error}") from None
