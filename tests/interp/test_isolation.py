"""Requests end in every way there is, and none sees anything of another."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from serving import serve

from perf.harness.places import APPS
from perf.load.marked import OF_COROUTINES, Crowd, check_written

REQUESTS = 2000
PLACES = pytest.mark.parametrize(
    "place",
    [{"workers": 2, "threads": 4}, {"workers": 1, "threads": 1}, {"mode": "default"}],
    ids=["workers", "one-thread", "main"],
)


@PLACES
def test_no_request_sees_anything_of_another(place: dict[str, object], tmp_path: Path) -> None:
    written = tmp_path / "written"
    with serve(APPS / "isolation_app.py", env={"PERF_FOUND": str(written)}, **place) as server:  # type: ignore[arg-type]
        crowd = Crowd(server.port, connections=24, seed=str(place))
        crowd.start()
        try:
            while crowd.tally.sent < REQUESTS:
                assert server.process.poll() is None
                time.sleep(0.05)
        finally:
            crowd.end()
    tally = crowd.tally
    counts = check_written(written, tally)
    assert tally.wrong == []
    # It was put to the test.
    assert set(tally.works) == set(OF_COROUTINES)
    assert {200, 418, 500, 504} <= set(tally.statuses)
    assert tally.left > 0
    assert counts["begin"] > REQUESTS / 2
    assert counts["begin"] == counts["end"]
    assert counts["calling"] == counts["called"] > 0
