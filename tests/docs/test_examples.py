"""Every example of README, docs and docstrings runs.

A Python block in a markdown page is a program: it must compile, and it runs in a process of its own
in which ``run()`` ends it instead of serving. Blocks of one page that do not import the package go
on from those before them. A block that must not run says so on its first line fence: ```python
no-run. In blocks with prompts (``>>>``) the answers are compared, as in docstrings.
"""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pyreframework

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```python(?P<flags>[^\n]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
# Options as doctest knows them; examples are read by people, so line breaks do not count.
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
# Stands in for serving: everything up to it - registration, settings - is the real thing.
PRELUDE = """
import os, sys
import pyreframework.serving.run
from pyreframework.serving.settings.resolution import resolve

def serve(app, given):
    settings = resolve(given, os.environ, app.properties())
    app.freeze(settings.values["debug"])
    raise SystemExit(0)

pyreframework.serving.run.serve = serve
"""


def pages() -> list[Path]:
    return sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def blocks(page: Path) -> Iterator[tuple[int, str, str]]:
    """Line, flags and code of each Python block of a page."""
    text = page.read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        yield text.count("\n", 0, found.start()) + 2, found["flags"].strip(), found["code"]


def programs(page: Path) -> Iterator[tuple[int, str]]:
    """Each program of a page, with the line it starts on: a block and what goes on from it."""
    start, lines = 0, ""
    for line, flags, code in blocks(page):
        if "no-run" in flags or ">>>" in code:
            continue
        if re.search(r"^(from|import) pyreframework", code, re.MULTILINE) and lines:
            yield start, lines
            lines = ""
        start = start if lines else line
        lines += code
    if lines:
        yield start, lines


def page_programs() -> list[object]:
    return [
        pytest.param(page, line, code, id=f"{page.relative_to(ROOT)}:{line}")
        for page in pages()
        for line, code in programs(page)
    ]


def modules() -> list[str]:
    found = pkgutil.walk_packages(pyreframework.__path__, "pyreframework.")
    names = [name for _, name, _ in found]
    return ["pyreframework", *(name for name in names if name != "pyreframework.engine")]


def run(code: str, tmp_path: Path) -> None:
    program = tmp_path / "example.py"
    program.write_text(code, encoding="utf-8")
    run_file(program, tmp_path)


def run_file(program: Path, tmp_path: Path) -> None:
    text = f"{PRELUDE}\nimport runpy\nrunpy.run_path({str(program)!r}, run_name='__main__')\n"
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", text],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert ended.returncode == 0, f"{ended.stdout}{ended.stderr}"


@pytest.mark.parametrize(("page", "line", "code"), page_programs())
def test_page(page: Path, line: int, code: str, tmp_path: Path) -> None:
    run(code, tmp_path)


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_prompts_of_a_page(page: Path) -> None:
    parser = doctest.DocTestParser()
    for line, _, code in blocks(page):
        if ">>>" in code:
            test = parser.get_doctest(code, {}, page.name, str(page), line)
            assert doctest.DocTestRunner(optionflags=FLAGS).run(test).failed == 0


@pytest.mark.parametrize("name", modules())
def test_docstrings(name: str) -> None:
    module = importlib.import_module(name)
    names = vars(pyreframework) | vars(module)
    failed, _ = doctest.testmod(module, optionflags=FLAGS, extraglobs=names)
    assert failed == 0


@pytest.mark.parametrize(
    "example",
    sorted(ROOT.glob("examples/**/*.py")),
    ids=lambda path: str(path.relative_to(ROOT / "examples")),
)
def test_example_programs(example: Path, tmp_path: Path) -> None:
    # Where it stands: it may read files beside it.
    run_file(example, tmp_path)


def test_blocks_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "text\n```python\nfrom pyreframework import Pyre\n```\n\n```python\nPyre()\n```\n"
        "```python no-run\nnonsense(\n```\n```sh\nls\n```\n"
        "```python\nimport pyreframework\n```\n"
    )
    assert list(programs(page)) == [
        (3, "from pyreframework import Pyre\nPyre()\n"),
        (16, "import pyreframework\n"),
    ]
