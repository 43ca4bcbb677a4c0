"""Records of what handlers and hooks did not catch."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from pyreframework import Pyre
from pyreframework.logs import records


@pytest.mark.parametrize(
    ("request_id", "place"), [(None, "GET /a/{b}"), ("r-7", "GET /a/{b} (request r-7)")]
)
def test_raised(request_id: object, place: str, caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise KeyError("name")
    except KeyError as error:
        records.raised("GET /a/{b}", request_id, error)
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("pyre.app", logging.ERROR)
    assert record.getMessage() == f"{place} raised KeyError"
    assert record.exc_info is not None
    assert "test_logs.py" in caplog.text


def test_without_configuration_it_reaches_standard_error() -> None:
    text = "from pyreframework.logs import records\nrecords.raised('GET /', None, KeyError('x'))"
    run = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert run.stderr.splitlines() == ["GET / raised KeyError", "KeyError: 'x'"]


def test_an_exception_without_a_text(caplog: pytest.LogCaptureFixture) -> None:
    class Unprintable(Exception):
        def __str__(self) -> str:
            raise ValueError

    records.raised("GET /", None, Unprintable())
    assert "raised test_an_exception_without_a_text.<locals>.Unprintable" in caplog.text
    assert "<exception str() failed>" in caplog.text


@pytest.mark.parametrize(
    ("given", "name"), [("INFO", "info"), ("warn", "warning"), ("Trace", "debug"), ("OFF", "off")]
)
def test_names_of_levels(given: str, name: str) -> None:
    assert records.level_name(given) == name


@pytest.mark.parametrize("wrong", ["loud", "", 20, None])
def test_levels_and_formats_that_are_none(wrong: object) -> None:
    with pytest.raises(ValueError, match="a level of logs is debug, info"):
        records.level_name(wrong)
    with pytest.raises(ValueError, match="a format of logs is text or json"):
        records.format_name(wrong)


def test_what_the_app_is_told_goes_before_init_logger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "chosen", ("error", False, "text"))
    assert Pyre().properties()["log_level"] == "error"
    app = Pyre(log_config={"level": "DEBUG", "access_log": True})
    assert not app.configures_logging
    said = app.properties()
    assert (said["log_level"], said["log_format"], said["access_log"]) == ("debug", "text", True)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"level": "loud"}, "a level of logs is"),
        ({"level": "off"}, "leave it out for no access log"),
        ({"sample": 0}, "sample must be a whole number from 1 on, not 0"),
        ({"sample": 0.5}, "sample must be a whole number from 1 on, not 0.5"),
        ({"always_log_status": -1}, "always_log_status must be a whole number from 0 on"),
    ],
)
def test_access_logs_that_are_refused(options: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Pyre().enable_logging(**options)  # type: ignore[arg-type]
