"""Peers that are late: each deadline ends its own connection, and nobody else's.

The servers' deadlines are short here because they are settings; ours are long.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from dialogue import Peer, request
from gate import Gate
from serving import Server, serve, wait_until

HEAD_S = 1.0
BODY_S = 2.0
KEEP_ALIVE_S = 1.0
UPLOAD = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"
LINGERS_S = 5.0
"""How long a client has to read the last answer that sends nothing, or nothing that counts."""
EARLY_S = 0.1
"""A timer wheel may round; it must not fire noticeably early."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve(
        "plain", head_timeout=HEAD_S, body_timeout=BODY_S, keep_alive_timeout=KEEP_ALIVE_S
    ) as server:
        yield server


def expect_timeout(peer: Peer) -> None:
    reply = peer.reply()
    assert (reply.status, reply.json()) == (408, {"error": "request timeout"})
    assert reply.closes
    peer.expect_end()


def drip(peer: Peer, pieces: Iterator[bytes], every_s: float) -> None:
    """Send a piece now and then until the server has had enough."""
    deadline = time.monotonic() + 20
    for piece in pieces:
        if not peer.send_pieces([piece]):
            return
        peer.socket.settimeout(every_s)
        try:
            received = peer.socket.recv(65536)
        except TimeoutError:
            assert time.monotonic() < deadline, "the server waits for ever"
            continue
        except ConnectionResetError:
            return
        finally:
            peer.socket.settimeout(30)
        peer.received += received
        return


def forever(piece: bytes) -> Iterator[bytes]:
    while True:
        yield piece


@pytest.mark.parametrize("start", [b"G", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n"])
def test_head_that_stops(server: Server, start: bytes) -> None:
    with server.connect() as peer:
        begun = time.monotonic()
        peer.send(start)
        expect_timeout(peer)
        assert time.monotonic() - begun > HEAD_S - EARLY_S


def test_head_that_drips_for_ever(server: Server) -> None:
    """The head's deadline is for all of it: one more byte does not buy more time."""
    with server.connect() as peer:
        peer.send(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
        drip(peer, forever(b"a"), 0.1)
        expect_timeout(peer)


@pytest.mark.parametrize(
    "start", [b"GET / HTTP/1.1\r\nHost: a\r\nX: ", UPLOAD], ids=["head", "body"]
)
def test_a_client_that_goes_on_after_it_was_too_late(server: Server, start: bytes) -> None:
    """It is let go as soon as it may have read its answer: what it still sends buys no time."""
    with server.connect() as peer:
        peer.send(start)
        reply = peer.reply()
        assert reply.status == 408 and reply.closes
        answered = time.monotonic()
        # The other side of the server is open until it closes the connection.
        while peer.send_pieces([b"a"]):
            time.sleep(0.1)
            assert time.monotonic() - answered < LINGERS_S * 6, "it may go on for ever"


def test_head_that_stops_on_a_kept_connection(server: Server) -> None:
    with server.connect() as peer:
        assert peer.get("/").text == "hello"
        peer.send(b"GET / HTTP/1.1\r\nHo")
        expect_timeout(peer)


def test_silent_connection(server: Server) -> None:
    """Whoever never says anything is let go, with 408 or without a word."""
    with server.connect() as peer:
        begun = time.monotonic()
        rest = peer.rest()
        assert rest == b"" or rest.startswith(b"HTTP/1.1 408 ")
        assert time.monotonic() - begun > min(HEAD_S, KEEP_ALIVE_S) - EARLY_S


def test_idle_connection(server: Server) -> None:
    """Nothing was asked, so nothing is answered: an unasked 408 would answer the next request."""
    with server.connect() as peer:
        assert peer.get("/").text == "hello"
        begun = time.monotonic()
        peer.expect_end()
        assert time.monotonic() - begun > KEEP_ALIVE_S - EARLY_S


def test_an_idle_connection_whose_answer_is_still_on_its_way(server: Server) -> None:
    """A request that crosses the end of the connection does not cost it the answer before."""
    size = 200_000
    with server.connect(receive_bytes=4096) as peer:
        peer.send(request("GET", f"/big/{size}"))
        peer.await_some()
        # Nothing tells a client that its connection has ended while an answer is before that.
        time.sleep(KEEP_ALIVE_S + 0.5)
        assert peer.send_pieces([request("GET", "/")] * 50)
        assert len(peer.reply().body) == size


def test_a_peer_that_goes_on_taking_its_last_answer(server: Server) -> None:
    """As long as it does, what it sends does not cost it the rest."""
    size = 200_000
    with server.connect(receive_bytes=4096) as peer:
        peer.send(request("GET", f"/big/{size}", [("Connection", "close")]))
        peer.await_some()
        # Longer than a peer has that takes nothing.
        for _ in range(14):
            time.sleep(0.5)
            peer.receive(1000)
        assert peer.send_pieces([request("GET", "/")] * 50)
        assert len(peer.reply().body) == size
        peer.expect_end()


def test_use_renews_the_idle_deadline(server: Server) -> None:
    with server.connect() as peer:
        for _ in range(5):
            assert peer.get("/").text == "hello"
            peer.expect_silence(KEEP_ALIVE_S * 0.5)


@pytest.mark.parametrize(
    "start",
    [
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ],
    ids=["no body", "half", "no chunk", "half a chunk", "no last chunk"],
)
def test_body_that_stops(server: Server, start: bytes) -> None:
    with server.connect() as peer:
        begun = time.monotonic()
        peer.send(start)
        expect_timeout(peer)
        assert time.monotonic() - begun > BODY_S - EARLY_S


def test_body_with_progress_may_take_longer(server: Server) -> None:
    """30 s without progress are the limit, not 30 s in all."""
    with server.connect() as peer:
        peer.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
        begun = time.monotonic()
        for n in range(10):
            peer.expect_silence(BODY_S / 6)
            peer.send(b"%d" % n)
        assert peer.reply().body == b"0123456789"
        assert time.monotonic() - begun > BODY_S


def test_slow_handlers_are_not_slow_peers(server: Server) -> None:
    """No deadline of the connection runs while a handler does."""
    with Gate() as gate, server.connect() as peer:
        peer.send(request("POST", f"/wait/{gate.port}/a", body=b"x"))
        assert gate.entered() == "a"
        peer.expect_silence(max(HEAD_S, BODY_S, KEEP_ALIVE_S) * 1.5)
        gate.release("a")
        assert peer.reply().text == "released x"
        assert peer.get("/after").text == "after"


def test_others_are_served_meanwhile(server: Server) -> None:
    late = []
    for _ in range(200):
        peer = server.connect()
        peer.send(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
        late.append(peer)
    for n in range(100):
        assert server.get(f"/number/{n}").text == str(n)
    for peer in late:
        expect_timeout(peer)
        peer.socket.close()


def test_descriptors_come_back() -> None:
    with serve("plain", head_timeout=HEAD_S) as server:
        assert server.get("/").text == "hello"
        before = server.descriptors()
        peers = [server.connect() for _ in range(50)]
        wait_until(lambda: server.descriptors() >= before + 40, "the connections are open")
        for peer in peers:
            peer.rest()
        wait_until(lambda: server.descriptors() <= before, "late connections are closed")
        for peer in peers:
            peer.socket.close()
