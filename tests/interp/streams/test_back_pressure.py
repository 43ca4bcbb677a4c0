"""Clients that do not read: whoever makes pieces too fast for them waits, and nobody else does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from dialogue import Peer, request
from gate import Gate
from places import PLACES
from serving import Server, serve, wait_until
from streaming import expect_nothing_in_flight, expect_seen

KINDS = pytest.mark.parametrize("kind", ["def", "async", "mixed", "thread", "task"])

COUNT = 2000
"""Pieces of 16 KiB, which are more than sockets and buffers take."""

STUCK = 40
"""Streams that nobody reads; there are fewer threads than these."""


@pytest.fixture(scope="module", params=PLACES)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve("pieces_held", workers=1, **PLACES[request.param]) as server:  # type: ignore[arg-type]
        yield server
        assert server.get("/").text == "hello"
        expect_nothing_in_flight(server)


def unread(server: Server, path: str) -> Peer:
    peer = server.connect(receive_bytes=4096)
    peer.send(request("GET", path))
    return peer


def made(server: Server, name: str) -> int:
    return int(server.get(f"/made/{name}").text)


def stopped_at(server: Server, name: str) -> int:
    """How many pieces have been made when no more are."""
    last = [0]

    def stands() -> bool:
        before, last[0] = last[0], made(server, name)
        return last[0] > 0 and before == last[0]

    wait_until(lambda: stands() and stands() and stands(), f"{name} stands")
    return last[0]


@KINDS
def test_sender_waits_for_its_reader(server: Server, kind: str) -> None:
    with unread(server, f"/big-{kind}/{COUNT}/{kind}") as peer:
        assert stopped_at(server, kind) < COUNT
        assert server.get("/").text == "hello"
        assert server.get("/async").text == "hello"
        assert len(peer.reply().body) == COUNT * 16384
        assert peer.get("/").text == "hello"
    assert made(server, kind) == COUNT
    expect_seen(server, f"{kind} left")


@KINDS
def test_reader_that_goes_while_its_sender_waits(server: Server, kind: str) -> None:
    with unread(server, f"/big-{kind}/{COUNT}/gone-{kind}") as peer:
        assert stopped_at(server, f"gone-{kind}") < COUNT
        peer.abort()
    if kind in ("thread", "task"):
        expected = [f"gone-{kind} ConnectionError: the client has gone"]
    else:
        expected = []
    expect_seen(server, *expected, f"gone-{kind} left")


@pytest.mark.parametrize("kind", ["def", "async", "mixed", "thread", "task"])
def test_more_stuck_streams_than_threads(server: Server, kind: str) -> None:
    with ExitStack() as stack:
        names = [f"stuck-{kind}-{number}" for number in range(STUCK)]
        peers = [
            stack.enter_context(unread(server, f"/big-{kind}/{COUNT}/{name}")) for name in names
        ]
        for name in names:
            assert 0 < stopped_at(server, name) < COUNT
        for path in ("/", "/async") * 5:
            assert server.get(path).text == "hello"
        # One that is read goes on beside them.
        with server.connect() as reader:
            path = f"/big-{kind}/100/read-{kind}"
            assert len(reader.get(path).body) == 100 * 16384
        for peer in peers:
            peer.abort()
    wait_until(lambda: made(server, f"read-{kind}") == 100, "the reader has all of it")
    expect_nothing_in_flight(server)
    noted: list[str] = []
    ends = {f"{name} left" for name in [*names, f"read-{kind}"]}

    def look() -> bool:
        noted.extend(server.get("/seen").json())
        return ends <= set(noted)

    wait_until(look, "all have ended")


def test_send_with_a_time_limit(server: Server) -> None:
    with unread(server, f"/big-thread/{COUNT}/limited?0.2") as peer:
        expect_seen(
            server,
            "limited TimeoutError: the client has taken nothing for 0.2 seconds",
            "limited left",
        )
        assert made(server, "limited") < COUNT
        # It came out of its `with` by an exception: the client is to know.
        assert not peer.rest().endswith(b"0\r\n\r\n")


def test_send_without_any_patience(server: Server) -> None:
    with unread(server, f"/big-thread/{COUNT}/impatient?0"):
        expect_seen(
            server,
            "impatient TimeoutError: the client has taken nothing for 0.0 seconds",
            "impatient left",
        )


def test_coroutine_that_never_waits(server: Server) -> None:
    """What it has not awaited is not sent, and its answer says so; its memory has a bound."""
    with unread(server, f"/big-forgetful/{COUNT}/forgetful"):

        def look() -> bool:
            noted.extend(server.get("/seen").json())
            return len(noted) > 1

        noted: list[str] = []
        wait_until(look, "it is refused")
        assert noted[0] == "forgetful ValueError: the stream is closed"
        server.output.wait_for("RuntimeWarning: a piece was not sent")
        assert noted[1] == "forgetful left"
        # What the sockets take is the system's affair; it is not all.
        assert made(server, "forgetful") < COUNT
    assert server.get("/async").text == "hello"


def test_who_has_sent_much_keeps_little(server: Server) -> None:
    """What was kept for the next pieces is freed a second later, without another piece."""
    before = server.resident_bytes()
    with Gate() as gate, ExitStack() as stack:
        peers = [stack.enter_context(server.connect()) for _ in range(STUCK)]
        for number, peer in enumerate(peers):
            peer.send(request("GET", f"/rush/{gate.port}/{number}"))
            while len(peer.received) < 64 * 16384:
                peer.received += peer.socket.recv(1 << 16)
            gate.entered()
        wait_until(lambda: server.resident_bytes() - before < 8 << 20, "buffers are freed")
        gate.release_all()
        for peer in peers:
            assert len(peer.reply().body) == 64 * 16384 + len("released")
