"""C extensions that workers refuse: routes that use them move, everything else stays."""

from __future__ import annotations

import pickle
import sys
import textwrap
from collections.abc import Iterator

import numpy as np
import pytest
from serving import Server, Write, run_to_end, serve, wait_until

WORKER, MAIN = "__mp_main__", "__main__"
MOVED = {
    "GET /numpy": "numpy",
    "POST /helper/{factor:float}": "numpy",
    "GET /pandas": "pandas",
    "GET /values": "numpy and pandas",
    "POST /items": "pydantic",
    "POST /orders": "pydantic",
    "GET /orjson": "orjson",
    "GET /inside": "numpy",
}


@pytest.fixture(scope="module", params=[WORKER, MAIN], ids=["workers", "main"])
def home(request: pytest.FixtureRequest) -> str:
    """Where plain handlers run."""
    return str(request.param)


@pytest.fixture(scope="module")
def server(home: str) -> Iterator[Server]:
    with serve("extensions", mode="default" if home == MAIN else None) as server:
        yield server
        assert server.get("/plain").status == 200


def banner(server: Server) -> list[str]:
    """What the program has printed, the whole banner at least."""
    server.output.wait_for("try: curl")
    return [line.strip() for line in server.output.text().splitlines()]


def test_plain_routes_stay(server: Server, home: str) -> None:
    assert server.get("/plain").json() == {"where": home}
    assert server.get("/plain/21").json() == [42, home]
    # An annotation that nobody evaluates moves nothing.
    assert server.get("/series").json() == [home, None]


def test_routes_that_use_them_move(server: Server) -> None:
    assert server.get("/numpy").json() == {"where": MAIN, "sum": 9.0}
    assert server.post("/helper/2.5", b"[2, 4]").json() == [5.0, 10.0]
    rows = [{"fruit": "apple", "count": 3}, {"fruit": "pear", "count": 4}]
    assert server.get("/pandas").json() == {"where": MAIN, "rows": rows}
    assert server.get("/orjson").json() == {"where": MAIN}
    assert server.get("/inside").json() == [MAIN, 5.0]


def test_plain_values_out_of_them_move_too(server: Server) -> None:
    assert server.get("/values").json() == [MAIN, 7, 2, 6.0]


def test_models(server: Server) -> None:
    item = server.post("/items", b'{"name": " plum ", "price": 2}')
    assert item.json() == {"name": "plum", "price": 2.0, "tags": []}
    order = server.post("/orders", b'[{"name": "plum", "price": 2, "tags": ["new"]}]').json()
    assert order[0] == MAIN
    assert order[1]["items"] == [{"name": "plum", "price": 2.0, "tags": ["new"]}]
    refused = server.post("/items", b'{"price": -1}')
    assert (refused.status, refused.json()) == (422, {"problems": 2})


def test_libraries_that_do_without_stay(server: Server, home: str) -> None:
    assert server.get("/msgpack").json() == [home, {"a": [1, 2]}]
    assert server.get("/sqlalchemy").json() == [home, 42]


def test_a_program_that_does_without_stays(server: Server, home: str) -> None:
    assert server.get("/fallback").json() == [home, home == WORKER]


def test_gil_is_taken_at_its_word(server: Server) -> None:
    assert server.get("/gil").json() == [MAIN, [0, 1, 2]]


