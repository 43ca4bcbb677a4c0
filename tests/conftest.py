"""What holds for all tests: the environment of the developer does not configure any server."""

from __future__ import annotations

import os
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
