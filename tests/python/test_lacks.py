"""What a handler uses of libraries that go on without an extension, and that is not there."""

from __future__ import annotations

from pathlib import Path

import pytest
from workshop import HOLLOW, REASON, REFUSES, Workshop


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    monkeypatch.chdir(tmp_path)
    return Workshop(tmp_path)


@pytest.fixture
def spawning(workshop: Workshop) -> Workshop:
    """A library whose one part needs an extension of another package, and says so when called."""
    workshop.write("green/__init__.py", "from green import _green")
    workshop.write("green/_green.py", REFUSES)
    workshop.write("grid/spawning.py", "def spawn():\n    return 1\nclass Lock: pass")
    workshop.write("grid/__init__.py", "from grid import compat\nfrom grid.plain import Plain")
    workshop.write("grid/compat.py", HOLLOW)
    workshop.write("grid/plain.py", "class Plain:\n    def run(self):\n        return 0")
    workshop.write(
        "grid/later.py",
        """
        from grid.compat import spawn
        class Engine:
            def run(self):
                return spawn()
        def create():
            return Engine()
        """,
    )
    return workshop


def test_what_only_raises_in_place_of_what_was_lost(spawning: Workshop) -> None:
    modules, moves = spawning.doctor(
        """
        import grid
        from grid import later
        from grid.compat import Lock
        engine, plain = later.create(), grid.Plain()
        held = {"engine": engine}
        class Service:
            def __init__(self):
                self.engine, self.plain = engine, plain
            def later(self, req):
                return self.engine.run()
            def now(self, req):
                return self.plain.run()
        app.get("/engine", lambda req: engine.run())
        app.get("/create", lambda req: later.create().run())
        app.get("/class", lambda req: later.Engine().run())
        app.get("/held", lambda req: held["engine"].run())
        app.get("/lock", lambda req: Lock())
        app.get("/self", Service().later)
        app.get("/now", Service().now)
        app.get("/object", lambda req: plain.run())
        """
    )
    places = ("engine", "create", "class", "held", "lock", "self")
    assert moves == {f"GET /{place}": "green" for place in places}
    assert modules["grid"] == ("partly", "without green._green")
    assert modules["green"] == ("no", REASON.format("green._green"))


def test_a_library_that_is_told_what_it_goes_on_without(workshop: Workshop) -> None:
    workshop.write("green/__init__.py", REFUSES)
    workshop.write(
        "grid/__init__.py",
        """
        try:
            import green
            kinds = ["plain", "green"]
        except ImportError:
            kinds = ["plain"]
        def parse(text, kind="plain"):
            return kinds.index(kind)
        """,
    )
    modules, moves = workshop.doctor(
        '''
        from grid import parse
        KIND = "green"
        def default(req, kind="green"):
            return parse("a", kind)
        def many(req):
            return [parse("a", kind) for kind in ("plain", "green-1")]
        def plain(req):
            """Not with green."""
            return parse("a", "plain")
        def other(req):
            return "green"
        app.get("/text", lambda req: parse("a", "green"))
        app.get("/global", lambda req: parse("a", KIND))
        app.get("/default", default, gil=None)
        app.get("/many", many)
        app.get("/none", plain)
        app.get("/other", other)
        app.get("/like", lambda req: parse("a", "evergreen"))
        '''.replace(", gil=None", "")
    )
    assert moves == {f"GET /{place}": "green" for place in ("text", "global", "default", "many")}
    assert modules["green"] == ("no", REASON.format("green"))


def test_what_a_library_imports_when_it_is_called(workshop: Workshop) -> None:
    workshop.write("green.py", REFUSES)
    workshop.write(
        "lazy.py",
        """
        import functools
        import sys
        def wrap(function):
            @functools.wraps(function)
            def inner(*values):
                return function(*values)
            return inner
        def make():
            import green
            return green
        @wrap
        def wrapped():
            with open("a"):
                import green
        def falls_back():
            try:
                import green
            except ImportError:
                return 0
        def sometimes(kind=None):
            if kind == "green":
                import green
        def fails():
            import not_there_at_all
        class Table:
            def __init__(self):
                self.rows = []
            def to_green(self):
                import green
            def to_list(self):
                return self.rows
            @staticmethod
            def read():
                from green import grid
        """,
    )
    modules, moves = workshop.doctor(
        """
        import lazy
        table = lazy.Table()
        app.get("/make", lambda req: lazy.make())
        app.get("/wrapped", lambda req: lazy.wrapped())
        app.get("/falls", lambda req: lazy.falls_back())
        app.get("/sometimes", lambda req: lazy.sometimes())
        app.get("/fails", lambda req: lazy.fails())
        app.get("/list", lambda req: lazy.Table().to_list())
        app.get("/green", lambda req: lazy.Table().to_green())
        app.get("/object", lambda req: table.to_green())
        app.get("/objects-list", lambda req: table.to_list())
        app.get("/static", lambda req: lazy.Table.read())
        """
    )
    assert moves == {
        f"GET /{place}": "green" for place in ("make", "wrapped", "green", "object", "static")
    }
    assert modules["lazy"] == ("yes", "")
