"""What holds for all tests: the environment of the developer does not configure any server."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

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
