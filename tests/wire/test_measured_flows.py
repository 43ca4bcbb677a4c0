"""The programs that are measured with bodies in pieces, events and WebSockets answer right."""

from __future__ import annotations

import pytest
from serving import serve

from perf.harness.places import APPS
from perf.load import bodies, echoes, events
from perf.load.echoes import Talk
from perf.load.held import EventStream, WebSocket


@pytest.mark.parametrize("path", ["/generator", "/async-generator", "/stream"])
def test_every_byte_of_a_reply_arrives(path: str) -> None:
    with serve(APPS / "bodies_app.py") as server:
        for count in (0, 5_000_001):
            moved = bodies.read(server.port, f"{path}/{count}", count)
            assert (moved.body_bytes, moved.is_whole) == (count, True)


@pytest.mark.parametrize("path", ["/upload", "/upload-async"])
def test_every_byte_of_an_upload_arrives(path: str) -> None:
    with serve(APPS / "bodies_app.py") as server:
        bodies.send(server.port, path, 20_000_001)
        bodies.send_to_check(server.port, path, 5_000_001)


@pytest.mark.parametrize("path", ["/form", "/form-async", "/parts"])
def test_every_byte_of_a_form_arrives(path: str) -> None:
    with serve(APPS / "forms_app.py") as server:
        bodies.send_form(server.port, path, 20_000_001)
        bodies.send_form_to_check(server.port, path, 5_000_001)


def test_every_event_arrives() -> None:
    with serve(APPS / "tokens_app.py") as server:
        heard = events.run(server.port, clients=20, count=50, per_second=100, patience_s=60)
    assert (heard.wrong, heard.whole, len(heard.late_ns)) == ([], 20, 1000)
    # No event comes before it is due: both sides mean the same clock.
    assert min(heard.late_ns) >= 0


@pytest.mark.parametrize("path", ["/ws", "/def"])
def test_every_echo_arrives(path: str) -> None:
    with serve(APPS / "echo_app.py") as server:
        for talk in (Talk(8, 16, 125), Talk(4, 1, 16384)):
            assert echoes.run(server.port, path, talk, 0.5) > 0


def test_what_is_silent_stays_open() -> None:
    with serve(APPS / "idle_app.py") as server:
        held = [WebSocket.opened(server.port, "/ws", number) for number in range(10)]
        streams = [
            EventStream.opened(server.port, path, number)
            for number in range(10)
            for path in ("/stream", "/generator")
        ]
        for one in held:
            one.talk()
        for one in [*held, *streams]:
            one.leave()
