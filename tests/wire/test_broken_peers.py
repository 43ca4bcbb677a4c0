"""Peers that do not read, vanish, or come by the thousand: memory and descriptors stay bounded."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import pytest
from dialogue import Peer, Reply, request
from gate import Gate
from serving import Server, serve, wait_until

MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve("plain") as server:
        assert server.get("/").text == "hello"
        yield server


def send_until_blocked(peer: Peer, data: bytes, at_most: int) -> int:
    """Send the same again and again until the server stops reading; how much it took."""
    sent = 0
    peer.socket.settimeout(2)
    with contextlib.suppress(TimeoutError):
        while sent < at_most:
            sent += peer.socket.send(data[sent % len(data) :])
    peer.socket.settimeout(30)
    return sent


def test_client_that_does_not_read(server: Server) -> None:
    """It stops being read itself; what it has asked for does not pile up."""
    ask = request("GET", "/big/100000") * 16
    before = server.resident_bytes()
    with server.connect(receive_bytes=4096) as peer:
        sent = send_until_blocked(peer, ask, 64 * MEBIBYTE)
        assert sent < 64 * MEBIBYTE, "the server reads without limit"
        assert server.resident_bytes() - before < 100 * MEBIBYTE
        for n in range(50):
            assert server.get(f"/number/{n}").text == str(n)
        for _ in range(300):
            assert len(peer.reply().body) == 100_000
    assert server.get("/").text == "hello"


def test_many_clients_that_do_not_read(server: Server) -> None:
    before = server.resident_bytes()
    peers = [server.connect(receive_bytes=4096) for _ in range(50)]
    for peer in peers:
        peer.send(request("GET", "/big/1000000"))
    for n in range(50):
        assert server.get(f"/number/{n}").text == str(n)
    assert server.resident_bytes() - before < 150 * MEBIBYTE
    for peer in peers:
        assert len(peer.reply().body) == 1_000_000
        peer.socket.close()


def test_slow_reader_gets_everything(server: Server) -> None:
    with server.connect(receive_bytes=4096) as peer:
        peer.send(request("GET", "/big/3000000") + request("GET", "/after"))
        received = bytearray()
        while len(received) < 200_000:
            received += peer.socket.recv(1000)
        peer.received += received
        assert peer.reply().body == b"x" * 3_000_000
        assert peer.reply().text == "after"


def test_aborted_big_answers_leave_nothing(server: Server) -> None:
    def abort_one() -> None:
        with server.connect(receive_bytes=65536) as peer:
            peer.send(request("GET", f"/big/{16 * MEBIBYTE}"))
            peer.socket.recv(1000)
            peer.abort()

    for _ in range(5):
        abort_one()
    assert server.get("/").text == "hello"
    before = server.resident_bytes()
    descriptors = server.descriptors()
    for _ in range(120):
        abort_one()
    wait_until(lambda: server.descriptors() <= descriptors, "aborted connections are closed")
    wait_until(
        lambda: server.resident_bytes() - before < 20 * MEBIBYTE,
        "120 aborted answers of 16 MiB leave less than 20 MiB behind",
    )


@pytest.mark.parametrize("part", ["nothing", "half a head", "half a body", "a request"])
def test_resets_while_asking(server: Server, part: str) -> None:
    data = {
        "nothing": b"",
        "half a head": b"GET / HT",
        "half a body": b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf",
        "a request": request("GET", "/"),
    }[part]
    before = server.descriptors()
    for _ in range(100):
        with server.connect() as peer:
            if data:
                peer.send(data)
            peer.abort()
    wait_until(lambda: server.descriptors() <= before, "reset connections are closed")
    assert server.get("/").text == "hello"


def test_resets_while_the_handler_runs(server: Server) -> None:
    """The reply finds nobody; the slot's next connection does not get it."""
    with Gate() as gate:
        for n in range(20):
            with server.connect() as peer:
                gate.hold(peer, f"gone{n}")
                peer.abort()
            with server.connect() as peer:
                peer.send(request("GET", f"/number/{n}"))
                gate.release(f"gone{n}", "for nobody")
                assert peer.reply().text == str(n)
                peer.expect_silence(0.01)


