"""How uploads end that do not end well, and what becomes of their connections."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from dialogue import Peer, Reply, request
from gate import Gate
from places import PLACES, in_both_modes
from serving import Server, serve, wait_until

CHUNKED = [("Transfer-Encoding", "chunked")]
BOTH = ("def", "async")
"""Tests that have to let time pass do so for both at once."""
KINDS = pytest.mark.parametrize("kind", BOTH)
BODY_S = 1.5
BODY_MAX = 100_000


@pytest.fixture(scope="module", params=PLACES.values(), ids=PLACES)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    options = dict(request.param)
    options["env"] = {**options.get("env", {}), "TEST_METRICS": "1"}
    with serve("uploads", workers=1, max_body_size=BODY_MAX, **options) as server:
        yield server


@in_both_modes
def hasty(request: pytest.FixtureRequest) -> Iterator[Server]:
    """One that waits for bodies no longer than `BODY_S`."""
    with serve("uploads", mode=request.param, body_timeout=BODY_S) as server:
        yield server


def length(count: int) -> list[tuple[str, str]]:
    return [("Content-Length", str(count))]


@contextmanager
def noted(
    server: Server, target: str, fields: list[tuple[str, str]], start: bytes = b""
) -> Iterator[tuple[Peer, Gate]]:
    """An upload whose handler has begun and is about to read."""
    with server.connect() as peer, Gate() as gate:
        peer.send(request("POST", f"{target}/{gate.port}", fields) + start)
        assert gate.entered() == "begun"
        gate.release("begun")
        yield peer, gate


def expect_raised(gate: Gate, name: str) -> None:
    assert gate.entered() == name
    gate.release(name)


def expect_end(peer: Peer, reply: Reply, status: int) -> None:
    assert (reply.status, reply.closes) == (status, True)
    peer.finish_sending()
    peer.expect_end()


@KINDS
def test_a_body_that_breaks_a_rule(server: Server, kind: str) -> None:
    """The handler is told by an exception; if it lets that through the client is told as ever."""
    for data, status in [
        (b"x\r\n", 400),
        (b"2\r\nhiX", 400),
        (b"5;a=\r\n", 400),
        (b"0\r\nBad\r\n\r\n", 400),
        (b"0\r\nA: " + b"x" * 9000, 431),
        (f"{BODY_MAX + 1:x}\r\n".encode(), 413),
        (b"2\r\nhi\r\n%x\r\n" % (BODY_MAX - 1), 413),
        (b"1\r\na\r\n" * 40_000, 400),
    ]:
        with noted(server, f"/{kind}/noted", CHUNKED, b"2\r\nok\r\n") as (peer, gate):
            peer.send_pieces([data])
            expect_raised(gate, f"HTTPError {status}")
            reply = peer.reply()
            expect_end(peer, reply, status)
            error = {400: "bad request", 413: "payload too large"}.get(status)
            assert error is None or reply.json() == {"error": error}


@KINDS
def test_a_handler_may_answer_what_breaks_a_rule(server: Server, kind: str) -> None:
    with noted(server, f"/{kind}/caught", CHUNKED) as (peer, _):
        peer.send(b"zz\r\n")
        reply = peer.reply()
        assert reply.text == "caught 400 bad request"
        expect_end(peer, reply, 418)


@KINDS
def test_a_length_above_the_bound_is_refused_at_once(server: Server, kind: str) -> None:
    with server.connect() as peer, Gate() as gate:
        peer.send(request("POST", f"/{kind}/noted/{gate.port}", length(BODY_MAX + 1)))
        expect_end(peer, peer.reply(), 413)
        assert gate.is_empty(0.1)


@KINDS
def test_a_client_that_closes_its_side_behind_a_next_request(kind: str) -> None:
    """Its connection ends with the last answer, and not when that has been idle for long."""
    with serve("uploads", keep_alive_timeout=600) as server:
        for _ in range(20):
            with server.connect() as peer:
                peer.send(request("POST", f"/{kind}/read/1000", length(50_000)))
                peer.send(b"x" * 50_000 + request("GET", "/"))
                peer.finish_sending()
                assert peer.reply().json() == [1000] * 50
                assert peer.reply().text == "hello"
                peer.expect_end()


@KINDS
def test_a_client_that_breaks_off_while_it_is_answered_early(kind: str) -> None:
    """Its connection is freed at once, and not when it has taken nothing for a while."""
    with serve("uploads", body_timeout=60) as server, server.connect() as other:
        assert other.request("POST", f"/{kind}/large/1", body=b"x").body == b"x"
        before = server.descriptors()
        with server.connect(receive_bytes=4096) as peer:
            peer.send(request("POST", f"/{kind}/large/20000000", length(1000)) + b"x")
            peer.await_some()
            peer.abort()
        wait_until(lambda: server.descriptors() <= before, "the connection is closed")


def test_a_body_that_stops(hasty: Server) -> None:
    """`body_timeout` holds from the last progress on."""
    with ExitStack() as stack:
        clients = [
            stack.enter_context(noted(hasty, f"/{kind}/noted", length(20), start))
            for kind in BOTH
            for start in (b"", b"abc")
        ]
        for _ in range(8):
            time.sleep(BODY_S / 6)
            for peer, _ in clients:
                peer.send(b"x")
        begun = time.monotonic()
        for peer, gate in clients:
            expect_raised(gate, "HTTPError 408")
            assert time.monotonic() - begun > BODY_S / 2
            reply = peer.reply()
            assert reply.json() == {"error": "request timeout"}
            expect_end(peer, reply, 408)


def test_a_slow_handler_is_no_slow_client(hasty: Server) -> None:
    """While there is no room for more, nobody waits for the client."""
    with ExitStack() as stack:
        clients = [gated(hasty, kind, length(BODY_MAX), stack) for kind in BOTH]
        for peer, _ in clients:
            peer.send(b"x" * BODY_MAX)
        time.sleep(BODY_S * 1.5)
        for peer, gate in clients:
            gate.release("x")
            assert peer.reply().json()["bytes"] == BODY_MAX


def gated(
    server: Server, kind: str, fields: list[tuple[str, str]], stack: ExitStack
) -> tuple[Peer, Gate]:
    """An upload whose handler waits at a gate before it reads."""
    peer, gate = stack.enter_context(server.connect()), stack.enter_context(Gate())
    peer.send(request("POST", f"/{kind}/gated/{gate.port}/x", fields))
    assert gate.entered() == "x"
    return peer, gate


@KINDS
@pytest.mark.parametrize("how", ["ends", "resets", "half-closes"])
def test_a_client_that_goes(server: Server, kind: str, how: str) -> None:
    """Its handler gets a ConnectionError where it reads, and there is no answer."""
    for start in [b"", b"5", b"5\r\n", b"5\r\nhel", b"5\r\nhello", b"5\r\nhello\r\n0\r\n"]:
        with noted(server, f"/{kind}/noted", CHUNKED, start) as (peer, gate):
            if how == "half-closes":
                peer.finish_sending()
            elif how == "resets":
                peer.abort()
            else:
                peer.socket.close()
            expect_raised(gate, "ConnectionError")
            if how == "half-closes":
                peer.expect_end()
    wait_until(lambda: is_open(server) == 1, "nothing of them is left")


@KINDS
@pytest.mark.parametrize("start", [b"", b"5\r\nhel"])
def test_a_client_that_goes_before_its_upload_is_served(
    server: Server, kind: str, start: bytes
) -> None:
    """The end is read together with the request, which others before it have held up."""
    with server.connect() as peer, Gate() as gate, Gate() as other:
        peer.send(request("POST", f"/{kind}/steps/{gate.port}", CHUNKED) + b"1\r\na\r\n")
        assert gate.entered() == "a"
        next_one = request("POST", f"/{kind}/noted/{other.port}", CHUNKED) + start
        peer.send(b"0\r\n\r\n" + next_one)
        peer.finish_sending()
        gate.release("a")
        assert peer.reply().status == 200
        assert other.entered() == "begun"
        other.release("begun")
        expect_raised(other, "ConnectionError")
        peer.expect_end()


@KINDS
@pytest.mark.parametrize("sent", [10, 29_000])
def test_a_client_that_goes_while_nobody_reads(kind: str, sent: int) -> None:
    """It is found although more waits for the handler than is read ahead.

    Of what is not read ahead the kernel has room for 28 KB in any case, so that the end arrives.
    """
    length = 5_000_000
    with serve("uploads", workers=1, max_body_size=length) as server:
        with server.connect() as peer, Gate() as gate:
            fields = [("Content-Length", str(length))]
            peer.send(request("POST", f"/{kind}/idle/{gate.port}", fields))
            assert gate.entered() == "begun"
            for _ in range(10):
                peer.send(b"x" * sent)
            peer.socket.close()
            gate.release("begun")
            assert gate.entered() == "told"
            gate.release("told")


@KINDS
def test_the_access_log_of_a_client_that_has_gone(kind: str) -> None:
    """Nobody was sent a byte."""
    with serve("uploads", workers=1, access_log=True) as server:
        with noted(server, f"/{kind}/noted", CHUNKED) as (peer, gate):
            peer.abort()
            expect_raised(gate, "ConnectionError")
        server.output.wait_for(rf'POST /{kind}/noted/\d+ HTTP/1.1" 499 0 ')


def is_open(server: Server) -> int:
    """How many connections are open, with the one that asks."""
    found = server.get("/metrics").text.splitlines()
    (value,) = [line for line in found if line.startswith("pyre_connections_open")]
    return int(float(value.rpartition(" ")[2]))


@KINDS
def test_an_upload_cut_at_any_byte(server: Server, kind: str) -> None:
    """Nothing of it is answered, and nothing of it is left."""
    head = request("POST", f"/{kind}/echo", CHUNKED)
    whole = head + b"5;a=b\r\nhello\r\n5\r\nworld\r\n0\r\nA: b\r\n\r\n"
    for at in range(len(head) - 2, len(whole)):
        with server.connect() as peer:
            peer.send(whole[:at])
            peer.finish_sending()
            rest = peer.rest()
            assert not rest.endswith(b"0\r\n\r\n"), rest
    wait_until(lambda: is_open(server) == 1, "nothing of them is left")
    assert server.get("/").text == "hello"


@KINDS
@pytest.mark.parametrize("fields", [CHUNKED, length(60_000)], ids=["chunks", "length"])
def test_an_answer_before_the_end(server: Server, kind: str, fields: list[tuple[str, str]]) -> None:
    """The client can read it, and goes on sending meanwhile."""
    start, more = (b"5\r\nhello\r\n", b"1\r\nx\r\n") if fields is CHUNKED else (b"hello", b"x")
    for target, expected in [("some/5", b"hello"), ("large/5000000", b"x" * 5_000_000)]:
        with server.connect() as peer:
            peer.send(request("POST", f"/{kind}/{target}", fields) + start)
            peer.send_pieces([more] * 20_000)
            reply = peer.reply()
            assert reply.body == expected
            expect_end(peer, reply, 200)


@KINDS
def test_an_answer_in_pieces_from_one_that_does_not_read(server: Server, kind: str) -> None:
    with server.connect() as peer:
        peer.send(request("POST", f"/{kind}/pieces/3", length(60_000)) + b"x")
        assert peer.reply().body == b"xxx"
        peer.send_pieces([b"x" * 1000])
        peer.finish_sending()
        peer.expect_end()
        assert server.get("/").text == "hello"


@KINDS
def test_an_answer_when_all_has_come_but_is_not_read(server: Server, kind: str) -> None:
    """Then the connection goes on."""
    with server.connect() as peer, Gate() as gate:
        for _ in range(2):
            peer.send(request("POST", f"/{kind}/gated/{gate.port}/x", length(5)) + b"h")
            assert gate.entered() == "x"
            peer.send(b"ello" + request("GET", "/"))
            gate.release("x")
            reply = peer.reply()
            assert (reply.json()["bytes"], reply.closes) == (5, False)
            assert peer.reply().text == "hello"


@KINDS
def test_a_request_that_is_kept(server: Server, kind: str) -> None:
    """What had come when it was answered can be read; what had not is not read."""
    for sent in [b"hello", b"h"]:
        with server.connect() as peer:
            peer.send(request("POST", f"/{kind}/kept", length(5)) + sent)
            reply = peer.reply()
            assert (reply.body, reply.closes) == (b"h", sent == b"h")
        found = server.get("/kept").json()
        assert found.pop("path") == f"/{kind}/kept"
        if sent == b"hello":
            assert found == {"rest": "ello"}
        else:
            assert "has been answered" in found["error"]


def test_a_client_that_waits_to_be_told(hasty: Server) -> None:
    """It is told when the handler reads, and not by one that does not."""
    fields = [*length(5), ("Expect", "100-continue")]
    with ExitStack() as stack:
        clients = [gated(hasty, kind, fields, stack) for kind in BOTH]
        for again in (True, False):
            # Longer than a body may be silent: it is not its turn.
            time.sleep(BODY_S * 1.2)
            for kind, (peer, gate) in zip(BOTH, clients, strict=True):
                peer.expect_silence(0.01)
                gate.release("x")
                assert peer.socket.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
                peer.send(b"hello")
                assert peer.reply().json()["bytes"] == 5
                if again:
                    peer.send(request("POST", f"/{kind}/gated/{gate.port}/x", fields))
                    assert gate.entered() == "x"
        for kind, (peer, _) in zip(BOTH, clients, strict=True):
            peer.send(request("POST", f"/{kind}/large/3", fields))
            reply = peer.reply()
            assert (reply.body, reply.interim) == (b"xxx", [])
            expect_end(peer, reply, 200)


@KINDS
def test_a_client_that_waits_to_be_told_of_an_answer_that_has_begun(
    server: Server, kind: str
) -> None:
    """It is told before the head of the answer: later nothing could tell it."""
    with server.connect() as peer, Gate() as gate:
        fields = [*length(5), ("Expect", "100-continue")]
        peer.send(request("POST", f"/{kind}/events/{gate.port}", fields))
        assert gate.entered() == "begun"
        peer.send(b"hello")
        gate.release("begun")
        reply = peer.reply()
        assert (reply.interim, reply.status, reply.body) == ([100], 200, b"hello")
        # One whose answer does not read is not told.
        peer.send(request("POST", f"/{kind}/pieces/3", fields))
        reply = peer.reply()
        assert (reply.interim, reply.body) == ([], b"xxx")


def test_a_client_that_was_told_and_is_silent(hasty: Server) -> None:
    fields = [*length(5), ("Expect", "100-continue")]
    with ExitStack() as stack:
        for peer, gate in [
            stack.enter_context(noted(hasty, f"/{kind}/noted", fields)) for kind in BOTH
        ]:
            expect_raised(gate, "HTTPError 408")
            reply = peer.reply()
            assert reply.interim == [100]
            expect_end(peer, reply, 408)


@KINDS
def test_a_client_that_does_not_wait_to_be_told(server: Server, kind: str) -> None:
    fields = [*length(5), ("Expect", "100-continue")]
    with server.connect() as peer, Gate() as gate:
        peer.send(request("POST", f"/{kind}/gated/{gate.port}/x", fields))
        assert gate.entered() == "x"
        peer.send(b"hello")
        gate.release("x")
        assert peer.reply().json()["bytes"] == 5


def test_other_routes_tell_at_once(server: Server) -> None:
    fields = [*length(5), ("Expect", "100-continue")]
    with server.connect() as peer:
        peer.send(request("POST", "/def/whole", fields))
        assert peer.socket.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        peer.send(b"hello")
        assert peer.reply().json() == [[5], 5, []]
        peer.send(request("POST", "/nothing", fields))
        reply = peer.reply()
        assert reply.interim == []
        expect_end(peer, reply, 404)


@KINDS
def test_the_connection_of_http_1_0(server: Server, kind: str) -> None:
    with server.connect() as peer:
        head = request("POST", f"/{kind}/digest", length(5), version="HTTP/1.0")
        peer.send(head)
        peer.send(b"hello")
        reply = peer.reply()
        assert reply.json()["bytes"] == 5
        peer.expect_end()
