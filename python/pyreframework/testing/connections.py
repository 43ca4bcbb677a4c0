"""Connections to the server, kept open between requests; each carries one exchange at a time."""

from __future__ import annotations

import os
import select
import socket
import threading
from http.client import HTTPConnection
from urllib.parse import urlsplit

from pyreframework.testing.incoming import Incoming, late
from pyreframework.testing.outgoing import Fields, Outgoing


class UnixConnection(HTTPConnection):
    """A connection to a Unix-domain socket."""

    def __init__(self, path: str, timeout: float | None) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the path instead of the host."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Connections:
    """The idle connections of a client; may be used from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[HTTPConnection] = []
        self._closed = False
        self._pid = os.getpid()

    def begin(
        self,
        url: str,
        path: str | None,
        outgoing: Outgoing,
        fields: Fields,
        timeout: float | None,
    ) -> Incoming:
        """Send a request and read the head of its response.

        Args:
            url: Address of the server.
            path: Its Unix-domain socket, if it has one.
            outgoing: The request.
            fields: Its header fields.
            timeout: Seconds that each step may take; None for no limit.

        Raises:
            TimeoutError: A step took too long.
            OSError: The connection broke.
            http.client.HTTPException: What came back is not HTTP.
            ValueError: A header or the method has a character that it must not have.
            Exception: What an iterable raised that is the body.
        """
        what = f"{outgoing.method} {url}{outgoing.target}"
        connection = self._take(url, path, timeout)
        try:
            send(connection, outgoing, fields)
            # `getresponse` lets go of it if the answer is the last one.
            sock = connection.sock
            response = connection.getresponse()
        except TimeoutError as error:
            connection.close()
            raise late(what, timeout) from error
        except BaseException:
            connection.close()
            raise
        return Incoming(response, connection, sock, self._give_back, what, timeout)

    def close(self) -> None:
        """Close what is idle, and let nothing more become so."""
        with self._lock:
            self._closed = True
            close(self._idle)

    def _take(self, url: str, path: str | None, timeout: float | None) -> HTTPConnection:
        """Return an idle connection, or a new one."""
        with self._lock:
            if self._pid != os.getpid():
                # A fork: these belong to the other process, which goes on using them.
                self._pid = os.getpid()
                close(self._idle)
            while self._idle:
                connection = self._idle.pop()
                if is_open(connection):
                    connection.timeout = timeout
                    connection.sock.settimeout(timeout)
                    return connection
                connection.close()
        if path is not None:
            return UnixConnection(path, timeout)
        parts = urlsplit(url)
        assert parts.hostname is not None, url
        return HTTPConnection(parts.hostname, parts.port, timeout=timeout)

    def _give_back(self, connection: HTTPConnection) -> None:
        """Keep a connection for the next request, unless either side wants it closed."""
        with self._lock:
            # http.client has closed it if the response said so.
            if connection.sock is not None and not self._closed:
                self._idle.append(connection)
                return
        connection.close()


def send(connection: HTTPConnection, outgoing: Outgoing, fields: Fields) -> None:
    """Send a whole request, or as much of it as the server wants to have."""
    connection.putrequest(
        outgoing.method, outgoing.target, skip_host=True, skip_accept_encoding=True
    )
    for name, value in fields:
        connection.putheader(name, value)
    body = outgoing.body
    try:
        if body.stream is None:
            connection.endheaders(body.content)
        else:
            chunked = not fields.decides("content-length")
            connection.endheaders(body.stream, encode_chunked=chunked)
    except (BrokenPipeError, ConnectionResetError):
        # A server may answer before it has read all of it, and close (RFC 9112 section 9.6): what
        # it said is read next, and if that fails, the error of reading is raised.
        if connection.sock is None:
            raise


def close(connections: list[HTTPConnection]) -> None:
    """Close connections and forget them."""
    while connections:
        connections.pop().close()


def is_open(connection: HTTPConnection) -> bool:
    """Tell whether an idle connection can carry a request: the server has not closed it."""
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return not poll.poll(0)
