"""What a handler leaves goes with the last name of it, however it has ended: no collector runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from dialogue import Peer, request
from frames import Wire
from places import in_both_modes
from serving import Server, serve, wait_until

TIMES = 5


@in_both_modes
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve("garbage", mode=request.param, workers=1, threads=2, gil_threads=2) as server:
        # What comes with the first of each kind stays.
        for kind in ("stream", "async stream"):
            server.get(f"/{kind}/end".replace(" ", "%20"))
        yield server


def left(server: Server) -> dict[str, int]:
    counts: dict[str, int] = server.get("/left").json()
    return counts


def require_nothing_left(server: Server, before: dict[str, int]) -> None:
    def is_left() -> dict[str, int]:
        now = left(server)
        return {name: now[name] for name in now if now[name] > before.get(name, 0)}

    try:
        wait_until(lambda: not is_left(), "nothing is left", 10)
    except AssertionError as error:
        raise AssertionError(f"after {TIMES} times there is still {is_left()}") from error


@pytest.mark.parametrize("how", ["end", "first", "error", "cut", "silent"])
@pytest.mark.parametrize("kind", ["generator", "async generator", "stream", "async stream"])
def test_of_answers_in_pieces(server: Server, kind: str, how: str) -> None:
    before = left(server)
    for _ in range(TIMES):
        with Peer(server.host, server.port) as peer:
            peer.send(request("GET", f"/{kind}/{how}".replace(" ", "%20")))
            assert peer.socket.recv(4096)
            if how == "cut":
                peer.abort()
    require_nothing_left(server, before)


@pytest.mark.parametrize("how", ["end", "error", "cut"])
@pytest.mark.parametrize("kind", ["upload", "async upload"])
def test_of_uploads(server: Server, kind: str, how: str) -> None:
    before = left(server)
    whole = request("POST", f"/{kind}/{how}".replace(" ", "%20"), body=b"x" * 100)
    for _ in range(TIMES):
        with Peer(server.host, server.port) as peer:
            if how == "cut":
                peer.send(whole[:-50])
                peer.abort()
            else:
                peer.send(whole)
                assert peer.reply().status == (500 if how == "error" else 200)
    require_nothing_left(server, before)


@pytest.mark.parametrize("how", ["end", "error", "cut", "silent"])
@pytest.mark.parametrize("kind", ["socket", "async socket"])
def test_of_web_sockets(server: Server, kind: str, how: str) -> None:
    before = left(server)
    for _ in range(TIMES):
        with Wire.open(server, f"/{kind}/{how}".replace(" ", "%20")) as wire:
            assert wire.text() == "piece"
            if how == "end":
                wire.close()
            elif how == "cut":
                wire.abort()
    require_nothing_left(server, before)
