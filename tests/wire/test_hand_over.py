"""Reactors change hands all the time, and every answer and piece is the right one, in its order."""

from __future__ import annotations

from pathlib import Path

import pytest
from serving import serve, wait_until

from perf.harness import counters
from perf.harness.places import APPS
from perf.load.checked import Client
from perf.load.drawn import WORKS
from perf.load.flows.client import FlowClient

REQUESTS = 3000
CONVERSATIONS = 150
GAUGES = ("pyre_streams_open", "pyre_websockets_open", "pyre_jobs_in_flight")
ROUTES = 64


@pytest.mark.parametrize("hand_over", ["auto", "ring"])
def test_every_answer_is_the_right_one(hand_over: str, tmp_path: Path) -> None:
    tasks = tmp_path / "tasks"
    env = {"PERF_TASKS": str(tasks), "PERF_ROUTES": str(ROUTES)}
    options = {"hand_over": hand_over, "io_workers": 2, "metrics": True, "gil_watchdog": 0}
    with serve(APPS / "hand_over_app.py", env=env, **options) as server:
        client = Client(server.host, server.port, connections=32, seed=hand_over, routes=ROUTES)
        tally = client.run(requests=REQUESTS)
        counted = counters.read(server.port)
    tally.check_tasks(tasks.read_text().split())
    assert tally.wrong == []
    assert (tally.faults, tally.lost) == (0, 0)
    assert tally.is_accounted_for
    assert tally.sent >= REQUESTS
    if hand_over == "auto":
        assert counted[counters.TAKEN_BACK] > 0
    else:
        assert counters.TAKEN_BACK not in counted
    # It was put to the test: everything was asked for, and clients went away in the middle.
    assert set(tally.works) == {work.name for work in WORKS}
    assert set(tally.statuses) == {200, 418, 500}
    assert tally.tasks
    assert tally.abandoned


def test_every_piece_is_the_right_one(tmp_path: Path) -> None:
    """Of answers and requests in parts and of WebSockets, whose clients leave at any byte."""
    noted = tmp_path / "noted"
    env = {"PERF_TASKS": str(tmp_path / "tasks"), "PERF_FLOWS": str(noted), "PERF_ROUTES": "4"}
    with serve(APPS / "hand_over_app.py", env=env, metrics=True, gil_watchdog=0) as server:
        server.get("/r0?work=fail&us=0")
        files = server.descriptors()
        client = FlowClient(server.host, server.port, connections=16, seed="1", routes=4)
        tally = client.run(conversations=CONVERSATIONS)
        wait_until(lambda: server.descriptors() <= files, "descriptors are given back")
        wait_until(lambda: not any(map(counters.read(server.port).get, GAUGES)), "none is open")
    tally.check_noted(noted.read_text().splitlines())
    assert (tally.faults, tally.wrong) == (0, [])
    assert tally.is_accounted_for
    # It was put to the test.
    assert len(tally.works) > 10
    assert set(tally.left) == {"close", "abort", "half"}
