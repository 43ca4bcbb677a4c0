"""Handlers of WebSockets that have tasks beside them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from frames import BINARY, TEXT, Wire, handshake
from places import PLACES
from serving import Server, serve, wait_until


@pytest.fixture(scope="module", params=PLACES)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve("sockets_beside", workers=1, **PLACES[request.param]) as server:
        yield server


def test_tasks_are_made_of_what_send_returns(server: Server) -> None:
    with Wire.open(server, "/tasks") as wire:
        got = [wire.message() for _ in range(8)]
        assert [one.payload for one in got] == [b"a", b"b", b'["c"]', *b"d e f g h".split()]
        assert [one.opcode for one in got] == [TEXT, BINARY, *[TEXT] * 6]
        wire.expect_close(4000)


def test_tasks_are_made_of_what_send_returns_when_there_is_no_room(server: Server) -> None:
    """They are sent once there is room; and one that was cancelled is no error."""
    with Wire.open(server, "/full/100", receive_bytes=65536) as wire:
        wire.say("go on")
        got = []
        while not (text := wire.text()).startswith("cancelled"):
            if text != "perhaps":
                got.append(text)
        assert sorted(one[0] for one in got) == sorted("0123456789" * 10)
        assert {len(one) for one in got} == {100_000}
        assert text == "cancelled True"
        wire.expect_close(1000)


def test_tasks_are_made_of_what_send_of_a_stream_returns(server: Server) -> None:
    with server.connect() as peer:
        body = peer.get("/stream").text
    assert sorted(body[::100_000]) == sorted("0123456789" * 2)
    assert len(body) == 2_000_000


def test_weak_references(server: Server) -> None:
    """As sets of those who are there are often made of them."""
    with server.connect() as peer:
        with Wire.open(server, "/refs") as one, Wire.open(server, "/refs") as other:
            assert {one.text(), other.text()} == {"1", "2"}
        wait_until(lambda: peer.get("/count-refs").text == "0", "none is left")


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("int", "TypeError: a WebSocket sends str and bytes, not int"),
        ("nan", "ValueError: timeout is a number of seconds, not nan"),
        ("text", "TypeError: timeout is a number of seconds, not str"),
        (
            "task",
            (
                "RuntimeError: no task can follow: the request has been answered already, or is "
                "that of a WebSocket"
            ),
        ),
    ],
)
def test_what_a_wrong_call_is_told(server: Server, what: str, said: str) -> None:
    with Wire.open(server, f"/wrong/{what}") as wire:
        assert wire.text() == said


def test_what_a_wrong_call_on_a_thread_is_told(server: Server) -> None:
    with Wire.open(server, "/wrong-on-thread") as wire:
        assert wire.text() == "timeout is a number of seconds, not nan"


def test_headers_as_pairs_are_all_sent(server: Server) -> None:
    with server.connect() as peer:
        peer.send(handshake("/cookies"))
        head = peer.received
        while b"\r\n\r\n" not in head:
            peer.await_some()
            head = peer.received
        lines = bytes(head).split(b"\r\n")
    assert [one for one in lines if one.startswith((b"Set-", b"X-"))] == [
        b"Set-Cookie: a=1",
        b"Set-Cookie: b=2",
        b"Set-Cookie: c=3",
        b"X-One: 1",
    ]
