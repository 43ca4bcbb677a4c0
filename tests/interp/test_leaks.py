"""After a warm-up, memory stays where it is, whatever the requests did."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from dialogue import Peer, request
from places import in_both_modes
from serving import Server, serve, wait_until

BATCH = 100
# What leaks does so in each of them; an allocator that takes another arena does so in one.
WINDOWS = 3
MEBIBYTE = 1 << 20


@in_both_modes
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve(
        "leaks", mode=request.param, workers=1, threads=2, gil_threads=2, io_workers=1
    ) as server:
        yield server


def ask(peer: Peer, wire: bytes, batches: int) -> None:
    """Send the same request again and again, and read every reply."""
    for _ in range(batches):
        peer.send(wire * BATCH)
        for _ in range(BATCH):
            peer.reply()


@pytest.mark.parametrize(
    ("wire", "batches"),
    [
        (request("GET", "/plain"), 200),
        (
            request(
                "GET", "/everything/x%20y/5?a=1&b=2&a=3", [("X-A", "1"), ("Cookie", "a=b; c=d")]
            ),
            60,
        ),
        (
            request(
                "POST", "/json", body=b'{"a": [1, 2.5, "text", null, {"b": true}], "c": "\\u00e9"}'
            ),
            60,
        ),
        (request("POST", "/json", body=b'{"a": [1, 2.5, '), 60),
        (request("GET", "/error/http"), 60),
        (request("GET", "/error/value"), 60),
        (request("GET", "/error/cookie"), 60),
        (request("GET", "/nowhere"), 60),
    ],
    ids=["plain", "everything", "json", "malformed", "HTTPError", "handled", "cookie", "404"],
)
def test_memory_stays(server: Server, wire: bytes, batches: int) -> None:
    with server.connect() as peer:
        ask(peer, wire, batches)
        peer.get("/collect")
        before = server.resident_bytes()
        ask(peer, wire, batches * 2)
        peer.get("/collect")
        grown = server.resident_bytes() - before
        assert grown < MEBIBYTE, f"{grown / batches / 2 / BATCH:.0f} bytes a request"


@pytest.mark.parametrize(
    "kind",
    [
        "once", "wait", "timer", "context", "tasks", "callback", "error", "timeout", "cancel",
        "after",
    ],
)  # fmt: skip
def test_memory_of_coroutines_stays(server: Server, kind: str) -> None:
    wire, batches = request("GET", f"/async/{kind}"), 20
    with server.connect() as peer:
        ask(peer, wire, batches * 2)
        for _ in range(WINDOWS):
            peer.get("/collect")
            before = server.resident_bytes()
            ask(peer, wire, batches * 3)
            peer.get("/collect")
            grown = server.resident_bytes() - before
            if grown < MEBIBYTE:
                return
        raise AssertionError(f"{grown / batches / 3 / BATCH:.0f} bytes a request, again and again")


def test_memory_of_tasks_after_answers_stays(server: Server) -> None:
    with server.connect() as peer:
        ask(peer, request("GET", "/after"), 40)
        before = server.resident_bytes()
        ask(peer, request("GET", "/after"), 80)
        assert server.resident_bytes() - before < MEBIBYTE


def test_memory_of_clients_that_go(server: Server) -> None:
    def come_and_go(rounds: int) -> None:
        # As many at once each time, so that what is kept for reuse is the same.
        for _ in range(rounds):
            peers = [server.connect() for _ in range(50)]
            for peer in peers:
                peer.send(request("GET", "/hold"))
            wait_until(lambda: server.get("/held").text == "50", "all are held")
            for peer in peers:
                peer.abort()
            wait_until(lambda: server.get("/held").text == "0", "all are cancelled")

    come_and_go(10)
    before = server.resident_bytes()
    come_and_go(40)
    assert server.resident_bytes() - before < MEBIBYTE


def test_memory_of_connections(server: Server) -> None:
    def come_and_go(count: int) -> None:
        for _ in range(count):
            assert server.get("/plain").text == "plain"

    come_and_go(500)
    before = server.resident_bytes()
    come_and_go(2000)
    assert server.resident_bytes() - before < MEBIBYTE
