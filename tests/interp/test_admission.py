"""`max_in_flight`: beyond it the answer is 503 at once, and afterwards all is as before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from dialogue import request
from gate import Gate
from serving import Server, serve, wait_until

PLACES: dict[str, dict[str, object]] = {
    "workers": {"threads": 8},
    "main": {"mode": "default", "gil_threads": 8},
    "gil": {"gil_threads": 8, "env": {"TEST_GIL": "1"}},
}
MAX = 3
IDLE = "\npyre_jobs_in_flight 0\n"


@pytest.fixture(scope="module", params=PLACES)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    place = PLACES[request.param]
    # Two io threads share one count.
    with serve("disconnects", workers=1, io_workers=2, max_in_flight=MAX, **place) as server:  # type: ignore[arg-type]
        yield server
        assert server.get("/").text == "hello"


@pytest.mark.parametrize("path", ["/hold", "/wait"], ids=["def", "async"])
def test_beyond_the_bound(server: Server, path: str) -> None:
    for _ in range(2):
        with Gate() as gate, ExitStack() as stack:
            peers = []
            for number in range(MAX):
                peer = stack.enter_context(server.connect())
                peer.send(request("GET", f"{path}/{gate.port}/{number}"))
                assert gate.entered() == str(number)
                peers.append(peer)
            for _ in range(4):
                with server.connect() as refused:
                    reply = refused.get("/async")
                    assert (reply.status, reply.json()) == (503, {"error": "server overloaded"})
                    assert reply.header("retry-after") == "1"
                    # What needs no handler is answered all the same.
                    if not reply.closes:
                        assert refused.get("/none").status == 404
            assert server.get("/metrics").status == 200
            gate.release("0")
            assert peers[0].reply().text == "released"
            assert server.get("/").text == "hello"
            gate.release_all()
            for peer in peers[1:]:
                assert peer.reply().text == "released"


def test_requests_of_a_pipeline_are_counted(server: Server) -> None:
    with Gate() as gate, ExitStack() as stack:
        pipeline = stack.enter_context(server.connect())
        pipeline.send(request("GET", f"/hold/{gate.port}/a") + request("GET", "/") * (MAX - 1))
        assert gate.entered() == "a"
        assert server.get("/").status == 503
        gate.release("a")
        assert [pipeline.reply().text for _ in range(MAX)] == ["released"] + ["hello"] * (MAX - 1)
        assert server.get("/").status == 200


def test_long_pipeline_passes_alone(server: Server) -> None:
    """More than are allowed at once, when nothing else is in flight."""
    with server.connect() as peer:
        peer.send(request("GET", "/async") * 10)
        assert [peer.reply().status for _ in range(10)] == [200] * 10


def test_clients_that_go_are_not_counted_for_ever(server: Server) -> None:
    with Gate() as gate:
        for turn in range(3):
            for number in range(MAX):
                peer = server.connect()
                gate.hold(peer, f"{turn}-{number}")
                peer.abort()

            wait_until(lambda: IDLE in server.get("/metrics").text, "nothing is in flight")
            assert server.get("/").status == 200


def test_what_overran_is_counted_until_it_ends() -> None:
    """Its thread is busy with it, whatever its client was told."""
    options: dict[str, object] = {"max_in_flight": 1, "request_timeout": 0.2}
    with serve("disconnects", workers=1, **options) as server, Gate() as gate:  # type: ignore[arg-type]
        assert server.get(f"/hold/{gate.port}/a").status == 504
        assert gate.entered() == "a"
        assert server.get("/").status == 503
        gate.release("a")
        wait_until(lambda: server.get("/").status == 200, "it has come back")
