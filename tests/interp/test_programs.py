"""Programs as people write them: every kind of callable, guard, module and decorator."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from places import MODES
from serving import Write, serve

HELLO = """
    from pyreframework import Pyre
    app = Pyre()

    @app.get("/")
    def hello(req):
        return __name__
"""


@MODES
@pytest.mark.parametrize(
    "ending",
    [
        "app.run()",
        "if __name__ == '__main__':\n    app.run()",
        "def main():\n    app.run()\nif __name__ == '__main__':\n    main()",
        "def main():\n    app.run()\nmain()",
        "app.run(); print('past run', flush=True)",
        "try:\n    app.run()\nexcept Exception:\n    raise SystemExit(9)",
    ],
    ids=["bare", "guarded", "main function", "called", "followed", "in try"],
)
def test_ways_to_run(write: Write, ending: str, mode: str | None) -> None:
    file = write("program.py", textwrap.dedent(HELLO) + ending)
    with serve(file, mode=mode) as server:
        name = "__mp_main__" if mode is None else "__main__"
        assert server.get("/").text == name
        assert "past run" not in server.output.text()
    if "past run" in ending:
        assert server.output.text().splitlines().count("past run") == 1


@MODES
def test_kinds_of_handlers(write: Write, mode: str | None) -> None:
    file = write(
        "program.py",
        """
        import functools
        from pyreframework import Pyre

        app = Pyre()

        app.get("/lambda", lambda req: "lambda")
        for number in range(3):
            app.get(f"/loop/{number}", lambda req, number=number: f"loop {number}")

        def closure(word):
            def handler(req):
                return f"closure {word}"
            return handler

        app.get("/closure/a", closure("a"))
        app.get("/closure/b", closure("b"))

        def greet(greeting, req, name="you"):
            return f"{greeting} {name}"

        app.get("/partial/{name}", functools.partial(greet, "hi"))
        app.get("/partial-keyword", functools.partial(greet, "hi", name="them"))

        class Counter:
            def __init__(self, start):
                self.start = start

            def bound(self, req):
                return f"bound {self.start}"

            def __call__(self, req):
                return f"called {self.start}"

            @classmethod
            def of_class(cls, req):
                return f"class {cls.__name__}"

            @staticmethod
            def static(req):
                return "static"

        counter = Counter(7)
        app.get("/bound", counter.bound)
        app.get("/called", counter)
        app.get("/class", Counter.of_class)
        app.get("/static", Counter.static)

        @app.get("/same/1")
        def same(req):
            return "same 1"

        @app.get("/same/2")
        def same(req):
            return "same 2"

        def shout(handler):
            @functools.wraps(handler)
            def wrapped(*args, **kwargs):
                return handler(*args, **kwargs).upper()
            return wrapped

        def unnamed(handler):
            return lambda req: handler(req) + "!"

        @app.get("/decorated/{name}")
        @shout
        def decorated(req, name):
            return f"decorated {name}"

        @app.get("/decorated-twice")
        @unnamed
        @shout
        def twice(req):
            return "twice"

        @app.get("/outer")
        @app.get("/inner")
        @app.post("/inner")
        def several(req):
            return f"{req.method} {req.path}"

        @app.get("/cached")
        @functools.cache
        def cached(req=None):
            return "cached"

        app.get("/builtin", str)
        app.get("/repr-free", lambda: "no request")
        assert several.__name__ == "several"
        app.run()
        """,
    )
    with serve(file, mode=mode) as server:
        for target, text in {
            "/lambda": "lambda",
            "/loop/0": "loop 0",
            "/loop/2": "loop 2",
            "/closure/a": "closure a",
            "/closure/b": "closure b",
            "/partial/ann": "hi ann",
            "/partial-keyword": "hi them",
            "/bound": "bound 7",
            "/called": "called 7",
            "/class": "class Counter",
            "/static": "static",
            "/same/1": "same 1",
            "/same/2": "same 2",
            "/decorated/x": "DECORATED X",
            "/decorated-twice": "TWICE!",
            "/outer": "GET /outer",
            "/inner": "GET /inner",
            "/cached": "cached",
            "/repr-free": "no request",
        }.items():
            assert server.get(target).text == text, target
        assert server.post("/inner", b"x").text == "POST /inner"
        assert server.get("/builtin").status == 200


@MODES
def test_program_in_several_files(write: Write, tmp_path: Path, mode: str | None) -> None:
    write("parts/__init__.py", "")
    write(
        "parts/users.py",
        """
        def register(app):
            @app.get("/users")
            def users(req):
                return __name__
        """,
    )
    write("shared.py", "from pyreframework import Pyre\napp = Pyre()\n")
    file = write(
        "program.py",
        """
        from shared import app
        from parts import users
        import sys

        users.register(app)
        app.get("/argv", lambda req: sys.argv[1:])
        if __name__ == "__main__":
            app.run()
        """,
    )
    for cwd in (tmp_path, Path("/")):
        with serve([str(file), "--flag", "x y"], cwd=cwd, mode=mode) as server:
            assert server.get("/users").text == "parts.users"
            assert server.get("/argv").json() == ["--flag", "x y"]


@MODES
def test_run_as_a_module(write: Write, tmp_path: Path, mode: str | None) -> None:
    write("package/__init__.py", "")
    write("package/words.py", "word = 'relative'")
    write(
        "package/serve.py",
        """
        from pyreframework import Pyre
        from . import words

        app = Pyre()
        app.get("/", lambda req: f"{words.word} {__package__}")
        app.run()
        """,
    )
    write("package/__main__.py", "from .serve import app\napp.run()")
    with serve(["-m", "package.serve"], cwd=tmp_path, mode=mode) as server:
        assert server.get("/").text == "relative package"


@MODES
def test_app_in_an_imported_module(write: Write, tmp_path: Path, mode: str | None) -> None:
    write(
        "service.py",
        """
        from pyreframework import Pyre
        app = Pyre()
        app.get("/", lambda req: __name__)
        """,
    )
    file = write("program.py", "import service\nservice.app.run()\n")
    with serve(file, mode=mode) as server:
        assert server.get("/").text == "service"


@MODES
def test_program_at_an_odd_path(write: Write, mode: str | None) -> None:
    file = write("caf\u00e9 & more/my program.v2.py", textwrap.dedent(HELLO) + "app.run()")
    with serve(file, mode=mode) as server:
        assert server.get("/").status == 200


@MODES
def test_classes_of_the_program(write: Write, mode: str | None) -> None:
    """What refers to its own module (pickle, dataclasses, typing) finds it in workers as well."""
    file = write(
        "program.py",
        """
        from __future__ import annotations
        import dataclasses
        import pickle
        import sys
        import typing
        from pyreframework import Pyre

        app = Pyre()

        @dataclasses.dataclass
        class Point:
            x: int

        @app.get("/pickle")
        def pickled(req):
            return pickle.loads(pickle.dumps(Point(5))).x

        @app.get("/hints/{n}")
        def hints(req, n: int) -> str:
            return f"{typing.get_type_hints(Point)['x'].__name__} {n + 1}"

        @app.get("/file")
        def file(req):
            return [__file__.rpartition("/")[2], sys.modules[__name__].app is app]

        app.run()
        """,
    )
    with serve(file, mode=mode) as server:
        assert server.get("/pickle").json() == 5
        assert server.get("/hints/4").text == "int 5"
        assert server.get("/file").json() == ["program.py", True]


def test_globals_belong_to_their_interpreter(write: Write) -> None:
    """State of a module is per worker; on main there is one."""
    file = write(
        "program.py",
        """
        import threading
        from pyreframework import Pyre

        app = Pyre()
        count = 0
        lock = threading.Lock()

        @app.get("/count")
        def counted(req):
            global count
            with lock:
                count += 1
                return count

        app.run()
        """,
    )
    with serve(file, mode="default") as server:
        assert [server.get("/count").json() for _ in range(20)] == list(range(1, 21))
    with serve(file, workers=1) as server:
        assert [server.get("/count").json() for _ in range(20)] == list(range(1, 21))
