"""A tree of files with secrets beside it, and a server of it."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dialogue import Peer, Reply, request
from serving import Server, serve

SECRET = b"this is a SECRET of the machine"
LARGE = bytes(range(256)) * 4 * 1024 * 3
SMALL = b"0123456789" * 100
# When the small file was changed.
MODIFIED_S = 1_700_000_000


def make_tree(base: Path) -> Path:
    """Make the tree; returns its root, beside which there are secrets."""
    root = base / "root"
    site = root / "site"
    for folder in (site / "docs", root / "folder" / "deep", root / "empty", root / ".hidden"):
        folder.mkdir(parents=True)
    for place in (
        base / "secret.txt",
        root / ".env",
        root / ".hidden" / "a",
        root / "site" / ".git",
    ):
        place.write_bytes(SECRET)
    (base / "outside").mkdir()
    (base / "outside" / "a.txt").write_bytes(SECRET)
    (base / "rooted").mkdir()
    (base / "rooted" / "a.txt").write_bytes(SECRET)
    (root / "small.txt").write_bytes(SMALL)
    os.utime(root / "small.txt", (MODIFIED_S, MODIFIED_S))
    (root / "large.bin").write_bytes(LARGE)
    os.utime(root / "large.bin", (MODIFIED_S, MODIFIED_S))
    (root / "nothing.txt").write_bytes(b"")
    (root / "a b é.txt").write_text("named")
    (root / "folder" / "a.txt").write_text("a")
    (root / "folder" / "index.html").write_text("<p>folder")
    (root / "app.js").write_text("let plain;" * 100)
    (root / "app.js.gz").write_bytes(gzip.compress(b"let packed;"))
    (root / "app.js.br").write_bytes(b"as if it were br")
    (root / "app.js.zst").write_bytes(b"as if it were zst")
    (site / "index.html").write_text("<p>index")
    (site / "about.html").write_text("<p>about")
    (site / "pages").mkdir()
    (site / "pages.html").write_text("<p>pages")
    (site / "404.html").write_text("<p>not here")
    (site / "docs" / "index.html").write_text("<p>docs")
    (root / "inside").symlink_to("small.txt")
    (root / "inside-folder").symlink_to("folder")
    (root / "outside").symlink_to("../secret.txt")
    (root / "outside-folder").symlink_to("../outside")
    (root / "absolute").symlink_to(base / "secret.txt")
    (root / "up").symlink_to("..")
    (root / "dangling").symlink_to("nowhere")
    (root / "loop").symlink_to("loop")
    return root


@contextmanager
def serve_tree(
    base: Path, env: dict[str, str] | None = None, **options: object
) -> Iterator[Server]:
    """Serve the tree at ``base``, made by `make_tree`."""
    with serve("files", env={"TREE": str(base)} | (env or {}), **options) as server:
        yield server


def raw(peer: Peer, target: bytes, *fields: str) -> Reply:
    """What is answered to a target that is sent as it is."""
    lines = [b"GET " + target + b" HTTP/1.1", b"Host: test", *(field.encode() for field in fields)]
    peer.send(b"\r\n".join(lines) + b"\r\n\r\n")
    return peer.reply()


def pipelined(*targets: str) -> bytes:
    return b"".join(request("GET", target) for target in targets)
