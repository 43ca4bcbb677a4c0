"""Extensions that CPython itself refuses, in an interpreter like a worker's."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pyreframework

ISOLATED = """
import _interpreters
text = {text!r}
number = _interpreters.create("isolated")
failed = _interpreters.exec(number, text)
_interpreters.destroy(number)
if failed is not None:
    raise SystemExit(failed.formatted)
"""
INSTALLED = """
sys.path.insert(0, {site!r})
from pyreframework.program import imports
imports.install()
space = {{'__name__': '__mp_main__'}}
"""


def extension(name: str) -> Path:
    """An extension of the standard library that refuses to load in workers."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None or not spec.origin.endswith(".so"):
        pytest.skip(f"{name} is no extension module here")
    return Path(spec.origin)


def run_isolated(text: str) -> list[str]:
    """Run Python in an interpreter like a worker's, where CPython refuses extensions by itself."""
    package = str(Path(pyreframework.__file__).parents[1])
    text = f"import sys\nsys.path.insert(0, {package!r})\n{text}\nsys.stdout.flush()\n"
    ended = subprocess.run(
        [sys.executable, "-c", ISOLATED.format(text=text)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, f"{ended.stdout}{ended.stderr}"
    return ended.stdout.splitlines()


def test_what_cpython_itself_refuses() -> None:
    lines = run_isolated(
        "from pyreframework.program import imports\nimports.install()\n"
        "exec('import readline, json\\nprint(repr(readline), json.dumps(1))',"
        " {'__name__': '__mp_main__'})"
    )
    reason = "module readline does not support loading in subinterpreters"
    assert lines == [f"<stand-in for module 'readline': {reason}> 1"]


def twofold(tmp_path: Path, init: str) -> Path:
    """A package with an extension that is refused; the Python file beside it is still missing."""
    refusing = extension("readline")
    package = tmp_path / "site-packages/twofold"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(init)
    shutil.copy(refusing, package / refusing.name)
    return package


def test_a_python_file_in_place_of_its_extension(tmp_path: Path) -> None:
    """As with what Cython or mypyc compiles from Python files that are shipped as well."""
    package = twofold(tmp_path, "from . import readline\nfrom .readline import kind")
    (package / "readline.py").write_text("kind = 'python ' + __name__")
    lines = run_isolated(
        f"{INSTALLED.format(site=str(package.parent))}"
        "exec('import twofold\\nprint(twofold.kind, twofold.readline.__file__)', space)\n"
        "print(imports.replaced, imports.reasons)\n"
        "imports.remove()\n"
        "del sys.modules['twofold'], sys.modules['twofold.readline']\n"
        "import twofold\nprint(twofold.kind)\n"
    )
    text = "module readline does not support loading in subinterpreters"
    assert lines == [
        f"python twofold.readline {package / 'readline.py'}",
        f"{ {'twofold.readline': text} } {{}}",
        "python twofold.readline",
    ]


def test_a_python_file_that_only_explains(tmp_path: Path) -> None:
    """Beside its extension, for those who have not compiled that: it is none to run instead."""
    package = twofold(tmp_path, "from . import readline")
    (package / "readline.py").write_text("raise ImportError('please compile it first')")
    lines = run_isolated(
        f"{INSTALLED.format(site=str(package.parent))}"
        "exec('import twofold\\nprint(twofold.run(1) is None)', space)\n"
        "print(imports.reasons, imports.replaced)\n"
    )
    reason = "module readline does not support loading in subinterpreters"
    assert lines == ["False", f"{ {'twofold': reason} } {{}}"]


def test_a_package_that_hides_what_was_refused(tmp_path: Path) -> None:
    """It tries its parts one after the other; its own error says nothing of the first."""
    refusing = extension("readline")
    package = tmp_path / "site-packages/hiding"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        "try:\n    from .readline import run\nexcept ImportError:\n    run = None\n"
        "if run is None:\n    raise ImportError('no implementation found')\n"
    )
    shutil.copy(refusing, package / refusing.name)
    lines = run_isolated(
        f"sys.path.insert(0, {str(tmp_path / 'site-packages')!r})\n"
        "from pyreframework.program import imports\nimports.install()\n"
        "exec('import hiding\\nprint(hiding.run(1) is None)', {'__name__': '__mp_main__'})\n"
        "print(imports.reasons)\n"
    )
    assert lines == [
        "False",
        "{'hiding': 'module hiding.readline does not support loading in subinterpreters'}",
    ]
