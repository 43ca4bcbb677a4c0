"""Type checkers read what users write: accepted where it is right, refused where it is wrong."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import pyreframework
from pyreframework import engine

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def checked(*command: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize(
    "checker",
    [
        # More than one example is an app.py.
        ["mypy", "--strict", "--explicit-package-bases"],
        ["basedpyright", "--level", "error", "--project", "pyproject.toml"],
    ],
)
def test_accepted(checker: list[str]) -> None:
    examples = [str(path) for path in sorted((ROOT / "examples").rglob("*.py"))]
    checked(*checker, str(HERE / "accepted.py"), *examples)


def test_refused() -> None:
    checked("mypy", "--strict", str(HERE / "refused.py"))


def stub_names() -> dict[str, set[str]]:
    """Classes of the stub with the names they declare; "" stands for the module itself.

    A class with an underscore is one for type checkers: what Python code returns.
    """
    import ast

    file = Path(pyreframework.__file__).parent / "engine.pyi"
    names: dict[str, set[str]] = {"": set()}
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            names[""].add(node.name)
            names[node.name] = declared(node.body)
        else:
            names[""] |= declared([node])
    return names


def declared(body: Sequence[object]) -> set[str]:
    import ast

    names = set()
    for node in body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return names


def public(thing: object) -> set[str]:
    return {name for name in vars(thing) if not name.startswith("_")}


def test_stub_and_engine_agree() -> None:
    assert importlib.util.find_spec("pyreframework.engine") is not None
    names = stub_names()
    assert public(engine) <= names[""]
    for name in names[""]:
        assert hasattr(engine, name), name
    for name, members in names.items():
        if name:
            there = getattr(engine, name)
            assert {member for member in members if not hasattr(there, member)} == set(), name
            assert public(there) - members == set(), name
