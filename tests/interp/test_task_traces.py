"""What one request can see of its task, no later request sees: nothing is inherited by a task."""

from __future__ import annotations

import os
import re
import textwrap
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from dialogue import Peer, request
from places import MODES
from serving import Server, serve, wait_until

PLACES: dict[str, dict[str, object]] = {
    "workers": {"threads": 4},
    "one-thread": {"threads": 1},
    "main": {"mode": "default"},
    "hooks": {"env": {"TEST_HOOKS": "1"}},
    "gil": {"env": {"TEST_GIL": "1", "TEST_HOOKS": "1"}},
    "python-tasks": {"env": {"TEST_PYTHON_TASKS": "1"}},
}
"""One worker each, so that all requests meet on one loop and tasks could be used again."""

KINDS = [
    "user", "user-of-context", "finalizer", "attribute", "name", "callback", "variable",
    "variable-and-back", "equal", "equal-and-back", "task", "context", "coroutine", "cancel",
    "cancel-and-back", "error", "others-user", "others-attribute", "others-variable",
    "others-cancel", "others-task",
]  # fmt: skip

WAITS = ["", "?wait", "?wait-after"]

NAME = re.compile(r"Task-\d+(\.\d+)?")


@pytest.fixture(scope="module", params=PLACES)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve("traces", workers=1, **PLACES[request.param]) as server:  # type: ignore[arg-type]
        yield server
        assert server.get("/group").json() == [0, 1, 2]


@pytest.fixture
def peer(server: Server) -> Iterator[Peer]:
    with server.connect() as peer:
        yield peer
        peer.get("/forget")


def fill(server: Server, count: int) -> None:
    """Let so many requests wait at the same time, so that as many tasks are there afterwards."""
    with ExitStack() as stack:
        peers = [stack.enter_context(server.connect()) for _ in range(count)]
        for peer in peers:
            peer.send(request("GET", f"/together/{count}"))
        assert [peer.reply().text for peer in peers] == ["together"] * count


def expect_nothing(peer: Peer, first: dict[str, object]) -> None:
    """Requests of every kind find their tasks as the first one of all found its own."""
    for _ in range(2):
        for path in ("/look", "/look?wait"):
            found = peer.get(path).json()
            assert NAME.fullmatch(found.pop("name"))
            assert found == first
    assert peer.get("/group").json() == [0, 1, 2]


@pytest.fixture(scope="module")
def first(server: Server) -> dict[str, object]:
    found = server.get("/look").json()
    assert NAME.fullmatch(found.pop("name"))
    assert found["given"] in (None, "at first")
    return {
        "user": None,
        "attribute": None,
        "cancelling": 0,
        "callbacks": 0,
        "variable": None,
        "given": found["given"],
        "context": [],
        "known": [False] * 4,
    }


@pytest.mark.parametrize("wait", WAITS)
@pytest.mark.parametrize("kind", KINDS)
def test_request_finds_its_task_untouched(
    server: Server, peer: Peer, first: dict[str, object], kind: str, wait: str
) -> None:
    """Whatever the ones before have done to theirs, and to those that had no request."""
    fill(server, 3)
    for n in range(3):
        peer.get(f"/leave/{kind}/secret-{n}{wait}")
        expect_nothing(peer, first)
    assert peer.get("/later/secret").text == "secret"
    expect_nothing(peer, first)


@pytest.mark.parametrize("wait", WAITS)
def test_registry_by_task_does_not_name_the_client_before(server: Server, wait: str) -> None:
    """Each client gets its own name from `users.setdefault(asyncio.current_task(), name)`."""
    for n in range(4):
        with server.connect() as peer:
            assert peer.get("/look").json()["user"] is None
            assert peer.get(f"/leave/user/client-{n}{wait}").text == f"client-{n}"
            assert peer.get("/look?wait").json()["user"] is None


def test_names_are_those_of_one_request(server: Server, peer: Peer) -> None:
    """A name that was read is not read again: a log that bears it tells requests apart."""
    names = [peer.get(f"/name{wait}").text for wait in ("", "?wait") * 8]
    assert all(NAME.fullmatch(name) for name in names)
    assert len(set(names)) == len(names)


def test_tasks_that_nobody_has_looked_at_are_used_again(
    request: pytest.FixtureRequest, server: Server, peer: Peer
) -> None:
    """Or else the tests here would find nothing: this is what makes them necessary."""
    if "python-tasks" in request.node.name:
        pytest.skip("what is left with tasks of this kind cannot all be seen: each serves once")
    assert peer.get("/leave/nothing/word").text == "word"
    if len({peer.get("/id").text for _ in range(16)}) == 16:
        pytest.fail("sixteen requests in a row had tasks at sixteen addresses")


