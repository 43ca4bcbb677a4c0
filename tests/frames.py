"""Talk WebSocket in raw frames, right or wrong, and read what comes back strictly.

`Wire` is a connection behind its handshake. It masks what it sends, as clients have to, unless it
is told otherwise, and refuses frames that a server must not send.
"""

from __future__ import annotations

import base64
import hashlib
import os
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from dialogue import Peer, request
from serving import Server

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
DEFLATE = ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@dataclass(frozen=True)
class Frame:
    """A frame as it stood on the wire."""

    opcode: int
    payload: bytes
    is_final: bool = True
    is_compressed: bool = False

    @property
    def code(self) -> int:
        """The code of a close frame; 1005 if it has none."""
        return int.from_bytes(self.payload[:2]) if self.payload else 1005


def mask(payload: bytes, key: bytes) -> bytes:
    whole = key * (len(payload) // 4 + 1)
    length = len(payload)
    mixed = int.from_bytes(payload) ^ int.from_bytes(whole[:length])
    return mixed.to_bytes(length)


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    final: bool = True,
    reserved: int = 0,
    key: bytes | None = b"\x37\xfa\x21\x3d",
    length_bytes: int | None = None,
) -> bytes:
    """Return a frame of a client; `length_bytes` asks for a form of its length, right or wrong."""
    first = (0x80 if final else 0) | reserved << 4 | opcode
    length = len(payload)
    if length_bytes is None:
        length_bytes = 0 if length < 126 else 2 if length < 65536 else 8
    marker = {0: length, 2: 126, 8: 127}[length_bytes]
    head = bytes([first, marker | (0x80 if key is not None else 0)])
    head += length.to_bytes(length_bytes) if length_bytes else b""
    return head + (payload if key is None else key + mask(payload, key))


def close_frame(code: int | None = 1000, reason: bytes = b"") -> bytes:
    return frame(CLOSE, b"" if code is None else struct.pack(">H", code) + reason)


def deflated(payload: bytes) -> bytes:
    """Return a message as it is compressed, without what was sent before."""
    deflater = zlib.compressobj(wbits=-15)
    return (deflater.compress(payload) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]


def inflated(payload: bytes) -> bytes:
    return zlib.decompressobj(wbits=-15).decompress(payload + b"\0\0\xff\xff")


def handshake(path: str, headers: Iterable[tuple[str, str]] = (), key: str | None = None) -> bytes:
    """Return the request that asks for a WebSocket."""
    key = key or base64.b64encode(os.urandom(16)).decode()
    fields = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", key),
        *headers,
    ]
    return request("GET", path, fields)


class Wire(Peer):
    """A connection that has become a WebSocket."""

    head: dict[str, str]

    @classmethod
    def open(
        cls,
        server: Server,
        path: str,
        headers: Iterable[tuple[str, str]] = (),
        *,
        behind: bytes = b"",
        receive_bytes: int | None = None,
    ) -> Self:
        """Shake hands; `behind` is sent together with the request."""
        wire = cls(server.host, server.port, receive_bytes=receive_bytes)
        key = base64.b64encode(os.urandom(16)).decode()
        wire.send(handshake(path, headers, key) + behind)
        wire.read_head(key)
        return wire

    def read_head(self, key: str) -> None:
        while b"\r\n\r\n" not in self.received:
            self._more("the answer to a handshake")
        head, _, rest = bytes(self.received).partition(b"\r\n\r\n")
        self.received = bytearray(rest)
        line, *fields = head.decode().split("\r\n")
        assert line == "HTTP/1.1 101 Switching Protocols", head
        pairs = [field.split(": ", 1) for field in fields]
        self.head = {name.lower(): value for name, value in pairs}
        assert len(self.head) == len(pairs), head
        accept = base64.b64encode(hashlib.sha1(key.encode() + _GUID).digest()).decode()
        assert self.head["sec-websocket-accept"] == accept
        assert self.head["upgrade"] == "websocket"
        assert self.head["connection"] == "Upgrade"
        assert "date" in self.head
        assert "content-length" not in self.head
        assert "transfer-encoding" not in self.head

    def read(self) -> Frame:
        """The next frame of the server, which has to be a right one."""
        first, second = self._exactly(2)
        opcode, reserved = first & 0x0F, first >> 4 & 0x07
        assert opcode in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG), hex(first)
        assert second < 128, "a server masks nothing"
        length = second
        if second == 126:
            length = int.from_bytes(self._exactly(2))
            assert length >= 126
        elif second == 127:
            length = int.from_bytes(self._exactly(8))
            assert length >= 65536
        assert reserved in (0, 4), "no extension has given a meaning to these bits"
        if opcode >= CLOSE:
            assert length <= 125
            assert first & 0x80
            assert reserved == 0
        return Frame(opcode, self._exactly(length), first >= 128, reserved == 4)

    def message(self) -> Frame:
        """The next frame that is a message; pings and pongs before it are passed over."""
        while (found := self.read()).opcode in (PING, PONG):
            pass
        return found

    def say(self, text: str) -> None:
        self.send(frame(TEXT, text.encode()))

    def text(self) -> str:
        found = self.message()
        assert found.opcode == TEXT, found
        payload = inflated(found.payload) if found.is_compressed else found.payload
        return payload.decode()

    def expect_close(self, code: int) -> Frame:
        """The next message has to be a close frame; then the connection ends."""
        found = self.message()
        assert (found.opcode, found.code) == (CLOSE, code), found
        return found

    def close(self, code: int = 1000) -> None:
        """Close in order, from this side."""
        self.send(close_frame(code))
        while self.message().opcode != CLOSE:
            pass
        self.expect_end()
