"""Stuck handlers cost their own requests, a full queue answers at once, and both pass."""

from __future__ import annotations

import select
from collections import Counter
from typing import Any

import pytest
from dialogue import Peer, request
from gate import Gate
from serving import Server, serve, wait_until


def hold(server: Server, gate: Gate, count: int) -> list[Peer]:
    """Occupy `count` lanes; each with a request of its own connection."""
    peers = []
    for n in range(count):
        peer = server.connect()
        gate.hold(peer, f"lane{n}")
        peers.append(peer)
    return peers


def let_go(gate: Gate, peers: list[Peer]) -> None:
    gate.release_all()
    for peer in peers:
        assert peer.reply().text == "released"
        peer.socket.close()


def answered(peers: list[Peer]) -> list[Peer]:
    """Those for whom something has come."""
    return [peer for peer in peers if select.select([peer.socket], [], [], 0)[0]]


def closed(peers: list[Peer]) -> None:
    for peer in peers:
        peer.socket.close()


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        (None, {"workers": 1, "threads": 1, "io_workers": 1}),
        (None, {"workers": 2, "threads": 2, "io_workers": 2}),
        ("default", {"gil_threads": 1, "io_workers": 1}),
    ],
    ids=["one lane", "four lanes", "main"],
)
def test_full_queue(mode: str | None, options: dict[str, Any]) -> None:
    lanes = options["gil_threads"] if mode else options["workers"] * options["threads"]
    crowd = 400
    with serve("plain", mode=mode, queue_depth=8, **options) as server, Gate() as gate:
        stuck = hold(server, gate, lanes)
        peers = [server.connect() for _ in range(crowd)]
        for peer in peers:
            peer.send(request("GET", "/after"))
        # What was refused is answered while every lane is stuck: nobody waits to hear a no.
        wait_until(lambda: len(answered(peers)) >= crowd // 2, "most of the crowd is refused")
        refused = len(answered(peers))
        let_go(gate, stuck)
        answers: Counter[int] = Counter()
        for peer in peers:
            reply = peer.reply()
            answers[reply.status] += 1
            if reply.status == 503:
                assert reply.header("retry-after") == "1"
                assert reply.json() == {"error": "server overloaded"}
            else:
                assert reply.text == "after"
        assert set(answers) == {200, 503}
        assert answers[503] >= refused
        wait_until(lambda: server.get("/after").status == 200, "the queue has room again")
        for _ in range(50):
            assert server.get("/after").text == "after"
        closed(peers)


def test_what_follows_refused_requests_is_answered() -> None:
    """A pipeline longer than one job, whose first job is refused: the rest is not forgotten."""
    pipelined_max = 256
    options = {"workers": 1, "threads": 1, "io_workers": 1, "queue_depth": 1}
    with serve("plain", **options) as server, Gate() as gate:
        stuck = hold(server, gate, 1)
        crowd = [server.connect() for _ in range(2)]
        for peer in crowd:
            peer.send(request("GET", "/after"))
        wait_until(lambda: len(answered(crowd)) == 1, "one waits, so that the queue is full")
        with server.connect() as peer:
            peer.send(request("GET", "/after") * pipelined_max + request("GET", "/no"))
            statuses = [peer.reply().status for _ in range(pipelined_max + 1)]
        assert statuses == [503] * pipelined_max + [404]
        let_go(gate, stuck)
        assert sorted(peer.reply().status for peer in crowd) == [200, 503]
        closed(crowd)


def test_direct_answers_need_no_lane() -> None:
    """404, 405 and OPTIONS are given while Python is stuck."""
    with serve("plain", workers=1, threads=1) as server, Gate() as gate:
        stuck = hold(server, gate, 1)
        assert server.get("/no").status == 404
        assert server.request("PUT", "/after").status == 405
        assert server.request("OPTIONS", "/after").status == 204
        with server.connect() as peer:
            peer.send(b"BROKEN\r\n\r\n")
            assert peer.reply().status == 400
        let_go(gate, stuck)


@pytest.mark.parametrize(
    ("mode", "options", "lanes"),
    [
        (None, {"workers": 1, "threads": 4}, 4),
        (None, {"workers": 2, "threads": 1}, 2),
        (None, {"workers": 2, "threads": 4}, 8),
        (None, {"workers": 4, "threads": 2}, 8),
        ("default", {"gil_threads": 4}, 4),
    ],
    ids=["1x4", "2x1", "2x4", "4x2", "main"],
)
def test_all_lanes_but_one_are_stuck(mode: str | None, options: dict[str, Any], lanes: int) -> None:
    """Whoever comes while one lane is left is answered by it."""
    with serve("plain", mode=mode, **options) as server, Gate() as gate:
        stuck = hold(server, gate, lanes - 1)
        for n in range(100):
            assert server.get(f"/number/{n}").text == str(n)
        peers = [server.connect() for _ in range(100)]
        for n, peer in enumerate(peers):
            peer.send(request("GET", f"/number/{n}") * 3)
        for n, peer in enumerate(peers):
            assert [peer.reply().text for _ in range(3)] == [str(n)] * 3
        closed(peers)
        let_go(gate, stuck)


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        (None, {"workers": 1, "threads": 2}),
        (None, {"workers": 2, "threads": 1}),
        (None, {"workers": 2, "threads": 4}),
        ("default", {"gil_threads": 2}),
    ],
    ids=["1x2", "2x1", "2x4", "main"],
)
def test_fast_requests_that_come_together_with_a_slow_one(
    mode: str | None, options: dict[str, Any]
) -> None:
    """Late binding: a job never waits behind a slow one while a lane is free.

    All are sent at once, so that they are likely to be read in one turn of one reactor.
    """
    with serve("plain", mode=mode, **options) as server, Gate() as gate:
        for round_ in range(20):
            peers = [server.connect() for _ in range(8)]
            slow = peers[round_ % 8]
            for n, peer in enumerate(peers):
                if peer is slow:
                    peer.send(request("GET", f"/wait/{gate.port}/slow"))
                else:
                    peer.send(request("GET", f"/number/{n}"))
            for n, peer in enumerate(peers):
                if peer is not slow:
                    assert peer.reply().text == str(n)
            assert gate.entered() == "slow"
            gate.release("slow")
            assert slow.reply().text == "released"
            closed(peers)


def test_waiting_requests_are_served_in_full_when_a_lane_comes_back() -> None:
    with serve("plain", workers=1, threads=1) as server, Gate() as gate:
        stuck = hold(server, gate, 1)
        peers = [server.connect() for _ in range(200)]
        for n, peer in enumerate(peers):
            peer.send(request("GET", f"/number/{n}"))
        peers[0].expect_silence(0.1)
        let_go(gate, stuck)
        for n, peer in enumerate(peers):
            assert peer.reply().text == str(n)
        closed(peers)


def test_a_crowd_of_slow_ones_all_come_through() -> None:
    """More blocking requests than lanes: they run in turns, none is lost or doubled."""
    with serve("plain", workers=2, threads=2) as server, Gate() as gate:
        names = [f"n{n}" for n in range(40)]
        peers = {name: server.connect() for name in names}
        for name, peer in peers.items():
            peer.send(request("GET", f"/wait/{gate.port}/{name}"))
        came = []
        for _ in names:
            name = gate.entered()
            came.append(name)
            gate.release(name, f"for {name}")
            assert peers[name].reply().text == f"for {name}"
        assert sorted(came) == sorted(names)
        closed(list(peers.values()))
