"""Clients that go while an answer is on its way: whoever makes the pieces learns of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from dialogue import Peer, request
from gate import Gate
from places import PLACES
from serving import Server, serve, wait_until
from streaming import expect_nothing_in_flight, expect_seen, receive_until

ALL = pytest.mark.parametrize("kind", ["def", "async", "mixed", "thread", "task"])
GENERATORS = pytest.mark.parametrize("kind", ["def", "async", "mixed"])
LATER = pytest.mark.parametrize("kind", ["async", "mixed"])
SENDERS = pytest.mark.parametrize("kind", ["thread", "task"])
HOW = pytest.mark.parametrize("how", ["abort", "close"])


@pytest.fixture(scope="module", params=PLACES)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve("pieces_held", workers=1, **PLACES[request.param]) as server:  # type: ignore[arg-type]
        yield server
        assert server.get("/").text == "hello"
        expect_nothing_left(server)


def expect_nothing_left(server: Server) -> None:
    expect_nothing_in_flight(server)
    nothing = {"senders": 0, "streams": 0}
    wait_until(lambda: server.get("/left").json() == nothing, "no stream is left")


def begin(server: Server, gate: Gate, kind: str, name: str = "a") -> Peer:
    """A client that has the first piece, and a sender that is at the gate."""
    peer = server.connect()
    peer.send(request("GET", f"/{kind}/{gate.port}/{name}"))
    receive_until(peer, f"{name} begins\n\r\n".encode())
    assert gate.entered() == name
    return peer


def go(peer: Peer, how: str) -> None:
    if how == "abort":
        peer.abort()
    else:
        peer.socket.close()


@ALL
def test_pieces_come_as_they_are_made(server: Server, kind: str) -> None:
    with Gate() as gate, begin(server, gate, kind) as peer:
        for number in range(3):
            gate.release("a", f"line {number}")
            assert receive_until(peer, b"\n\r\n") == b"7\r\nline %d\n\r\n" % number
            assert gate.entered() == "a"
        gate.release("a", "end")
        assert receive_until(peer, b"0\r\n\r\n") == b"0\r\n\r\n"
        assert peer.get("/").text == "hello"
    closed = ", closed: True" if kind in ("thread", "task") else ""
    expect_seen(server, f"a left{closed}")


@LATER
@HOW
def test_coroutine_is_cancelled_while_it_waits(server: Server, kind: str, how: str) -> None:
    """It makes no piece; it is told all the same."""
    with Gate() as gate:
        go(begin(server, gate, kind), how)
        expect_seen(server, "a CancelledError, disconnected: True", "a left")
    expect_nothing_left(server)


@HOW
def test_generator_is_closed_at_its_next_piece(server: Server, how: str) -> None:
    with Gate() as gate:
        go(begin(server, gate, "def"), how)
        expect_told(server, gate, *TOLD["def"])
    expect_nothing_left(server)


def expect_told(server: Server, gate: Gate, *expected: str) -> None:
    """Let a sender go on until it learns that its client has gone, which takes a moment."""
    noted: list[str] = []
    is_held = True

    def look() -> bool:
        nonlocal is_held
        if is_held:
            gate.release("a", "nobody reads this")
        try:
            is_held = bool(gate.entered(0.05))
        except AssertionError:
            is_held = False
        noted.extend(server.get("/seen").json())
        return len(noted) >= len(expected)

    wait_until(look, f"noted {expected}")
    assert noted == list(expected), noted
    assert not is_held


TOLD = {
    "def": ("a closed, disconnected: True", "a left"),
    "thread": ("a ConnectionError, disconnected: True", "a left, closed: True"),
    "task": ("a ConnectionError, disconnected: True", "a left, closed: True"),
}


@HOW
@SENDERS
def test_send_raises(server: Server, kind: str, how: str) -> None:
    with Gate() as gate:
        go(begin(server, gate, kind), how)
        expect_told(server, gate, *TOLD[kind])
    expect_nothing_left(server)


@pytest.mark.parametrize("kind", ["first-def", "first-async"])
@HOW
def test_client_that_goes_before_the_first_piece(server: Server, kind: str, how: str) -> None:
    with Gate() as gate:
        peer = server.connect()
        peer.send(request("GET", f"/{kind}/{gate.port}/a"))
        assert gate.entered() == "a"
        go(peer, how)
        if kind == "first-def":
            gate.release("a", "too late")
            wait_until(lambda: "a left" in server.get("/seen").json(), "it is closed")
        else:
            expect_seen(server, "a left")
    expect_nothing_left(server)


@ALL
def test_client_that_closes_its_sending_side_and_reads(server: Server, kind: str) -> None:
    """It gets what comes within half a second, as of any other answer."""
    with Gate() as gate, begin(server, gate, kind) as peer:
        peer.finish_sending()
        gate.release("a", "still here")
        assert receive_until(peer, b"still here\n\r\n")
        assert gate.entered() == "a"
        gate.release("a", "end")
        assert receive_until(peer, b"0\r\n\r\n")
        peer.expect_end()
    closed = ", closed: True" if kind in ("thread", "task") else ""
    expect_seen(server, f"a left{closed}")
    expect_nothing_left(server)


@GENERATORS
def test_client_that_closes_its_sending_side_behind_a_request(server: Server, kind: str) -> None:
    with Gate() as gate, server.connect() as peer:
        peer.send(request("GET", f"/{kind}/{gate.port}/a"))
        peer.finish_sending()
        receive_until(peer, b"a begins\n\r\n")
        assert gate.entered() == "a"
        gate.release("a", "end")
        assert receive_until(peer, b"0\r\n\r\n")
        peer.expect_end()
    expect_seen(server, "a left")


@ALL
@HOW
def test_pipelined_requests_of_a_client_that_goes(server: Server, kind: str, how: str) -> None:
    with Gate() as gate, server.connect() as peer:
        both = request("GET", f"/{kind}/{gate.port}/a") + request("GET", f"/{kind}/{gate.port}/b")
        peer.send(both)
        receive_until(peer, b"a begins\n\r\n")
        assert gate.entered() == "a"
        go(peer, how)
        if kind in ("async", "mixed"):
            expect_seen(server, "a CancelledError, disconnected: True", "a left")
        else:
            expect_told(server, gate, *TOLD[kind])
        assert gate.is_empty(0.1)
    expect_nothing_left(server)


def test_nothing_leaks(server: Server) -> None:
    """Threads, descriptors and objects of clients that come and go."""

    def threads() -> int:
        return len(list(Path(f"/proc/{server.pid}/task").iterdir()))

    def round_of_clients() -> None:
        for kind in ("async", "mixed", "def", "thread", "task"):
            with Gate() as gate:
                go(begin(server, gate, kind), "abort")
                if kind in ("async", "mixed"):
                    expect_seen(server, "a CancelledError, disconnected: True", "a left")
                else:
                    expect_told(server, gate, *TOLD[kind])
        expect_nothing_left(server)

    round_of_clients()
    before = server.descriptors(), threads()
    for _ in range(5):
        round_of_clients()
    wait_until(
        lambda: (server.descriptors(), threads()) <= before, "no descriptor or thread is left"
    )
