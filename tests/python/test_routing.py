"""Routes as they are registered: every form of the call, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from pyreframework import Pyre

VERBS = ("get", "post", "put", "delete", "patch", "options", "head")


def handler(req: Any) -> str:
    return "x"


@pytest.mark.parametrize("verb", VERBS)
def test_verbs(verb: str) -> None:
    app = Pyre()
    register = getattr(app, verb)
    assert register("/call", handler) is handler
    assert register("/decorator")(handler) is handler
    assert register("/main", gil=True)(handler) is handler
    assert app.native.route_table() == [
        (verb.upper(), "/call"),
        (verb.upper(), "/decorator"),
        (verb.upper(), "/main"),
    ]


def test_route() -> None:
    app = Pyre()
    assert app.route("get", "/a", handler) is handler
    assert app.route(["Post", "PUT"], "/a")(handler) is handler
    assert app.route(("purge",), "/a", handler) is handler
    assert app.native.route_table() == [
        ("GET", "/a"),
        ("POST", "/a"),
        ("PUT", "/a"),
        ("PURGE", "/a"),
    ]


def test_no_method() -> None:
    with pytest.raises(ValueError, match="at least one method"):
        Pyre().route([], "/a", handler)


def test_a_conflict_names_both_routes() -> None:
    app = Pyre()
    app.get("/users/{id}", handler)
    with pytest.raises(
        ValueError, match=r"/users/\{id\}.*/users/\{name\}|/users/\{name\}.*/users/\{id\}"
    ):
        app.get("/users/{name}", handler)
    assert app.native.route_table() == [("GET", "/users/{id}")]


def test_refused_handlers() -> None:
    app = Pyre()

    with pytest.raises(TypeError, match="GET /a needs a function, not str"):
        app.get("/a", "handler")
    with pytest.raises(ValueError, match=r"GET /a/\{b\}: .* takes 'c'"):
        app.get("/a/{b}", lambda req, c: 1)
    assert app.native.route_table() == []


def test_gil_routes_are_noticed() -> None:
    app = Pyre()
    app.get("/a", handler)
    assert not app.has_gil_routes
    app.get("/b", handler, gil=True)
    assert app.has_gil_routes
    assert not Pyre().has_gil_routes
