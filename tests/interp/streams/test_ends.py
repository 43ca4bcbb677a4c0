"""Servers that stop or restart while answers in pieces are on their way."""

from __future__ import annotations

import signal
import time

import pytest
from dialogue import Peer, request
from gate import Gate
from places import MODES
from restarting import serving_pid
from serving import Server, serve, wait_until
from streaming import LAST, receive_until

KINDS = pytest.mark.parametrize("kind", ["def", "async", "thread"])


def begin(server: Server, gate: Gate, kind: str, name: str = "a") -> Peer:
    peer = server.connect()
    peer.send(request("GET", f"/{kind}/{gate.port}/{name}"))
    receive_until(peer, b"begins\n\r\n")
    assert gate.entered() == name
    return peer


@MODES
@KINDS
def test_streams_may_go_on_while_the_server_drains(mode: str | None, kind: str) -> None:
    with (
        serve("pieces_beside", workers=1, mode=mode, shutdown_timeout=30) as server,
        Gate() as gate,
        begin(server, gate, kind) as peer,
    ):
        server.signal(signal.SIGTERM)
        wait_until(lambda: not server.listens(), "new connections are refused")
        for number in range(3):
            gate.release("a", f"line {number}")
            shown = receive_until(peer, b"\n\r\n")
            assert b"line %d" % number in shown
            if kind == "thread":
                assert b"True" in shown
            assert gate.entered() == "a"
        gate.release("a", "end")
        assert receive_until(peer, LAST) == LAST
        peer.expect_end()
        assert server.wait() == 0


@MODES
@KINDS
def test_streams_are_ended_when_the_time_is_over(mode: str | None, kind: str) -> None:
    with (
        serve("pieces_beside", workers=1, mode=mode, shutdown_timeout=1) as server,
        Gate() as gate,
        begin(server, gate, kind) as peer,
    ):
        server.signal(signal.SIGTERM)
        assert LAST not in peer.rest()
        if kind != "async":
            gate.release("a", "end")
        # As with any request that does not end.
        assert server.wait() == 1
        assert "gave up 1 running request" in server.output.text()


@MODES
@KINDS
def test_restart_lets_streams_end(mode: str | None, kind: str) -> None:
    with serve("pieces_beside", workers=1, mode=mode, shutdown_timeout=30) as server:
        with Gate() as gate, begin(server, gate, kind) as peer:
            before = serving_pid(server)
            server.signal(signal.SIGHUP)
            server.output.wait_for("serves now")
            wait_until(lambda: serving_pid(server) != before, "another process serves")
            gate.release("a", "still here")
            receive_until(peer, b"\n\r\n")
            assert gate.entered() == "a"
            gate.release("a", "end")
            assert receive_until(peer, LAST) == LAST
            peer.expect_end()


@MODES
def test_max_requests_beside_a_stream(mode: str | None) -> None:
    """Another process takes over; the stream ends when it likes to."""
    with serve(
        "pieces_beside", workers=1, mode=mode, max_requests=5, shutdown_timeout=30
    ) as server:
        with Gate() as gate, begin(server, gate, "def") as peer:
            before = serving_pid(server)
            for _ in range(10):
                server.get("/")
            wait_until(lambda: serving_pid(server) != before, "another process serves")
            gate.release("a", "end")
            assert receive_until(peer, LAST) == LAST
            peer.expect_end()


@MODES
def test_second_signal_does_not_wait_for_streams(mode: str | None) -> None:
    with (
        serve("pieces_beside", workers=1, mode=mode, shutdown_timeout=60) as server,
        Gate() as gate,
        begin(server, gate, "async") as peer,
    ):
        server.signal(signal.SIGTERM)
        wait_until(lambda: not server.listens(), "new connections are refused")
        begun = time.monotonic()
        server.end_at_once(signal.SIGTERM)
        assert time.monotonic() - begun < 55
        assert LAST not in peer.rest()
