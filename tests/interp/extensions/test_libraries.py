"""Refused imports that are not in the program itself, but in what it calls, or is installed as."""

from __future__ import annotations

import pickle
import textwrap

import numpy as np
import pytest
from places import MAIN, WORKER
from serving import Write, banner, run_to_end, serve, wait_until


def test_what_a_program_that_does_without_runs_into(write: Write) -> None:
    file = write(
        "program.py",
        """
        try:
            import numpy as np
        except ImportError:
            np = None
        from pyreframework import Pyre
        app = Pyre()
        table = np.zeros(3)
        app.run()
        """,
    )
    ending = run_to_end(file)
    assert ending.code == 3
    assert "in a worker program.py:3 goes on without numpy" in ending.output


def test_a_library_that_catches_the_refusal(write: Write) -> None:
    """One that does not work then moves its routes; of another only what it has lost does."""
    refuses = """
        import _interpreters
        if _interpreters.get_current()[0]:
            raise ImportError(f"module {__name__} does not support loading in subinterpreters")
        make = fast = sorted
    """
    catches = "try:\n    from binary import make{}\nexcept ImportError:\n    {}\n"
    calls = "def call(values):\n    return make(values)\n"
    site = write("site-packages/binary.py", refuses).parent
    write("site-packages/crippled.py", catches.format("", "pass") + calls)
    write("site-packages/partial.py", catches.format(", fast", "make = sorted") + calls)
    file = write(
        "program.py",
        f"""
        import sys
        sys.path.append({str(site)!r})
        import crippled
        import partial
        from pyreframework import Pyre

        app = Pyre()
        made = crippled.call([2, 1])
        app.get("/crippled", lambda req: [__name__, crippled.call([2, 1])])
        app.get("/made", lambda req: [__name__, made])
        app.get("/fast", lambda req: [__name__, partial.fast([2, 1])])
        app.get("/partial", lambda req: [__name__, partial.call([2, 1])])

        @app.get("/hidden")
        def hidden(req):
            return getattr(partial, "fa" + "st")([2, 1])

        app.run()
        """,
    )
    with serve(file, workers=2) as server:
        for target in ("/crippled", "/made", "/fast"):
            assert server.get(target).json() == [MAIN, [1, 2]]
        assert server.get("/partial").json() == [WORKER, [1, 2]]
        assert server.get("/hidden").status == 500
        server.output.wait_for(
            "in a worker partial goes on without binary, which does not load there: if that is "
            "why, register GET /hidden with gil=True"
        )
        said = [line for line in banner(server) if " runs on the main interpreter: " in line]
        words = "runs on the main interpreter: it uses {}, which does not load in workers"
        assert said == [
            f"GET /crippled {words.format('crippled')}",
            f"GET /made {words.format('crippled')}",
            f"GET /fast {words.format('partial.fast')}",
        ]


def library(write: Write) -> str:
    """A library that imports numpy when it is called, and the lines that let programs find it."""
    file = write(
        "site-packages/library.py",
        """
        def make(*values):
            import numpy
            return numpy.array(values)

        def decorate(function):
            import numpy
            return function
        """,
    )
    return f"import sys\nsys.path.append({str(file.parent)!r})\nimport library\n"


def test_what_a_library_cannot_do_in_a_worker(write: Write) -> None:
    """No import of the program's own: the refusal comes out of a call, of pickle for example."""
    numbers = pickle.dumps(np.arange(4))
    write(
        "service.py",
        f"""
        import pickle
        import library
        weights = pickle.loads({numbers!r})
        plain = [1, 2]
        """,
    )
    file = write(
        "program.py",
        library(write)
        + textwrap.dedent(
            """
            from pyreframework import Pyre
            import service
            from service import plain

            app = Pyre()
            made = library.make(1, 2)
            with open(__file__) as file:
                with_file = library.make(len(file.readline()))
            if made is not None:
                import json
                when = library.make(7)
            try:
                tried = library.make(8)
            except OSError:
                tried = None
            table = {}
            table["a"] = library.make(3)
            held = {}
            model = None

            @app.on_worker_start
            def load():
                global model
                held["rows"] = library.make(5)
                model = library.make(6)

            @library.decorate
            def helper(values):
                return sum(values)

            app.get("/helper", lambda req: [__name__, helper(plain)])
            app.get("/made", lambda req: [__name__, made.tolist()])
            app.get("/table", lambda req: [__name__, table["a"].tolist()])
            app.get("/weights", lambda req: [__name__, service.weights.tolist()])
            app.get("/with", lambda req: [__name__, with_file.tolist()])
            app.get("/when", lambda req: [__name__, json.dumps(when.tolist())])
            app.get("/tried", lambda req: [__name__, tried.tolist()])
            app.get("/held", lambda req: [__name__, held["rows"].tolist()])
            app.get("/model", lambda req: [__name__, model.tolist()])
            app.get("/plain", lambda req: [__name__, plain])
            app.run()
            """
        ),
    )
    with serve(file) as server:
        assert server.get("/helper").json() == [MAIN, 3]
        assert server.get("/plain").json() == [WORKER, [1, 2]]
        assert server.get("/made").json() == [MAIN, [1, 2]]
        assert server.get("/table").json() == [MAIN, [3]]
        assert server.get("/weights").json() == [MAIN, [0, 1, 2, 3]]
        assert server.get("/with").json() == [MAIN, [11]]
        assert server.get("/when").json() == [MAIN, "[7]"]
        assert server.get("/tried").json() == [MAIN, [8]]
        assert server.get("/held").json() == [MAIN, [5]]
        assert server.get("/model").json() == [MAIN, [6]]


