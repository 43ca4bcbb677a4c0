"""Large files on their way: slow readers, changes meanwhile, limits of time, a server that ends."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from dialogue import Ended, Peer, request
from files import LARGE, SMALL, make_tree, pipelined, serve_tree
from serving import Server, Write, serve, wait_until

HUGE_BYTES = 64 * 1024 * 1024
READERS = 100
# A large file that the kernel makes up: of its file system nobody says that it lies on a disk.
ELSEWHERE = Path("/sys/kernel/btf/vmlinux")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("sent")
    make_tree(base)
    return base


@pytest.fixture(scope="module")
def server(base: Path) -> Iterator[Server]:
    with serve_tree(base) as server:
        yield server


def sparse(place: Path) -> None:
    """Make a file that is large and takes no room."""
    with place.open("wb") as file:
        file.truncate(HUGE_BYTES)


def begin(peer: Peer, target: str) -> None:
    """Ask for something, and wait until it has begun to come."""
    peer.send(request("GET", target))
    peer.await_some()


def test_a_file_that_becomes_shorter_ends_the_connection(server: Server, base: Path) -> None:
    place = base / "root" / "shrinking.bin"
    sparse(place)
    with server.connect(receive_bytes=4096) as peer:
        begin(peer, "/s/shrinking.bin")
        os.truncate(place, 1000)
        with pytest.raises(Ended):
            peer.reply()
    assert server.get("/s/shrinking.bin").body == bytes(1000)


def test_a_file_that_grows_is_as_long_as_was_said(server: Server, base: Path) -> None:
    place = base / "root" / "growing.bin"
    place.write_bytes(LARGE)
    with server.connect(receive_bytes=4096) as peer:
        begin(peer, "/s/growing.bin")
        with place.open("ab") as file:
            file.write(b"more" * 1_000_000)
        assert peer.reply().body == LARGE
        assert peer.get("/s/small.txt").body == SMALL


def test_a_file_that_is_replaced_is_sent_as_it_was(server: Server, base: Path) -> None:
    place = base / "root" / "replaced.bin"
    place.write_bytes(LARGE)
    with server.connect(receive_bytes=4096) as peer:
        begin(peer, "/s/replaced.bin")
        (base / "new").write_bytes(b"new")
        os.replace(base / "new", place)
        assert peer.reply().body == LARGE
        assert peer.get("/s/replaced.bin").body == b"new"


def test_parts_of_a_large_file(server: Server) -> None:
    ranges = [(0, 10), (1_000_000, 1_500_000), (len(LARGE) - 5, len(LARGE))]
    asked = ",".join(f"{first}-{end - 1}" for first, end in ranges)
    with server.connect() as peer:
        reply = peer.get("/s/large.bin", [("Range", f"bytes={asked}")])
        assert reply.status == 206
        kind = reply.header("content-type") or ""
        boundary = kind.removeprefix("multipart/byteranges; boundary=").encode()
        before, *parts, behind = reply.body.split(b"--" + boundary)
        assert (before, behind) == (b"", b"--\r\n")
        for part, (first, end) in zip(parts, ranges, strict=True):
            head, body = part.split(b"\r\n\r\n", 1)
            assert f"Content-Range: bytes {first}-{end - 1}/{len(LARGE)}".encode() in head
            assert body.removesuffix(b"\r\n") == LARGE[first:end]
        assert peer.get("/hello").text == "hello"


def test_many_slow_readers_hold_nobody_up_and_little_memory(server: Server, base: Path) -> None:
    sparse(base / "root" / "huge.bin")
    server.get("/s/huge.bin", [("Range", "bytes=0-99999")])
    before, resident = server.descriptors(), server.resident_bytes()
    readers = [server.connect(receive_bytes=4096) for _ in range(READERS)]
    try:
        for reader in readers:
            begin(reader, "/s/huge.bin")
        with server.connect() as peer:
            for _ in range(20):
                assert peer.get("/s/small.txt").body == SMALL
                assert peer.get("/hello").text == "hello"
        # A socket and a file for each, and the one above.
        assert server.descriptors() <= before + 2 * READERS + 1
        assert server.resident_bytes() - resident < READERS * 100_000
        # One of them takes its time, and gets all of it.
        assert readers[0].reply().body == bytes(HUGE_BYTES)
    finally:
        for reader in readers:
            reader.socket.close()
    wait_until(lambda: server.descriptors() <= before, "all are closed")


def test_one_that_takes_nothing_is_let_go(base: Path) -> None:
    sparse(base / "root" / "idle.bin")
    with serve_tree(base, body_timeout=1) as server, server.connect(receive_bytes=4096) as peer:
        begin(peer, "/s/idle.bin")
        before = server.descriptors()
        wait_until(lambda: server.descriptors() <= before - 2, "socket and file are closed")


def test_one_that_takes_little_is_not_let_go(base: Path) -> None:
    sparse(base / "root" / "slow.bin")
    with serve_tree(base, body_timeout=2) as server, server.connect(receive_bytes=4096) as peer:
        begin(peer, "/s/slow.bin")
        # So little that the server does not see for long that there is room for more.
        until = time.monotonic() + 5
        while time.monotonic() < until:
            peer.receive(4096)
            time.sleep(0.02)
        assert len(peer.reply().body) == HUGE_BYTES


def test_a_stop_waits_for_what_is_being_sent(base: Path) -> None:
    sparse(base / "root" / "last.bin")
    with serve_tree(base) as server, server.connect(receive_bytes=4096) as peer:
        begin(peer, "/s/last.bin")
        server.signal(signal.SIGTERM)
        wait_until(lambda: not server.listens(), "nobody else is let in")
        assert peer.reply().body == bytes(HUGE_BYTES)
        assert server.wait() == 0


def test_requests_behind_a_large_file_wait_for_it(server: Server) -> None:
    with server.connect(receive_bytes=4096) as peer:
        peer.send(pipelined("/s/large.bin", "/hello", "/s/large.bin", "/s/small.txt"))
        expected = [LARGE, b"hello", LARGE, SMALL]
        assert [peer.reply().body for _ in expected] == expected


def test_a_client_that_goes_leaves_nothing_behind(server: Server, base: Path) -> None:
    sparse(base / "root" / "gone.bin")
    server.get("/s/small.txt")
    before = server.descriptors()
    for abort in (True, False):
        for _ in range(10):
            peer = server.connect(receive_bytes=4096)
            begin(peer, "/s/gone.bin")
            if abort:
                peer.abort()
            else:
                peer.socket.close()
    wait_until(lambda: server.descriptors() <= before, "all are closed")


@pytest.mark.skipif(not ELSEWHERE.is_file(), reason="this kernel has no such file")
def test_what_lies_on_no_disk_is_read_for_the_reactor(write: Write) -> None:
    program = write(
        "elsewhere.py",
        "from pyreframework import Pyre, send_file\n"
        "app = Pyre()\n"
        f"app.get('/sent', lambda: send_file({str(ELSEWHERE)!r}))\n"
        f"app.static('/folder', {str(ELSEWHERE.parent)!r})\n"
        "app.run()\n",
    )
    expected = ELSEWHERE.read_bytes()
    with serve(program) as server:
        before = server.descriptors()
        for target in ("/sent", f"/folder/{ELSEWHERE.name}") * 2:
            assert server.get(target).body == expected
            part = server.get(target, [("Range", "bytes=300000-900000")])
            assert part.body == expected[300_000:900_001]
        wait_until(lambda: server.descriptors() <= before, "all are closed")
