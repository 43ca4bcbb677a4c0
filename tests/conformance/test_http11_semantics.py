"""Persistence, HEAD and bodiless answers, Expect, and the limits with their statuses."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Iterator

import pytest
from dialogue import Peer, request
from gate import Gate
from serving import Server, serve

MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve("plain", max_body_size=MEBIBYTE) as server:
        yield server


def head(version: str, *lines: str, target: str = "/") -> bytes:
    return "\r\n".join([f"GET {target} {version}", "Host: a", *lines, "", ""]).encode()


@pytest.mark.parametrize(
    ("version", "lines", "stays"),
    [
        ("HTTP/1.1", [], True),
        ("HTTP/1.1", ["Connection: keep-alive"], True),
        ("HTTP/1.1", ["Connection: close"], False),
        ("HTTP/1.1", ["Connection: Close"], False),
        ("HTTP/1.1", ["connection: CLOSE"], False),
        ("HTTP/1.1", ["Connection: foo, close"], False),
        ("HTTP/1.1", ["Connection: close,foo"], False),
        ("HTTP/1.1", ["Connection: foo , close , bar"], False),
        ("HTTP/1.1", ["Connection: keep-alive, close"], False),
        ("HTTP/1.1", ["Connection: foo", "Connection: close"], False),
        ("HTTP/1.1", ["Connection: closed"], True),
        ("HTTP/1.1", ["Connection: x-close"], True),
        ("HTTP/1.1", ["Connection:"], True),
        ("HTTP/1.0", [], False),
        ("HTTP/1.0", ["Connection: close"], False),
        ("HTTP/1.0", ["Connection: keep-alive"], True),
        ("HTTP/1.0", ["Connection: Keep-Alive"], True),
        ("HTTP/1.0", ["Connection: keep-alive, close"], False),
        ("HTTP/1.0", ["Connection: foo"], False),
    ],
)
def test_persistence(server: Server, version: str, lines: list[str], stays: bool) -> None:
    """RFC 9112 section 9.3."""
    with server.connect() as peer:
        peer.send(head(version, *lines))
        reply = peer.reply()
        assert reply.text == "hello"
        if stays:
            if version == "HTTP/1.0":
                assert (reply.header("connection") or "").lower() == "keep-alive"
            peer.send(head("HTTP/1.1", "Connection: close", target="/after"))
            assert peer.reply().text == "after"
        elif version == "HTTP/1.1":
            assert reply.closes
        peer.expect_end()


def test_nothing_behind_a_close_is_served(server: Server) -> None:
    with server.connect() as peer:
        peer.send(head("HTTP/1.1", "Connection: close") + head("HTTP/1.1", target="/smuggled") * 3)
        assert peer.reply().text == "hello"
        peer.expect_end()
    assert "SMUGGLED" not in server.output.text()


@pytest.mark.parametrize("target", ["/", "/number/5", "/big/100000", "/no", "/seen"])
def test_head_is_get_without_body(server: Server, target: str) -> None:
    """RFC 9110 section 9.3.2."""
    with server.connect() as peer:
        got = peer.get(target)
        peer.send(request("HEAD", target) + request("GET", "/after"))
        headed = peer.reply("HEAD")
        assert headed.status == got.status
        if target != "/seen":
            assert headed.header("content-length") == got.header("content-length")
        assert headed.header("content-type") == got.header("content-type")
        assert peer.reply().text == "after"


def test_head_of_a_post_route(server: Server) -> None:
    with server.connect() as peer:
        peer.send(request("HEAD", "/echo") + request("GET", "/after"))
        reply = peer.reply("HEAD")
        assert reply.status == 405
        assert peer.reply().text == "after"


@pytest.mark.parametrize(("target", "status"), [("/nothing", 204), ("/not-modified", 304)])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_bodiless_statuses(server: Server, target: str, status: int, method: str) -> None:
    """RFC 9110 sections 15.3.5 and 15.4.5: they end with their head."""
    with server.connect() as peer:
        peer.send(request(method, target) + request("GET", "/after"))
        assert peer.reply(method).status == status
        assert peer.reply().text == "after"


def test_options_says_what_is_allowed(server: Server) -> None:
    with server.connect() as peer:
        reply = peer.request("OPTIONS", "/smuggled")
        assert reply.status == 204
        allowed = {method.strip() for method in (reply.header("allow") or "").split(",")}
        assert allowed == {"GET", "HEAD", "POST", "PUT", "OPTIONS"}
        assert peer.request("OPTIONS", "/no").status == 404
        assert peer.get("/after").text == "after"


def test_date_is_now(server: Server) -> None:
    """RFC 9110 section 6.6.1, and it does not stand still."""
    with server.connect() as peer:
        first = peer.get("/").header("date") or ""
        assert abs(email.utils.parsedate_to_datetime(first).timestamp() - time.time()) < 5
        deadline = time.monotonic() + 10
        while peer.get("/").header("date") == first:
            assert time.monotonic() < deadline, "the Date stands still"


# ---------------------------------------------------------------------------------- Expect


def expecting(size: int, *lines: str, version: str = "HTTP/1.1", target: str = "/echo") -> bytes:
    lines = (f"Content-Length: {size}", *lines)
    return "\r\n".join(
        [f"POST {target} {version}", "Host: a", "Expect: 100-continue", *lines, "", ""]
    ).encode()


def test_expect_is_answered_before_the_body(server: Server) -> None:
    """RFC 9110 section 10.1.1."""
    with server.connect() as peer:
        for body in (b"hello", b"again"):
            peer.send(expecting(5))
            assert read_interim(peer) == 100
            peer.send(body)
            assert peer.reply().body == body


def read_interim(peer: Peer) -> int:
    status, _, headers = peer._head()
    assert not [name for name, _ in headers if name in ("content-length", "transfer-encoding")]
    return status


def test_expect_chunked(server: Server) -> None:
    with server.connect() as peer:
        peer.send(
            b"POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        assert read_interim(peer) == 100
        peer.send(b"5\r\nhello\r\n0\r\n\r\n")
        assert peer.reply().body == b"hello"


def test_expect_with_the_body_at_once(server: Server) -> None:
    with server.connect() as peer:
        peer.send(expecting(5) + b"hello" + request("GET", "/after"))
        reply = peer.reply()
        assert reply.body == b"hello"
        assert reply.interim in ([], [100])
        assert peer.reply().text == "after"


def test_expect_waits_its_turn(server: Server) -> None:
    """The interim answer never overtakes the replies before it."""
    with Gate() as gate, server.connect() as peer:
        peer.send(request("GET", f"/wait/{gate.port}/first") + expecting(5))
        assert gate.entered() == "first"
        peer.expect_silence(0.1)
        gate.release("first")
        assert peer.reply().text == "released"
        assert read_interim(peer) == 100
        peer.send(b"hello")
        assert peer.reply().body == b"hello"


def test_expect_in_http10_is_ignored(server: Server) -> None:
    with server.connect() as peer:
        peer.send(expecting(5, version="HTTP/1.0"))
        peer.expect_silence(0.1)
        peer.send(b"hello")
        reply = peer.reply()
        assert (reply.body, reply.interim) == (b"hello", [])


def test_expect_without_content(server: Server) -> None:
    with server.connect() as peer:
        peer.send(expecting(0) + request("GET", "/after"))
        reply = peer.reply()
        assert (reply.status, reply.body) == (200, b"")
        assert peer.reply().text == "after"


def test_expect_too_large_is_refused_before_the_body(server: Server) -> None:
    with server.connect() as peer:
        peer.send(expecting(MEBIBYTE + 1))
        reply = peer.reply()
        assert (reply.status, reply.interim) == (413, [])


def test_expect_something_else(server: Server) -> None:
    with server.connect() as peer:
        peer.send(
            b"POST /echo HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\nContent-Length: 5\r\n\r\nhello"
        )
        assert peer.reply().status in (200, 417)


# ---------------------------------------------------------------------------------- limits


def test_body_of_exactly_the_limit(server: Server) -> None:
    with server.connect() as peer:
        reply = peer.request("PUT", "/echo", body=b"x" * MEBIBYTE)
        assert reply.json() == {"length": MEBIBYTE}
        assert peer.get("/after").text == "after"


def too_large(reply: object) -> bool:
    from dialogue import Reply

    assert isinstance(reply, Reply)
    return (reply.status, reply.json()) == (413, {"error": "payload too large"})


def test_announced_body_too_large(server: Server) -> None:
    with server.connect() as peer:
        peer.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (MEBIBYTE + 1))
        assert too_large(peer.reply())


@pytest.mark.parametrize("size", [MEBIBYTE + 1, 8 * MEBIBYTE, 64 * MEBIBYTE])
def test_refusal_is_readable_while_the_client_still_sends(server: Server, size: int) -> None:
    """RFC 9112 section 9.6: closing at once would reset the connection and lose the answer."""
    with server.connect() as peer:
        peer.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
        peer.send_pieces([b"x" * 65536] * (size // 65536 + 1))
        assert too_large(peer.reply())


def test_chunked_body_too_large(server: Server) -> None:
    chunk = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
    with server.connect() as peer:
        peer.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        peer.send_pieces([chunk] * 64)
        reply = peer.reply()
        assert too_large(reply)
        assert reply.closes
        peer.send_pieces([b"0\r\n\r\n", request("GET", "/smuggled")])
        peer.expect_end()


def test_target_too_long(server: Server) -> None:
    with server.connect() as peer:
        peer.send_pieces([b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"])
        reply = peer.reply()
        assert reply.status == 414
        assert isinstance(reply.json()["error"], str)
        peer.expect_end()


def test_target_without_end(server: Server) -> None:
    """The limit holds while the line is still coming."""
    with server.connect() as peer:
        peer.send_pieces([b"GET /", *[b"a" * 1000] * 200])
        assert peer.reply().status in (414, 431)
        peer.expect_end()


def test_long_target_is_fine(server: Server) -> None:
    """RFC 9112 section 3: at least 8,000 bytes of request line."""
    query = "a" * 7900
    with server.connect() as peer:
        assert peer.get(f"/seen?{query}").json()["query"] == query


def test_one_header_too_large(server: Server) -> None:
    with server.connect() as peer:
        peer.send_pieces([head("HTTP/1.1", "X: " + "a" * 70_000)])
        reply = peer.reply()
        assert reply.status == 431
        assert isinstance(reply.json()["error"], str)
        peer.expect_end()


def test_too_many_headers(server: Server) -> None:
    with server.connect() as peer:
        peer.send_pieces([head("HTTP/1.1", *(f"X-{n}: y" for n in range(1000)))])
        assert peer.reply().status == 431
        peer.expect_end()


def test_head_without_end(server: Server) -> None:
    with server.connect() as peer:
        peer.send_pieces([b"GET / HTTP/1.1\r\nHost: a\r\nX: ", *[b"a" * 1000] * 500])
        assert peer.reply().status == 431
        peer.expect_end()


def test_many_headers_are_fine(server: Server) -> None:
    with server.connect() as peer:
        seen = peer.get("/seen", [(f"X-{n}", str(n)) for n in range(90)]).json()["headers"]
        assert all(seen[f"x-{n}"] == str(n) for n in range(90))


def test_large_head_is_fine(server: Server) -> None:
    with server.connect() as peer:
        seen = peer.get("/seen", [("X-Large", "a" * 30_000)]).json()["headers"]
        assert len(seen["x-large"]) == 30_000
