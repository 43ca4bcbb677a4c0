"""Imports while a program is loaded: which refusals become stand-ins, and which stay errors.

The packages here refuse as CPython lets real ones refuse, without being extensions. Programs run in
a process of their own.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

REFUSES = 'raise ImportError(f"module {__name__} does not support loading in subinterpreters")'
SITE = {
    "dependent/__init__.py": "from grid import core",
    "grid/__init__.py": "from . import parts\nfrom . import core\nzeros = core.zeros",
    "grid/parts.py": "",
    "grid/core.py": REFUSES,
    "wrapping/__init__.py": """
        try:
            import grid
        except ImportError as error:
            raise ImportError("wrapping needs grid, please install it") from error
    """,
    "optional/__init__.py": """
        try:
            from optional import _fast as impl
        except ImportError:
            from optional import _slow as impl
        kind = impl.kind
    """,
    "optional/_fast.py": f"import grid\nkind = 'fast'\n{REFUSES}",
    "optional/_slow.py": "kind = 'slow'",
    "checks.py": """
        import importlib
        import sys
        try:
            import grid
        except ImportError:
            grid = None
        try:
            importlib.import_module("grid")
        except ImportError:
            found = False
        else:
            found = True
        has = (grid is not None, found, "grid" in sys.modules)
    """,
    "package/__init__.py": "ready = True",
    "package/good.py": "value = 1",
    "package/bad.py": "import grid",
    "package/worse.py": "import grid",
    "package/sub/__init__.py": "",
    "package/sub/deep.py": "import grid",
    "lazy/__init__.py": """
        def __getattr__(name):
            import importlib
            return importlib.import_module(f"lazy.{name}")
    """,
    "lazy/inner.py": "import grid",
    "broken.py": "import grid_not_there",
    "failing.py": "1 / 0",
}


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site-packages"
    write(folder, SITE)
    return folder


def run(site: Path, text: str, **files: str) -> list[str]:
    """Run a program as a worker loads it; return the lines it prints, or the exception's."""
    folder = site.parent / "program"
    write(folder, {f"{name.replace('__', '/')}.py": body for name, body in files.items()})
    program = folder / "main.py"
    write(folder, {"main.py": textwrap.dedent(text)})
    command = f"""
import sys
from pyreframework.program import imports, ownership
sys.path[:0] = [{str(folder)!r}, {str(site)!r}]
from pyreframework.program.standins import of
from pyreframework.program.rerun import Program
from pyreframework.program import loading
space = {{"__name__": "__mp_main__", "__file__": {str(program)!r}, "of": of}}
space |= {{"imports": imports, "ownership": ownership}}
imports.install()
with open({str(program)!r}) as source:
    code = compile(source.read(), {str(program)!r}, "exec")
try:
    exec(code, space)
except Exception as error:
    print(type(error).__name__, error)
imports.remove()
print(sorted(imports.reasons))
"""
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", command],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


