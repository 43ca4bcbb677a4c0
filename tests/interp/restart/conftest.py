"""What restarts of a program share: the program, in any version."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from restarting import PROGRAM, Write


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(arguments: str = "", extra: str = "", version: str = "1") -> Path:
        file = tmp_path / "program.py"
        text = PROGRAM.replace("{arguments}", arguments).replace("{extra}", extra)
        file.write_text(textwrap.dedent(text).replace('version = "1"', f'version = "{version}"'))
        return file

    return write
