"""Bodies that nobody will read: no handler takes their request, or it is sent elsewhere."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator

import pytest
from dialogue import request
from serving import Server, serve

BODY_BYTES = 64 << 20
GROWTH_MAX = 16 << 20
HOST = [("Host", "h.example")]
LENGTH = [("Content-Length", str(BODY_BYTES))]
CHUNKED = [("Transfer-Encoding", "chunked")]
PIECE = bytes(1 << 20)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    given = {"headers": {}, "cors": {}, "hosts": ["h.example"], "https": {}}
    env = {"TEST_SECURITY": json.dumps(given)}
    with serve("protected", workers=1, env=env, max_body_size=2 * BODY_BYTES) as server:
        yield server


HTTPS = ("X-Forwarded-Proto", "https")


@pytest.mark.parametrize("framing", [LENGTH, CHUNKED], ids=["length", "chunks"])
@pytest.mark.parametrize(
    ("method", "target", "fields", "status"),
    [
        ("POST", "/nowhere", [*HOST, HTTPS], 404),
        ("POST", "/json", [*HOST, HTTPS], 405),
        ("POST", "/folder/files.py", [*HOST, HTTPS], 405),
        ("GET", "/folder/files.py", [*HOST, HTTPS], 200),
        ("POST", "/pieces", [("Host", "other.example"), HTTPS], 421),
        ("POST", "/echo", [("Host", "other.example"), HTTPS], 421),
        ("POST", "/pieces", HOST, 308),
        ("POST", "/echo", HOST, 308),
    ],
)
def test_it_takes_no_room_and_the_next_request_is_served(
    server: Server,
    method: str,
    target: str,
    fields: list[tuple[str, str]],
    status: int,
    framing: list[tuple[str, str]],
) -> None:
    with server.connect() as peer:
        before = server.resident_bytes()
        peer.send(request(method, target, [*fields, *framing]))
        for _ in range(BODY_BYTES // len(PIECE)):
            peer.send(b"100000\r\n" + PIECE + b"\r\n" if framing == CHUNKED else PIECE)
        # But for what still lies in the socket, all of it has been read.
        assert server.resident_bytes() - before < GROWTH_MAX
        rest = b"0\r\n\r\n" if framing == CHUNKED else b""
        peer.send(rest + request("POST", "/echo", [*HOST, HTTPS, ("Content-Length", "2")], b"ab"))
        reply = peer.reply(method)
        assert (reply.status, reply.closes) == (status, False)
        assert peer.reply("POST").body == b"ab"


@pytest.mark.parametrize("framing", [LENGTH, CHUNKED], ids=["length", "chunks"])
@pytest.mark.parametrize(
    ("method", "target", "status"),
    [("POST", "/nowhere", 404), ("GET", "/folder/files.py", 200), ("POST", "/text", 421)],
)
def test_a_server_that_leaves_does_not_wait_for_it(
    method: str, target: str, status: int, framing: list[tuple[str, str]]
) -> None:
    env = {"TEST_SECURITY": json.dumps({"hosts": ["h.example"]})}
    with (
        serve("protected", workers=1, env=env, max_body_size=2 * BODY_BYTES) as server,
        server.connect() as peer,
    ):
        host = ("Host", "other.example") if status == 421 else HOST[0]
        peer.send(request(method, target, [host, *framing]))
        peer.send(b"100000\r\n" + PIECE[:100])
        # Another one is answered behind it: the first is being read.
        assert server.get("/text", HOST).status == 200
        server.signal(signal.SIGTERM)
        reply = peer.reply(method)
        assert (reply.status, reply.closes) == (status, True)
        peer.socket.close()
        assert server.wait() == 0


def test_a_body_has_no_more_time_because_the_server_leaves() -> None:
    env = {"TEST_SECURITY": json.dumps({})}
    options = {"body_timeout": 4, "shutdown_timeout": 4}
    with (
        serve("protected", workers=1, env=env, **options) as server,
        server.connect() as peer,
    ):
        peer.send(request("POST", "/echo", [*HOST, ("Content-Length", "8")]) + b"half")
        time.sleep(2)
        server.signal(signal.SIGTERM)
        reply = peer.reply("POST")
        assert (reply.status, reply.closes) == (408, True)
        assert server.wait() == 0


@pytest.mark.parametrize("target", ["/folder/files.py", "/folder/none", "/folder"])
def test_who_asks_first_is_answered_at_once(server: Server, target: str) -> None:
    with server.connect() as peer:
        expects = ("Expect", "100-continue")
        peer.send(request("GET", target, [*HOST, HTTPS, expects, *LENGTH]))
        reply = peer.reply("GET")
        assert reply.interim == []
        assert reply.closes
        assert reply.status == server.get(target, [*HOST, HTTPS]).status


@pytest.mark.parametrize("target", ["/nowhere", "/echo"])
def test_it_is_bounded_and_checked_as_any_other(server: Server, target: str) -> None:
    host = "h.example" if target == "/nowhere" else "other.example"
    fields = [("Host", host), HTTPS]
    with server.connect() as peer:
        peer.send(request("POST", target, [*fields, *CHUNKED]) + b"5\r\nabc")
        peer.send(b"de\r\n%x\r\n" % (2 * BODY_BYTES))
        reply = peer.reply("POST")
        assert (reply.status, reply.closes) == (413, True)
    with server.connect() as peer:
        peer.send(request("POST", target, [*fields, *CHUNKED]) + b"5\r\nabc")
        peer.send(b"de\n")
        reply = peer.reply("POST")
        assert (reply.status, reply.closes) == (400, True)
