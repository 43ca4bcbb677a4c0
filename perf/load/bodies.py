"""One connection that reads or sends a body of any length, and keeps nothing of it."""

from __future__ import annotations

import socket
import time
import zlib
from dataclasses import dataclass

from perf.harness.exchange import Client

PIECE = b"".join(b"%015d\n" % line for line in range(4096))
"""What every body consists of, over and over: lines of numbers, so that a gap shows."""

READ_BYTES = 1 << 18
_SENT_BYTES = 1 << 20
_TIMEOUT_S = 60.0
# Wherever a part begins in a piece, all of it stands here.
_EXPECTED = PIECE * (READ_BYTES // len(PIECE) + 2)


class WrongBody(Exception):
    """Something came that is not what was asked for; the text says where."""


@dataclass(frozen=True)
class Moved:
    """What went over the connection."""

    body_bytes: int
    seconds: float
    busy_s: float
    """Processor time of the thread that read or sent."""
    is_whole: bool

    @property
    def rate(self) -> float:
        """Return MB (of 10^6 bytes) a second."""
        return self.body_bytes / self.seconds / 1e6


class Body:
    """A body in chunks that is compared, as it comes, with what it must be."""

    def __init__(self) -> None:
        self.received = 0
        self.is_whole = False
        self._left = 0
        """Bytes of the present chunk that are still to come."""
        self._line = b""
        self._is_behind_chunk = False
        self._is_last = False
        """The empty chunk has come, behind which there is one more line."""

    def take(self, part: memoryview) -> None:
        """Take in what has arrived.

        Raises:
            WrongBody: It is not the next part.
        """
        at = 0
        while at < len(part):
            if self.is_whole:
                raise WrongBody(f"{len(part) - at} bytes behind the last chunk")
            if self._left:
                taken = min(self._left, len(part) - at)
                place = self.received % len(PIECE)
                if not _EXPECTED.startswith(part[at : at + taken], place):
                    raise WrongBody(f"other bytes than sent at {self.received} or behind")
                self.received += taken
                self._left -= taken
                self._is_behind_chunk = not self._left
            else:
                found = bytes(part[at : at + 32])
                taken = found.find(b"\n") + 1 or len(found)
                self._line += found[:taken]
                if self._line.endswith(b"\n"):
                    self._read_line()
                elif len(self._line) > 32:
                    raise WrongBody(f"no chunk: {self._line!r}")
            at += taken

    def _read_line(self) -> None:
        line, self._line = self._line, b""
        if self._is_behind_chunk:
            if line != b"\r\n":
                raise WrongBody(f"a chunk ends in {line!r}")
            self._is_behind_chunk = False
        elif self._is_last:
            self.is_whole = line == b"\r\n"
            if not self.is_whole:
                raise WrongBody(f"behind the last chunk stands {line!r}")
        else:
            try:
                self._left = int(line.removesuffix(b"\r\n"), 16)
            except ValueError:
                raise WrongBody(f"no chunk: {line!r}") from None
            self._is_last = not self._left


def read(port: int, path: str, count: int, *, rate: float = 0.0, seconds: float = 0.0) -> Moved:
    """Ask for a body of ``count`` bytes and compare every one of them.

    Args:
        port: Where the server listens.
        path: What to ask for.
        count: How long the body must be.
        rate: Bytes a second to read, 0 for as fast as possible.
        seconds: After so long the connection is closed, even if not all has come; 0 for never.

    Raises:
        WrongBody: It is another, or the connection ended too early.
    """
    body = Body()
    view = memoryview(bytearray(READ_BYTES))
    with socket.create_connection(("127.0.0.1", port), _TIMEOUT_S) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        started, busy = time.monotonic(), time.thread_time()
        rest = _behind_head(connection)
        body.take(memoryview(rest))
        while not body.is_whole:
            # A reader that keeps to a rate takes little at a time, so that it is never far off.
            room = READ_BYTES if not rate else max(4096, min(READ_BYTES, int(rate / 50)))
            received = connection.recv_into(view[:room])
            if not received:
                raise WrongBody(f"the connection ended after {body.received} bytes")
            body.take(view[:received])
            now = time.monotonic()
            if seconds and now - started >= seconds:
                break
            if rate:
                time.sleep(max(0.0, started + body.received / rate - now))
        took, busy = time.monotonic() - started, time.thread_time() - busy
    if body.is_whole and body.received != count:
        raise WrongBody(f"{body.received} bytes, not {count}")
    return Moved(body.received, took, busy, body.is_whole)


def send(port: int, path: str, count: int) -> Moved:
    """Send a body of ``count`` bytes, which must be answered with their number.

    Raises:
        WrongBody: The answer is another.
        BadAnswer: There is none.
    """
    return _sent(port, path, count, str(count))


def send_form(port: int, path: str, count: int) -> Moved:
    """Send a form with a file of ``count`` bytes, which must be answered with their number.

    Raises:
        WrongBody: The answer is another.
        BadAnswer: There is none.
    """
    return _sent(port, path, count, str(count), _FORM)


def send_form_to_check(port: int, path: str, count: int) -> None:
    """Send a form with a file of which the server must find number and CRC.

    Raises:
        WrongBody: It has found others.
        BadAnswer: There is no answer.
    """
    _sent(port, f"{path}?crc=1", count, f"{count} {_check(count)}", _FORM)


def send_to_check(port: int, path: str, count: int) -> None:
    """Send a body of which the server must find number and CRC.

    Raises:
        WrongBody: It has found others.
        BadAnswer: There is no answer.
    """
    _sent(port, f"{path}?crc=1", count, f"{count} {_check(count)}")


def _check(count: int) -> int:
    check = 0
    for start in range(0, count, len(PIECE)):
        check = zlib.crc32(PIECE[: count - start], check)
    return check


@dataclass(frozen=True)
class _Around:
    """What stands around the bytes that count."""

    kind: str = "application/octet-stream"
    before: bytes = b""
    behind: bytes = b""


_PLAIN = _Around()
_FORM = _Around(
    "multipart/form-data; boundary=----measured",
    b'------measured\r\nContent-Disposition: form-data; name="file"; filename="lines.txt"\r\n'
    b"Content-Type: text/plain\r\n\r\n",
    b"\r\n------measured--\r\n",
)


def _sent(port: int, path: str, count: int, expected: str, around: _Around = _PLAIN) -> Moved:
    view = memoryview(PIECE * (_SENT_BYTES // len(PIECE)))
    length = len(around.before) + count + len(around.behind)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: {around.kind}\r\n"
        f"Content-Length: {length}\r\n\r\n"
    )
    with Client(port, _TIMEOUT_S) as client:
        started, busy = time.monotonic(), time.thread_time()
        client.send(head.encode() + around.before)
        left = count
        while left:
            taken = min(left, len(view))
            client.send(view[:taken])
            left -= taken
        client.send(around.behind)
        answer = client.answer()
        took, busy = time.monotonic() - started, time.thread_time() - busy
    if answer.status != 200 or answer.body.decode(errors="replace") != expected:
        raise WrongBody(f"{path}: {answer.status} {answer.body[:60]!r}, not {expected}")
    return Moved(count, took, busy, is_whole=True)


def _behind_head(connection: socket.socket) -> bytes:
    """Read the head of the answer; return what has come behind it."""
    received = b""
    while b"\r\n\r\n" not in received:
        part = connection.recv(4096)
        if not part:
            raise WrongBody(f"no answer but {received[:60]!r}")
        received += part
    head, _, rest = received.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").lower().split("\r\n")
    if not lines[0].startswith("http/1.1 200 ") or "transfer-encoding: chunked" not in lines[1:]:
        raise WrongBody(f"no answer in chunks but {lines[0]}")
    return rest