@pytest.mark.parametrize(
    ("text", "printed", "missing"),
    [
        ("import grid\nprint(of(grid))", "grid", "grid"),
        ("import grid as a\nprint(of(a.zeros(3)))", "grid", "grid"),
        ("from grid import zeros\nprint(of(zeros))", "grid", "grid"),
        ("from grid.core import zeros\nprint(of(zeros))", "grid", "grid"),
        ("import grid.core\nprint(of(grid.core.x))", "grid", "grid"),
        ("import grid.core as c\nprint(of(c.x), c)", "grid <", "grid"),
        ("from grid import *\nprint(of(zeros), len('ab'))", "grid 2", "grid"),
        ("import dependent\nprint(of(dependent))", "dependent", "dependent"),
        ("import wrapping\nprint(of(wrapping))", "wrapping", "wrapping"),
        ("import optional\nprint(optional.kind)", "slow", None),
        ("import grid\nimport checks\nprint(checks.has)", "(False, False, False)", "grid"),
        ("import checks\nimport grid\nprint(checks.has)", "(False, False, False)", "grid"),
        ("from package import bad\nprint(of(bad))", "package.bad", "package.bad"),
        ("from package import good\nprint(good.value)", "1", None),
        ("import package.bad\nprint(of(package.bad), package.ready)", "package.b", "package.bad"),
        ("import package.bad as b\nprint(of(b))", "package.bad", "package.bad"),
        ("from package.bad import x\nprint(of(x))", "package.bad", "package.bad"),
        ("from package.sub.deep import x\nprint(of(x))", "package.sub.deep", "package.sub.deep"),
        ("import package.sub.deep\nprint(of(package.sub.deep))", "package.s", "package.sub.deep"),
        ("from lazy import inner\nprint(of(inner))", "lazy.inner", "lazy.inner"),
        ("import importlib\nprint(of(importlib.import_module('grid')))", "grid", "grid"),
        ("import importlib\nprint(of(importlib.import_module('grid.core').x))", "grid", "grid"),
        ("print(of(__import__('grid')))", "grid", "grid"),
        ("def f():\n  import grid\n  return grid\nprint(of(f()))", "grid", "grid"),
    ],
)  # fmt: skip
def test_a_refusal_in_the_program(site: Path, text: str, printed: str, missing: str | None) -> None:
    first, last = run(site, text)
    assert first.startswith(printed)
    assert last == ([missing] if missing else []).__repr__()


def test_several_at_once(site: Path) -> None:
    """What comes behind the part that failed is looked at too."""
    lines = run(
        site,
        """
        from package import bad, good, worse
        print(of(bad), good.value, of(worse))
        import package
        print(package.ready, hasattr(package, "bad"))
        import package.worse
        import package.bad
        print(of(package.bad), of(package.worse))
        """,
    )
    assert lines == [
        "package.bad 1 package.worse",
        "True False",
        "package.bad package.worse",
        "['package.bad', 'package.worse']",
    ]


def test_files_of_the_program_are_the_program(site: Path) -> None:
    lines = run(
        site,
        """
        from service.views import grid, models
        import helpers
        print(of(grid), of(models.a), of(helpers.grid))
        """,
        service____init__="",
        service__models="import grid as a",
        service__views="import grid\nfrom . import models",
        helpers="import grid",
    )
    assert lines == ["grid grid grid", "['grid']"]


GOES_ON = """
try:
  import grid
except ImportError:
  print("caught")
---
try:
  import grid
except Exception as error:
  print("caught")
---
try:
  import grid
except:
  print("caught")
---
try:
  import grid
except (KeyError, ImportError):
  print("caught")
---
import builtins
try:
  import grid
except builtins.ImportError:
  print("caught")
---
Missing = ImportError
try:
  import grid
except Missing:
  print("caught")
---
try:
  from package import bad
except ImportError:
  print("caught")
---
try:
  if True:
    import grid
except ImportError:
  print("caught")
---
try:
  try:
    import grid
  finally:
    pass
except ImportError:
  print("caught")
---
try:
  try:
    import grid
  except KeyError:
    pass
except ImportError:
  print("caught")
---
def f():
  import grid
try:
  f()
except ImportError:
  print("caught")
---
try:
  import own
except ImportError:
  print("caught")
---
from contextlib import suppress
with suppress(ImportError):
  import grid
print("caught")
---
import contextlib
with contextlib.suppress(OSError, ImportError):
  import grid
print("caught")
---
try:
  import importlib
  importlib.import_module("grid")
except ImportError:
  print("caught")
---
for x in (1,):
  try:
    import grid
  except ImportError as error:
    continue
  else:
    print("no")
else:
  print("caught")
---
match 1:
  case 1:
    try:
      import grid
    except ImportError:
      print("caught")
"""


@pytest.mark.parametrize("text", GOES_ON.strip().split("\n---\n"))
def test_a_try_that_goes_on_is_taken_at_its_word(site: Path, text: str) -> None:
    own = "import grid"
    assert run(site, text, own=own) == ["caught", "[]"]
    # Also when the stand-in is known already.
    with_known = f"import grid as known\n{text}"
    assert run(site, with_known, own=own)[0] == "caught"


