"""Starting, running and ending: how often each hook runs, and in which interpreter."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from dialogue import request
from serving import Server, serve, wait_until


def places(output: str, what: str) -> list[int]:
    return [int(found) for found in re.findall(rf"^{what} in (\d+)$", output, re.MULTILINE)]


@pytest.mark.parametrize("workers", [1, 3])
def test_hooks_on_workers(workers: int) -> None:
    """The program has a `gil=True` route, so that main runs handlers too."""
    with serve("lifecycle", workers=workers) as server:
        assert server.get("/here").status == 200
    output = server.output.text()
    assert places(output, "loaded as __main__") == [0]
    loaded = places(output, "loaded as __mp_main__")
    assert len(loaded) == len(set(loaded)) == workers and 0 not in loaded
    for once in ("startup", "second startup", "shutdown"):
        assert places(output, once) == [0], once
    assert sorted(places(output, "worker start")) == sorted([0, *loaded])
    assert sorted(places(output, "worker stop")) == sorted([0, *loaded])
    lines = [line for line in output.splitlines() if re.search(r" in \d+$", line)]
    order = [line.rpartition(" in ")[0] for line in lines]
    assert order.index("startup") < order.index("second startup")
    assert order[-1] == "shutdown"
    assert max(i for i, line in enumerate(order) if line == "worker start") < order.index(
        "worker stop"
    )


def test_hooks_on_main() -> None:
    with serve("lifecycle", mode="default") as server:
        assert server.get("/here").json()["interpreter"] == 0
        assert server.get("/main").json()["interpreter"] == 0
    output = server.output.text()
    for once in ("loaded as __main__", "startup", "worker start", "worker stop", "shutdown"):
        assert places(output, once) == [0], once
    assert "__mp_main__" not in output


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve("lifecycle", workers=2, threads=2) as server:
        yield server


def test_each_interpreter_loads_the_program_once(server: Server) -> None:
    """Every worker serves, and main runs what asks for it."""
    seen = set()

    def ask(_: int) -> None:
        answer = server.get("/slow-here/5").json()
        assert answer["loads"] == 1
        seen.add(answer["interpreter"])

    with ThreadPoolExecutor(16) as pool:
        wait_until(lambda: list(pool.map(ask, range(64))) and len(seen) == 2, "both workers serve")
    assert 0 not in seen


def test_gil_routes_run_on_main(server: Server) -> None:
    """On main's interpreter, but not on the thread that waits for signals."""
    for _ in range(20):
        assert server.get("/main").json() == {
            "interpreter": 0,
            "main thread": False,
            "loads": 1,
        }


def test_pipelined_over_both_kinds(server: Server) -> None:
    """Replies of main and of workers come in the order of their requests."""
    with server.connect() as peer:
        peer.send((request("GET", "/main") + request("GET", "/here")) * 50)
        for _ in range(50):
            assert peer.reply().json()["interpreter"] == 0
            assert peer.reply().json()["interpreter"] != 0


def test_print_in_a_worker_reaches_stdout(server: Server) -> None:
    server.get("/print/aloud")
    server.output.wait_for("printed aloud", 10)


def test_threads_of_the_user(server: Server) -> None:
    for _ in range(10):
        assert server.get("/threads").json()[0] != 0


def test_asyncio_run_in_a_handler(server: Server) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: server.get("/loop").text, range(12))) == {"looped"}


def test_standard_library_in_all_workers_at_once(server: Server) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: server.get("/library").json(), range(24)))
    assert (
        answers
        == [
            {
                "datetime": "2024-01-02",
                "decimal": "0.3",
                "hash": "e3b0c442",
                "re": "aca",
                "sqlite": 42,
                "subprocess": "ran\n",
                "zlib": 100,
            }
        ]
        * 24
    )


def test_sixteen_workers() -> None:
    with serve("lifecycle", workers=16) as server:
        assert server.get("/here").status == 200
        output = server.output.text()
        assert len(set(places(output, "loaded as __mp_main__"))) == 16
    assert len(places(server.output.text(), "worker stop")) == 17


def test_started_and_stopped_again_and_again() -> None:
    for _ in range(3):
        with serve("lifecycle", workers=4) as server:
            assert server.get("/here").status == 200


def test_descriptors_after_load(server: Server) -> None:
    server.get("/here")
    server.get("/main")
    before = server.descriptors()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: server.get("/here").status, range(400)))
    wait_until(lambda: server.descriptors() <= before, "no more descriptors than before")


def test_threads_stay_the_same(server: Server) -> None:
    """No thread is made per request or connection."""
    tasks = Path(f"/proc/{server.pid}/task")
    server.get("/here")
    before = len(list(tasks.iterdir()))
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: server.get("/here").status, range(200)))
    assert len(list(tasks.iterdir())) <= before
