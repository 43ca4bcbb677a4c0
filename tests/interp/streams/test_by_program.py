"""`PyreStream`: who sends, from where, how often, and how it ends."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from dialogue import request
from gate import Gate
from places import PLACES
from serving import Server, serve
from streaming import INTERNAL, LAST, expect_seen, framed, receive_until, whole


@pytest.fixture(scope="module", params=PLACES)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve("pieces_by_program", workers=1, **PLACES[request.param]) as server:  # type: ignore[arg-type]
        yield server
        assert server.get("/").text == "hello"


def test_several_threads_send_at_once(server: Server) -> None:
    """Each piece is whole, and those of each thread are in its order."""
    lines = server.get("/threads/8/1400").text.splitlines()
    assert Counter(line[0] for line in lines) == dict.fromkeys("abcdefgh", 1400)
    for letter in "abcdefgh":
        own = [line for line in lines if line[0] == letter]
        assert own == [letter * (number % 700 + 1) for number in range(1400)]


def test_several_streams_at_once(server: Server) -> None:
    with ExitStack() as stack:
        peers = [stack.enter_context(server.connect()) for _ in range(20)]
        for peer in peers:
            peer.send(request("GET", "/threads/2/100"))
        for peer in peers:
            assert len(peer.reply().text.splitlines()) == 200


@pytest.mark.parametrize("path", ["/early", "/early-async"])
def test_all_is_sent_before_the_stream_is_returned(server: Server, path: str) -> None:
    head, rest = whole(server, path)
    assert b"transfer-encoding: chunked" in head
    assert rest == framed(b"one", b"two") + LAST


def test_states(server: Server) -> None:
    assert server.get("/states").text == "text"
    closed = "ValueError: the stream is closed"
    noted = server.get("/seen").json()
    assert noted == [[False, False, False], [True, False, False], closed, closed]


def test_wrong_arguments(server: Server) -> None:
    assert server.get("/wrong").body == b""
    noted = server.get("/seen").json()
    patterns = [
        "TypeError: a stream sends str and bytes, not int",
        "TypeError: a stream sends str and bytes, not NoneType",
        "TypeError: send.*data.*",
        "TypeError: timeout is a number of seconds, not str",
        "TypeError: the data of an event is a str, not dict: json.dumps.*",
        "TypeError: event must be a str, not float",
        "ValueError: id of an event has a line end, or NUL",
        "ValueError: id of an event has a line end, or NUL",
        "ValueError: event of an event has a line end",
        "TypeError: retry must be an int of milliseconds, 0 or more",
        "TypeError: retry must be an int of milliseconds, 0 or more",
        "ValueError: .*",
        "TypeError: content_type must be a str, not bytes",
        "ValueError: .*",
        "ValueError: Content-Length is a number of bytes",
        "TypeError: keep_alive_s is a number of seconds, not str",
        "ValueError: keep_alive_s is a number of seconds, 0 or more, not -1",
    ]
    assert len(noted) == len(patterns)
    for text, pattern in zip(noted, patterns, strict=True):
        assert re.fullmatch(pattern, text), (text, pattern)


@pytest.mark.parametrize("pieces", [0, 2])
def test_dropped_without_its_end(server: Server, pieces: int) -> None:
    head, rest = whole(server, f"/dropped/{pieces}")
    assert head.startswith(b"http/1.1 200")
    assert rest == framed(*[b"%d" % number for number in range(pieces)])


def test_exception_inside_of_with(server: Server) -> None:
    _, rest = whole(server, "/raises")
    assert rest == framed(b"one")
    expect_seen(server, "raised")


def test_given_to_two_requests(server: Server) -> None:
    assert server.get("/twice").text == "for one"
    reply = server.get("/twice")
    assert (reply.status, reply.json()) == (500, INTERNAL)
    server.output.wait_for("this stream is the answer to another request: make one for each")


@pytest.mark.parametrize("query", ["", "?early"])
class TestLength:
    """A Content-Length of the program is sent, and kept to."""

    def test_kept(self, server: Server, query: str) -> None:
        for length in (0, 1, 5):
            with server.connect() as peer:
                reply = peer.get(f"/length/{length}/{length}{query}")
                assert reply.header("content-length") == str(length)
                assert not reply.all("transfer-encoding")
                assert reply.text == "x" * length
                assert peer.get("/").text == "hello"

    def test_head(self, server: Server, query: str) -> None:
        with server.connect() as peer:
            reply = peer.request("HEAD", f"/length/5/5{query}")
            assert reply.header("content-length") == "5"
            assert peer.get("/").text == "hello"
        server.get("/seen")

    def test_too_little(self, server: Server, query: str) -> None:
        head, rest = whole(server, f"/length/5/3{query}")
        assert b"content-length: 5" in head
        assert rest == b"xxx"
        expect_seen(
            server,
            "ValueError: 2 bytes less than the 5 that Content-Length says: "
            "the answer is broken off",
        )

    def test_too_much(self, server: Server, query: str) -> None:
        head, rest = whole(server, f"/length/3/5{query}")
        assert b"content-length: 3" in head
        assert rest == b"xxx"
        expect_seen(
            server,
            "ValueError: more than the 3 bytes that Content-Length says: the answer ends",
            "ValueError: the stream is closed",
        )


def test_headers_of_a_stream_inside_of_an_answer(server: Server) -> None:
    """They hold as far as the answer does not name them itself."""
    for how, status, both in (
        ("alone", 201, "stream"),
        ("status", 202, "stream"),
        ("tuple", 202, "answer"),
        ("response", 202, "answer"),
    ):
        reply = server.get(f"/inside/{how}")
        assert (reply.status, reply.text) == (status, "inside")
        assert reply.header("content-type") == "text/plain"
        assert reply.header("x-own") == "stream"
        assert reply.header("x-both") == both


def test_events(server: Server) -> None:
    reply = server.get("/events", [("Last-Event-ID", "41")])
    assert reply.header("content-type") == "text/event-stream"
    assert reply.header("cache-control") in (None, "no-cache", "no-store")
    assert reply.text == (
        "data: plain\n\n"
        "data: two\ndata: lines\ndata: three\ndata: four\n\n"
        "event: kind\nid: 7\nretry: 1500\ndata: all\n\n"
        "id: 8\ndata: numbers\n\n"
        "data: \n\n"
        "event: named\nid: by place\ndata: Grüße\n\n"
        "data: after 41\n\n"
    )


def test_events_of_a_coroutine(server: Server) -> None:
    assert server.get("/events-async").text == "".join(f"data: {n}\n\n" for n in range(5))


def test_comments_keep_a_silent_event_stream_alive(server: Server) -> None:
    with Gate() as gate, server.connect() as peer:
        peer.send(request("GET", f"/silent/{gate.port}/a?events"))
        assert gate.entered() == "a"
        receive_until(peer, b"\r\n\r\n")
        for _ in range(3):
            assert receive_until(peer, b"\r\n:\n\n\r\n") == framed(b":\n\n")
        gate.release("a", "at last")
        rest = receive_until(peer, LAST)
        assert rest.endswith(framed(b"data: at last\n\n") + LAST)


def test_other_streams_get_no_comments(server: Server) -> None:
    with Gate() as gate, server.connect() as peer:
        peer.send(request("GET", f"/silent/{gate.port}/a"))
        assert gate.entered() == "a"
        receive_until(peer, b"\r\n\r\n")
        peer.expect_silence(0.3)
        gate.release("a", "at last")
        assert receive_until(peer, LAST) == framed(b"data: at last\n\n") + LAST


def test_event_stream_begins_at_once(server: Server) -> None:
    """Its reader is told that it is open before anything happens."""
    with Gate() as gate, server.connect() as peer:
        peer.send(request("GET", f"/generated-events/{gate.port}/a"))
        assert b"text/event-stream" in receive_until(peer, b"\r\n\r\n")
        assert gate.entered() == "a"
        gate.release("a", "at last")
        assert receive_until(peer, LAST) == framed(b"data: at last\n\n") + LAST
