"""Libraries that catch the refusal of an extension: what they lose, and if they still work."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from workshop import HOLLOW, REASON, REFUSES, Workshop

from pyreframework import doctor
from pyreframework.program import imports, losses, refusals


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    monkeypatch.chdir(tmp_path)
    return Workshop(tmp_path)


USES = """
import grid
app.get("/use", lambda req: grid.make())
"""

CRIPPLED = {
    "suppressed": """
        import contextlib
        with contextlib.suppress(ImportError):
            from grid._fast import zeros
        def make():
            return zeros()
    """,
    "passed over": """
        try:
            import grid._fast as fast
        except ImportError:
            pass
        def make():
            return fast.zeros()
    """,
    "with a warning": """
        try:
            from grid._fast import zeros
        except ImportError:
            import warnings as w
            w.warn("the binary is missing")
            del w
        class Maker:
            def make(self):
                return [zeros() for _ in range(2)]
        def make():
            return Maker().make()
    """,
    "all of it": """
        try:
            from grid._fast import *
        except ImportError:
            pass
        def make():
            return zeros()
    """,
    "a function that was to be defined": """
        try:
            from grid._fast import zeros
            def made():
                return zeros()
        except ImportError:
            pass
        make = lambda: made()
    """,
    "in a function": """
        def load():
            global fast
            try:
                import grid._fast as fast
            except Exception:
                pass
        load()
        def make():
            return fast.zeros()
    """,
    "in a part": """
        from grid.parts import make
    """,
    "one of two": """
        try:
            from grid._fast import zeros
        except ImportError:
            zeros = int
        try:
            from grid._fast import ones
        except ImportError:
            pass
        def make():
            return ones()
    """,
}

WORKING = {
    "another way": """
        try:
            from grid._fast import zeros
        except ImportError:
            def zeros():
                return 0
        def make():
            return zeros()
    """,
    "another module": """
        try:
            from grid._fast import zeros
        except ImportError:
            from grid.slow import zeros
        def make():
            return zeros()
    """,
    "a flag": """
        try:
            from grid._fast import zeros
            FAST = True
        except ImportError:
            FAST = False
        def make():
            return zeros() if FAST else 0
    """,
    "a flag before": """
        FAST = False
        try:
            from grid._fast import zeros
        except ImportError:
            pass
        else:
            FAST = True
        class Quick:
            def make(self):
                return zeros()
        def make():
            return Quick().make() if FAST else 0
    """,
    "a flag of many": """
        flags = {"fast": True}
        try:
            from grid._fast import zeros
        except ImportError:
            flags["fast"] = False
        def make():
            return zeros() if flags["fast"] else 0
    """,
    "None": """
        try:
            from grid import _fast
        except ImportError:
            _fast = None
        def make():
            return 0 if _fast is None else _fast.zeros()
    """,
    "set before": """
        import contextlib
        zeros = int
        with contextlib.suppress(ImportError):
            from grid._fast import zeros
        def make():
            return zeros()
    """,
    "set behind": """
        try:
            from grid._fast import zeros
        except ImportError:
            pass
        if "zeros" not in globals():
            zeros = int
        def make():
            return zeros()
    """,
    "asks for the error": """
        try:
            from grid._fast import zeros
        except ImportError:
            pass
        def make():
            try:
                return zeros()
            except NameError:
                return 0
    """,
    "asks for the name": """
        try:
            from grid._fast import zeros
        except ImportError:
            pass
        def make():
            return zeros() if "zeros" in globals() else 0
    """,
    "no function uses it": """
        try:
            from grid._fast import zeros, Error
            fast = zeros
        except ImportError:
            fast = int
        def make(zeros=1):
            return [zeros, fast(), make.Error]
        make.Error = 1
    """,
    "an annotation": """
        from __future__ import annotations
        try:
            from grid._fast import Error
        except ImportError:
            pass
        def make() -> Error | None:
            return None
    """,
    "all of it, and a name of another system": """
        import sys
        if sys.platform == "nowhere":
            import winreg
        try:
            from grid._fast import *
        except ImportError:
            pass
        def registry():
            return winreg.all()
        def make():
            return 0
    """,
    "what no import was for": """
        try:
            from grid._fast import zeros
        except ImportError:
            pass
        def broken():
            return never_there
        def make():
            return 0
    """,
}


@pytest.mark.parametrize("text", CRIPPLED.values(), ids=CRIPPLED)
def test_a_library_that_lacks_what_it_needs_is_refused(workshop: Workshop, text: str) -> None:
    workshop.write("grid/__init__.py", text)
    workshop.write("grid/parts.py", CRIPPLED["suppressed"])
    modules, moves = workshop.doctor(USES)
    state, why = modules["grid"]
    assert (state, moves) == ("no", {"GET /use": "grid"})
    assert why.startswith(f"{REASON.format('grid._fast')}, and grid")


@pytest.mark.parametrize("text", WORKING.values(), ids=WORKING)
def test_a_library_that_has_another_way_is_partly_there(workshop: Workshop, text: str) -> None:
    workshop.write("grid/__init__.py", text)
    workshop.write("grid/slow.py", "zeros = int")
    modules, moves = workshop.doctor(USES)
    assert (modules, moves) == ({"grid": ("partly", "without grid._fast")}, {})


def test_who_imports_such_a_library_can_do_without(workshop: Workshop) -> None:
    workshop.write("grid/__init__.py", CRIPPLED["suppressed"])
    workshop.write(
        "optional.py",
        """
        try:
            import grid
        except ImportError:
            grid = None
        def make():
            return 0 if grid is None else grid.make()
        """,
    )
    workshop.write("dependent.py", "import grid\nmake = grid.make")
    modules, moves = workshop.doctor(
        """
        import optional, dependent
        try:
            import grid
        except ImportError:
            grid = None
        app.get("/optional", lambda req: optional.make())
        app.get("/dependent", lambda req: dependent.make())
        app.get("/own", lambda req: grid and grid.make())
        """
    )
    assert modules["optional"] == ("partly", "without grid._fast")
    assert modules["dependent"][0] == "no"
    assert modules["grid"] == ("no", "program.py:9 goes on without it")
    assert moves == {"GET /dependent": "dependent"}


def test_extensions_are_named_once_and_not_all(workshop: Workshop) -> None:
    names = [f"_e{index}" for index in range(6)]
    attempts = ""
    for name in [*names, *names]:
        workshop.write(f"grid/{name}.py", REFUSES)
        attempts += f"try:\n    from grid import {name}\nexcept ImportError:\n    {name} = None\n"
    workshop.write("grid/__init__.py", attempts)
    modules, _ = workshop.doctor("import grid")
    assert modules == {"grid": ("partly", "without grid._e0, grid._e1 and 4 more")}


LOST = """
    try:
        from grid._fast import zeros as fast_zeros, Error as FastError
        class Fast:
            pass
    except ImportError:
        pass
    def slow():
        return 0
