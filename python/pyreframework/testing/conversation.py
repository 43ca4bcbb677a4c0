"""Frames over a connection: the rules of a WebSocket, for the session of a test.

No thread works behind it: frames are read while somebody receives or closes. A send that the server
does not take reads what comes meanwhile, so that both sides can send much before they receive.
"""

from __future__ import annotations

import select
import socket
import threading
from collections import deque
from contextlib import suppress
from math import isnan
from time import monotonic
from typing import Never

from pyreframework.testing.frames import (
    CLOSE,
    NO_CODE,
    PONG,
    PROTOCOL_ERROR,
    BrokenRule,
    Close,
    Frames,
    Ping,
    close_payload,
    frame,
)
from pyreframework.testing.handshake import GONE, WebSocketDisconnect, WebSocketProtocolError
from pyreframework.testing.incoming import RESET

READ_BYTES_MAX = 1 << 16
# How long a server may take to end a connection that both sides have closed.
ENDING_S = 10.0


class Deadline:
    """When a call has taken long enough.

    Args:
        seconds: From now; None for no limit.

    Raises:
        TypeError: It is no number.
        ValueError: It is less than 0, or not a number of seconds.
    """

    def __init__(self, seconds: float | None) -> None:
        if seconds is not None:
            if not isinstance(seconds, (int, float)):
                raise TypeError(
                    f"timeout is a number of seconds, or None, not {type(seconds).__qualname__}"
                )
            if isnan(seconds) or seconds < 0:
                raise ValueError(f"timeout is a number of seconds, 0 or more, not {seconds}")
        self.seconds = seconds
        self._at = None if seconds is None else monotonic() + seconds

    def left[Other](self, unlimited: Other) -> float | Other:
        """Return the seconds that are left, at least 0."""
        return unlimited if self._at is None else max(0.0, self._at - monotonic())


