"""Whose a module is."""

from __future__ import annotations

import importlib.util

import pytest

from pyreframework.program import imports, ownership


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("/home/user/app/main.py", True),
        ("relative/main.py", True),
        ("/home/user/app/.venv/lib/python3.13/site-packages/numpy/__init__.py", False),
        ("/usr/lib/python3/dist-packages/numpy/__init__.py", False),
        (importlib.util.__file__, False),
        (imports.__file__, False),
        (__file__, True),
    ],
)
def test_which_files_are_the_program(file: str, expected: bool) -> None:
    assert ownership.is_program_file(file) is expected
