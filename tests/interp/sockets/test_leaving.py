"""Clients of WebSockets that go, or read nothing, while their handlers are busy."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from frames import BINARY, CLOSE, TEXT, Wire, close_frame, frame
from gate import Gate
from serving import Server, serve, wait_until

KINDS = pytest.mark.parametrize("kind", ["async", "def"])

# More than the handler may let wait, and mostly less than the kernels do.
MUCH = frame(BINARY, b"x" * 100_000) * 4


@pytest.fixture(scope="module", params=[None, "default"], ids=["workers", "main"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve("sockets_beside", mode=request.param, ws_ping=1, body_timeout=60) as server:
        yield server


@KINDS
@pytest.mark.parametrize("how", ["reset", "end", "close frame"])
def test_a_client_that_goes_is_noticed_though_much_waits(
    server: Server, kind: str, how: str
) -> None:
    """The handler sees it, although what its client has sent is not read up to the end."""
    seen = len(server.output.lines)
    with Wire.open(server, f"/{kind}/watch") as wire:
        assert wire.text() == "here"
        wire.send(MUCH + (close_frame() if how == "close frame" else b""))
        if how == "reset":
            wire.abort()
    server.output.wait_for("watched", since=seen)


@KINDS
def test_a_client_that_goes_is_noticed_though_its_end_cannot_arrive(
    server: Server, kind: str
) -> None:
    """The end lies behind what the kernels have no room for while the handler takes nothing."""
    seen = len(server.output.lines)
    with Wire.open(server, f"/{kind}/watch") as wire:
        assert wire.text() == "here"
        wire.socket.settimeout(0.5)
        with pytest.raises(TimeoutError):
            wire.send(MUCH * 250)
    server.output.wait_for("watched", since=seen)


@KINDS
@pytest.mark.parametrize("how", ["reset", "end"])
def test_the_connection_of_one_that_has_gone_is_freed(server: Server, kind: str, how: str) -> None:
    """Its handler still runs, and has not received what waits."""
    before = server.descriptors()
    seen = len(server.output.lines)
    with Gate() as gate:
        with Wire.open(server, f"/{kind}/gate/{gate.port}") as wire:
            assert wire.text() == "here"
            gate.entered()
            at_gate = server.descriptors()
            wire.send(MUCH)
            if how == "reset":
                wire.abort()
        wait_until(lambda: server.descriptors() < at_gate, "the connection is closed")
        gate.release_all()
        server.output.wait_for("received", since=seen)
    wait_until(lambda: server.descriptors() <= before, "all is closed")


@KINDS
def test_what_was_sent_before_the_end_is_received(kind: str) -> None:
    """One that closes its side, and still reads, loses nothing."""
    with serve("sockets_beside") as server, Gate() as gate:
        with Wire.open(server, f"/{kind}/gate/{gate.port}") as wire:
            gate.entered()
            wire.send(MUCH * 2 + close_frame())
            wire.finish_sending()
            gate.release_all()
            server.output.wait_for("received 800000")


def test_a_close_to_one_who_reads_nothing_takes_no_longer_than_others(server: Server) -> None:
    """It has the time that there is for the answer to a close frame, and not ``body_timeout``."""
    before = server.descriptors()
    opened = [Wire.open(server, f"/{kind}/fill", receive_bytes=4096) for kind in ("async", "def")]
    assert server.descriptors() > before
    wait_until(lambda: server.descriptors() <= before, "the connections are closed", 30)
    for wire in opened:
        wire.abort()


@KINDS
def test_a_stop_does_not_wait_for_one_who_reads_nothing(kind: str) -> None:
    with serve("sockets_beside", body_timeout=60, shutdown_timeout=30) as server:
        with Wire.open(server, f"/{kind}/fill", receive_bytes=4096) as wire:
            wire.message()
            server.signal(signal.SIGTERM)
            assert server.wait(25) == 0


@pytest.mark.parametrize("kind", ["async", "def", "group"])
def test_a_client_that_goes_is_no_error_of_a_handler_that_sends(server: Server, kind: str) -> None:
    seen = len(server.output.lines)
    with Wire.open(server, f"/{kind}/push") as wire:
        assert wire.text() == "more"
    with Wire.open(server, "/async/watch") as wire:
        # What was logged of it stands before that.
        assert wire.text() == "here"
    server.output.wait_for("watched", since=seen)
    assert not [line for line in server.output.lines[seen:] if "ERROR" in line]


@pytest.mark.parametrize("kind", ["async", "def", "group"])
def test_a_stop_is_no_error_of_a_handler_that_sends(kind: str) -> None:
    """It may send on until its client has answered the close frame of the server."""
    with serve("sockets_beside") as server:
        with Wire.open(server, f"/{kind}/push") as wire:
            assert wire.text() == "more"
            server.signal(signal.SIGTERM)
            while (found := wire.read()).opcode == TEXT:
                pass
            assert (found.opcode, found.code) == (CLOSE, 1001)
            wire.expect_silence(0.3)
            wire.send(close_frame(1001))
            wire.expect_end()
        assert server.wait() == 0
        assert "ERROR" not in server.output.text()
