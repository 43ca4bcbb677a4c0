"""HTTP over a plain socket: enough to ask a server a question and see its exact answer."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Self


class BadAnswer(Exception):
    """The server closed, stalled or sent something that is no HTTP answer."""


class Closed(BadAnswer):
    """The server closed the connection, in order or not."""


@dataclass(frozen=True)
class Answer:
    """One answer; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


def request(method: str, path: str, port: int, body: bytes = b"") -> bytes:
    """Return a request with the headers that wrk sends."""
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
    if body:
        head += f"Content-Length: {len(body)}\r\nContent-Type: application/json\r\n"
    return head.encode() + b"\r\n" + body


class Client:
    """One keep-alive connection."""

    def __init__(self, port: int, timeout_s: float = 5.0) -> None:
        self.port = port
        self._socket = socket.create_connection(("127.0.0.1", port), timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def ask(self, method: str, path: str, body: bytes = b"") -> Answer:
        """Send one request and return its answer."""
        self.send(request(method, path, self.port, body))
        return self.answer()

    def send(self, data: bytes | memoryview) -> None:
        """Send bytes as they are."""
        try:
            self._socket.sendall(data)
        except ConnectionError as error:
            raise Closed(f"the server closed the connection: {error}") from None
        except OSError as error:
            raise BadAnswer(f"sending failed: {error}") from None

    def answer(self) -> Answer:
        """Read one answer, with a Content-Length or chunked."""
        head = self._until(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        version, _, rest = lines[0].partition(" ")
        if not version.startswith("HTTP/1.") or not rest[:3].isdigit():
            raise BadAnswer(f"no status line: {lines[0][:60]!r}")
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        if headers.get("transfer-encoding") == "chunked":
            body = self._chunks()
        else:
            body = self._exactly(int(headers.get("content-length", "0")))
        return Answer(int(rest[:3]), headers, body)

    def _chunks(self) -> bytes:
        pieces = []
        while size := int(self._until(b"\r\n").partition(b";")[0], 16):
            pieces.append(self._exactly(size))
            self._until(b"\r\n")
        while self._until(b"\r\n"):
            pass
        return b"".join(pieces)

    def _until(self, end: bytes) -> bytes:
        while end not in self._received:
            self._receive()
        found, _, self._received = self._received.partition(end)
        return found

    def _exactly(self, count: int) -> bytes:
        while len(self._received) < count:
            self._receive()
        found, self._received = self._received[:count], self._received[count:]
        return found

    def _receive(self) -> None:
        try:
            data = self._socket.recv(262144)
        except ConnectionError as error:
            raise Closed(f"the server closed the connection: {error}") from None
        except OSError as error:
            raise BadAnswer(f"no answer: {error}") from None
        if not data:
            raise Closed("the server closed the connection")
        self._received += data
