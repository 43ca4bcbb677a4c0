"""Connections that are opened, have answered once, and stay open: WebSockets and event streams."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Protocol, Self

from perf.load import echoes

_OF_EACH_ADDRESS = 5000
"""An address has some 28,000 ports, of which those closed a moment ago are not free again."""
_TIMEOUT_S = 30.0
_PING, _PONG, _CLOSE = 0x89, 0x8A, 0x88
_EVENT = b"data: hello\n\n"


class WrongAnswer(Exception):
    """A connection was answered something else than it must; the text says what."""


class Held(Protocol):
    """A connection that stays open."""

    def talk(self) -> None:
        """Have it answered once more, if that can be asked for."""

    def leave(self) -> None:
        """Close it, in order."""


def source(number: int) -> str:
    """Return the address from which a connection comes."""
    return f"127.0.0.{2 + number // _OF_EACH_ADDRESS}"


@dataclass
class WebSocket:
    """A WebSocket whose server echoes."""

    connection: socket.socket

    @classmethod
    def opened(cls, port: int, path: str, number: int) -> Self:
        """Open one; it has said nothing so far."""
        connection = echoes.opened(port, path, source(number))
        connection.settimeout(_TIMEOUT_S)
        return cls(connection)

    def talk(self) -> None:
        """Send a message and compare what comes back."""
        text = b"are you there?"
        self.connection.sendall(echoes.head(len(text), masked=True) + text)
        kind, data = self._frame()
        if (kind, data) != (0x82, text):
            raise WrongAnswer(f"{kind:#x} {data[:60]!r}, not an echo")

    def leave(self) -> None:
        """Close it as RFC 6455 has it: with a frame, its answer, and the server's end."""
        self.connection.sendall(bytes([_CLOSE, 0x82, 0, 0, 0, 0]) + (1000).to_bytes(2))
        kind, data = self._frame()
        if (kind, data) != (_CLOSE, (1000).to_bytes(2)):
            raise WrongAnswer(f"{kind:#x} {data[:60]!r}, no answer to a close frame")
        if self.connection.recv(1):
            raise WrongAnswer("something behind the close frame")
        self.connection.close()

    def _frame(self) -> tuple[int, bytes]:
        """Return the next short frame that is no ping; pings are answered."""
        while True:
            kind, length = self._exactly(2)
            data = self._exactly(length)
            if kind != _PING:
                return kind, data
            self.connection.sendall(bytes([_PONG, 0x80 | length, 0, 0, 0, 0]) + data)

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self.connection.recv(count - len(data))
            if not part:
                raise WrongAnswer("the server closed a WebSocket")
            data += part
        return data


@dataclass
class EventStream:
    """An event stream that has brought its first event."""

    connection: socket.socket

    @classmethod
    def opened(cls, port: int, path: str, number: int) -> Self:
        """Open one, and read its first event."""
        where = ("127.0.0.1", port)
        connection = socket.create_connection(where, _TIMEOUT_S, source_address=(source(number), 0))
        try:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
            _read_event(connection)
        except BaseException:
            connection.close()
            raise
        return cls(connection)

    def talk(self) -> None:
        """It has brought its event: nothing more can be asked for."""

    def leave(self) -> None:
        """Close it: that is all that a browser does."""
        self.connection.close()


def _read_event(connection: socket.socket) -> None:
    answer = b""
    while _EVENT not in answer:
        part = connection.recv(4096)
        if not part:
            raise WrongAnswer(f"no event but {answer[:200]!r}")
        answer += part
    if not answer.startswith(b"HTTP/1.1 200 ") or b"text/event-stream" not in answer:
        raise WrongAnswer(f"no event stream: {answer[:200]!r}")
