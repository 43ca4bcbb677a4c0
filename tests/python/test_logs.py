"""Records of what handlers and hooks did not catch."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from pyreframework import logs


@pytest.mark.parametrize(
    ("request_id", "place"), [(None, "GET /a/{b}"), ("r-7", "GET /a/{b} (request r-7)")]
)
def test_raised(request_id: object, place: str, caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise KeyError("name")
    except KeyError as error:
        logs.raised("GET /a/{b}", request_id, error)
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("pyre.app", logging.ERROR)
    assert record.getMessage() == f"{place} raised KeyError"
    assert record.exc_info is not None
    assert "test_logs.py" in caplog.text


def test_without_configuration_it_reaches_standard_error() -> None:
    text = "from pyreframework import logs\nlogs.raised('GET /', None, KeyError('x'))"
    run = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert run.stderr.splitlines() == ["GET / raised KeyError", "KeyError: 'x'"]


def test_an_exception_without_a_text(caplog: pytest.LogCaptureFixture) -> None:
    class Unprintable(Exception):
        def __str__(self) -> str:
            raise ValueError

    logs.raised("GET /", None, Unprintable())
    assert "raised test_an_exception_without_a_text.<locals>.Unprintable" in caplog.text
    assert "<exception str() failed>" in caplog.text
