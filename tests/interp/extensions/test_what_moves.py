"""Which routes of a program move, and which it may not: handlers, hooks, arguments, other files."""

from __future__ import annotations

import pytest
from places import MAIN, WORKER
from serving import Write, banner, run_to_end, serve


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
