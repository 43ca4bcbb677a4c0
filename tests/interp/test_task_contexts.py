"""The context of `req.add_task`: a task sees its request, and what the handler has set."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from dialogue import request
from places import PLACES
from serving import Server, serve, wait_until

WITH_HOOKS = PLACES | {"hooks": {"env": {"TEST_HOOKS": "1"}}}


@pytest.fixture(scope="module", params=WITH_HOOKS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    options = WITH_HOOKS[request.param]
    with serve("task_contexts", workers=1, log_format="json", **options) as server:
        yield server


def records(server: Server, names: list[str]) -> list[dict[str, Any]]:
    """What the tasks of these requests have logged, three records each."""
    found: list[dict[str, Any]] = []

    def look() -> bool:
        lines = [line for line in server.output.text().splitlines() if line.startswith("{")]
        rows = [json.loads(line) for line in lines]
        found[:] = [
            row for row in rows if row["logger"] == "shop" and row["message"].split()[1] in names
        ]
        return len(found) >= 3 * len(names)

    wait_until(look, "records of the tasks are missing")
    return found


def expect(server: Server, names: list[str]) -> None:
    for row in records(server, names):
        _, name, user = row["message"].split()
        assert (user, row.get("request_id")) == (name, f"id-{name}"), row
        assert row["trace_id"] == "0af7651916cd43dd8448eb211c80319c"


def headers(name: str) -> list[tuple[str, str]]:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    return [("X-Request-ID", f"id-{name}"), ("traceparent", trace)]


@pytest.mark.parametrize("kind", ["sync", "async", "waiting", "failing", "after"])
def test_a_task_knows_its_request(server: Server, kind: str) -> None:
    names = [f"{kind}{number}" for number in range(3)]
    for name in names:
        server.get(f"/{kind}/{name}", headers(name))
    expect(server, names)


@pytest.mark.parametrize("kind", ["sync", "async", "waiting", "after"])
def test_tasks_of_a_pipeline_know_theirs(server: Server, kind: str) -> None:
    names = [f"piped-{kind}{number}" for number in range(4)]
    with server.connect() as peer:
        peer.send(b"".join(request("GET", f"/{kind}/{name}", headers(name)) for name in names))
        assert [peer.reply().text for _ in names] == names
    expect(server, names)
