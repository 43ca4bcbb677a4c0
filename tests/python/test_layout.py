"""The check of object layouts against the headers of the interpreter, which the build runs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

LAYOUT = Path(__file__).parents[2] / "pyre-ffi" / "src" / "layout"
NUMBER = re.compile(r"^pub\(crate\) const (\w+): \w+ = (\d+);$", re.MULTILINE)
NUMBERS = {name: int(value) for name, value in NUMBER.findall((LAYOUT / "numbers.rs").read_text())}
INCLUDE = Path(sysconfig.get_path("include"))
COMPILER = os.environ.get("CC", "").split() or ["cc"]
pytestmark = [
    pytest.mark.skipif(not (INCLUDE / "Python.h").exists(), reason="there are no headers"),
    pytest.mark.skipif(shutil.which(COMPILER[0]) is None, reason="there is no C compiler"),
]


def compare(folder: Path, numbers: dict[str, int]) -> subprocess.CompletedProcess[str]:
    """Do what build.rs does."""
    program = folder / "headers"
    macros = [f"-D{name}={value}" for name, value in numbers.items()]
    folders = {f"-I{sysconfig.get_path(name)}" for name in ("include", "platinclude")}
    command = [*COMPILER, "-w", *macros, *folders, str(LAYOUT / "headers.c"), "-o", str(program)]
    subprocess.run(command, check=True)
    return subprocess.run([program], capture_output=True, text=True)


def test_the_numbers_are_those_of_the_headers(tmp_path: Path) -> None:
    assert len(NUMBERS) > 10
    run = compare(tmp_path, NUMBERS)
    assert (run.returncode, run.stdout) == (0, "")


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_that_is_wrong_is_found(tmp_path: Path, name: str) -> None:
    # One bit less: of some numbers only those that are too small can be told.
    run = compare(tmp_path, NUMBERS | {name: NUMBERS[name] - 1})
    assert run.returncode == 1
    assert " in numbers.rs, " in run.stdout
