"""`lifespan=` and async hooks of life: on the loop of the handlers, around all of them."""

from __future__ import annotations

import re

import pytest
from serving import run_to_end, serve

PLACES: dict[str, dict[str, object]] = {
    "workers": {"threads": 4},
    "one-thread": {"threads": 1, "env": {"TEST_ONE_THREAD": "1"}},
    "main": {"mode": "default"},
    "gil": {"env": {"TEST_GIL": "1"}},
}


def events(output: str) -> list[str]:
    """What the program said, in order."""
    said = r"^(startup|worker start|entering|left|worker stop|shutdown) in (\w+)$"
    return [" ".join(found) for found in re.findall(said, output, re.MULTILINE)]


@pytest.mark.parametrize("place", PLACES)
def test_around_all_handlers(place: str) -> None:
    with serve("lifespan", workers=2, **PLACES[place]) as server:  # type: ignore[arg-type]
        for number in range(5):
            assert server.get(f"/double/{number}").text == str(2 * number)
            expected = [True, True, True, "_UnixSelectorEventLoop"]
            assert server.get("/loops").json() == expected
        assert server.get("/def").text in ("42", "no other thread")
        before = events(server.output.text())
        server.stop()
        after = events(server.output.text())[len(before) :]
    workers = [] if place == "main" else ["__mp_main__"] * 2
    main = ["__main__"] if place in ("main", "gil") else []
    begin, end = ["worker start {}", "entering {}"], ["left {}", "worker stop {}"]
    interpreters = workers + main
    assert before[0] == "startup __main__"
    # Workers start side by side, too, where CPython lets them; the main interpreter comes last.
    of_workers = before[1 : 1 + 2 * len(workers)]
    assert sorted(of_workers) == sorted(line.format(name) for name in workers for line in begin)
    assert before[1 + len(of_workers) :] == [line.format(name) for name in main for line in begin]
    assert not workers or of_workers[0].startswith("worker start")
    assert after[-1] == "shutdown __main__"
    # Workers end side by side, each in its own order.
    assert sorted(after[:-1]) == sorted(line.format(name) for name in interpreters for line in end)
    assert after.index("left __mp_main__" if workers else "left __main__") == 0


@pytest.mark.parametrize("place", ["workers", "main"])
@pytest.mark.parametrize("what", ["startup", "worker start", "enter"])
def test_failing_start(place: str, what: str) -> None:
    # CPython tells of what was not closed, such as the event loop.
    env = {"TEST_FAIL": what, "PYTHONWARNINGS": "default::ResourceWarning"}
    ending = run_to_end("lifespan", env=env, workers=1, **_without_env(place))
    assert ending.code == 3, ending.output
    assert "ResourceWarning" not in ending.output
    assert "Traceback" in ending.output
    assert "LookupError: no" in ending.output
    assert "in lifespan" in ending.output or what != "enter"


def _without_env(place: str) -> dict[str, object]:
    return {name: value for name, value in PLACES[place].items() if name != "env"}


@pytest.mark.parametrize("place", ["workers", "main"])
def test_failing_end(place: str) -> None:
    """It is logged, and what comes after it runs."""
    env = {"TEST_FAIL": "leave"}
    with serve("lifespan", env=env, workers=1, **_without_env(place)) as server:
        assert server.get("/double/4").text == "8"
        assert server.stop() == 0
        output = server.output.text()
        assert "LookupError: cannot leave" in output
        assert "worker stop in" in output and "shutdown in" in output


@pytest.mark.parametrize("place", ["workers", "main"])
def test_the_stock_loop_whatever_policy_is_set(place: str) -> None:
    with serve("lifespan", env={"TEST_POLICY": "1"}, workers=1, **_without_env(place)) as server:
        assert server.get("/loops").json()[3] == "_UnixSelectorEventLoop"