def test_a_pipeline_of_both_kinds_is_answered_in_order(server: Server, home: str) -> None:
    with server.connect() as peer:
        for target in ("/plain", "/numpy", "/plain", "/pandas", "/plain"):
            peer.send(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        places = [peer.reply().json()["where"] for _ in range(5)]
    assert places == [home, MAIN, home, MAIN, home]


def test_what_was_not_seen_raises(server: Server, home: str) -> None:
    for target in ("/hidden", "/hidden-import", "/hidden-result"):
        reply = server.get(target)
        if home == MAIN:
            assert reply.json() == ([0, 1, 2] if target != "/hidden-result" else [1])
        else:
            assert (reply.status, reply.json()) == (500, {"error": "internal server error"})
    if home == WORKER:
        server.output.wait_for(
            "WorkerImportError: GET /hidden uses numpy.arange on a worker, and numpy does not load "
            "in workers: register the route with gil=True"
        )
        server.output.wait_for(
            "WorkerImportError: GET /hidden-result uses Order on a worker, and pydantic does not "
        )
        server.output.wait_for(
            "GET /hidden-import runs on a worker: register the route with gil=True"
        )


def test_the_banner_says_which_and_why(server: Server, home: str) -> None:
    said = [line for line in banner(server) if " runs on the main interpreter: " in line]
    expected = []
    if home == WORKER:
        for route, modules in MOVED.items():
            do = "do" if " and " in modules else "does"
            expected.append(
                f"{route} runs on the main interpreter: it uses {modules}, which {do} not load in "
                "workers"
            )
    assert said == expected


def test_the_banner_says_what_is_done_without(server: Server, home: str) -> None:
    said = [line for line in banner(server) if "goes on without it" in line]
    line = "msgspec does not load in workers, where extensions.py:19 goes on without it"
    assert said == ([line] if home == WORKER else [])


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


def test_gil_false_insists(write: Write) -> None:
    file = write(
        "program.py",
        """
        import numpy as np
        from pyreframework import Pyre

        app = Pyre()
        app.get("/plain", lambda req: "plain", gil=False)

        @app.get("/predict", gil=False)
        def predict(req):
            return float(np.ones(3).sum())

        app.run()
        """,
    )
    ending = run_to_end(file)
    assert ending.code == 3
    assert ending.output == (
        "pyre: GET /predict has gil=False, but it uses numpy, which does not load in workers: use "
        "gil=True, or leave gil out and the route moves to the main interpreter by itself\n"
    )


@pytest.mark.parametrize(
    ("hook", "words"),
    [
        (
            "@app.before_request\ndef check(req):\n    np.ones(1)",
            "the before_request hook check uses numpy",
        ),
        (
            "@app.after_request\ndef check(req, resp):\n    np.ones(1)",
            "the after_request hook check uses numpy",
        ),
        (
            "@app.exception_handler(KeyError)\ndef check(req, error):\n    return np.ones(1).sum()",
            "the exception_handler hook check uses numpy",
        ),
    ],
)
def test_a_hook_moves_every_route(write: Write, hook: str, words: str) -> None:
    file = write(
        "program.py",
        "import numpy as np\nfrom pyreframework import Pyre\napp = Pyre()\n"
        "app.get('/a', lambda req: __name__)\napp.fallback(lambda req: __name__)\n"
        f"{hook}\napp.run()\n",
    )
    with serve(file) as server:
        assert [server.get("/a").text, server.get("/none").text] == [MAIN, MAIN]
        assert (
            f"every route runs on the main interpreter: {words}, which does not load in workers"
            in banner(server)
        )


def test_only_the_fallback_moves(write: Write) -> None:
    file = write(
        "program.py",
        """
        import numpy as np
        from pyreframework import Pyre

        app = Pyre()
        app.get("/a", lambda req: __name__)
        app.fallback(lambda req: [__name__, float(np.ones(2).sum())])
        app.run()
        """,
    )
    with serve(file) as server:
        assert server.get("/a").text == WORKER
        assert server.get("/none").json() == [MAIN, 2.0]
        assert banner(server)[2] == (
            "the fallback runs on the main interpreter: it uses numpy, which does not load in "
            "workers"
        )


def test_json_default_moves_nothing(write: Write) -> None:
    """In a worker nothing is an array, so the question for one is answered, and with no."""
    file = write(
        "program.py",
        """
        import numpy as np
        from pyreframework import Pyre

        app = Pyre()

        def default(value):
            if isinstance(value, (np.ndarray, np.generic)):
                return value.tolist()
            if isinstance(value, complex):
                return [value.real, value.imag]
            raise TypeError(type(value).__name__)

        app.json_default = default
        app.get("/plain", lambda req: [__name__, 1 + 2j])
        app.get("/array", lambda req: [__name__, np.arange(2)])
        app.run()
        """,
    )
    with serve(file) as server:
        assert server.get("/plain").json() == [WORKER, [1.0, 2.0]]
        assert server.get("/array").json() == [MAIN, [0, 1]]


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


def test_hooks_of_workers_run_on_main_too_if_a_route_moves(write: Write) -> None:
    file = write(
        "program.py",
        """
        import numpy as np
        from pyreframework import Pyre

        app = Pyre()
        model = None

        @app.on_worker_start
        def load():
            global model
            model = np.arange(3)
            print("STARTED", __name__, flush=True)

        @app.on_worker_stop
        def end():
            print("STOPPED", __name__, model.size, flush=True)
            model.sort()

        app.get("/model", lambda req: [__name__, int(model.sum())])
        app.get("/plain", lambda req: __name__)
        app.run()
        """,
    )
    with serve(file, workers=2) as server:
        assert server.get("/model").json() == [MAIN, 3]
        assert server.get("/plain").text == WORKER
        assert banner(server).count(f"STARTED {WORKER}") == 2
        assert banner(server).count(f"STARTED {MAIN}") == 1
    assert banner(server).count(f"STOPPED {MAIN} 3") == 1
    assert "raised" not in server.output.text()


def test_types_of_arguments(write: Write) -> None:
    """What converts an argument is known on the main interpreter only."""
    file = write(
        "program.py",
        """
        from typing import Annotated, Optional
        from pydantic import PositiveInt
        import numpy as np
        from pyreframework import Pyre, PyreRequest

        app = Pyre()

        @app.get("/items/{id}")
        def item(req: PyreRequest, id: PositiveInt):
            return [__name__, id + 1]

        @app.get("/maybe/{id}")
        def maybe(id: Optional[PositiveInt]):
            return [__name__, id + 1]

        @app.get("/plain/{id}")
        def plain(id: Annotated[int, "a number"], scale: np.float64 = None):
            return [__name__, id + 1]

        app.get("/", lambda req: __name__)
        app.run()
        """,
    )
    with serve(file) as server:
        assert server.get("/items/4").json() == [MAIN, 5]
        assert server.get("/maybe/4").json() == [MAIN, 5]
        assert server.get("/items/x").status == 422
        assert server.get("/plain/4").json() == [MAIN, 5]
        assert server.get("/").text == WORKER


def test_models_in_another_file(write: Write) -> None:
    write("service/__init__.py", "")
    write(
        "service/models.py",
        """
        from pydantic import BaseModel

        class Item(BaseModel):
            name: str
        """,
    )
    write(
        "service/views.py",
        """
        from . import models
        from .models import Item

        class Items:
            def __init__(self, prefix):
                self.prefix = prefix

            def add(self, req):
                return self.make(self.prefix + req.text()).model_dump()

            def make(self, name):
                return models.Item(name=name)

            def where(self, req):
                return __name__ + self.suffix()

            def suffix(self):
                import sys
                return " " + sys.modules["__main__"].__name__

        def check(item: Item):
            return None
        """,
    )
    file = write(
        "program.py",
        """
        import functools
        from pyreframework import Pyre
        from service.views import Items, check

        app = Pyre()
        items = Items("a ")
        app.post("/items", items.add)
        app.get("/where", items.where)

        def logged(handler):
            @functools.wraps(handler)
            def inner(req):
                return handler(req)
            return inner

        @app.post("/wrapped")
        @logged
        def wrapped(req):
            return items.add(req)

        app.post("/partial", functools.partial(lambda made, req: made.add(req), items))
        app.run()
        """,
    )
    with serve(file) as server:
        for target in ("/items", "/wrapped", "/partial"):
            assert server.post(target, b"plum").json() == {"name": "a plum"}
        assert server.get("/where").text == f"service.views {WORKER}"
        moved = [line.split()[1] for line in banner(server) if "it uses pydantic" in line]
        assert moved == ["/items", "/wrapped", "/partial"]


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


def test_what_a_stand_in_cannot_do(write: Write) -> None:
    """A statement that fails for it is left behind; one that fails for something else is not."""
    file = write(
        "program.py",
        """
        import functools
        import json
        from pydantic import BaseModel
        import numpy as np
        from pyreframework import Pyre

        class Settings(BaseModel):
            text: str = '{"limit": 3}'
            file: str = __file__

        @functools.singledispatch
        def plain(value):
            return value

        @plain.register(np.ndarray)
        def plain_array(value):
            return value.tolist()

        def read(settings):
            with open(settings.file) as file:
                return len(file.read()) > 10

        settings = Settings()
        limits = json.loads(settings.text)
        long = read(settings)
        json.loads(settings.text)

        app = Pyre()
        app.get("/plain", lambda req: [__name__, plain(1)])
        app.get("/array", lambda req: [__name__, plain(np.arange(2))])
        app.get("/limits", lambda req: [__name__, limits["limit"]])
        app.get("/long", lambda req: [__name__, long])
        app.run()
        """,
    )
    with serve(file) as server:
        assert server.get("/plain").json() == [WORKER, 1]
        assert server.get("/array").json() == [MAIN, [0, 1]]
        assert server.get("/limits").json() == [MAIN, 3]
        assert server.get("/long").json() == [MAIN, True]
    text = file.read_text()
    worker_only = "if __name__ == '__mp_main__':\n    missing = {}['a']\n"
    write("program.py", text.replace("app = Pyre()", worker_only + "app = Pyre()"))
    ending = run_to_end(file)
    assert (ending.code, "KeyError: 'a'" in ending.output) == (3, True)


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


def test_workers_that_differ_do_not_start(write: Write) -> None:
    """The first worker has decided where routes run when the next one turns out to need more."""
    file = write(
        "program.py",
        """
        import _interpreters
        from pyreframework import Pyre

        # Interpreters are made one after the other, whatever the order in which they load this.
        number, _ = _interpreters.get_current()
        if number > 1:
            from numpy import zeros as make
        else:
            def make(count):
                return [0] * count

        app = Pyre()
        app.get("/", lambda req: 1)
        app.get("/made", lambda req: len(make(2)))
        app.run(workers=2)
        """,
    )
    ending = run_to_end(file)
    assert ending.code == 3
    assert "route 1 does not load in this worker, but did in the first one: it uses numpy" in (
        ending.output
    )


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


def test_what_only_a_handler_imports_moves_its_route(write: Write) -> None:
    """Nothing at the top of the program names the packages, in any way."""
    text = """
        from pyreframework import Pyre

        app = Pyre()

        def helper():
            from numpy import ones
            return float(ones(3).sum())

        @app.get("/plain")
        def plain():
            return __name__

        @app.get("/orjson")
        def one():
            import orjson
            return [orjson.dumps([1]).decode(), __name__]

        @app.get("/part")
        def part():
            from msgspec.json import encode as to_json
            return [to_json([2]).decode(), __name__]

        @app.get("/helper")
        def by_a_helper():
            return [helper(), __name__]

        app.run()
    """
    with serve(write("program.py", text)) as server:
        banner(server)
        assert server.get("/plain").text == WORKER
        assert server.get("/orjson").json() == ["[1]", MAIN]
        assert server.get("/part").json() == ["[2]", MAIN]
        assert server.get("/helper").json() == [3.0, MAIN]


LAZY = """
    import sys
    lazy import json
    lazy import numpy as np
    lazy from pandas import DataFrame

    from pyreframework import Pyre

    app = Pyre()

    @app.get("/plain")
    def plain():
        return [json.dumps(1), __name__, "numpy" in sys.modules]

    @app.get("/numpy")
    def numpy():
        return [int(np.ones(3).sum()), __name__]

    @app.get("/pandas")
    def pandas():
        return [len(DataFrame([1, 2])), __name__]

    app.run()
"""
since_3_15 = pytest.mark.skipif(sys.version_info < (3, 15), reason="lazy imports came with 3.15")


@since_3_15
def test_routes_that_use_what_is_imported_lazily_move(write: Write) -> None:
    with serve(write("program.py", LAZY)) as server:
        shown = banner(server)
        for path, package in (("/numpy", "numpy"), ("/pandas", "pandas")):
            assert (
                f"GET {path} runs on the main interpreter: it uses {package}, "
                "which does not load in workers"
            ) in shown
        assert server.get("/plain").json() == ["1", WORKER, False]
        assert server.get("/numpy").json() == [3, MAIN]
        assert server.get("/pandas").json() == [2, MAIN]


@since_3_15
def test_an_interpreter_that_makes_all_imports_lazy(write: Write) -> None:
    # pandas itself does not work in this mode.
    text = LAZY.replace("lazy import", "import").replace("lazy from pandas import DataFrame", "")
    with serve(write("program.py", text), env={"PYTHON_LAZY_IMPORTS": "all"}) as server:
        assert server.get("/plain").json() == ["1", WORKER, False]
        assert server.get("/numpy").json() == [3, MAIN]


UVLOOP = """
    import _interpreters
    import asyncio

    if _interpreters.get_current()[0]:
        raise ImportError(f"module {__name__} does not support loading in subinterpreters")

    __version__ = "0.1"

    class EventLoopPolicy(asyncio.DefaultEventLoopPolicy):
        pass

    def new_event_loop():
        return asyncio.SelectorEventLoop()

    def install():
        asyncio.set_event_loop_policy(EventLoopPolicy())
"""
LOOPED = """
    from pyreframework import Pyre

    app = Pyre()

    @app.get("/wait")
    async def wait():
        await asyncio.sleep(0)
        return [__name__, type(asyncio.get_running_loop()).__qualname__]

    @app.get("/ask")
    def ask():
        return [__name__, asyncio.iscoroutinefunction(wait)]

    if __name__ == "__main__":
        app.run()
"""
LOOP_LINES = {
    "policy": "import uvloop\nasyncio.set_event_loop_policy(uvloop.EventLoopPolicy())",
    "install": "import uvloop\nuvloop.install()",
    "names": (
        "from asyncio import set_event_loop_policy as use\nfrom uvloop import EventLoopPolicy\n"
        "use(policy=EventLoopPolicy())"
    ),
    "variable": (
        "import uvloop\nfast = uvloop.EventLoopPolicy()\nasyncio.set_event_loop_policy(fast)"
    ),
    "if": (
        "import uvloop\nif uvloop.__version__ >= '0':\n"
        "    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())"
    ),
    "match": (
        "import uvloop\nmatch 'linux':\n    case 'linux':\n"
        "        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())"
    ),
    "class": (
        "import uvloop\nclass Mine(uvloop.EventLoopPolicy):\n    pass\n"
        "asyncio.set_event_loop_policy(Mine())"
    ),
    "loop": "import uvloop\nasyncio.set_event_loop(uvloop.new_event_loop())",
    "function": (
        "import uvloop\nfrom pyreframework import Pyre\nother = Pyre()\ndef set_up(app):\n"
        "    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())\nset_up(other)"
    ),
    "another": (
        "import uvloop, warnings\nold = asyncio.sleep\n"
        "asyncio.register_plugin(uvloop) if hasattr(asyncio, 'x') else None\n"
        "asyncio.Runner(loop_factory=uvloop.new_event_loop).close()"
    ),
}


@pytest.mark.parametrize("line", LOOP_LINES)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_event_loop_policy_moves_no_route(write: Write, line: str) -> None:
    write("site-packages/uvloop.py", UVLOOP)
    text = f"import asyncio\n{LOOP_LINES[line]}\n{textwrap.dedent(LOOPED)}"
    file = write("program.py", text)
    env = {"PYTHONPATH": str(file.parent / "site-packages"), "PYTHONWARNINGS": "ignore"}
    with serve(file, workers=1, env=env) as server:
        assert server.get("/wait").json() == [WORKER, "_UnixSelectorEventLoop"]
        assert server.get("/ask").json() == [WORKER, True]
        assert "main interpreter" not in server.output.text()


def test_what_a_hook_or_a_loop_has_counted_moves_every_route(write: Write) -> None:
    """A table that is empty in workers only must answer nobody, and let nobody in."""
    write("names.csv", "name\nmallory\n")
    file = write(
        "program.py",
        """
        import pandas as pd
        from pathlib import Path
        from pyreframework import Pyre

        app = Pyre()
        BANNED = set()

        def load():
            for name in pd.read_csv(Path(__file__).with_name("names.csv"))["name"]:
                BANNED.add(name)

        load()

        @app.before_request
        def check(req):
            if req.headers.get("x-user") in BANNED:
                return {"error": "banned"}, 403

        app.get("/", lambda req: __name__)
        app.run()
        """,
    )
    with serve(file) as server:
        assert server.get("/").text == MAIN
        assert server.get("/", headers=[("x-user", "mallory")]).status == 403
        assert (
            "GET / runs on the main interpreter: load() at program.py:10 takes a value out "
            "of pandas, which does not load in workers, and it cannot be told where that goes: "
            "take it in the handlers that use it, or catch the ImportError"
        ) in banner(server)
    file.write_text(file.read_text().replace("__name__)", "__name__, gil=False)"))
    ending = run_to_end(file)
    assert ending.code == 3
    assert "GET / has gil=False, but load() at program.py:10 takes a value" in ending.output


def test_constants_of_constants_move_what_reads_them(write: Write) -> None:
    write("settings_np.py", "import numpy as np\nROWS = len(np.arange(3))\n")
    file = write(
        "program.py",
        """
        from dataclasses import dataclass
        from types import SimpleNamespace
        import numpy as np
        from pyreframework import Pyre
        from settings_np import ROWS

        W = np.arange(3)
        TOTAL = int(W.sum())
        STR = str(W.sum())
        SHOUT = STR + "!"
        CONF = SimpleNamespace(rows=ROWS)

        @dataclass
        class Item:
            rows: int = ROWS

        def f():
            return TOTAL * 2

        Y = f()
        app = Pyre()
        app.get("/plain", lambda req: __name__)
        app.get("/rows", lambda req: [__name__, ROWS, CONF.rows, Item().rows])
        app.get("/total", lambda req: [__name__, TOTAL > 2, f"sum {TOTAL}", Y])
        app.get("/text", lambda req: [__name__, SHOUT])

        @app.get("/default")
        def default(req, n=ROWS):
            return [__name__, n]

        app.run()
        """,
    )
    with serve(file) as server:
        assert server.get("/plain").text == WORKER
        assert server.get("/rows").json() == [MAIN, 3, 3, 3]
        assert server.get("/total").json() == [MAIN, True, "sum 3", 6]
        assert server.get("/text").json() == [MAIN, "3!"]
        assert server.get("/default").json() == [MAIN, 3]


def test_a_start_hook_that_counts_moves_every_route(write: Write) -> None:
    file = write(
        "program.py",
        """
        import numpy as np
        from pyreframework import Pyre

        app = Pyre()
        STATS = {}

        @app.on_worker_start
        def start():
            STATS["rows"] = len(np.arange(3))

        app.get("/rows", lambda req: STATS["rows"])
        app.run()
        """,
    )
    with serve(file) as server:
        assert server.get("/rows").json() == 3


def test_a_program_that_checks_what_it_has_loaded_serves(write: Write) -> None:
    file = write(
        "program.py",
        """
        import numpy as np
        from pyreframework import Pyre

        W = np.arange(3)
        assert len(W) == 3
        if len(W) != 3:
            raise SystemExit("weights are damaged")
        app = Pyre()
        app.get("/plain", lambda req: __name__)
        app.get("/sum", lambda req: [__name__, int(W.sum())])
        app.run()
        """,
    )
    with serve(file) as server:
        assert server.get("/plain").text == WORKER
        assert server.get("/sum").json() == [MAIN, 3]


@pytest.mark.parametrize("ends", ["raise SystemExit('damaged')", "assert False, 'damaged'"])
def test_a_start_that_fails_for_a_stand_in_says_so(write: Write, ends: str) -> None:
    file = write(
        "program.py",
        f"""
        import numpy as np
        from pyreframework import Pyre

        def check(weights):
            if len(weights) != 3:
                {ends}
            return weights

        app = Pyre()
        app.get("/", lambda req: 1) if check(np.arange(3)) is not None else None
        app.run()
        """,
    )
    ending = run_to_end(file)
    assert ending.code == 3
    assert (
        "in a worker numpy does not load, and check() at program.py:6 got a value" in ending.output
    )
