"""Connections that send messages over WebSocket and check every echo."""

from __future__ import annotations

import hashlib
import os
import selectors
import socket
import time
from base64 import b64encode
from contextlib import ExitStack
from dataclasses import dataclass

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@dataclass(frozen=True)
class Talk:
    """Who sends what: so many connections, each with so many messages on their way."""

    connections: int
    in_flight: int
    message_bytes: int

    @property
    def name(self) -> str:
        """Return what tables call it."""
        return f"c{self.connections} x {self.in_flight}, {self.message_bytes} bytes"


class WrongEcho(Exception):
    """A message came back that is not what was sent."""


def opened(port: int, path: str, source: str = "127.0.0.1") -> socket.socket:
    """Return a connection behind its handshake; it comes from the address ``source``."""
    connection = socket.create_connection(("127.0.0.1", port), 10, source_address=(source, 0))
    try:
        _shake_hands(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _shake_hands(connection: socket.socket, path: str) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    key = b64encode(os.urandom(16))
    head = (
        f"GET {path} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key.decode()}\r\n\r\n"
    )
    connection.sendall(head.encode())
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        part = connection.recv(1)
        if not part:
            raise WrongEcho(f"no handshake but {answer[:60]!r}")
        answer += part
    accepted = b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
    if not answer.startswith(b"HTTP/1.1 101 ") or accepted not in answer:
        raise WrongEcho(answer.decode("latin-1"))


def head(length: int, *, masked: bool) -> bytes:
    """Return the head of a message of bytes, with a mask of zeros: so the echo is what was sent."""
    bit = 128 if masked else 0
    if length < 126:
        start = bytes([0x82, bit | length])
    elif length < 65536:
        start = bytes([0x82, bit | 126]) + length.to_bytes(2)
    else:
        start = bytes([0x82, bit | 127]) + length.to_bytes(8)
    return start + bytes(4 if masked else 0)


def run(port: int, path: str, talk: Talk, seconds: float, patience_s: float = 10.0) -> int:
    """Send and receive for so long; return how many messages have come back.

    As long as none has, it goes on for ``patience_s`` more.

    Raises:
        WrongEcho: One was not what had been sent.
    """
    with ExitStack() as stack:
        connections = [stack.enter_context(opened(port, path)) for _ in range(talk.connections)]
        count = _exchanged(connections, talk, seconds, patience_s)
    if not count:
        raise WrongEcho("nothing came back in time")
    return count


def _exchanged(
    connections: list[socket.socket], talk: Talk, seconds: float, patience_s: float
) -> int:
    payload = os.urandom(talk.message_bytes)
    sent = head(len(payload), masked=True) + payload
    echo = head(len(payload), masked=False) + payload
    # More than that is never on its way.
    expected = echo * talk.in_flight
    count = 0
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            # How far into an echo it is.
            selector.register(connection, selectors.EVENT_READ, [0])
            connection.sendall(sent * talk.in_flight)
        until = time.monotonic() + seconds
        while time.monotonic() < until + (0.0 if count else patience_s):
            for key, _ in selector.select(0.1):
                connection, place = key.fileobj, key.data
                assert isinstance(connection, socket.socket)
                part = connection.recv(1 << 20)
                if not part:
                    raise WrongEcho("the server closed a connection")
                if part != expected[place[0] : place[0] + len(part)]:
                    raise WrongEcho(f"{len(part)} bytes are not what was sent")
                whole, place[0] = divmod(place[0] + len(part), len(echo))
                if whole:
                    connection.sendall(sent * whole)
                    count += whole
    return count
