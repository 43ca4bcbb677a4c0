"""`max_requests`: after so many answers another process takes over."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from dialogue import request
from places import MODES
from restarting import Write, load, serving_pid
from serving import is_supervisor, run_to_end, serve, wait_until


def test_max_requests_while_the_program_is_absent(write: Write) -> None:
    file = write()
    with serve(file, max_requests=5) as server:
        file.unlink()
        for _ in range(5):
            server.get("/")
        server.output.wait_for("there is no file")
        assert serving_pid(server) == server.pid
        write(version="2")
        server.signal(signal.SIGHUP)
        wait_until(lambda: server.get("/").text.startswith("2 "), "the new process serves")


@MODES
def test_max_requests(write: Write, mode: str | None) -> None:
    """After so many answers another process serves, again and again, and none is lost."""
    with serve(write(), max_requests=50, mode=mode) as server:
        pids: list[int] = []
        with server.connect() as first:
            for _ in range(49):
                assert first.get("/").text == f"1 {server.pid}"
        assert "take over" not in server.output.text()

        def third() -> bool:
            pids.append(serving_pid(server))
            return len(set(pids)) == 3

        wait_until(third, "two processes were replaced")
        wait_until(lambda: is_supervisor(server.pid), "the first one supervises")


def test_max_requests_under_load(write: Write) -> None:
    mistakes: list[str] = []
    with serve(write(), max_requests=300, max_requests_jitter=100) as server:
        with load(server, mistakes):
            wait_until(
                lambda: mistakes or server.output.text().count("serves now") >= 3, "three restarts"
            )
        assert mistakes == []


def test_answers_without_python_count(write: Write) -> None:
    with serve(write(), max_requests=20) as server, server.connect() as peer:
        peer.send(request("GET", "/nowhere") * 20)
        for _ in range(20):
            assert peer.reply().status == 404
        server.output.wait_for("serves now")


@pytest.mark.parametrize("option", ["max_requests=-1", "max_requests='x'", "max_requests=1.5"])
def test_max_requests_that_do_not_fit(write: Write, option: str) -> None:
    ending = run_to_end(write(option))
    assert ending.code == 2 and "'max_requests'" in ending.output


def test_max_requests_from_a_thread(write: Write) -> None:
    """Another thread cannot replace the program of the main one."""
    program = write()
    text = program.read_text().partition("if __name__")[0]
    program.write_text(
        text + "import threading\n"
        "thread = threading.Thread(target=app.run, kwargs={'mode': 'default', 'max_requests': 5})\n"
        "thread.start()\nthread.join()\n"
    )
    ending = run_to_end(program)
    assert "max_requests needs" in ending.output


def jitter(**options: Any) -> set[int]:
    from pyreframework.serving.settings.resolution import resolve

    found = set()
    for _ in range(200):
        value = resolve(options, {}).for_engine(0)["max_requests"]
        assert isinstance(value, int)
        found.add(value)
    return found


def test_jitter() -> None:
    assert jitter() == {0}
    assert jitter(max_requests_jitter=5) == {0}
    assert jitter(max_requests=10) == {10}
    assert jitter(max_requests=10, max_requests_jitter=2) == {10, 11, 12}