@pytest.mark.parametrize("wait", WAITS)
def test_done_callbacks_are_called_once_when_their_request_has_ended(
    server: Server, peer: Peer, wait: str
) -> None:
    for n in range(4):
        assert peer.get(f"/leave/callback/{n}{wait}").text == str(n)
    assert peer.get("/look").json()["callbacks"] == 0
    found: list[str] = []

    def look() -> bool:
        found.extend(peer.get("/forget").json())
        return len(found) >= 4

    wait_until(look, f"four calls, not {found}")
    assert sorted(found) == ["0", "1", "2", "3"]


@pytest.mark.parametrize("wait", WAITS)
def test_done_callbacks_are_called_although_no_other_request_comes(
    server: Server, peer: Peer, wait: str
) -> None:
    word = f"{wait[1:] or 'nothing'}-{os.urandom(4).hex()}"
    assert peer.get(f"/leave/printed-callback/{word}{wait}").text == word
    server.output.wait_for(f"called for {word}")


@pytest.mark.parametrize("first", ["raise", "set"])
def test_results_are_encoded_with_the_context_of_their_own_request(
    server: Server, first: str
) -> None:
    """Of several that end in the same iteration of the loop; one that raises ends with hooks."""
    ways = [first, "show", "set", "show", first, "set", "raise", "show"]
    words = [f"{way}-{number}" for number, way in enumerate(ways)]
    with ExitStack() as stack:
        peers = [stack.enter_context(server.connect()) for _ in ways]
        for number, (peer, way, word) in enumerate(zip(peers, ways, words, strict=True)):
            peer.send(request("GET", f"/gate/{way}/{word}"))
            wait_until(lambda n=number: len(server.get("/gate").json()) > n, "it waits")  # type: ignore[misc]
        assert server.get("/gate/open").json() == words
        for peer, way, word in zip(peers, ways, words, strict=True):
            reply = peer.reply()
            if way != "raise":
                assert reply.json() == {"variable": word if way == "set" else None}


@pytest.mark.parametrize("wait", WAITS)
def test_task_ends_for_who_watches_it_weakly(server: Server, peer: Peer, wait: str) -> None:
    assert peer.get(f"/leave/finalizer/gone{wait}").text == "gone"
    wait_until(lambda: peer.get("/forget").json() == ["gone"], "its finalizer was called")


def test_task_of_a_request_after_one_that_was_timed_out(
    server: Server, first: dict[str, object]
) -> None:
    for _ in range(4):
        with server.connect() as peer:
            assert peer.get("/hang").status == 504
    with server.connect() as peer:
        expect_nothing(peer, first)


def test_task_of_a_request_after_one_whose_client_has_left(
    server: Server, first: dict[str, object]
) -> None:
    for n in range(4):
        word = f"left-{threading.get_ident()}-{n}"
        leaving = server.connect()
        leaving.send(request("GET", f"/hang/{word}"))
        wait_until(lambda word=word: server.get(f"/hangs/{word}").json(), "it hangs")  # type: ignore[misc]
        leaving.abort()
        wait_until(lambda word=word: server.get(f"/ended/{word}").json(), "it has ended")  # type: ignore[misc]
    with server.connect() as peer:
        expect_nothing(peer, first)
        peer.get("/forget")


MISUSE = """
    import asyncio
    from pyreframework import Pyre

    app = Pyre()

    @app.get("/leave")
    async def leave(req):
        asyncio.tasks._leave_task(asyncio.get_running_loop(), asyncio.current_task())
        return "left"

    @app.get("/")
    async def hello(req):
        return "hello"

    if __name__ == "__main__":
        app.run()
"""


@MODES
def test_a_program_that_leaves_its_task_does_not_keep_its_worker_from_ending(
    tmp_path: Path, mode: str | None
) -> None:
    file = tmp_path / "program.py"
    file.write_text(textwrap.dedent(MISUSE))
    with serve(file, workers=1, mode=mode) as server:
        for _ in range(3):
            assert server.get("/leave").text == "left"
            assert server.get("/").text == "hello"
        assert server.stop() == 0
    said = server.output.text()
    assert "could not be ended" not in said
    # Told each time, of the request that has done it.
    assert len(re.findall(r"^RuntimeError: .*\btask\b", said, re.MULTILINE)) == 3
