"""Handlers of WebSockets that have tasks beside them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from frames import BINARY, TEXT, Wire
from places import PLACES
from serving import Server, serve


@pytest.fixture(scope="module", params=PLACES)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve("sockets_beside", **PLACES[request.param]) as server:
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
