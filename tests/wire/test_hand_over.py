"""Reactors change hands all the time, and every answer is the right one, in its order."""

from __future__ import annotations

from pathlib import Path

import pytest
from serving import serve

from perf.harness import counters
from perf.harness.places import APPS
from perf.load.checked import Client
from perf.load.drawn import WORKS

REQUESTS = 3000
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
