"""What tests of answers in pieces share: how they read, and what their programs note."""

from __future__ import annotations

import re

from dialogue import Peer, request
from serving import Server, wait_until

INTERNAL = {"error": "internal server error"}


def expect_seen(server: Server, *expected: str) -> None:
    """The program notes these, in this order."""
    noted: list[str] = []

    def look() -> bool:
        noted.extend(server.get("/seen").json())
        return len(noted) >= len(expected)

    wait_until(look, f"noted {expected}, not {noted}")
    assert noted == list(expected), noted


def framed(*pieces: bytes) -> bytes:
    """A chunk for each piece."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


LAST = b"0\r\n\r\n"


def whole(server: Server, path: str) -> tuple[bytes, bytes]:
    """Ask for something on a connection of its own: the head in lower case, and what follows it."""
    with server.connect() as peer:
        peer.send(request("GET", path, [("Connection", "close")]))
        return head_and_rest(peer)


def head_and_rest(peer: Peer) -> tuple[bytes, bytes]:
    """The head of an answer in lower case, and what follows up to the end of the connection."""
    head, _, rest = peer.rest().partition(b"\r\n\r\n")
    return head.lower(), rest


def receive_until(peer: Peer, end: bytes) -> bytes:
    """What has come up to here."""
    while end not in peer.received:
        size = len(peer.received)
        peer.receive(1 << 16)
        assert len(peer.received) > size, f"ended before {end!r}: {bytes(peer.received[-400:])!r}"
    place = peer.received.index(end) + len(end)
    found = bytes(peer.received[:place])
    del peer.received[:place]
    return found


def metric(server: Server, name: str) -> float:
    page = server.get("/metrics").text
    found = re.search(rf"^{re.escape(name)} (\S+)$", page, re.MULTILINE)
    assert found, page
    return float(found[1])


def expect_nothing_in_flight(server: Server) -> None:
    wait_until(lambda: metric(server, "pyre_jobs_in_flight") == 0, "nothing is in flight")