def test_closed_while_many_wait(server: Server) -> None:
    with Gate() as gate:
        with server.connect() as peer:
            peer.send(
                request("GET", f"/wait/{gate.port}/a")
                + b"".join(request("GET", f"/number/{n}") for n in range(100))
            )
            assert gate.entered() == "a"
        gate.release("a")
    assert server.get("/").text == "hello"


def test_two_thousand_idle_connections(server: Server) -> None:
    """At most 7 KB each; they are still served afterwards; their descriptors come back."""
    count = 2000
    descriptors = server.descriptors()
    warm = [server.connect() for _ in range(100)]
    for peer in warm:
        assert peer.get("/").text == "hello"
    before = server.resident_bytes()
    peers = []
    try:
        for _ in range(count):
            peer = server.connect()
            peer.send(request("GET", "/"))
            peers.append(peer)
            if len(peers) % 50 == 0:
                for recent in peers[-50:]:
                    assert recent.reply().text == "hello"
        assert (server.resident_bytes() - before) / count <= 7 * 1024
        for peer in peers[::100]:
            assert peer.get("/after").text == "after"
    finally:
        for peer in peers + warm:
            peer.socket.close()
    wait_until(lambda: server.descriptors() <= descriptors, "all descriptors are back")


def test_connections_that_come_and_go(server: Server) -> None:
    before = server.descriptors()
    for n in range(1500):
        with server.connect() as peer:
            if n % 3:
                assert peer.get("/").text == "hello"
    wait_until(lambda: server.descriptors() <= before, "all descriptors are back")


def test_out_of_descriptors() -> None:
    """EMFILE: those who are in are served, no core is burnt, and the others get in later."""
    with serve("plain") as server, server.connect() as inside:
        assert inside.get("/").text == "hello"
        server.limit_descriptors(server.descriptors() + 10)
        outside = [server.connect() for _ in range(60)]
        for n in range(100):
            assert inside.get(f"/number/{n}").text == str(n)
        spent, begun = server.cpu_s(), time.monotonic()
        inside.expect_silence(1.0)
        share = (server.cpu_s() - spent) / (time.monotonic() - begun)
        assert share < 0.5, f"{share:.0%} of a core while nothing can be done"
        for peer in outside[:30]:
            peer.socket.close()
        for peer in outside[-20:]:
            peer.send(request("GET", "/after", [("Connection", "close")]))
        server.limit_descriptors(4096)
        for peer in outside[-20:]:
            assert peer.reply().text == "after"
            peer.expect_end()
        for peer in outside:
            peer.socket.close()
        assert server.get("/").text == "hello"


def tiny_chunks(peer: Peer, count: int) -> Reply:
    peer.send(b"PUT /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    peer.send_pieces([b"1\r\nx\r\n" * 1000] * (count // 1000) + [b"0\r\n\r\n"])
    return peer.reply("PUT")


def test_many_tiny_chunks(server: Server) -> None:
    with server.connect() as peer:
        assert tiny_chunks(peer, 10_000).json() == {"length": 10_000}
        assert peer.get("/after").text == "after"


def test_flood_of_tiny_chunks(server: Server) -> None:
    """A million chunks of one byte: taken with linear work, or refused in words."""
    with server.connect() as peer:
        reply = tiny_chunks(peer, 1_000_000)
        assert reply.status in (200, 400, 413)
        assert (reply.status == 200) == (not reply.closes)


def test_chunks_byte_by_byte(server: Server) -> None:
    wire = b"".join(b"%x;e\r\n%b\r\n" % (n, b"y" * n) for n in range(1, 60)) + b"0\r\nT: t\r\n\r\n"
    with server.connect() as peer:
        peer.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert peer.send_pieces(wire[n : n + 1] for n in range(len(wire)))
        assert peer.reply().body == b"y" * sum(range(1, 60))


def test_large_head_byte_by_byte(server: Server) -> None:
    wire = request("GET", "/", [("X", "a" * 30_000)])
    with server.connect() as peer:
        assert peer.send_pieces(wire[n : n + 1] for n in range(len(wire)))
        assert peer.reply().text == "hello"
