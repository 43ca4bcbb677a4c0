"""What goes with an answer in pieces: tasks, variables, ids, the log, metrics and time limits."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from dialogue import request
from gate import Gate
from places import PLACES
from serving import Server, serve, wait_until
from streaming import LAST, expect_nothing_in_flight, expect_seen, receive_until

KINDS = pytest.mark.parametrize("kind", ["def", "async"])


@pytest.fixture(scope="module", params=PLACES)
def options(request: pytest.FixtureRequest) -> dict[str, object]:
    return {"workers": 1} | PLACES[request.param]


@pytest.fixture(scope="module")
def server(options: dict[str, object]) -> Iterator[Server]:
    with serve("pieces_beside", **options) as server:  # type: ignore[arg-type]
        yield server
        expect_nothing_in_flight(server)


@KINDS
def test_tasks_run_behind_the_last_piece(server: Server, kind: str) -> None:
    with Gate() as gate, server.connect() as peer:
        peer.send(request("GET", f"/tasks-{kind}/{gate.port}/a"))
        receive_until(peer, b"one\r\n")
        assert gate.entered() == "a"
        assert server.get("/seen").json() == []
        gate.release("a", "open")
        receive_until(peer, LAST)
    expect_seen(server, "open", "at the end", "task ran")


@KINDS
def test_tasks_run_when_the_client_goes(server: Server, kind: str) -> None:
    with Gate() as gate, server.connect() as peer:
        peer.send(request("GET", f"/tasks-{kind}/{gate.port}/a"))
        receive_until(peer, b"one\r\n")
        assert gate.entered() == "a"
        peer.abort()
        if kind == "def":
            gate.release("a", "open")
        noted: list[str] = []

        def look() -> bool:
            noted.extend(server.get("/seen").json())
            return "task ran" in noted

        wait_until(look, "the task runs")


@KINDS
def test_variables_of_the_request(server: Server, kind: str) -> None:
    with server.connect() as peer:
        for number in range(3):
            expected = f"set for context-{kind} q{number};" * 3
            assert peer.get(f"/context-{kind}?q{number}").text == expected


@KINDS
def test_id_of_the_request(server: Server, kind: str) -> None:
    since = len(server.output.lines)
    reply = server.get(f"/context-{kind}?q")
    given = reply.header("x-request-id")
    assert given
    server.output.wait_for(rf"pyre.access.*/context-{kind} .*request_id={given}", since=since)

    def said() -> int:
        return server.output.text().count(f"from the generator request_id={given}")

    wait_until(lambda: said() == 3, "all three say whose they are")


@KINDS
def test_access_log_has_a_line_at_the_end(server: Server, kind: str) -> None:
    with Gate() as gate, server.connect() as peer:
        since = len(server.output.lines)
        peer.send(request("GET", f"/{kind}/{gate.port}/logged"))
        receive_until(peer, b"begins\n\r\n")
        assert gate.entered() == "logged"
        gate.release("logged", "x" * 5000)
        assert gate.entered() == "logged"
        assert "/logged" not in "\n".join(server.output.lines[since:])
        gate.release("logged", "end")
        receive_until(peer, LAST)
        found = server.output.wait_for(
            rf'pyre.access.*"GET /{kind}/\d+/logged HTTP/1.1" 200 (\d+) ', since=since
        )
        assert 5000 < int(found[1]) < 6000
    lines = [line for line in server.output.lines[since:] if "/logged HTTP" in line]
    assert len(lines) == 1


@KINDS
def test_metrics_count_it(server: Server, kind: str) -> None:
    def answered() -> int:
        page = server.get("/metrics").text
        return sum(
            int(found[1])
            for found in re.finditer(
                rf"^pyre_requests_total\{{.*context-{kind}.*\}} (\d+)$", page, re.MULTILINE
            )
        )

    before = answered()
    for _ in range(3):
        server.get(f"/context-{kind}")
    wait_until(lambda: answered() == before + 3, "three more")


@KINDS
def test_time_limit_bounds_the_first_piece(options: dict[str, object], kind: str) -> None:
    with (
        serve("pieces_beside", request_timeout=1, **options) as server,  # type: ignore[arg-type]
        Gate() as gate,
        server.connect() as peer,
    ):
        peer.send(request("GET", f"/slow-{kind}/{gate.port}/late"))
        assert gate.entered() == "late"
        reply = peer.reply()
        assert reply.status == 504
        if kind == "def":
            gate.release("late")
            # Whether it is asked for more is its own affair: it is closed.
        peer.socket.close()
        assert server.get("/").status == 200


@KINDS
def test_time_limit_is_over_with_the_first_piece(options: dict[str, object], kind: str) -> None:
    with (
        serve("pieces_beside", request_timeout=1, **options) as server,  # type: ignore[arg-type]
        Gate() as gate,
        server.connect() as peer,
    ):
        peer.send(request("GET", f"/slow-{kind}/{gate.port}/a"))
        assert gate.entered() == "a"
        gate.release("a", "first")
        receive_until(peer, b"first\r\n")
        assert gate.entered() == "a"
        peer.expect_silence(1.5)
        gate.release("a")
        assert receive_until(peer, LAST).endswith(b" second\r\n" + LAST)
