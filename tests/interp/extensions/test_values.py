"""What stand-ins cannot do or tell: statements left behind, and where values out of them go."""

from __future__ import annotations

import pytest
from places import MAIN, WORKER
from serving import Write, banner, run_to_end, serve


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