class Conversation:
    """A WebSocket behind its handshake. One thread reads, another one may write, or end it.

    Args:
        sock: The connection.
        behind: What has come behind the head of the response.
        url: Its address, for messages.
    """

    def __init__(self, sock: socket.socket, behind: bytes, url: str) -> None:
        self.url = url
        self.close_code: int | None = None
        self.close_reason = ""
        self._sock = sock
        self._sock.setblocking(False)
        self._frames = Frames()
        self._frames.feed(behind)
        # Messages that have come while nobody received; see `answer`.
        self._kept: deque[str | bytes] = deque()
        # Nothing more comes from the connection.
        self._is_at_end = False
        self._has_sent_close = False
        # The socket is closed; changed by who has both locks.
        self._has_ended = False
        # Held by who reads, and by who writes. Who has the second takes the first only if that is
        # free.
        self._receiving = threading.Lock()
        self._sending = threading.Lock()

    def receive(self, until: Deadline) -> str | bytes:
        """Return the next message.

        Raises:
            WebSocketDisconnect: None follows.
            TimeoutError: None came in time.
            WebSocketProtocolError: The server breaks a rule.
        """
        self._take(self._receiving, until)
        try:
            return self._kept.popleft() if self._kept else self._message(until)
        finally:
            self._receiving.release()

    def put(self, opcode: int, payload: bytes, until: Deadline) -> None:
        """Write a frame; nothing follows a close frame.

        Raises:
            WebSocketDisconnect: Nothing can be sent any more.
            TimeoutError: The server did not take it in time; then the connection has ended.
        """
        data = frame(opcode, payload)
        self._take(self._sending, until)
        try:
            if self._has_ended:
                raise self._disconnect()
            if self._has_sent_close:
                raise WebSocketDisconnect(GONE, "", "this side is closing the WebSocket")
            self._has_sent_close = opcode == CLOSE
            self._write(data, until)
        finally:
            self._sending.release()

    def close(self, payload: bytes, until: Deadline) -> None:
        """Send a close frame, and see the server answer it and end the connection.

        Raises:
            TimeoutError: It did not in time; then the connection has ended.
            WebSocketProtocolError: The server breaks a rule.
        """
        try:
            self.put(CLOSE, payload, until)
        except WebSocketDisconnect:
            # It is closed already, or its server has closed it: this is what is read next.
            pass
        except TimeoutError:
            self.abort()
            raise
        self._take(self._receiving, until)
        self._kept.clear()
        try:
            while True:
                self._message(until)
        except WebSocketDisconnect:
            pass
        except TimeoutError as error:
            self._end(GONE, resets=True)
            raise TimeoutError(
                f"{self.url} did not answer a close frame in {until.seconds} s (timeout=)"
            ) from error
        finally:
            self._receiving.release()

    def answer(self) -> None:
        """Do what the protocol asks for until the end, and keep the messages for `receive`.

        A thread that receives meanwhile does the same, so this waits until it lets go.
        """
        # Whoever uses it next is told why it has ended, also that the server has broken a rule.
        with self._receiving, suppress(WebSocketDisconnect, WebSocketProtocolError):
            while True:
                self._kept.append(self._message(Deadline(None)))

    def abort(self) -> None:
        """End the connection without a word."""
        self._reset()
        with self._receiving:
            self._end(GONE, resets=True)

    def _take(self, lock: threading.Lock, until: Deadline) -> None:
        """Wait for other threads to let go of a lock."""
        if not lock.acquire(timeout=until.left(threading.TIMEOUT_MAX)):
            raise TimeoutError(
                f"another thread has used the WebSocket of {self.url} for "
                f"{until.seconds} s (timeout=)"
            )

    def _write(self, data: bytes, until: Deadline) -> None:
        left = memoryview(data)
        while left:
            try:
                left = left[self._sock.send(left) :]
            except BlockingIOError:
                if not self._wait_for_room(until):
                    # Nothing can follow half a frame.
                    self._reset()
                    raise TimeoutError(
                        f"{self.url} has not taken a message in {until.seconds} s "
                        "(timeout=): its handler does not receive"
                    ) from None
            except ConnectionError as error:
                text = "the server has ended the connection: receive() has what it said before"
                raise WebSocketDisconnect(GONE, "", text) from error

    def _wait_for_room(self, until: Deadline) -> bool:
        """Wait until more can be written, and read meanwhile; tell whether that was in time.

        Otherwise a server that sends until somebody reads, and this client, would wait for each
        other.
        """
        reads = not self._is_at_end and self._receiving.acquire(blocking=False)
        try:
            ready = self._poll(select.POLLOUT | (select.POLLIN if reads else 0), until)
            if reads and ready & select.POLLIN:
                self._read()
            return bool(ready)
        finally:
            if reads:
                self._receiving.release()

    def _message(self, until: Deadline) -> str | bytes:
        """Return the next message; do what the protocol asks for before it."""
        while not self._has_ended:
            try:
                event = self._frames.next()
            except BrokenRule as broken:
                self._fail(broken)
            if isinstance(event, (str, bytes)):
                return event
            if isinstance(event, Ping):
                with suppress(WebSocketDisconnect):
                    self.put(PONG, event.data, until)
            elif isinstance(event, Close):
                self._closed(event)
            elif event is None and self._is_at_end:
                self._end(GONE)
            elif event is None:
                if not self._poll(select.POLLIN, until):
                    raise self._nothing(until)
                self._read()
        raise self._disconnect()

    def _closed(self, close: Close) -> None:
        """Answer a close frame, and see the server end the connection (section 7.1.1)."""
        # Why it has ended is known by now, however little time the call has left.
        until = Deadline(ENDING_S)
        with suppress(WebSocketDisconnect):
            self.put(CLOSE, close_payload(None if close.code == NO_CODE else close.code, ""), until)
        while not self._is_at_end:
            if not self._poll(select.POLLIN, until):
                self._end(close.code, close.reason, resets=True)
                raise WebSocketProtocolError(
                    f"{self.url} has closed ({close.code}), but has not ended the connection "
                    f"within {until.seconds} s"
                )
            self._read()
        if behind := self._frames.waiting:
            self._fail(BrokenRule(PROTOCOL_ERROR, f"{behind} bytes follow a close frame"))
        self._end(close.code, close.reason)

    def _read(self) -> None:
        """Take what has come; who calls this has `_receiving`."""
        try:
            data = self._sock.recv(READ_BYTES_MAX)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        self._is_at_end = not data
        self._frames.feed(data)

    def _poll(self, events: int, until: Deadline) -> int:
        """Wait until the socket is ready for one of these; 0 if it is not in time."""
        poll = select.poll()
        poll.register(self._sock, events)
        left = until.left(None)
        found = poll.poll(None if left is None else left * 1000)
        return found[0][1] if found else 0

    def _fail(self, broken: BrokenRule) -> Never:
        """End a WebSocket whose server does not keep to the rules (section 7.1.7)."""
        with suppress(ConnectionError, TimeoutError):
            self.put(CLOSE, close_payload(broken.code, ""), Deadline(0))
        self._end(broken.code, str(broken), resets=True)
        raise WebSocketProtocolError(f"{self.url}: {broken}") from broken

    def _end(self, code: int, reason: str = "", *, resets: bool = False) -> None:
        """Close the socket, and keep why; who calls this has `_receiving`."""
        if resets:
            self._reset()
        else:
            with suppress(OSError):
                # Wakes who writes.
                self._sock.shutdown(socket.SHUT_RDWR)
        with self._sending:
            if not self._has_ended:
                self._has_ended = True
                self.close_code, self.close_reason = code, reason
            self._sock.close()

    def _reset(self) -> None:
        """Make every thread that waits for the connection go on, and a reset of its end."""
        with suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self._sock.shutdown(socket.SHUT_RDWR)

    def _disconnect(self) -> WebSocketDisconnect:
        """Return the error of using what has ended."""
        assert self.close_code is not None, "it has ended"
        if self.close_code == GONE:
            text = "the WebSocket is closed: 1006, the connection has ended without a close frame"
            return WebSocketDisconnect(GONE, "", text)
        return WebSocketDisconnect(self.close_code, self.close_reason)

    def _nothing(self, until: Deadline) -> TimeoutError:
        """Return the error of a message that has not come in time."""
        part = self._frames.waiting
        return TimeoutError(
            f"{self.url} has sent no message in {until.seconds} s (timeout=)"
            + (f": {part} bytes of one have come" if part else "")
        )
