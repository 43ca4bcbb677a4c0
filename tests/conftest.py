"""What holds for all tests: the environment of the developer does not configure any server.

And what many of them need: `write` makes the files of a program.
"""

from __future__ import annotations

import os
import signal
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import Write

from pyreframework import __version__, engine


def pytest_report_header() -> str:
    """Say which engine is being tested."""
    return f"pyre {__version__}: {engine.__file__}"


@pytest.fixture(scope="session", autouse=True)
def no_settings_from_outside() -> Iterator[None]:
    """Take every variable out that `run()` would read."""
    names = [
        name
        for name in os.environ
        if name.startswith("PYRE_") or name in ("HOST", "PORT", "WEB_CONCURRENCY")
    ]
    taken = {name: os.environ.pop(name) for name in names}
    yield
    os.environ.update(taken)


@pytest.fixture(scope="session", autouse=True)
def no_signals_ignored_from_outside() -> None:
    """Let servers obey signals also where the tests run in the background, or under `nohup`.

    A signal that is ignored stays so in all children, and a server leaves it so.
    """
    for number, handler in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGHUP, signal.SIG_DFL),
        (signal.SIGTERM, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a text into a file of the test's folder, and return where it is."""

    def write(name: str, text: str) -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))
        return file

    return write
