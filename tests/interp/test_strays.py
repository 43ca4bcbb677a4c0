"""What Python itself writes to standard error is an object in a log of JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from serving import APPS, Server, serve

PLACES: dict[str, dict[str, Any]] = {
    "workers": {"workers": 1},
    "main": {"mode": "default"},
    "gil": {"env": {"TEST_GIL": "1"}, "workers": 1},
}


@pytest.fixture(params=PLACES)
def options(request: pytest.FixtureRequest) -> dict[str, Any]:
    return dict(PLACES[request.param])


def errors_of(server: Server, *targets: str) -> list[str]:
    """The lines on standard error after these requests, without the banner."""
    for target in targets:
        assert server.get(target).status == 200
    server.stop()
    text = server.output.text()
    _, _, rest = text.partition("try: curl")
    return [line for line in rest.splitlines()[1:] if line.strip()]


def test_tracebacks_and_warnings_are_objects(options: dict[str, Any]) -> None:
    with serve("strays", log_format="json", **options) as server:
        lines = errors_of(server, "/thread", "/exit", "/warning", "/coroutine")
    records = [json.loads(line) for line in lines]
    told = [row for row in records if row["logger"] in ("pyre.app", "py.warnings")]
    assert len(told) == 3, lines
    thread, warning, coroutine = told
    assert (thread["logger"], thread["level"]) == ("pyre.app", "ERROR")
    assert thread["message"] == "the thread mine ended with KeyError"
    assert "in fail" in thread["exception"]
    assert (warning["logger"], warning["level"]) == ("py.warnings", "WARNING")
    assert "UserWarning: careful\nhere" in warning["message"]
    assert Path(warning["file"]).name == "strays.py" and Path(warning["file"]).parent == APPS
    assert coroutine["logger"] == "py.warnings"
    assert "coroutine 'later' was never awaited" in coroutine["message"]


def test_hooks_of_the_program_stay(options: dict[str, Any]) -> None:
    env = options.pop("env", {}) | {"TEST_HOOKS": "1"}
    with serve("strays", log_format="json", env=env, **options) as server:
        lines = errors_of(server, "/thread", "/warning")
    assert "my hook: 'in the\\nthread'" in lines
    assert any(line.startswith("my warning: careful") for line in lines)
    assert not any("pyre.app" in line or "py.warnings" in line for line in lines)


def test_in_text_they_are_as_python_writes_them(options: dict[str, Any]) -> None:
    with serve("strays", **options) as server:
        lines = errors_of(server, "/thread", "/warning")
    assert "Exception in thread mine:" in lines
    assert any("UserWarning: careful" in line for line in lines)
    assert not any("pyre.app" in line or "py.warnings" in line for line in lines)
