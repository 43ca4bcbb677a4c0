"""Which thread runs a handler decides nothing that it sees: contexts, and what `threading` says."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from serving import Server, serve

PLACES: dict[str, dict[str, object]] = {
    "workers": {},
    "one-thread": {"threads": 1},
    "coroutines": {"env": {"TEST_COROUTINES": "1"}},
    "main": {"mode": "default"},
    "main-coroutines": {"mode": "default", "env": {"TEST_COROUTINES": "1"}},
    "gil": {"env": {"TEST_GIL": "1"}},
}
HALF_UP = ["3", "at the top", "by a hook"]


@pytest.fixture(scope="module", params=PLACES)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve("lane_contexts", workers=1, **PLACES[request.param]) as server:  # type: ignore[arg-type]
        yield server


def test_money_is_rounded_alike_on_all_threads(server: Server) -> None:
    """`decimal.getcontext()` is of a thread; the program has set it where it was loaded."""
    with server.connect() as peer:
        # In between the route proves to be short, and runs where requests are read.
        assert [peer.get("/seen").json() for _ in range(200)] == [HALF_UP] * 200
    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(lambda _: server.get("/wait").json(), range(24)))
    assert found == [HALF_UP] * 24


def test_coroutines_see_the_same(server: Server, request: pytest.FixtureRequest) -> None:
    reply = server.get("/async")
    if "coroutines" in request.node.callspec.params["server"]:
        assert reply.json() == HALF_UP
    else:
        assert reply.status == 404


def test_threads_of_handlers_are_no_daemons(server: Server) -> None:
    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(lambda _: server.get("/names").json(), range(24)))
    for name, is_daemon in found:
        assert name.startswith("pyre-") or name == "MainThread"
        assert is_daemon is False


@pytest.mark.parametrize("place", PLACES)
def test_what_a_thread_of_a_handler_does_is_not_cut_off_by_a_stop(
    tmp_path: Path, place: str
) -> None:
    file = tmp_path / "out"
    with serve("lane_contexts", workers=1, **PLACES[place]) as server:  # type: ignore[arg-type]
        assert server.get(f"/late{file}").text == "later"
        assert server.stop() == 0
    assert file.read_text() == "done"
