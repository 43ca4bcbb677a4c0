"""Nothing outside of a folder is served, whatever is asked for, whatever is swapped meanwhile."""

from __future__ import annotations

import ctypes
import os
import random
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from files import SECRET, make_tree, raw, serve_tree
from serving import Server

# How many random paths are asked for: more of them by this variable.
PATHS = int(os.environ.get("ATTACK_PATHS", "3000"))
PREFIXES = ("/s", "/html", "/app", "/s/inner", "/s/folder", "/s/inside-folder", "/s/empty", "")
NAMES = r"""
    .. . ... .... %2e%2e %2E%2E .%2e %2e. %252e%252e %25%32%65%25%32%65 %c0%ae%c0%ae %c0%2e%c0%2e
    %e0%80%ae%e0%80%ae %f0%80%80%ae %uff0e%uff0e %%32%65 ..; ..;a=b ..%00 ..%0d%0a ..%20 %20.. ..%09
    ..%ff ~ ~root %7eroot secret.txt secret.txt%00.html secret.txt%23 secret.txt. SECRET.TXT
    %73ecret.txt outside outside-folder absolute up rooted dangling loop inside folder .env .hidden
    .git %2eenv .%65nv .hidden%2fa a.txt a root index.html etc passwd proc self environ fd 0 cwd dev
    null zero C: con * ? | % %2 %g0 %00 %ff \ \.. ..\ %5c ..%5c %5c..
"""
SEPARATORS = r"/ // /./ %2f %2F %252f %255c \ %5c %c0%af %e0%80%af ;/ /;"
PIECES, SLASHES = ["", *NAMES.split()], SEPARATORS.split()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("attacked")
    make_tree(base)
    return base


@pytest.fixture(scope="module")
def server(base: Path) -> Iterator[Server]:
    with serve_tree(base, {"WHOLE": "1"}) as server:
        yield server


def attacks(base: Path) -> Iterator[str]:
    """Paths that were thought of, and then random ones, the same ones each time."""
    up = "/".join([".."] * 12)
    for target in (base / "secret.txt", Path("/etc/passwd"), base / "rooted" / "a.txt"):
        for prefix in PREFIXES:
            yield f"{prefix}{target}"
            yield f"{prefix}/{up}{target}"
            yield f"{prefix}/{up.replace('.', '%2e')}{target}"
            yield f"{prefix}/{up.replace('/', '%2f')}{target}"
            yield f"{prefix}//{target}"
    yield "/s/../secret.txt"
    yield "/s../secret.txt"
    yield "/s..%2fsecret.txt"
    yield "/../rooted/a.txt"
    yield "/s/../rooted/a.txt"
    made = random.Random(20_26)
    for _ in range(PATHS):
        pieces = made.choices(PIECES, k=made.randint(1, 6))
        yield made.choice(PREFIXES) + "".join(made.choice(SLASHES) + piece for piece in pieces)


def test_no_path_leads_to_a_secret(server: Server, base: Path) -> None:
    peer = server.connect()
    asked, found = 0, 0
    for target in attacks(base):
        reply = raw(peer, target.replace(" ", "%20").encode())
        asked += 1
        assert SECRET not in reply.body and b"root:" not in reply.body, target
        assert reply.status in (200, 301, 400, 404), (target, reply.status)
        found += reply.status == 200
        location = reply.header("location")
        assert location is None or (location[0] == "/" and location[1] not in "/\\"), target
        if reply.closes:
            peer.socket.close()
            peer = server.connect()
    peer.socket.close()
    assert asked > PATHS
    # The others show that it was the right tree.
    assert found > 0


def exchange(one: Path, other: Path) -> None:
    """Let two places have each other's names, at once."""
    libc = ctypes.CDLL(None, use_errno=True)
    at_fdcwd, rename_exchange = -100, 2
    result = libc.renameat2(
        at_fdcwd, os.fsencode(one), at_fdcwd, os.fsencode(other), rename_exchange
    )
    if result != 0:
        pytest.skip(f"this file system cannot do that: {os.strerror(ctypes.get_errno())}")


def test_a_folder_that_is_swapped_for_a_link_leads_nowhere(server: Server, base: Path) -> None:
    """Each name is asked for once, so that nothing of it was kept."""
    root, names = base / "root", [f"{number}.txt" for number in range(1500)]
    (root / "swapped").mkdir()
    (base / "others").mkdir()
    (root / "swap").symlink_to("../others")
    for name in names:
        (root / "swapped" / name).write_text("mine")
        (base / "others" / name).write_bytes(SECRET)
    exchange(root / "swapped", root / "swap")
    ended = threading.Event()

    def swap() -> None:
        while not ended.is_set():
            exchange(root / "swapped", root / "swap")

    swapping = threading.Thread(target=swap)
    swapping.start()
    seen = set()
    try:
        with server.connect() as peer:
            for name in names:
                reply = peer.get(f"/s/swapped/{name}")
                assert (reply.status, reply.text) in ((200, "mine"), (404, '{"error":"not found"}'))
                seen.add(reply.status)
    finally:
        ended.set()
        swapping.join()
    assert 200 in seen


def test_a_file_that_is_swapped_for_a_link_leads_nowhere(server: Server, base: Path) -> None:
    root = base / "root"
    large = b"mine " * 50_000
    (root / "turning.bin").write_bytes(large)
    (base / "turned.bin").write_bytes(SECRET * 10_000)
    (root / "turn").symlink_to("../turned.bin")
    ended = threading.Event()

    def swap() -> None:
        while not ended.is_set():
            exchange(root / "turning.bin", root / "turn")

    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        with server.connect() as peer:
            for _ in range(300):
                reply = peer.get("/s/turning.bin")
                assert reply.status == 404 or reply.body == large
    finally:
        ended.set()
        swapping.join()


def test_what_is_no_file_is_not_there(server: Server, base: Path) -> None:
    root = base / "root"
    os.mkfifo(root / "fifo")
    listener = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(root)
    try:
        listener.bind("socket")
    finally:
        os.chdir(here)
    (root / "device").symlink_to("/dev/zero")
    names = ["fifo", "socket", "device"]
    if os.getuid() == 0:
        os.mknod(root / "null", 0o666 | 0o020000, os.makedev(1, 3))
        names.append("null")
    with listener, server.connect() as peer:
        for name in names:
            for prefix in ("/s", "/links"):
                assert peer.get(f"{prefix}/{name}").status == 404, name
        assert peer.get("/hello").text == "hello"


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_not_there(server: Server, base: Path) -> None:
    closed = base / "root" / "closed"
    closed.mkdir()
    (closed / "a.txt").write_bytes(SECRET)
    closed.chmod(0)
    try:
        assert server.get("/s/closed/a.txt").status == 404
        assert server.get("/s/closed/").status == 404
    finally:
        closed.chmod(0o700)


@pytest.mark.parametrize(
    "target", [b"/s/a\x00", b"/s/\xc0\xae\xc0\xae/", b"/s/a b", b"/s/a#b", b"/s/\x7f"]
)
def test_what_is_no_target_is_refused(server: Server, target: bytes) -> None:
    with server.connect() as peer:
        assert raw(peer, target).status == 400
        peer.expect_end()
