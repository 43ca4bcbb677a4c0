"""What senders learn of a stream that has ended, or that nobody reads after all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from dialogue import Peer, request
from places import PLACES
from serving import Server, serve, wait_until


@pytest.fixture(scope="module", params=PLACES)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve("pieces_sent", workers=1, **PLACES[request.param]) as server:  # type: ignore[arg-type]
        yield server
        assert server.get("/").text == "hello"


def expect_seen(server: Server, expected: str) -> None:
    """The program notes this and nothing else."""
    noted: list[str] = []

    def look() -> bool:
        noted.extend(server.get("/seen").json())
        return bool(noted)

    wait_until(look, f"noted {expected}")
    assert noted == [expected]


def last_bytes(peer: Peer) -> bytes:
    """Read to the end, and return the last of it."""
    received = b""
    while more := peer.socket.recv(1 << 20):
        received = (received + more)[-10:]
    return received


def test_stream_that_has_ended_is_closed_and_its_client_has_not_gone(server: Server) -> None:
    with server.connect() as peer:
        peer.send(request("GET", "/ends/a"))
        assert peer.reply().text == "a"
        # The connection has gone on, so the reactor has let go of the stream.
        assert peer.get("/").text == "hello"
        assert peer.get("/after/a").text == "ValueError, disconnected: False"


@pytest.mark.parametrize("path", ["/unread", "/unread-async"])
def test_sender_of_a_stream_that_is_no_answer_is_told(server: Server, path: str) -> None:
    with server.connect() as peer:
        assert peer.get(f"{path}/b").status == 500
    expect_seen(server, "b refused, disconnected: True")


def test_sender_that_was_cancelled_as_it_waited_for_room_lets_go_of_its_stream(
    server: Server,
) -> None:
    with server.connect() as peer:
        peer.send(request("GET", "/impatient"))
        expect_seen(server, "gave up")
        # It has ended, and as one that is not whole.
        assert last_bytes(peer).endswith(b"x\r\n")


def test_silent_stream_that_is_ended_does_not_look_whole() -> None:
    """To HTTP/1.0 the end of the connection is the end of the answer."""
    with (
        serve("pieces_sent", workers=1, stream_idle_timeout=0.3) as server,
        server.connect() as peer,
    ):
        peer.send(request("GET", "/silent", version="HTTP/1.0"))
        with pytest.raises(ConnectionResetError):
            last_bytes(peer)
