"""What clients do wrong with a body is no error of its handler, however that lets it through."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from dialogue import Peer, request
from gate import Gate
from places import PLACES
from serving import Server, serve, wait_until

CHUNKED = [("Transfer-Encoding", "chunked")]
BODY_S = 1.0


@pytest.fixture(scope="module", params=PLACES.values(), ids=PLACES)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    options = {"workers": 1, "body_timeout": BODY_S, "max_body_size": 1000, **request.param}
    with serve("upload_faults", **options) as server:
        yield server


FAULTS: dict[str, tuple[int, Callable[[Peer], object]]] = {
    "goes": (499, lambda peer: peer.socket.close()),
    "breaks-a-rule": (400, lambda peer: peer.send(b"zz\r\n")),
    "too-much": (413, lambda peer: peer.send(b"fff\r\n")),
    "silent": (408, lambda peer: None),
}
"""What a client may do, and the status that stands for it."""


def begin(server: Server, peer: Peer, gate: Gate, target: str) -> None:
    server.get("/seen")
    peer.send(request("POST", f"{target}/{gate.port}", CHUNKED) + b"2\r\nok\r\n")
    assert gate.entered() == "begun"
    gate.release("begun")


def expect_seen(server: Server, wanted: str) -> None:
    found: list[str] = []
    wait_until(
        lambda: found.extend(server.get("/seen").json()[0]) or wanted in found, f"{wanted} is seen"
    )


@pytest.mark.parametrize("target", ["/async/two", "/async/group", "/async/cause", "/def/cause"])
def test_it_is_known_in_groups_and_as_a_cause(server: Server, target: str) -> None:
    for status, act in FAULTS.values():
        since = len(server.output.text())
        with server.connect() as peer, Gate() as gate:
            begin(server, peer, gate, target)
            act(peer)
            if status != 499:
                assert peer.reply().status == status
            expect_seen(server, f"{target} {status}")
        assert "Traceback" not in server.output.text()[since:]


@pytest.mark.parametrize("target", ["/async/mixed", "/def/cleaning"])
def test_a_fault_of_the_handler_beside_it_is_logged(server: Server, target: str) -> None:
    lines = len(server.output.lines)
    with server.connect() as peer, Gate() as gate:
        begin(server, peer, gate, target)
        peer.send(b"zz\r\n")
        assert peer.reply().status == 500
        server.output.wait_for("LostError: a fault of its own", since=lines)


@pytest.mark.parametrize("target", ["/def/echo", "/async/echo", "/async/task"])
def test_an_answer_in_pieces_that_reads_the_body(server: Server, target: str) -> None:
    """It is broken off, and nothing is logged."""
    since = len(server.output.text())
    for _, act in FAULTS.values():
        with server.connect() as peer, Gate() as gate:
            begin(server, peer, gate, target)
            act(peer)
            if peer.socket.fileno() >= 0:
                assert not peer.rest().endswith(b"0\r\n\r\n")
    assert server.get("/seen").status == 200
    assert "Traceback" not in server.output.text()[since:]
    assert "ERROR" not in server.output.text()[since:]


@pytest.mark.parametrize("kind", ["def", "async"])
def test_pieces_that_are_returned_as_they_are(server: Server, kind: str) -> None:
    lines = len(server.output.lines)
    assert server.post(f"/{kind}/returned", b"x").status == 500
    server.output.wait_for("TypeError: the body of an answer in pieces is a generator", since=lines)
