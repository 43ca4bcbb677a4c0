"""An answer on its way in: its head has come, its body comes piece by piece."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPConnection, HTTPResponse, IncompleteRead

# For ``SO_LINGER``: on, and no seconds.
RESET = struct.pack("ii", 1, 0)
# As much as one piece has at most; a piece ends where what has come, or a chunk of it, ends.
PIECE_BYTES_MAX = 65536


class IncompleteBody(ConnectionError):
    """The connection ended before the body of an answer did.

    So it does for a client when a handler fails in the middle of a streamed answer: the last chunk
    is missing, or there are fewer bytes than ``Content-Length`` says (RFC 9112 section 8).
    """


class Incoming:
    """The answer to one request; a thread reads it, and any thread may close it meanwhile.

    Args:
        response: Its head.
        connection: Where it comes from.
        sock: The socket of the connection, which ``http.client`` forgets early.
        give_back: Called with the connection once the body has ended as it should.
        what: Method and address of the request, for messages.
        timeout: Seconds that the next piece may take; None for no limit.
    """

    def __init__(
        self,
        response: HTTPResponse,
        connection: HTTPConnection,
        sock: socket.socket,
        give_back: Callable[[HTTPConnection], None],
        what: str,
        timeout: float | None,
    ) -> None:
        self.response = response
        self._connection: HTTPConnection | None = connection
        self._sock = sock
        self._give_back = give_back
        self._what = what
        self._timeout = timeout
        self._received = 0
        # Held by who reads, and by who closes once nobody reads any more.
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._has_ended = False

    def piece(self) -> bytes:
        """Return the next bytes of the body, as soon as there are some; none at its end.

        Raises:
            IncompleteBody: The connection ended before the body did.
            TimeoutError: Nothing came in time.
            RuntimeError: The answer is closed.
            OSError: The connection broke.
            http.client.HTTPException: What came is not HTTP.
        """
        with self._lock:
            if self._has_ended:
                return b""
            if self._connection is None or self._closing.is_set():
                raise closed(self._what)
            try:
                piece = self._read()
            except BaseException as error:
                self._drop()
                # The one that closed it has woken us up by that.
                if self._closing.is_set() and isinstance(error, OSError):
                    raise closed(self._what) from error
                raise
            self._received += len(piece)
            if not piece:
                if self._closing.is_set():
                    self._drop()
                    raise closed(self._what)
                self._end()
            return piece

    @property
    def is_closed(self) -> bool:
        """Whether its end cannot come any more: it was closed, or the connection broke."""
        return self._connection is None and not self._has_ended

    def close(self) -> None:
        """Close the connection, unless the body has come to its end; a second call does nothing.

        A thread that waits for a piece is woken up.
        """
        self._closing.set()
        # After the end this would be the connection of somebody else; see `_end`.
        if self._connection is not None:
            with suppress(OSError):
                # Wakes who reads. A reset then tells the server at once: after an end it could be
                # that the client does not send any more and still reads.
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                self._sock.shutdown(socket.SHUT_RD)
        with self._lock:
            self._drop()

    def detach(self) -> tuple[socket.socket, bytes]:
        """Let go of the connection, as it speaks another protocol from here on (RFC 9110 section
        7.8): return its socket, which no longer blocks, and what has come behind the head.

        Raises:
            OSError: The connection broke.
        """
        with self._lock:
            connection = self._connection
            assert connection is not None, "nothing of it has been read"
            self._sock.setblocking(False)
            # `http.client` reads more than the head at once. All that it has is in this buffer; if
            # it is empty, this looks at the socket once.
            behind = self.response.fp.peek()
            self._connection, self._has_ended = None, True
            connection.sock = None
            self.response.close()
            connection.close()
            return self._sock, behind

    def _read(self) -> bytes:
        response = self.response
        left = response.length
        try:
            piece = response.read1(PIECE_BYTES_MAX)
        except TimeoutError as error:
            raise late(self._what, self._timeout) from error
        except (IncompleteRead, ConnectionError) as error:
            raise self._incomplete(left) from error
        if left and not piece:
            raise self._incomplete(left)
        return piece

    def _incomplete(self, left: int | None) -> IncompleteBody:
        came = f"the answer to {self._what} was cut off after {self._received} bytes of its body"
        if left is not None:
            return IncompleteBody(
                f"{came}: there should be {self._received + left} (Content-Length)"
            )
        return IncompleteBody(f"{came}: the last chunk is missing")

    def _end(self) -> None:
        """Let go of the connection: it may carry the next request."""
        connection = self._connection
        assert connection is not None, "the answer has been read until now"
        self._has_ended = True
        self._connection = None
        self.response.close()
        # In this order: `close` says that it closes before it looks for a connection, so it sees
        # none if it has not been seen here.
        if self._closing.is_set():
            connection.close()
        else:
            self._give_back(connection)

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self.response.close()
            connection.close()


def late(what: str, timeout: float | None) -> TimeoutError:
    """Return the error of a step that has taken too long."""
    return TimeoutError(
        f"{what} had no whole answer in time: a step may take {timeout} s (timeout=)"
    )


def closed(what: str) -> RuntimeError:
    """Return the error of reading an answer that was closed."""
    return RuntimeError(f"the answer to {what} is closed: nothing more of it can be read")
