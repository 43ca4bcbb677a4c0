"""The test client and a server that says exactly what a test wants: cut answers, slow ones."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

import pytest
from dialogue import PEER_S

from pyreframework.testing import IncompleteBody
from pyreframework.testing.bodies import Encoded, encode
from pyreframework.testing.connections import Connections
from pyreframework.testing.incoming import Incoming
from pyreframework.testing.outgoing import Outgoing

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


class Told:
    """A server of one connection, and a client that asks it."""

    def __init__(self, talk: Callable[[socket.socket], None]) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.connections = Connections()
        self._talk = talk

    def serve(self) -> None:
        with self.listener.accept()[0] as peer:
            peer.settimeout(PEER_S)
            self._talk(peer)

    def begin(self, body: Encoded | None = None, timeout: float | None = PEER_S) -> Incoming:
        outgoing = Outgoing("POST" if body else "GET", "/x", body or Encoded(None))
        fields = outgoing.fields({"Host": "a"})
        return self.connections.begin(self.url, None, outgoing, fields, timeout)


@contextmanager
def told(talk: Callable[[socket.socket], None]) -> Iterator[Told]:
    """Have a thread talk to the client; what it raises is raised at the end."""
    told = Told(talk)
    failures: list[BaseException] = []

    def serve() -> None:
        try:
            told.serve()
        except BaseException as error:  # raised again below
            failures.append(error)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield told
    finally:
        told.connections.close()
        thread.join()
        told.listener.close()
    if failures:
        raise failures[0]


def until(peer: socket.socket, end: bytes) -> bytes:
    """What a peer sends up to this."""
    got = b""
    while not got.endswith(end):
        part = peer.recv(1)
        assert part, f"the client left after {got!r}"
        got += part
    return got


def says(answer: bytes) -> Callable[[socket.socket], None]:
    """Answer the first request so, and close."""

    def talk(peer: socket.socket) -> None:
        until(peer, b"\r\n\r\n")
        peer.sendall(answer)

    return talk


def pieces(incoming: Incoming) -> Iterator[bytes]:
    with closing(incoming):
        while piece := incoming.piece():
            yield piece


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (CHUNKED + b"0\r\n\r\n", b""),
        (CHUNKED + b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: 1\r\n\r\n", b"abcde"),
        (HEAD + b"Content-Length: 0\r\n\r\n", b""),
        (HEAD + b"Content-Length: 3\r\n\r\nabc", b"abc"),
        (HEAD + b"Content-Length: 200000\r\n\r\n" + b"x" * 200_000, b"x" * 200_000),
        (HEAD + b"Connection: close\r\n\r\nabc", b"abc"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    ],
)
def test_whole_bodies(answer: bytes, body: bytes) -> None:
    with told(says(answer)) as server:
        incoming = server.begin()
        assert b"".join(pieces(incoming)) == body
        assert incoming.piece() == b""


@pytest.mark.parametrize(
    ("answer", "body", "error"),
    [
        (CHUNKED, b"", "0 bytes of its body: the last chunk is missing"),
        (CHUNKED + b"5", b"", "last chunk"),
        (CHUNKED + b"5\r\n", b"", "last chunk"),
        (CHUNKED + b"5\r\nab", b"ab", "2 bytes of its body: the last chunk is missing"),
        (CHUNKED + b"2\r\nab", b"ab", "last chunk"),
        (CHUNKED + b"2\r\nab\r\n", b"ab", "last chunk"),
        (CHUNKED + b"2\r\nab\r\n1\r\nc\r\n", b"abc", "3 bytes of its body: the last chunk"),
        (HEAD + b"Content-Length: 4\r\n\r\n", b"", r"0 bytes .* should be 4 \(Content-Length\)"),
        (HEAD + b"Content-Length: 4\r\n\r\nabc", b"abc", "3 bytes .* should be 4"),
        (HEAD + b"Connection: close\r\nContent-Length: 4\r\n\r\nabc", b"abc", "should be 4"),
    ],
)
def test_bodies_that_are_cut_off(answer: bytes, body: bytes, error: str) -> None:
    seen: list[bytes] = []
    with told(says(answer)) as server:
        found = pieces(server.begin())
        with pytest.raises(IncompleteBody, match=rf"the answer to GET http://.*/x was .*{error}"):
            seen.extend(found)
        assert b"".join(seen) == body
        assert server.connections._idle == []


def test_a_connection_that_is_reset() -> None:
    def talk(peer: socket.socket) -> None:
        until(peer, b"\r\n\r\n")
        peer.sendall(CHUNKED)
        assert peer.recv(1) == b"+"
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    with told(talk) as server:
        incoming = server.begin()
        incoming._sock.sendall(b"+")
        with pytest.raises(IncompleteBody, match="last chunk") as raised:
            incoming.piece()
        assert isinstance(raised.value.__cause__, ConnectionResetError)


def test_a_piece_is_there_before_the_next_one_is_sent() -> None:
    seen = threading.Semaphore(0)

    def talk(peer: socket.socket) -> None:
        until(peer, b"\r\n\r\n")
        peer.sendall(CHUNKED)
        for piece in (b"one", b"two"):
            assert seen.acquire(timeout=PEER_S)
            peer.sendall(b"3\r\n" + piece + b"\r\n")
        assert seen.acquire(timeout=PEER_S)
        peer.sendall(b"0\r\n\r\n")
        assert seen.acquire(timeout=PEER_S)

    with told(talk) as server:
        incoming = server.begin()
        for expected in (b"one", b"two", b""):
            seen.release()
            assert incoming.piece() == expected
        assert len(server.connections._idle) == 1
        incoming.close()
        assert server.connections._idle[0].sock.getpeername(), "it is not the answer's any more"
        seen.release()


def test_a_piece_that_is_late() -> None:
    def talk(peer: socket.socket) -> None:
        until(peer, b"\r\n\r\n")
        peer.sendall(CHUNKED + b"1\r\na\r\n")
        # Until the client closes; what it has not read makes that a reset.
        with suppress(ConnectionResetError):
            assert peer.recv(1) == b""

    with told(talk) as server:
        incoming = server.begin()
        incoming._sock.settimeout(0.01)
        with pytest.raises(TimeoutError, match=r"GET http://.*/x had no whole answer in time"):
            list(pieces(incoming))


@pytest.mark.parametrize("head", [CHUNKED, HEAD + b"Connection: close\r\n\r\n"])
def test_a_thread_that_waits_for_a_piece_is_told_of_the_close(head: bytes) -> None:
    waits = threading.Event()

    def talk(peer: socket.socket) -> None:
        until(peer, b"\r\n\r\n")
        peer.sendall(head)
        assert waits.wait(PEER_S)
        incoming.close()
        with pytest.raises(ConnectionResetError):
            peer.recv(1)

    with told(talk) as server:
        incoming = server.begin()
        waits.set()
        with pytest.raises(RuntimeError, match=r"the answer to GET http://.*/x is closed"):
            incoming.piece()
        with pytest.raises(RuntimeError, match="closed"):
            incoming.piece()


def test_a_thread_that_reads_all_the_time_is_told_of_the_close() -> None:
    begun = threading.Event()

    def talk(peer: socket.socket) -> None:
        until(peer, b"\r\n\r\n")
        peer.sendall(CHUNKED)
        assert begun.wait(PEER_S)
        closer.start()
        with suppress(ConnectionError):
            while True:
                peer.sendall(b"4\r\nabcd\r\n" * 1000)

    with told(talk) as server:
        incoming = server.begin()
        closer = threading.Thread(target=incoming.close)
        begun.set()
        with pytest.raises(RuntimeError, match="is closed"):
            list(pieces(incoming))
        closer.join()


# What is sent.


def test_what_an_iterable_makes_is_sent_at_once() -> None:
    arrived = threading.Event()

    def talk(peer: socket.socket) -> None:
        head = until(peer, b"\r\n\r\n").decode().lower()
        assert "transfer-encoding: chunked" in head
        assert "content-length" not in head
        assert until(peer, b"one\r\n") == b"3\r\none\r\n"
        arrived.set()
        assert until(peer, b"0\r\n\r\n") == b"5\r\nthree\r\n0\r\n\r\n"
        peer.sendall(HEAD + b"Content-Length: 0\r\n\r\n")

    def body() -> Iterator[bytes | str]:
        yield b"one"
        assert arrived.wait(PEER_S)
        yield b""
        yield "three"

    with told(talk) as server:
        assert list(pieces(server.begin(encode(data=body())))) == []


def test_an_iterable_that_fails_ends_the_connection() -> None:
    def talk(peer: socket.socket) -> None:
        until(peer, b"\r\n\r\n")
        assert until(peer, b"one\r\n") == b"3\r\none\r\n"
        assert peer.recv(1) == b"", "without a last chunk"

    def body() -> Iterator[bytes]:
        yield b"one"
        raise LookupError("no more")

    with told(talk) as server:
        with pytest.raises(LookupError, match="no more"):
            server.begin(encode(body=body()))
        assert server.connections._idle == []
