"""A form with large files takes no memory for them, and no more than one descriptor."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from multiparts import BOUNDARY, fields, part, posted
from places import in_both_modes
from serving import Server, serve, wait_until

FILE = b"0123456789abcdef" * 64 * 1024
FILES = 48
GROWN_MAX = 24 * 2**20
"""Half of what is sent: it would be that and more if it were kept."""


@in_both_modes
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve("forms", mode=request.param, workers=1) as server:
        yield server


def files(count: int) -> tuple[bytes, bytes, bytes]:
    """What stands around the data of some files of which each is spooled."""
    one = part('name="file"; filename="x"', FILE + b"x")
    return one * count, f"--{BOUNDARY}--\r\n".encode(), one


@pytest.mark.parametrize("kind", ["def", "async"])
def test_files_that_come_take_no_memory(server: Server, kind: str) -> None:
    some, end, _ = files(4)
    target = f"/{kind}/coming/sizes"
    # What is imported with the first form stays.
    assert server.post(target, some + end, fields()).json() == [len(FILE) + 1] * 4
    before = server.resident_bytes()
    most = before
    many, end, one = files(FILES)
    head, _, _ = posted(target, many + end).partition(b"\r\n\r\n")
    with server.connect() as peer:
        peer.send(head + b"\r\n\r\n")
        for _ in range(FILES):
            peer.send(one)
            most = max(most, server.resident_bytes())
        peer.send(end)
        assert peer.reply().json() == [len(FILE) + 1] * FILES
    assert most - before < GROWN_MAX
    wait_until(lambda: server.get("/open").json() == 0, "no temporary file is open")


def test_a_form_opens_one_file_at_most(server: Server) -> None:
    some, end, _ = files(6)
    with server.connect() as peer:
        peer.send(posted("/keep", some + end))
        assert peer.reply().json() == len(FILE) + 1
    # The form itself goes with its request, one of its files is kept.
    wait_until(lambda: server.get("/open").json() == 1, "one temporary file is open")
    server.post("/drop", b"")
    wait_until(lambda: server.get("/open").json() == 0, "no temporary file is open")
