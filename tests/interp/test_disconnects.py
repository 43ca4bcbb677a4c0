"""Clients that go while a handler works for them: it is cancelled, or can find out."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from dialogue import Peer, request
from gate import Gate
from places import PLACES
from serving import Server, serve, wait_until

HALF_CLOSED_S = 0.5
"""How long a client that has said all it wants to may wait for its answer."""


@pytest.fixture(scope="module", params=PLACES)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve("disconnects", workers=1, **PLACES[request.param]) as server:  # type: ignore[arg-type]
        yield server
        assert server.get("/").text == "hello"


def expect_seen(server: Server, *expected: str) -> None:
    """The program notes these, in this order."""
    noted: list[str] = []

    def look() -> bool:
        noted.extend(server.get("/seen").json())
        return len(noted) >= len(expected)

    wait_until(look, f"noted {expected}, not {noted}")
    assert noted == list(expected)


def expect_nothing_in_flight(server: Server) -> None:
    def jobs() -> str:
        page = server.get("/metrics").text
        found = re.search(r"^pyre_jobs_in_flight (\d+)$", page, re.MULTILINE)
        assert found, page
        return found[1]

    wait_until(lambda: jobs() == "0", "nothing is in flight")


def begin(server: Server, gate: Gate, path: str, name: str) -> Peer:
    peer = server.connect()
    peer.send(request("GET", f"{path}/{gate.port}/{name}"))
    assert gate.entered() == name
    return peer


def test_reset_cancels_at_once(server: Server) -> None:
    with Gate() as gate:
        peer = begin(server, gate, "/wait", "a")
        peer.abort()
        expect_seen(server, "a cancelled, disconnected: True", "a left")
    expect_nothing_in_flight(server)


def test_end_of_a_connection_cancels_after_a_while(server: Server) -> None:
    with Gate() as gate:
        peer = begin(server, gate, "/wait", "a")
        begun = time.monotonic()
        peer.socket.close()
        expect_seen(server, "a cancelled, disconnected: True", "a left")
        assert time.monotonic() - begun > HALF_CLOSED_S * 0.9
    expect_nothing_in_flight(server)


def test_client_that_has_said_all_it_wants_gets_its_answer(server: Server) -> None:
    """RFC 9112 section 9.6: one side may be closed before the other."""
    with Gate() as gate, begin(server, gate, "/wait", "a") as peer:
        peer.finish_sending()
        gate.release("a", "in time")
        assert peer.reply().text == "in time"
        peer.expect_end()
        expect_seen(server, "a left")


def test_connection_that_ends_behind_a_short_request(server: Server) -> None:
    for path in ("/", "/async"):
        with server.connect() as peer:
            peer.send(request("GET", path))
            peer.finish_sending()
            assert peer.reply().text == "hello"
            peer.expect_end()


def test_cancelled_handler_that_returns(server: Server) -> None:
    with Gate() as gate:
        begin(server, gate, "/catch", "a").abort()
        expect_seen(server, "a returns")
    expect_nothing_in_flight(server)
    assert server.get("/async").text == "hello"


def test_cancelled_handler_may_wait_for_its_cleaning(server: Server) -> None:
    with Gate() as gate:
        begin(server, gate, "/clean", "a").abort()
        assert gate.entered() == "a-cleaning"
        gate.release("a-cleaning", "clean")
        expect_seen(server, "clean")
    expect_nothing_in_flight(server)


def test_plain_handlers_find_out(server: Server) -> None:
    """They are not interrupted."""
    with Gate() as gate:
        with begin(server, gate, "/hold", "stays") as peer:
            gate.release("stays")
            assert peer.reply().text == "released"
        expect_seen(server, "stays: False")


@pytest.mark.parametrize("how", ["abort", "close"])
def test_plain_handlers_find_out_that_nobody_waits(how: str) -> None:
    with serve("disconnects", workers=1, threads=2) as server, Gate() as gate:
        peer = begin(server, gate, "/hold-twice", "goes")
        peer.abort() if how == "abort" else peer.socket.close()
        found = ""
        # Each look is a turn of the handler through the gate.
        deadline = time.monotonic() + 30
        while found != "goes: True" and time.monotonic() < deadline:
            gate.release("goes", "look")
            assert gate.entered() == "goes"
            found = server.get("/seen").json()[-1]
        assert found == "goes: True"
        gate.release("goes", "enough")
        expect_nothing_in_flight(server)


def test_many_clients_go(server: Server) -> None:
    """Their requests are let go, and so is the memory."""
    with Gate() as gate:
        for turn in range(3):
            peers = [begin(server, gate, "/wait", f"{turn}-{number}") for number in range(20)]
            for peer in peers:
                peer.abort()
            noted: list[str] = []

            def all_left(noted: list[str] = noted) -> bool:
                noted.extend(server.get("/seen").json())
                return sum(one.endswith(" left") for one in noted) == 20

            wait_until(all_left, "all are cancelled")
    expect_nothing_in_flight(server)
    wait_until(lambda: int(server.get("/requests").text) < 60, "requests are let go")


def test_client_goes_in_the_middle_of_a_pipeline(server: Server) -> None:
    """What it has sent behind the request that is cancelled is not run."""
    with Gate() as gate:
        peer = server.connect()
        peer.send(request("GET", f"/wait/{gate.port}/a") + request("GET", f"/wait/{gate.port}/b"))
        assert gate.entered() == "a"
        peer.abort()
        expect_seen(server, "a cancelled, disconnected: True", "a left")
        assert gate.is_empty(0.05)
    expect_nothing_in_flight(server)