"""


ASKED = """
from grid import fast_zeros
use = lambda req: fast_zeros()
--- grid.fast_zeros
from grid import slow, fast_zeros as f
use = lambda req: f()
--- grid.fast_zeros
import grid
use = lambda req: grid.fast_zeros()
--- grid.fast_zeros
import grid as g
made = g.fast_zeros
use = lambda req: made()
--- grid.fast_zeros
import grid
made = grid.fast_zeros(1)
use = lambda req: made
--- grid.fast_zeros
import grid
class Own(grid.Fast):
    pass
use = lambda req: Own()
--- grid.Fast
from grid import Fast
class Own(Fast):
    pass
use = lambda req: Own()
--- grid.Fast
def use(req):
    from grid import fast_zeros
    return fast_zeros()
--- grid.fast_zeros
def use(req):
    import grid as g
    return g.fast_zeros()
--- grid.fast_zeros
from grid import FastError
def use(req):
    try:
        return req.json()
    except FastError:
        return 1
--- grid.FastError
import grid
use = lambda req: grid.slow()
---
from grid import slow
use = lambda req: slow()
---
import grid
made = getattr(grid, "fast_zeros", grid.slow)
use = lambda req: made()
---
def use(req):
    import grid
    return grid.slow(req.fast_zeros)
---
try:
    from grid import fast_zeros
except ImportError:
    from grid import slow as fast_zeros
use = lambda req: fast_zeros()
---
import grid
try:
    made = grid.fast_zeros
except AttributeError:
    made = grid.slow