GOES_NOT_ON = """
try:
  import grid
except KeyError:
  print("caught")
print("went on")
---
try:
  import grid
except ModuleNotFoundError:
  print("caught")
print("went on")
---
try:
  import grid
except ImportError:
  raise
print("went on")
---
try:
  import grid
except ImportError as e:
  raise RuntimeError from e
print("went on")
---
try:
  import grid
except ImportError:
  print("bye")
  exit(1)
print("went on")
---
import sys
try:
  import grid
except ImportError:
  sys.exit(1)
print("went on")
---
try:
  import grid
finally:
  print("went on")
---
try:
  pass
except ImportError:
  pass
else:
  import grid
print("went on")
---
try:
  raise KeyError
except KeyError:
  import grid
print("went on")
---
def f():
  try:
    return g()
  except ImportError:
    raise
def g():
  import grid
f()
print("went on")
---
def f():
  import grid
try:
  pass
except ImportError:
  f()
f()
print("went on")
---
from contextlib import nullcontext
with nullcontext(ImportError):
  import grid
print("went on")
"""


@pytest.mark.parametrize("text", GOES_NOT_ON.strip().split("\n---\n"))
def test_a_try_that_does_not_go_on_is_none(site: Path, text: str) -> None:
    assert run(site, text) == ["went on", "['grid']"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("import broken", "ModuleNotFoundError No module named 'grid_not_there'"),
        ("import failing", "ZeroDivisionError division by zero"),
        ("import own", "ZeroDivisionError division by zero"),
        ("import not_there", "ModuleNotFoundError No module named 'not_there'"),
        ("from package import not_there", "ImportError cannot import name 'not_there'"),
    ],
)  # fmt: skip
def test_other_errors_are_left_alone(site: Path, text: str, line: str) -> None:
    own = "try:\n  import grid\nexcept ImportError:\n  1 / 0"
    first, last = run(site, text, own=own)
    assert first.startswith(line)
    assert last == "[]"


def test_a_file_of_the_program_that_refuses_by_itself(site: Path) -> None:
    lines = run(
        site,
        """
        import own
        from parts import good, bad
        print(of(own), good.value, of(bad), of(bad.x))
        """,
        own=REFUSES,
        parts____init__="",
        parts__good="value = 1",
        parts__bad=REFUSES,
    )
    assert lines == ["own 1 parts.bad parts.bad", "['own', 'parts.bad']"]


def test_leftovers_are_removed(site: Path) -> None:
    lines = run(
        site,
        """
        import sys
        import grid
        from package import bad
        print([name for name in sys.modules if name.startswith(("grid", "package"))])
        """,
    )
    assert lines[0] == "['package']"


def test_the_usual_way_is_put_back(site: Path) -> None:
    lines = run(
        site,
        """
        import builtins, importlib
        print(builtins.__import__ is imports.plain_import, importlib.import_module.__module__)
        imports.remove()
        print(builtins.__import__ is imports.plain_import, importlib.import_module.__module__)
        imports.install()
        """,
    )
    assert lines[:2] == ["False pyreframework.program.imports", "True importlib"]


def test_what_the_program_puts_over_imports_stays(site: Path) -> None:
    lines = run(
        site,
        """
        import builtins, importlib
        under, names = builtins.__import__, []

        def watched(name, *rest, **more):
            names.append(name)
            return under(name, *rest, **more)

        builtins.__import__ = watched
        imports.remove()
        print(builtins.__import__ is watched)
        try:
            import grid
        except ImportError as error:
            print("grid" in names, error)
        builtins.__import__ = under
        """,
    )
    refused = "module grid.core does not support loading in subinterpreters"
    assert lines[:2] == ["True", f"True {refused}"]


def test_an_own_package_in_site_packages(site: Path) -> None:
    """As with ``python -m package``."""
    write(site, {"mine/__init__.py": "import grid"})
    assert run(site, "import mine\nprint(of(mine))")[0] == "mine"
    text = "ownership.own_packages.add('mine')\nimport mine\nprint(of(mine), of(mine.grid))"
    assert run(site, text)[0] == "None grid"
