"""Hooks: three ways to register each, and how those around serving run."""

from __future__ import annotations

import functools
import logging
from typing import Any

import pytest

from pyreframework import HTTPError, Pyre

REQUEST_HOOKS = ("before_request", "after_request", "fallback")
LIFE_HOOKS = ("on_startup", "on_shutdown", "on_worker_start", "on_worker_stop")


@pytest.mark.parametrize("name", REQUEST_HOOKS + LIFE_HOOKS)
def test_three_ways(name: str) -> None:
    register = getattr(Pyre(), name)

    def hook(*args: Any) -> None: ...

    async def later(*args: Any) -> None: ...

    for one in (hook, later):
        assert register(one) is one
        assert register()(one) is one

    @register
    def bare(*args: Any) -> None: ...

    assert callable(bare)


@pytest.mark.parametrize("name", REQUEST_HOOKS + LIFE_HOOKS)
def test_refused(name: str) -> None:
    register = getattr(Pyre(), name)

    with pytest.raises(TypeError, match=f"{name} needs a function"):
        register()(5)


@pytest.mark.parametrize(
    ("kind", "hook", "said"),
    [
        ("before_request", lambda: None, r"called as <lambda>\(req\)"),
        ("before_request", lambda req, database: None, "give 'database' a default"),
        ("before_request", lambda req, *, database: None, "give 'database' a default"),
        ("after_request", lambda resp: None, r"called as <lambda>\(req, resp\)"),
        ("after_request", lambda req, resp, more: None, "give 'more' a default"),
        ("on_startup", lambda app: None, "give 'app' a default"),
        ("on_worker_stop", lambda *, app: None, "an on_worker_stop hook is called as"),
    ],
)
def test_hooks_that_cannot_be_called_are_refused_when_they_are_registered(
    kind: str, hook: Any, said: str
) -> None:
    with pytest.raises(TypeError, match=said.replace("<lambda>", ".*<lambda>")):
        getattr(Pyre(), kind)(hook)


def test_hooks_that_may_be_called_are_taken() -> None:
    app = Pyre()

    class Hook:
        def __call__(self, req: Any, more: int = 1) -> None: ...

        def bound(self, req: Any, resp: Any) -> None: ...

    def plain(req: Any, resp: Any) -> None: ...

    @functools.wraps(plain)
    def wrapper(*args: Any, **kwargs: Any) -> None: ...

    app.before_request(Hook())
    app.before_request(print)
    app.before_request(lambda *args: None)
    app.before_request(lambda req, **more: None)
    app.before_request(functools.partial(lambda database, req: None, 1))
    app.after_request(Hook().bound)
    app.after_request(wrapper)
    app.on_startup(lambda name="x": None)
    with pytest.raises(TypeError, match="exception_handler is called as"):
        app.exception_handler(KeyError, lambda exc: None)


def test_exception_handlers() -> None:
    app = Pyre()

    def missing(req: Any, exc: KeyError) -> Any: ...

    assert app.exception_handler(KeyError, missing) is missing
    assert app.exception_handler(HTTPError)(missing) is missing
    for wrong in (5, int, KeyError()):
        with pytest.raises(TypeError, match="type of exception"):
            app.exception_handler(wrong, missing)
    with pytest.raises(TypeError, match="exception_handler needs a function"):
        app.exception_handler(KeyError)(5)


def test_order_and_failures(caplog: pytest.LogCaptureFixture) -> None:
    app = Pyre()
    ran: list[str] = []

    @app.on_startup
    def first() -> None:
        ran.append("first")

    @app.on_startup
    def fails() -> None:
        raise LookupError("not today")

    app.on_startup(lambda: ran.append("never"))
    app.on_shutdown(lambda: ran.append("end"))
    app.on_shutdown(fails)
    app.on_shutdown(lambda: ran.append("end as well"))
    with pytest.raises(LookupError):
        app.begin()
    assert ran == ["first"]
    with caplog.at_level(logging.ERROR):
        app.end()
    assert ran == ["first", "end", "end as well"]
    assert "an on_shutdown hook raised LookupError" in caplog.text
    assert "not today" in caplog.text


def test_worker_hooks_are_kept_apart() -> None:
    app = Pyre()
    ran: list[str] = []
    for name in LIFE_HOOKS:
        getattr(app, name)(lambda name=name: ran.append(name))
    app.begin_worker()
    app.begin()
    app.end()
    app.end_worker()
    assert ran == ["on_worker_start", "on_startup", "on_shutdown", "on_worker_stop"]
