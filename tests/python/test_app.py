"""`Pyre` itself: settings of an app, and what `run()` does before it serves."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any

import pytest

from pyreframework import Pyre
from pyreframework.engine import AppTable


def test_max_body_size_belongs_to_the_app() -> None:
    first, second = Pyre(), Pyre()
    assert first.max_body_size == 10 * 1024 * 1024
    first.max_body_size = 5
    assert (first.max_body_size, second.max_body_size) == (5, 10 * 1024 * 1024)
    assert first.properties()["max_body_size"] == 5
    assert second.properties()["max_body_size"] is None


@pytest.mark.parametrize("size", [-1, 1.5, "10", None, True])
def test_max_body_size_is_checked(size: Any) -> None:
    app = Pyre()
    with pytest.raises(ValueError, match="max_body_size"):
        app.max_body_size = size
    assert app.max_body_size == 10 * 1024 * 1024


def test_debug() -> None:
    assert Pyre().debug is False
    assert Pyre(debug=True).debug is True
    assert Pyre(True).properties()["debug"] is True
    assert Pyre().properties()["debug"] is None


def test_json_default() -> None:
    app = Pyre()
    assert app.json_default is None
    app.json_default = str
    assert app.json_default is str
    app.json_default = None
    assert app.json_default is None
    with pytest.raises(TypeError, match="json_default"):
        app.json_default = 5


def test_log_config() -> None:
    # Unless told otherwise it switches off every logger that other tests have used.
    config: dict[str, Any] = {"version": 1, "disable_existing_loggers": False}
    Pyre(log_config=config | {"loggers": {"pyre.test": {"level": "ERROR"}}})
    assert logging.getLogger("pyre.test").level == logging.ERROR


def test_attributes_of_the_user() -> None:
    app: Any = Pyre()
    app.database = "db"
    assert app.database == "db"


def test_apps_are_numbered() -> None:
    first, second = Pyre(), Pyre()
    assert second.number == first.number + 1


def test_stop_of_an_app_that_is_not_served() -> None:
    Pyre().stop()


@pytest.mark.parametrize(
    ("options", "named"),
    [({"port": -1}, "'port'"), ({"nonsense": 1}, "'nonsense'"), ({"tls_key": "/x"}, "'tls_key'")],
)
def test_usage_errors(
    options: dict[str, Any], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    app = Pyre()
    with pytest.raises(SystemExit) as ended:
        app.run(**options)
    assert ended.value.code == 2
    assert named in capsys.readouterr().err
    assert not app.serving


def test_usage_error_of_a_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYRE_PORT", "eighty")
    with pytest.raises(SystemExit) as ended:
        Pyre().run()
    assert ended.value.code == 2
    assert "PYRE_PORT must be a whole number, not 'eighty'" in capsys.readouterr().err


class Registering:
    """A handler whose destructor registers a route."""

    def __init__(self, native: AppTable, path: str) -> None:
        self.native = native
        self.path = path

    def __call__(self, req: object) -> str:
        return self.path

    def __del__(self) -> None:
        with suppress(RuntimeError):  # It is frozen.
            self.native.add_route("GET", self.path, repr, None, False, False, None, False, False)


def test_a_handler_that_is_replaced_may_use_the_app_in_its_destructor() -> None:
    """Nothing of the app is borrowed then."""
    native = AppTable()
    native.set_fallback(Registering(native, "/fallback"), None, False)
    native.set_fallback(str, None, False)
    native.set_json_default(Registering(native, "/json"))
    native.set_json_default(None)
    native.add_exception_handler(ValueError, Registering(native, "/exception"))
    native.add_exception_handler(ValueError, repr)
    paths = [path for _, path in native.route_table()]
    assert paths == ["/fallback", "/json", "/exception"]


def test_a_handler_that_is_refused_may_use_the_app_in_its_destructor() -> None:
    native = AppTable()
    native.add_route("GET", "/taken", repr, None, False, False, None, False, False)
    with pytest.raises(ValueError, match="/taken"):
        native.add_route(
            "GET", "/taken", Registering(native, "/again"), None, False, False, None, False, False
        )
    assert [path for _, path in native.route_table()] == ["/taken", "/again"]
    native.freeze()
    with pytest.raises(RuntimeError, match="is being served"):
        native.set_fallback(Registering(native, "/late"), None, False)
