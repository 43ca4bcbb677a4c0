"""A handler that reads is interrupted also while its client goes on sending, a little at a time."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from dialogue import Peer, request
from places import MODES, PLACES
from serving import serve

CHUNKED = [("Transfer-Encoding", "chunked")]
WAYS = ["stream", "read", "n", "json"]
PAUSE_S = 0.02


@contextmanager
def trickling(peers: list[Peer]) -> Iterator[None]:
    """Each of them is sent a byte of its body now and then, as long as it is open."""
    over = threading.Event()

    def send() -> None:
        left = list(peers)
        while left and not over.wait(PAUSE_S):
            for peer in list(left):
                if not peer.send_pieces([b"1\r\nx\r\n"]):
                    left.remove(peer)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("place", ["workers", "main", "gil"])
def test_a_handler_that_reads_longer_than_it_may(place: str) -> None:
    """It is told by RequestTimeout where it reads, and can clean up."""
    with serve("upload_faults", workers=1, **PLACES[place]) as server, ExitStack() as stack:
        peers = [stack.enter_context(server.connect()) for _ in WAYS]
        for way, peer in zip(WAYS, peers, strict=True):
            peer.send(request("POST", f"/slow/{way}", CHUNKED))
        with trickling(peers):
            for peer in peers:
                assert peer.reply().text == "interrupted"
        assert sorted(server.get("/seen").json()[1]) == sorted(WAYS)


@MODES
def test_handlers_that_read_at_a_stop(mode: str | None) -> None:
    with (
        serve("upload_faults", workers=1, mode=mode, shutdown_timeout=0.5) as server,
        ExitStack() as stack,
    ):
        peers = [stack.enter_context(server.connect()) for _ in WAYS]
        for way, peer in zip(WAYS, peers, strict=True):
            peer.send(request("POST", f"/long/{way}", CHUNKED) + b"1\r\nx\r\n")
            server.output.wait_for(f"reads {way}")
        with trickling(peers):
            server.signal(signal.SIGTERM)
            assert server.wait() == 1
        for way in WAYS:
            server.output.wait_for(f"cleaned up after {way}")
