"""Extensions that are imported lazily, as CPython does since 3.15."""

from __future__ import annotations

import sys

import pytest
from places import MAIN, WORKER
from serving import Write, banner, serve

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
