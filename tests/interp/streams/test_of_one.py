"""A generator is one task, or on one thread, from its first line to its last."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator

import pytest
from dialogue import request
from places import MODES, PLACES
from serving import Server, serve, wait_until
from streaming import INTERNAL, expect_seen, whole


@pytest.fixture(scope="module", params=PLACES)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve("pieces_of_one", workers=1, **PLACES[request.param]) as server:  # type: ignore[arg-type]
        yield server
        assert server.get("/").text == "hello"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/database", "a,b\n1,2\n3,4\n"),
        ("/thread", "one kept"),
        ("/timeout", "one timed out"),
        ("/group", "0 1 2 True"),
        ("/later/yields", "one two"),
        ("/gaps", "abc"),
    ],
)
def test_what_is_held_across_a_yield(server: Server, path: str, text: str) -> None:
    assert server.get(path).text == text


def test_a_group_that_fails_between_two_pieces(server: Server) -> None:
    head, rest = whole(server, "/group-that-fails")
    assert head.startswith(b"http/1.1 200")
    assert rest == b"4\r\none \r\n"
    server.output.wait_for("LookupError: of the group")


def test_an_async_generator_of_a_plain_function_that_raises_at_once(server: Server) -> None:
    reply = server.get("/later/raises")
    assert (reply.status, reply.json()) == (500, INTERNAL)


def test_many_tasks_send_more_than_fits(server: Server) -> None:
    """Each awaits what `send` gives it, and so none has done anything wrong."""
    with server.connect(receive_bytes=4096) as peer:
        peer.send(request("GET", "/many/200"))
        body = peer.reply().body
    assert sorted(body[place : place + 10_000] for place in range(0, len(body), 10_000)) == [
        f"{number:4}".encode() * 2500 for number in range(200)
    ]


def test_a_coroutine_waits_no_longer_than_it_says(server: Server) -> None:
    with server.connect(receive_bytes=4096) as peer:
        peer.send(request("GET", "/impatient"))
        expect_seen(server, "not in time")
        assert peer.reply().body


@pytest.mark.parametrize("path", ["/cleans-up", "/cleans-up-there"])
@pytest.mark.parametrize("kind", ["ends", "raises"])
def test_what_it_raises_as_its_client_leaves(server: Server, path: str, kind: str) -> None:
    before = server.output.text().count("LookupError: as it cleaned up")
    with server.connect() as peer:
        peer.send(request("GET", f"{path}/{kind}"))
        peer.receive(1)
    expect_seen(server, "cleaned up")
    if kind == "raises":
        told = lambda: server.output.text().count("LookupError: as it cleaned up")  # noqa: E731
        wait_until(lambda: told() == before + 1, "it is logged")


def test_one_who_has_said_all_and_reads_gets_the_whole(server: Server) -> None:
    """RFC 9112 section 9.6 lets a client close its sending side."""
    with server.connect() as peer:
        peer.send(request("GET", "/slowly/12", [("Connection", "close")]))
        peer.socket.shutdown(socket.SHUT_WR)
        body = peer.reply().text
    assert body == "".join(f"{number}\n" for number in range(12))


@MODES
def test_it_cleans_up_undisturbed_as_the_server_stops(mode: str | None) -> None:
    """It is cancelled once, and may await."""
    with serve("pieces_of_one", workers=1, mode=mode, shutdown_timeout=0.1) as server:
        with server.connect() as peer:
            peer.send(request("GET", "/cleans-up/raises"))
            peer.receive(1)
            server.signal(signal.SIGTERM)
            server.wait()
        # It has waited before that.
        server.output.wait_for("LookupError: as it cleaned up")
