"""Talk to a server in raw bytes, and read its replies strictly.

`Peer` is a connection that sends what it is told, right or wrong. Its parser of replies is stricter
than any client's, so that every test checks the framing of every answer.
"""

from __future__ import annotations

import json
import re
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Self

PEER_S = 30.0
"""How long a reply may take, on the slowest machine we can imagine."""

READ_BYTES = 1 << 16

_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9][0-9]) ([\t\x20-\x7e]*)")
_FIELD_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([\t\x20-\x7e\x80-\xff]*)")


class Ended(AssertionError):
    """The server closed the connection where a reply had to come."""


@dataclass(frozen=True)
class Reply:
    """One answer as it stood on the wire; header names in lower case, in their order."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes
    interim: list[int] = field(default_factory=list)

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name.lower()]

    def header(self, name: str) -> str | None:
        """The value of a field that may stand there once at most."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} repeated: {values}"
        return values[0] if values else None

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def closes(self) -> bool:
        return (self.header("connection") or "").lower() == "close"

    def json(self) -> Any:
        return json.loads(self.body)


class Peer:
    """A client's connection that sends bytes as they are and reads replies strictly."""

    def __init__(self, host: str, port: int, *, receive_bytes: int | None = None) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        if receive_bytes is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(PEER_S)
        self.socket.connect((host, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def __del__(self) -> None:
        """Close quietly, so that a failed test reports its failure and nothing else."""
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def send_pieces(self, pieces: Iterable[bytes]) -> bool:
        """Send piece by piece; False if the server closed before it had taken all of them."""
        try:
            for piece in pieces:
                self.socket.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def finish_sending(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def abort(self) -> None:
        """Reset the connection instead of closing it in order."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def request(
        self,
        method: str,
        target: str,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> Reply:
        self.send(request(method, target, headers, body))
        return self.reply(method)

    def get(self, target: str, headers: Iterable[tuple[str, str]] = ()) -> Reply:
        return self.request("GET", target, headers)

    def reply(self, method: str = "GET") -> Reply:
        """Read the next final reply; interim ones (1xx) are noted in it."""
        interim = []
        while True:
            status, reason, headers = self._head()
            if status >= 200:
                break
            interim.append(status)
        names = [name for name, _ in headers]
        if method == "HEAD" or status in (204, 304):
            body = b""
        elif "transfer-encoding" in names:
            assert "content-length" not in names, headers
            body = self._chunked()
        elif "content-length" in names:
            (length,) = [value for name, value in headers if name == "content-length"]
            assert re.fullmatch("[0-9]+", length), length
            body = self._exactly(int(length))
        else:
            body = self.rest()
        reply = Reply(status, reason, headers, body, interim)
        check_reply(reply)
        return reply

    def await_some(self) -> None:
        """Wait until something of a reply has come."""
        if not self.received:
            self._more("a reply")

    def receive(self, size: int) -> None:
        """Take so many bytes of what has come at most."""
        self.received += self.socket.recv(size)

    def has_more(self) -> bool:
        """Whether something follows; False if the connection ends here."""
        if not self.received:
            try:
                self.received += self.socket.recv(READ_BYTES)
            except TimeoutError:
                raise AssertionError("neither a reply nor the end came") from None
            except ConnectionResetError:
                return False
        return bool(self.received)

    def rest(self) -> bytes:
        """Everything up to the end of the connection, which has to come."""
        try:
            while piece := self.socket.recv(READ_BYTES):
                self.received += piece
        except ConnectionResetError:
            pass
        except TimeoutError:
            raise AssertionError(f"still open, {bytes(self.received[:400])!r} unread") from None
        rest = bytes(self.received)
        self.received.clear()
        return rest

    def expect_end(self) -> None:
        """The connection ends here, and nothing more was said on it."""
        rest = self.rest()
        assert rest == b"", f"more than was asked for: {rest[:400]!r}"

    def expect_silence(self, seconds: float) -> None:
        """Nothing comes for a while, not even the end."""
        assert not self.received, bytes(self.received[:400])
        self.socket.settimeout(seconds)
        try:
            piece = self.socket.recv(READ_BYTES)
        except TimeoutError:
            return
        finally:
            self.socket.settimeout(PEER_S)
        raise AssertionError(f"expected silence, got {piece[:400]!r}")

    def _head(self) -> tuple[int, str, list[tuple[str, str]]]:
        while (end := self.received.find(b"\r\n\r\n")) < 0:
            self._more("a head")
        lines = bytes(self.received[:end]).split(b"\r\n")
        del self.received[: end + 4]
        status_line = _STATUS_LINE.fullmatch(lines[0])
        assert status_line, lines[0]
        headers = []
        for line in lines[1:]:
            parts = _FIELD_LINE.fullmatch(line)
            assert parts, f"malformed field line {line!r}"
            headers.append((parts[1].decode().lower(), parts[2].decode("latin-1").strip(" \t")))
        return int(status_line[1]), status_line[2].decode(), headers

    def _chunked(self) -> bytes:
        body = bytearray()
        while True:
            size = self._line()
            assert re.fullmatch(rb"[0-9a-fA-F]+", size), size
            if int(size, 16) == 0:
                assert self._line() == b""
                return bytes(body)
            body += self._exactly(int(size, 16))
            assert self._line() == b""

    def _line(self) -> bytes:
        while (end := self.received.find(b"\r\n")) < 0:
            self._more("a line")
        line = bytes(self.received[:end])
        del self.received[: end + 2]
        return line

    def _exactly(self, size: int) -> bytes:
        while len(self.received) < size:
            self._more(f"a body of {size} bytes")
        body = bytes(self.received[:size])
        del self.received[:size]
        return body

    def _more(self, what: str) -> None:
        try:
            piece = self.socket.recv(READ_BYTES)
        except TimeoutError:
            raise AssertionError(
                f"{what} never came; so far {bytes(self.received[:400])!r}"
            ) from None
        except ConnectionResetError as error:
            raise Ended(f"reset while waiting for {what}") from error
        if not piece:
            raise Ended(f"closed while waiting for {what}; so far {bytes(self.received[:400])!r}")
        self.received += piece


_DATE = re.compile(
    r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d "
    r"(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d\d:\d\d:\d\d GMT"
)


def check_reply(reply: Reply) -> None:
    """What is true of every reply, whatever was asked for."""
    assert reply.header("server") == "pyre", reply.headers
    assert _DATE.fullmatch(reply.header("date") or ""), reply.headers
    if reply.status == 204:  # RFC 9110 section 8.6, RFC 9112 section 6.1
        assert not reply.all("content-length") and not reply.all("transfer-encoding")
    if reply.status == 405:  # RFC 9110 section 15.5.6
        assert reply.all("allow"), reply.headers


def request(
    method: str,
    target: str,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
    version: str = "HTTP/1.1",
) -> bytes:
    """A well-formed request; a Host and a Content-Length are added where they are missing."""
    fields = list(headers)
    names = {name.lower() for name, _ in fields}
    if "host" not in names:
        fields.insert(0, ("Host", "pyre.test"))
    if body and not names & {"content-length", "transfer-encoding"}:
        fields.append(("Content-Length", str(len(body))))
    head = f"{method} {target} {version}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in fields)
    return head.encode("latin-1") + b"\r\n" + body
