"""What tests of broken surroundings share: the program they start."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

PROGRAM = """
    import os, socket, sys
    from pyreframework import Pyre

    app = Pyre()
    {extra}

    @app.get("/")
    def hello(req):
        return str(os.getpid())

    @app.get("/print/{word}")
    def show(req, word: str):
        print(word)
        print(word, file=sys.stderr)
        print("no newline", end="")
        return "printed"

    @app.get("/descriptors")
    def descriptors(req):
        return [os.readlink(f"/proc/self/fd/{number}") for number in range(3)]

    if __name__ == "__main__":
        app.run({arguments})
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(extra: str = "", arguments: str = "", folder: Path | None = None) -> Path:
        file = (folder or tmp_path) / "program.py"
        text = PROGRAM.replace("{extra}", extra).replace("{arguments}", arguments)
        file.write_text(textwrap.dedent(text))
        return file

    return write
