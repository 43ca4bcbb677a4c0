"""A program means the same wherever it runs: on workers, on main, behind `run()` and a test client.

More than 200 small programs, most of them routes of few. A start that is refused is an answer too.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from serving import APPS, run_to_end, serve

from pyreframework.testing import TestClient

SAME = APPS / "same"
FUTURE = "from __future__ import annotations\n"
WAYS = ["run workers", "run main", "client workers", "client main"]
TABLES = {
    "decorated": (SAME / "decorated.py", "", 120, 4),
    "annotated": (SAME / "annotated.py", "", 150, 5),
    "annotated texts": (SAME / "annotated.py", FUTURE, 150, 5),
    "returned": (SAME / "returned.py", "", 90, 0),
}
REFUSING = (
    "import _interpreters\nif _interpreters.get_current()[0]:\n    "
    'raise ImportError(f"module {__name__} does not support loading in subinterpreters")'
)
KEPT = ("content-type", "content-length", "location", "x-tag", "set-cookie", "vary", "allow")
Get = Callable[[str], tuple[int, bytes, list[tuple[str, str]]]]


def collect(get: Get) -> dict[str, Any]:
    """The answers to all that a program lists, and its lists."""
    status, body, _ = get("/table")
    assert status == 200, body
    table = json.loads(body)
    answers = {}
    for path in table["paths"]:
        status, body, headers = get(path)
        lower = [(name.lower(), value) for name, value in headers]
        kept = sorted((name, value) for name, value in lower if name in KEPT)
        answers[path] = [status, body.decode("latin-1"), kept]
    return table | {"answers": answers}


def by_run(file: Path, mode: str | None) -> dict[str, Any]:
    with serve(file, mode=mode, workers=1) as server, server.connect() as peer:

        def get(path: str) -> tuple[int, bytes, list[tuple[str, str]]]:
            reply = peer.get(path)
            return reply.status, reply.body, reply.headers

        return collect(get)


def by_client(file: Path, mode: str | None) -> dict[str, Any]:
    name = f"same_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
        with TestClient(module.app, mode=mode, workers=1, follow_redirects=False) as client:

            def get(path: str) -> tuple[int, bytes, list[tuple[str, str]]]:
                reply = client.get(path)
                return reply.status_code, reply.body, reply.headers.multi_items()

            return collect(get)
    finally:
        del sys.modules[name]


@pytest.mark.parametrize("kind", TABLES)
def test_the_same_answers_everywhere(kind: str, tmp_path: Path) -> None:
    source, first, least, refused = TABLES[kind]
    file = tmp_path / source.name
    file.write_text(first + source.read_text())
    found = {
        "run workers": by_run(file, None),
        "run main": by_run(file, "default"),
        "client workers": by_client(file, "subinterp"),
        "client main": by_client(file, None),
    }
    table = found["run workers"]
    assert len(table["answers"]) >= least
    assert len(table["refused"]) == refused, table["refused"]
    for way in WAYS:
        assert found[way]["refused"] == table["refused"], way
        for path, answer in table["answers"].items():
            assert found[way]["answers"][path] == answer, (way, path)
    wrong = {
        path: (table["answers"][path], expected)
        for path, expected in table["expected"].items()
        if table["answers"][path][1] not in (json.dumps(expected, separators=(",", ":")), expected)
    }
    assert not wrong


@pytest.mark.parametrize("guard", ["always", "main", "workers", "import"])
def test_what_is_registered_under_a_guard(guard: str, tmp_path: Path) -> None:
    """Equal everywhere, or refused wherever there are workers, with one and the same sentence."""
    site = tmp_path / "site-packages"
    site.mkdir()
    (site / "refusing.py").write_text(REFUSING)
    written = tmp_path / "table.json"
    env = {"GUARD": guard, "PYTHONPATH": str(site), "TABLE": str(written)}
    ending = run_to_end(SAME / "guarded.py", env=env, port=None, workers=None)
    assert ending.code == 0, ending.output
    table = json.loads(written.read_text())
    for kind, ways in table.items():
        assert ways["run main"] == ways["client main"], kind
        workers = ways["run workers"]
        assert ways["client workers"] == workers, kind
        if guard == "always" or kind == "startup":
            assert workers == ways["run main"], kind
            continue
        assert isinstance(workers, str), (kind, workers)
        assert "in the main interpreter" in workers or "in this worker" in workers, workers
        assert "wherever it is imported: at the top level of a module" in workers, workers
        note = "refusing does not load in workers, where guarded.py:13 goes on without it"
        assert note in workers, workers


def test_there_are_200_programs() -> None:
    assert sum(least for _, _, least, _ in TABLES.values()) > 200
