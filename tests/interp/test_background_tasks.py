"""Functions that run after the answer: `req.add_task`."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest
from gate import Gate
from places import MODES, PLACES
from serving import Server, serve, wait_until

KINDS = ("/task", "/task-async", "/async-task", "/async-task-async")


@pytest.fixture(scope="module", params=PLACES)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve("disconnects", workers=1, **PLACES[request.param]) as server:  # type: ignore[arg-type]
        yield server
        assert server.get("/").text == "hello"


def expect_seen(server: Server, *expected: object) -> None:
    noted: list[object] = []

    def look() -> bool:
        noted.extend(server.get("/seen").json())
        return len(noted) >= len(expected)

    wait_until(look, f"noted {expected}, not {noted}")
    assert noted == list(expected)


@pytest.mark.parametrize("path", KINDS)
def test_after_the_answer(server: Server, path: str) -> None:
    """The client has its answer while the task is at work; plain or async, in any handler."""
    with Gate() as gate, server.connect() as peer:
        reply = peer.get(f"{path}/{gate.port}/a")
        assert reply.text == "answered"
        assert gate.entered() == "a"
        gate.release("a", "done")
        expect_seen(server, "a done by name")
        assert peer.get("/").text == "hello"


@pytest.mark.parametrize("path", ["/tasks", "/async-tasks"])
def test_order(server: Server, path: str) -> None:
    """Those of one request run one after the other, whatever kind they are."""
    assert server.get(f"{path}/many").text == "answered"
    expect_seen(server, 0, 1, 2, 3, 4)


@pytest.mark.parametrize("path", ["/tasks", "/async-tasks"])
def test_failures(server: Server, path: str) -> None:
    """They are logged, and the next task runs."""
    since = len(server.output.lines)
    assert server.get(f"{path}/fail").text == "answered"
    expect_seen(server, "behind the failures")
    server.output.wait_for("the task fail raised ValueError", since=since)
    server.output.wait_for("ValueError: secret of the task", since=since)
    server.output.wait_for("the task fail_later raised KeyError", since=since)


@pytest.mark.parametrize("path", ["/tasks", "/async-tasks"])
def test_exit_in_a_task(server: Server, path: str) -> None:
    assert server.get(f"{path}/exit").text == "answered"
    expect_seen(server, "behind the exit")
    assert server.get("/async").text == "hello"


@pytest.mark.parametrize("path", ["/tasks", "/async-tasks"])
def test_handler_that_fails_after_it_left_a_task(server: Server, path: str) -> None:
    """The task runs all the same: what it was left for may have been done."""
    assert server.get(f"{path}/raise").status == 500
    expect_seen(server, "after the failure")


@pytest.mark.parametrize("path", ["/tasks", "/async-tasks"])
def test_other_callables(server: Server, path: str) -> None:
    assert server.get(f"{path}/partial").text == "answered"
    expect_seen(server, "partial")


@pytest.mark.parametrize("path", ["/tasks", "/async-tasks"])
def test_what_is_refused(server: Server, path: str) -> None:
    assert server.get(f"{path}/wrong").text == "answered"
    expect_seen(
        server,
        "add_task() takes a function and its arguments",
        "add_task() takes a function, not int",
    )
    assert server.get(f"{path}/kept").text == "answered"
    assert "has been answered already" in server.get("/late-task").text


def test_hooks_leave_tasks(server: Server) -> None:
    assert server.get("/", [("X-Task", "yes")]).text == "hello"
    expect_seen(server, "left by a hook", "left by an after hook")


@pytest.mark.parametrize("path", KINDS)
@pytest.mark.parametrize("place", PLACES)
def test_stop_waits_for_them(place: str, path: str) -> None:
    with serve("disconnects", workers=1, **PLACES[place]) as server, Gate() as gate:  # type: ignore[arg-type]
        assert server.get(f"{path}/{gate.port}/a").text == "answered"
        assert gate.entered() == "a"
        server.signal(signal.SIGTERM)
        wait_until(lambda: not server.listens(), "new connections are refused")
        assert server.process.poll() is None
        gate.release("a")
        assert server.wait() == 0


@pytest.mark.parametrize("path", KINDS)
@MODES
def test_stop_gives_them_up_in_the_end(mode: str | None, path: str) -> None:
    with serve("disconnects", workers=1, mode=mode, shutdown_timeout=0.5) as server, Gate() as gate:
        assert server.get(f"{path}/{gate.port}/a").text == "answered"
        assert gate.entered() == "a"
        begun = time.monotonic()
        server.signal(signal.SIGTERM)
        assert server.wait() == 1
        assert time.monotonic() - begun >= 0.45
        assert "pyre: gave up 1 task after 0.5 s (shutdown_timeout)" in server.output.text()
        assert "RuntimeError" not in server.output.text()


def test_a_task_that_takes_long_keeps_no_thread_from_others() -> None:
    """It is not interrupted, and another thread takes the place of the one it runs on."""
    options: dict[str, object] = {"workers": 1, "threads": 2, "request_timeout": 0.4}
    with serve("disconnects", **options) as server, Gate() as gate:  # type: ignore[arg-type]
        for name in "ab":
            assert server.get(f"/task/{gate.port}/{name}").text == "answered"
            assert gate.entered() == name
        wait_until(lambda: server.get("/").status == 200, "others are answered")
        gate.release("a", "done")
        gate.release("b", "done")
        noted: list[str] = []

        def both() -> bool:
            noted.extend(server.get("/seen").json())
            return len(noted) == 2

        wait_until(both, "both have ended")
        assert sorted(noted) == ["a done by name", "b done by name"]