def test_async_handlers(write: Write) -> None:
    """They move to the loop of the main interpreter, and so does what a lifespan made for them."""
    file = write(
        "program.py",
        library(write)
        + textwrap.dedent(
            """
            import asyncio
            from contextlib import asynccontextmanager
            import numpy as np
            from pyreframework import Pyre

            models = {}

            @asynccontextmanager
            async def lifespan(app):
                models["a"] = library.make(1, 2)
                yield
                models.clear()

            app = Pyre(lifespan=lifespan)

            async def scaled(values):
                await asyncio.sleep(0)
                return (np.asarray(values) * 2).tolist()

            @app.get("/plain")
            async def plain(req):
                await asyncio.sleep(0)
                return __name__

            @app.get("/scaled")
            async def moved(req):
                return [__name__, await scaled([1, 2])]

            @app.get("/model")
            async def model(req):
                return [__name__, models["a"].tolist()]

            @app.get("/hidden")
            async def hidden(req):
                await asyncio.sleep(0)
                return sys._getframe().f_globals["n" + "p"].zeros(3)

            app.run()
            """
        ),
    )
    with serve(file) as server:
        assert server.get("/plain").text == WORKER
        assert server.get("/scaled").json() == [MAIN, [2, 4]]
        assert server.get("/model").json() == [MAIN, [1, 2]]
        assert server.get("/hidden").status == 500
        server.output.wait_for("WorkerImportError: GET /hidden uses numpy.zeros on a worker")


@pytest.mark.parametrize(
    "statement",
    [
        "library.make(1)",
        "@app.get('/')\n@library.decorate\ndef f(req):\n    return 1",
        "handler = app.get('/', library.make(1).sum)",
    ],
)
def test_a_failing_start_says_what_was_refused(write: Write, statement: str) -> None:
    """A statement that assigns nothing, or registers something: it must not get lost."""
    text = f"from pyreframework import Pyre\napp = Pyre()\n{statement}\napp.run()\n"
    ending = run_to_end(write("program.py", library(write) + text))
    assert ending.code == 3
    assert "does not support loading in subinterpreters" in ending.output
    assert 'run(mode="default")' in ending.output


@pytest.mark.parametrize("arguments", [["program.py"], ["-m", "mine.web"]])
def test_a_program_that_is_installed(write: Write, arguments: list[str]) -> None:
    """A package that makes the app is the program, also in ``site-packages``."""
    write("site-packages/mine/__init__.py", "")
    write("site-packages/mine/model.py", "import numpy as np\ntable = np.arange(3)\n")
    web = write(
        "site-packages/mine/web.py",
        """
        from pyreframework import Pyre
        from mine.model import table

        app = Pyre()
        app.get("/table", lambda req: [__name__, table.tolist()])
        app.get("/plain", lambda req: __name__)
        if __name__ == "__main__":
            app.run()
        """,
    )
    file = write("program.py", "from mine.web import app\napp.run()\n")
    env = {"PYTHONPATH": str(web.parents[1])}
    with serve(arguments, cwd=file.parent, env=env) as server:
        on_main, on_worker = (MAIN, WORKER) if "-m" in arguments else ("mine.web", "mine.web")
        assert server.get("/table").json() == [on_main, [0, 1, 2]]
        assert server.get("/plain").text == on_worker
        assert [line.split()[1] for line in banner(server) if "it uses numpy" in line] == ["/table"]


def test_imports_go_their_usual_way_while_serving(write: Write) -> None:
    file = write(
        "program.py",
        """
        import builtins
        import importlib
        import numpy
        from pyreframework import Pyre

        app = Pyre()
        modules = (builtins.__import__.__module__, importlib.import_module.__module__)

        @app.get("/")
        def show(req):
            now = (builtins.__import__.__module__, importlib.import_module.__module__)
            return [__name__, modules, now]

        app.run()
        """,
    )
    ours, usual = ["pyreframework.program.imports"] * 2, ["builtins", "importlib"]
    with serve(file) as server:
        assert server.get("/").json() == [WORKER, ours, usual]


def test_memory_of_what_was_refused_is_not_kept(write: Write) -> None:
    """What a failed import leaves in ``sys.modules`` is removed."""
    file = write(
        "program.py",
        """
        import sys
        import numpy
        import pandas
        from pyreframework import Pyre
        app = Pyre()
        names = ("numpy", "pandas")
        app.get("/", lambda req: [name for name in sys.modules if name.startswith(names)])
        app.run()
        """,
    )
    with serve(file, workers=1) as server:
        wait_until(lambda: server.get("/").status == 200, "it serves")
        assert server.get("/").json() == []
