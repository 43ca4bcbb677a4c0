"""Which results are answers in pieces, and how these stand on the wire."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from dialogue import request
from places import PLACES
from serving import Server, serve
from streaming import LAST, expect_seen, framed, head_and_rest

KINDS = pytest.mark.parametrize("kind", ["def", "async"])

BODIES = {
    "text": [b"one", b"two ", b"three"],
    "bytes": [b"\x00\xff", b"array", b"view"],
    "other": ["Grüße".encode(), "日本".encode(), "🙂".encode(), b"ascii"],
    "gaps": [b"one", b"two"],
    "none": [],
    "empty": [],
}


@pytest.fixture(scope="module", params=PLACES)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve("pieces", workers=1, **PLACES[request.param]) as server:  # type: ignore[arg-type]
        yield server
        assert server.get("/").text == "hello"


@KINDS
@pytest.mark.parametrize("which", BODIES)
def test_generator_function(server: Server, kind: str, which: str) -> None:
    with server.connect() as peer:
        for _ in range(2):
            reply = peer.get(f"/is/{kind}/{which}")
            assert reply.status == 200
            assert reply.body == b"".join(BODIES[which])
            assert reply.header("transfer-encoding") == "chunked"
    expect_seen(server, *[f"{which} left"] * 2)


@KINDS
@pytest.mark.parametrize("made", ["plain", "plain-later"])
@pytest.mark.parametrize("which", BODIES)
def test_handler_that_returns_a_generator(server: Server, kind: str, made: str, which: str) -> None:
    for query in ("", "?at-once"):
        reply = server.get(f"/makes/{kind}/{made}/{which}{query}")
        assert (reply.status, reply.body) == (200, b"".join(BODIES[which]))
        expect_seen(server, f"{which} left")


@KINDS
@pytest.mark.parametrize("later", ["", "-later"])
@pytest.mark.parametrize("shape", ["response", "tuple", "status", "stream"])
def test_status_and_headers(server: Server, kind: str, shape: str, later: str) -> None:
    reply = server.get(f"/makes/{kind}/{shape}{later}/text")
    assert (reply.status, reply.text) == (203, "onetwo three")
    assert reply.header("x-kind") == (None if shape == "status" else shape)
    if shape in ("response", "stream"):
        assert (reply.header("content-type") or "").startswith("text/plain")
    if shape != "stream":
        expect_seen(server, "text left")


@KINDS
@pytest.mark.parametrize("which", BODIES)
def test_a_chunk_for_each_piece(server: Server, kind: str, which: str) -> None:
    with server.connect() as peer:
        peer.send(request("GET", f"/is/{kind}/{which}", [("Connection", "close")]))
        head, rest = head_and_rest(peer)
        assert b"connection: close" in head
        assert rest == framed(*BODIES[which]) + LAST
    expect_seen(server, f"{which} left")


@KINDS
def test_client_of_http_1_0(server: Server, kind: str) -> None:
    """It knows no chunks: the end of the connection is the end of the body."""
    for fields in ([], [("Connection", "keep-alive")]):
        with server.connect() as peer:
            peer.send(request("GET", f"/is/{kind}/text", fields, version="HTTP/1.0"))
            head, rest = head_and_rest(peer)
            assert b"transfer-encoding" not in head
            assert b"content-length" not in head
            assert b"keep-alive" not in head
            assert rest == b"onetwo three"
        expect_seen(server, "text left")


@KINDS
@pytest.mark.parametrize("shape", ["plain", "plain-later", "response", "tuple-later"])
def test_head_makes_no_piece(server: Server, kind: str, shape: str) -> None:
    with server.connect() as peer:
        asked = peer.request("HEAD", f"/makes/{kind}/{shape}/text")
        expect_seen(server)
        got = peer.get(f"/makes/{kind}/{shape}/text")
        assert got.text == "onetwo three"
        assert asked.status == got.status
        names = ("transfer-encoding", "content-type", "x-kind", "content-length")
        assert [asked.header(name) for name in names] == [got.header(name) for name in names]
    expect_seen(server, "text left")


@KINDS
def test_head_of_a_generator_function(server: Server, kind: str) -> None:
    with server.connect() as peer:
        assert peer.request("HEAD", f"/is/{kind}/text").status == 200
        assert peer.get("/").text == "hello"
    expect_seen(server)


@pytest.mark.parametrize("status", [204, 304])
def test_status_without_a_body(server: Server, status: int) -> None:
    with server.connect() as peer:
        reply = peer.get(f"/empty/{status}")
        assert reply.status == status
        assert not reply.all("transfer-encoding")
        assert peer.get("/").text == "hello"
    expect_seen(server)


@KINDS
def test_requests_behind_a_stream(server: Server, kind: str) -> None:
    """They are answered in their order, and each stream ends before the next answer begins."""
    paths = [
        f"/is/{kind}/text", "/", f"/is/{kind}/none", f"/makes/{kind}/stream/other",
        f"/makes/{kind}/plain-later/bytes", "/", f"/is/{kind}/gaps", "/",
    ]  # fmt: skip
    bodies = {"": [b"hello"]} | BODIES
    for _ in range(5):
        with server.connect() as peer:
            peer.send(b"".join(request("GET", path) for path in paths))
            for path in paths:
                assert peer.reply().body == b"".join(bodies[path.rpartition("/")[2]])
    server.get("/seen")


@KINDS
def test_requests_behind_it_whatever_is_asked(server: Server, kind: str) -> None:
    with server.connect() as peer:
        methods = ["HEAD", "GET", "GET", "HEAD", "GET"]
        peer.send(b"".join(request(method, f"/is/{kind}/text") for method in methods))
        for method in methods:
            assert peer.reply(method).text == ("" if method == "HEAD" else "onetwo three")
    expect_seen(server, *["text left"] * 3)


@KINDS
@pytest.mark.parametrize("made", ["is/{}", "makes/{}/plain", "makes/{}/plain-later"])
def test_wrong_type_first(server: Server, kind: str, made: str) -> None:
    reply = server.get(f"/{made.format(kind)}/wrong-first")
    assert (reply.status, reply.json()) == (500, {"error": "internal server error"})
    server.output.wait_for("a stream sends str and bytes, not int")
    expect_seen(server, "wrong-first left")


@KINDS
@pytest.mark.parametrize("made", ["is/{}", "makes/{}/plain", "makes/{}/plain-later"])
def test_wrong_type_later(server: Server, kind: str, made: str) -> None:
    since = len(server.output.lines)
    with server.connect() as peer:
        peer.send(request("GET", f"/{made.format(kind)}/wrong-later"))
        head, rest = head_and_rest(peer)
        assert head.startswith(b"http/1.1 200")
        assert rest == b"3\r\none\r\n"
    server.output.wait_for("a stream sends str and bytes, not dict", since=since)
    expect_seen(server, "wrong-later left")


def test_half_of_a_surrogate_is_replaced(server: Server) -> None:
    """As in any other text."""
    reply = server.get("/is/def/surrogate")
    assert re.fullmatch("one\N{REPLACEMENT CHARACTER}+", reply.text)
    expect_seen(server, "surrogate left")
