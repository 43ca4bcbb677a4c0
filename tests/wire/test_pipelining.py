"""Many requests in one write: every reply, in order, whatever the mix and wherever it is cut."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator

import pytest
from dialogue import Peer, Reply, request
from gate import Gate
from places import in_both_modes
from serving import Server, serve


@in_both_modes
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve("plain", mode=request.param, threads=4, gil_threads=4) as server:
        yield server


Expected = tuple[str, Callable[[Reply], bool]]


def mixed(count: int, seed: int) -> tuple[bytes, list[Expected]]:
    """Requests of every kind in one run of bytes, and what their replies must be."""
    choice = random.Random(seed)
    wire = []
    expected: list[Expected] = []
    for n in range(count):
        body = bytes(choice.randrange(256) for _ in range(choice.randrange(1, 200)))
        kind = choice.randrange(9)
        if kind == 0:
            wire.append(request("GET", "/no"))
            expected.append(("GET", lambda reply: reply.status == 404))
        elif kind == 1:
            wire.append(request("DELETE", "/echo"))
            expected.append(("DELETE", lambda reply: reply.status == 405))
        elif kind == 2:
            wire.append(request("HEAD", f"/number/{n}"))
            length = str(len(str(n)))
            expected.append(("HEAD", lambda reply, l=length: reply.header("content-length") == l))
        elif kind == 3:
            wire.append(request("POST", "/echo", body=body))
            expected.append(("POST", lambda reply, b=body: reply.body == b))
        elif kind == 4:
            chunked = b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in halves(body)) + b"0\r\n\r\n"
            wire.append(request("POST", "/echo", [("Transfer-Encoding", "chunked")]) + chunked)
            expected.append(("POST", lambda reply, b=body: reply.body == b))
        elif kind == 5:
            wire.append(request("OPTIONS", "/echo"))
            expected.append(("OPTIONS", lambda reply: reply.status == 204))
        elif kind == 6:
            wire.append(request("GET", "/nothing"))
            expected.append(("GET", lambda reply: reply.status == 204))
        else:
            wire.append(request("GET", f"/number/{n}"))
            expected.append(("GET", lambda reply, t=str(n): reply.text == t))
    return b"".join(wire), expected


def halves(body: bytes) -> list[bytes]:
    middle = len(body) // 2
    return [piece for piece in (body[:middle], body[middle:]) if piece]


def read_all(peer: Peer, expected: list[Expected]) -> None:
    for n, (method, holds) in enumerate(expected):
        reply = peer.reply(method)
        assert holds(reply), (n, method, reply)


@pytest.mark.parametrize("count", [1, 2, 3, 16, 100, 255, 256, 257, 300, 1000])
def test_in_one_write(server: Server, count: int) -> None:
    with server.connect() as peer:
        peer.send(b"".join(request("GET", f"/number/{n}") for n in range(count)))
        for n in range(count):
            assert peer.reply().text == str(n)
        assert peer.get("/after").text == "after"


@pytest.mark.parametrize("seed", range(8))
def test_mixed_in_one_write(server: Server, seed: int) -> None:
    wire, expected = mixed(300, seed)
    with server.connect() as peer:
        peer.send(wire)
        read_all(peer, expected)
        assert peer.get("/after").text == "after"


@pytest.mark.parametrize("seed", range(8))
def test_mixed_in_random_pieces(server: Server, seed: int) -> None:
    wire, expected = mixed(60, seed)
    choice = random.Random(seed)
    pieces = []
    while wire:
        size = choice.choice([1, 2, 3, 10, 100, 1000])
        pieces.append(wire[:size])
        wire = wire[size:]
    with server.connect() as peer:
        assert peer.send_pieces(pieces)
        read_all(peer, expected)


def test_byte_by_byte(server: Server) -> None:
    wire, expected = mixed(40, 99)
    with server.connect() as peer:
        assert peer.send_pieces(wire[n : n + 1] for n in range(len(wire)))
        read_all(peer, expected)


def test_cut_at_every_offset(server: Server) -> None:
    """A pause after the first part makes it likely, not necessary, that it is read by itself."""
    wire = (
        request("GET", "/number/1")
        + request("POST", "/echo", body=b"hello")
        + request("POST", "/echo", [("Transfer-Encoding", "chunked")])
        + b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: 1\r\n\r\n"
        + request("HEAD", "/number/22")
        + request("GET", "/number/3")
    )
    with server.connect() as peer:
        for cut in range(1, len(wire)):
            peer.send(wire[:cut])
            time.sleep(0.0005)
            peer.send(wire[cut:])
            assert peer.reply().text == "1", cut
            assert peer.reply().body == b"hello", cut
            assert peer.reply().body == b"abcde", cut
            assert peer.reply("HEAD").header("content-length") == "2", cut
            assert peer.reply().text == "3", cut


def test_slow_ones_hold_back_only_what_is_behind_them(server: Server) -> None:
    with Gate() as gate, server.connect() as peer:
        peer.send(
            request("GET", "/number/1")
            + request("GET", f"/wait/{gate.port}/a")
            + request("GET", "/no")
            + request("POST", f"/wait/{gate.port}/b", body=b"body")
            + request("HEAD", "/number/22")
            + request("GET", "/number/3")
        )
        assert gate.entered() == "a"
        with server.connect() as other:
            assert other.get("/number/9").text == "9"
        gate.release("a", "first")
        assert gate.entered() == "b"
        gate.release("b", "second")
        assert peer.reply().text == "1"
        assert peer.reply().text == "first"
        assert peer.reply().status == 404
        assert peer.reply().text == "second body"
        assert peer.reply("HEAD").header("content-length") == "2"
        assert peer.reply().text == "3"


def test_direct_answers_wait_for_the_handler_before_them(server: Server) -> None:
    """404, 405 and OPTIONS need no Python, and still do not overtake."""
    with Gate() as gate, server.connect() as peer:
        gate.hold(peer, "a")
        peer.send(request("GET", "/no") + request("PUT", "/") + request("OPTIONS", "/"))
        peer.expect_silence(0.1)
        gate.release("a")
        assert peer.reply().text == "released"
        assert [peer.reply(m).status for m in ("GET", "PUT", "OPTIONS")] == [404, 405, 204]


def test_requests_that_arrive_while_one_runs(server: Server) -> None:
    with Gate() as gate, server.connect() as peer:
        gate.hold(peer, "a")
        for n in range(500):
            peer.send(request("GET", f"/number/{n}"))
        gate.release("a")
        assert peer.reply().text == "released"
        for n in range(500):
            assert peer.reply().text == str(n)


def test_close_in_the_middle(server: Server) -> None:
    """What stands behind `Connection: close` is not served; what stands before it is."""
    with server.connect() as peer:
        peer.send(
            b"".join(request("GET", f"/number/{n}") for n in range(10))
            + request("GET", "/number/10", [("Connection", "close")])
            + b"".join(request("GET", "/smuggled") for n in range(10))
        )
        for n in range(11):
            assert peer.reply().text == str(n)
        peer.expect_end()
    assert "SMUGGLED" not in server.output.text()


@pytest.mark.parametrize("count", [1, 50])
def test_half_closed_clients_get_their_answers(server: Server, count: int) -> None:
    with server.connect() as peer:
        peer.send(b"".join(request("GET", f"/number/{n}") for n in range(count)))
        peer.finish_sending()
        for n in range(count):
            assert peer.reply().text == str(n)
        peer.expect_end()


def test_half_closed_client_of_a_slow_handler(server: Server) -> None:
    with Gate() as gate, server.connect() as peer:
        peer.send(request("GET", f"/wait/{gate.port}/a") + request("GET", "/number/2"))
        assert gate.entered() == "a"
        peer.finish_sending()
        peer.expect_silence(0.1)
        gate.release("a")
        assert peer.reply().text == "released"
        assert peer.reply().text == "2"
        peer.expect_end()


def test_half_closed_behind_more_requests_than_are_taken_at_a_time(server: Server) -> None:
    """The end is read while requests before it still wait, and is not forgotten."""
    count = 300
    with Gate() as gate, server.connect() as peer:
        peer.send(request("GET", f"/wait/{gate.port}/a"))
        assert gate.entered() == "a"
        peer.send(b"".join(request("GET", f"/number/{n}") for n in range(count)))
        peer.finish_sending()
        gate.release("a")
        assert peer.reply().text == "released"
        for n in range(count):
            assert peer.reply().text == str(n)
        peer.expect_end()


def test_half_closed_in_the_middle_of_a_request(server: Server) -> None:
    with server.connect() as peer:
        peer.send(request("GET", "/number/1") + b"GET /smuggled HT")
        peer.finish_sending()
        assert peer.reply().text == "1"
        rest = peer.rest()
        assert rest == b"" or rest.startswith(b"HTTP/1.1 400 "), rest
    assert "SMUGGLED" not in server.output.text()


def test_half_closed_in_the_middle_of_a_body(server: Server) -> None:
    with server.connect() as peer:
        peer.send(b"POST /smuggled HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf")
        peer.finish_sending()
        rest = peer.rest()
        assert rest == b"" or rest.startswith(b"HTTP/1.1 400 "), rest
    assert "SMUGGLED" not in server.output.text()


def test_big_answers_in_order(server: Server) -> None:
    sizes = [3_000_000, 1, 0, 70_000, 5_000_000, 2]
    with server.connect() as peer:
        peer.send(b"".join(request("GET", f"/big/{size}") for size in sizes))
        for size in sizes:
            assert len(peer.reply().body) == size


def test_big_bodies_in_order(server: Server) -> None:
    bodies = [bytes([n]) * size for n, size in enumerate([3_000_000, 1, 70_000, 5_000_000, 2])]
    with server.connect() as peer:
        for body in bodies:
            assert peer.request("POST", "/echo", body=body).body == body


def test_many_connections_pipelining_at_once(server: Server) -> None:
    runs = [mixed(50, seed) for seed in range(40)]
    peers = [server.connect() for _ in runs]
    try:
        for peer, (wire, _) in zip(peers, runs, strict=True):
            peer.send(wire)
        for peer, (_, expected) in zip(peers, runs, strict=True):
            read_all(peer, expected)
    finally:
        for peer in peers:
            peer.socket.close()
