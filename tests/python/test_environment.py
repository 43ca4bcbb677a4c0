"""What is noted of the environment that a program was started with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pyreframework.serving.processes import environment as noting


def in_a_process(code: str, env: dict[str, str]) -> str:
    """What a program prints that is started in an environment."""
    command = [sys.executable, "-c", code]
    return subprocess.check_output(command, env={**os.environ, **env}, text=True).strip()


@pytest.mark.parametrize(
    "before",
    ["", "import os; del os.environ['GIVEN']; os.environ['SET'] = 'late';"],
    ids=["after the import", "before the import"],
)
def test_changes_are_not_noted(before: str) -> None:
    code = (
        f"{before}\n"
        "import pyreframework, os; os.environ.pop('GIVEN', None); os.environ['SET'] = '1'\n"
        "from pyreframework.serving.processes.environment import environment as e\n"
        "print(e().get('GIVEN'), e().get('SET'), e().get('LISTEN_PID'))"
    )
    assert in_a_process(code, {"GIVEN": "a=b", "LISTEN_PID": "1"}) == "a=b None None"


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (b"", {}),
        (b"A=1\0B=\0C=x=y\0A=2\0", {b"A": b"1", b"B": b"", b"C": b"x=y"}),
        (b"A=\xff\n1\0", {b"A": b"\xff\n1"}),
        # A title was written over it.
        (b"my program\0\0\0\0", None),
        (b"A=1\0B", None),
        (b"A=1\0=\0", None),
    ],
)
def test_the_block_of_the_system(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    block: bytes,
    expected: dict[bytes, bytes] | None,
) -> None:
    file = tmp_path / "environ"
    file.write_bytes(block)
    monkeypatch.setattr(noting, "ORIGINAL", str(file))
    assert noting.original() == expected


def test_where_the_system_keeps_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Then it is what Python has when the package is imported."""
    monkeypatch.setattr(noting, "ORIGINAL", str(tmp_path / "absent"))
    monkeypatch.setattr(noting, "_noted", None)
    monkeypatch.setenv("GIVEN", "1")
    noting.note()
    monkeypatch.setenv("GIVEN", "2")
    found = noting.environment()
    assert found["GIVEN"] == "1"