use = lambda req: made()
---
import grid
grid.fast_zeros(1)
use = lambda req: 1
---
"""


def asked() -> list[tuple[str, str]]:
    """Programs, and what they miss of the library."""
    found = []
    text = ""
    for line in ASKED.splitlines():
        if line.startswith("---"):
            found.append((text, line.removeprefix("---").strip()))
            text = ""
        else:
            text += f"{line}\n"
    return found


@pytest.mark.parametrize(("text", "missing"), asked())
def test_names_that_a_library_has_lost(workshop: Workshop, text: str, missing: str) -> None:
    workshop.write("grid/__init__.py", LOST)
    modules, moves = workshop.doctor(f"{text}\napp.get('/use', use)")
    assert moves == ({"GET /use": missing} if missing else {})
    if missing:
        assert modules[missing] == ("no", REASON.format("grid._fast"))
    assert modules.get("grid", ("partly", ""))[0] == "partly"


def test_names_that_a_module_makes_when_it_is_asked(workshop: Workshop) -> None:
    lazy = "\n    def __getattr__(name):\n        if name == 'made':\n            return slow\n"
    lazy += "        raise AttributeError(name)\n"
    workshop.write("grid/__init__.py", LOST + lazy)
    _, moves = workshop.doctor(
        "import grid\n"
        "app.get('/made', lambda req: grid.made())\n"
        "app.get('/lost', lambda req: grid.fast_zeros())\n"
    )
    assert moves == {"GET /lost": "grid.fast_zeros"}


def test_what_a_library_does_at_the_top_of_a_program(workshop: Workshop) -> None:
    """It has done it on the main interpreter, so what it lacks here is why it fails."""
    workshop.write("grid/__init__.py", HOLLOW)
    workshop.write("grid/spawning.py", "def spawn():\n    return 1\nclass Lock: pass")
    workshop.write("green/__init__.py", "")
    workshop.write("green/_green.py", REFUSES)
    modules, moves = workshop.doctor(
        "import grid\nmade = grid.spawn()\napp.get('/made', lambda req: made)"
    )
    assert moves == {"GET /made": "grid"}
    assert modules["grid"] == ("no", REASON.format("green._green"))


def test_the_summary_counts_what_works_in_part(workshop: Workshop) -> None:
    workshop.write("grid/__init__.py", WORKING["None"])
    workshop.doctor(USES)
    stream = io.StringIO()
    assert doctor.run("program.py", stream) == 0
    assert stream.getvalue().splitlines()[-1] == (
        "program.py: 0 of 1 module do not load in workers, 1 in part, 0 of 2 routes moved to the "
        "main interpreter"
    )


@pytest.fixture
def bereft(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(imports.without, "grid", {"green._green": "refused"})


def raised(package: str, text: str) -> Exception:
    """Return what code of a package raises."""
    try:
        exec(f"raise {text}", {"__name__": package})
    except Exception as error:
        return error
    raise AssertionError(text)


@pytest.mark.usefixtures("bereft")
@pytest.mark.parametrize(
    ("package", "error", "told"),
    [
        ("grid.parts", "NameError('name x is not defined')", True),
        ("grid", "ImportError('no x')", True),
        ("grid", "ValueError('Green is required')", True),
        ("grid", "ValueError('no such row')", False),
        ("other", "NameError('green')", False),
    ],
)
def test_the_log_says_what_a_library_goes_on_without(package: str, error: str, told: bool) -> None:
    found = raised(package, error)
    outer = RuntimeError("no answer")
    outer.__cause__ = found
    refusals.explain(outer, "GET /a")
    note = (
        "in a worker grid goes on without green._green, which does not load there: if that is why, "
        "register GET /a with gil=True"
    )
    assert getattr(outer, "__notes__", []) == ([note] if told else [])
    refusals.explain(found, None)
    assert getattr(found, "__notes__", []) == ([note.partition(":")[0]] if told else [])


@pytest.mark.usefixtures("bereft")
def test_errors_that_miss_a_name() -> None:
    assert losses.lost_name(ImportError(name="grid", name_from="fast")) == ("grid.fast", "refused")
    assert losses.lost_name(ImportError(name="other", name_from="fast")) is None
    assert losses.lost_name(ImportError("no module", name="grid")) is None
    assert losses.lost_name(AttributeError("fast", name="fast", obj=object())) is None
    assert losses.lost_name(ValueError()) is None
