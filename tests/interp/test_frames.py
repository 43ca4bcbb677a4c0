"""`sys._current_frames` while workers run: the threads of one interpreter, and no crash."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from dialogue import request
from serving import SUCCESS_S, Server, serve, wait_until

BOTH = pytest.mark.parametrize("prefix", ["", "/main"])


@pytest.fixture
def server() -> Iterator[Server]:
    with serve("frames", workers=2, threads=2) as server:
        yield server


@BOTH
def test_frames_of_all_threads_end_nothing(server: Server, prefix: str) -> None:
    """Asked for while other interpreters run Python code; the fixture wants an end with code 0."""
    ended = threading.Event()

    def load() -> None:
        while not ended.is_set():
            server.get("/")

    others = [threading.Thread(target=load) for _ in range(2)]
    for other in others:
        other.start()
    try:
        for _ in range(10):
            assert server.get(f"{prefix}/many").json() == 60
    finally:
        ended.set()
        for other in others:
            other.join(SUCCESS_S)
    assert server.stop() == 0
    assert "restored: True" in server.output.text()


@BOTH
def test_frames_are_those_of_this_interpreter(server: Server, prefix: str) -> None:
    for _ in range(30):
        seen = server.get(prefix or "/").json()
        assert seen["where"] == ("__main__" if prefix else "__mp_main__")
        assert seen["own"] is True
        assert seen["foreign"] == 0
        assert seen["ident"] in seen["idents"]


def test_frames_of_another_thread_of_the_worker() -> None:
    with serve("frames", workers=1, threads=2) as server, server.connect() as waiting:
        waiting.send(request("GET", "/waits"))

        def both() -> bool:
            seen = server.get("/").json()
            # It waits in `threading`, which shows the frame of that.
            return seen["count"] == 2 and "looked" in seen["names"] and seen["own"]

        wait_until(both, "the frame of the other lane is not there")
        assert server.get("/main").json()["foreign"] == 0
        assert server.get("/release").text == "done"
        assert waiting.reply().text == "released"


@BOTH
def test_exceptions_of_all_threads_are_refused(server: Server, prefix: str) -> None:
    assert "cannot be used while workers run" in server.get(f"{prefix}/exceptions").text


def test_nothing_is_replaced_without_workers() -> None:
    with serve("frames", mode="default") as server:
        assert server.get("/exceptions").json() >= 1
        assert server.get("/main/many").json() == 60
