"""What makes the table of packages with extensions: its parts, with packages made for it."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
IN_WORKER = "import _interpreters\nif _interpreters.get_current()[0]:\n    "
REFUSED = "raise ImportError(f'module {__name__} does not support loading in subinterpreters')"
SITE = {
    "whole.py": "make = int",
    "refused.py": f"{IN_WORKER}{REFUSED}\nmake = int",
    "partial.py": "try:\n    from refused import make\nexcept ImportError:\n    make = int",
    "different.py": f"place = 'main'\n{IN_WORKER}place = 'worker'\ndef make():\n    return place",
    "failing.py": f"make = int\n{IN_WORKER}make = None",
    "nowhere.py": "def make():\n    raise KeyError('a')",
}
USE = """
import sys
sys.path.append({site!r})
import {module}

{define} use():
    return {module}.make()
"""


@pytest.fixture
def extensions(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    return importlib.import_module("extensions")


def test_what_is_listed(extensions: ModuleType) -> None:
    packages = extensions.listed()
    assert len({package.name for package in packages}) >= 50
    for package in packages:
        code = compile(package.use, package.name, "exec")
        assert "use" in code.co_names
        assert package.module.isidentifier()


@pytest.mark.parametrize(
    ("module", "outcome"),
    [
        ("whole", ("yes", "workers", "right")),
        ("async whole", ("yes", "workers", "right")),
        ("refused", ("no", "the main interpreter", "right")),
        ("partial", ("partly, without refused", "workers", "right")),
        ("different", ("yes", "workers", "wrong: worker")),
        ("failing", ("yes", "workers", "500: TypeError: 'NoneType' object is not callable")),
        ("nowhere", ("", "", "fails everywhere: KeyError: 'a'")),
    ],
)
def test_what_comes_of_a_package(
    extensions: ModuleType, tmp_path: Path, module: str, outcome: tuple[str, ...]
) -> None:
    define = "async def" if module.startswith("async ") else "def"
    module = module.removeprefix("async ")
    site = tmp_path / "site-packages"
    site.mkdir()
    for name, text in SITE.items():
        (site / name).write_text(text)
    use = USE.format(site=str(site), module=module, define=define)
    package = extensions.Package(module, module, use)
    assert extensions.try_out(Path(sys.executable), package, tmp_path) == outcome


def test_a_program_that_does_not_start(extensions: ModuleType, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("raise SystemExit('no')")
    assert extensions.ask(Path(sys.executable), program, 1) == ("", "does not start: no")


def test_the_text_of_the_table(extensions: ModuleType) -> None:
    package = extensions.Package("One", "one", "", (), "`one.c`")
    outcome = extensions.Outcome("no", "the main interpreter", "right")
    row = extensions.row(package, outcome, {"one": "1.2"})
    assert row == ["One, `one.c`", "1.2", "no", "the main interpreter", "right"]
    failed = extensions.row(package, extensions.Outcome("", "", "500"), {})
    assert failed == ["One, `one.c`", "", "-", "-", "500"]
    text = extensions.page_text([row, failed])
    assert "2 programs on CPython" in text
    assert text.endswith("0 run on workers, 1 on the main interpreter, 1 fails.")
    page = extensions.PAGE.read_text(encoding="utf-8")
    assert page.count("<!-- extensions -->") == page.count("<!-- /extensions -->") == 1
