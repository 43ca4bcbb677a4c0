"""Routes as they are registered: every form of the call, and what is refused."""

from __future__ import annotations

import ast
import inspect
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pyreframework import Pyre, PyreRequest, PyreWebSocket, routing

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


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_takes_what_route_takes_without_its_method(verb: str) -> None:
    method = getattr(Pyre, verb)
    takes = dict(inspect.signature(method).parameters)
    of_route = dict(inspect.signature(Pyre.route).parameters)
    del takes["self"], of_route["self"], of_route["method"]
    assert list(takes.items()) == list(of_route.items())
    assert method.__name__ == verb
    assert method.__qualname__ == f"Routes.{verb}"
    assert verb.upper() in method.__doc__
    with pytest.raises(TypeError, match=rf"Routes\.{verb}\(\) got an unexpected .* 'gill'"):
        method(Pyre(), "/", gill=True)


def test_type_checkers_see_the_parameters_that_verbs_have() -> None:
    found = {}
    for node in ast.walk(ast.parse(Path(routing.__file__).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef) and node.name == "Verb":
            (found["declared"],) = (one for one in node.body if isinstance(one, ast.FunctionDef))
        elif isinstance(node, ast.FunctionDef) and node.name == "verb":
            (found["there"],) = (one for one in node.body if isinstance(one, ast.FunctionDef))
    declared, there = found["declared"], found["there"]
    assert [one.arg for one in declared.args.args] == ["self", "path", "handler"]
    for given in (declared, there):
        given.args.args[0].annotation = None
    assert ast.unparse(declared.args) == ast.unparse(there.args)
    assert ast.dump(declared.type_params[0]) == ast.dump(there.type_params[0])


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


@pytest.mark.parametrize("verb", VERBS)
def test_time_limit_of_a_route(verb: str) -> None:
    register = getattr(Pyre(), verb)
    assert register("/none", handler, request_timeout=0) is handler
    assert register("/some", request_timeout=0.5)(handler) is handler
    assert register("/most", handler, request_timeout=86400) is handler
    for seconds in (-1, -0.5, 86401, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"{verb.upper()} /a: request_timeout must be from 0"):
            register("/a", handler, request_timeout=seconds)
    for wrong in ("5", True, [5]):
        with pytest.raises(TypeError, match=r"/a: request_timeout is a number of seconds, not"):
            register("/a", handler, request_timeout=wrong)


@pytest.mark.parametrize("verb", VERBS)
def test_routes_that_stay_off_the_threads_that_read(verb: str) -> None:
    register = getattr(Pyre(), verb)
    assert register("/on", handler, inline=True) is handler
    assert register("/off", inline=False)(handler) is handler
    for wrong in (None, 0, "no"):
        with pytest.raises(TypeError, match=f"{verb.upper()} /a: inline is True or False, not"):
            register("/a", handler, inline=wrong)


@pytest.mark.parametrize("verb", ["route", *VERBS])
def test_the_engine_is_told_what_stays_off(verb: str) -> None:
    app = Pyre()
    told: list[tuple[object, ...]] = []
    app.native = SimpleNamespace(add_route=lambda *row: told.append(row))  # type: ignore[assignment]
    register = partial(app.route, "get") if verb == "route" else getattr(app, verb)
    for options in ({}, {"inline": True}, {"inline": False}):
        register("/a", handler, **options)
    assert [row[-2] for row in told] == [True, True, False]


@pytest.mark.parametrize("verb", VERBS)
def test_routes_that_take_bodies_as_they_come(verb: str) -> None:
    register = getattr(Pyre(), verb)
    assert register("/on", handler, stream_body=True) is handler
    assert register("/off", stream_body=False)(handler) is handler
    for wrong in (None, 0, "no"):
        with pytest.raises(TypeError, match=f"{verb.upper()} /a: stream_body is True or False"):
            register("/a", handler, stream_body=wrong)


@pytest.mark.parametrize("verb", ["route", *VERBS])
def test_the_engine_is_told_who_takes_bodies_as_they_come(verb: str) -> None:
    app = Pyre()
    told: list[tuple[object, ...]] = []
    app.native = SimpleNamespace(add_route=lambda *row: told.append(row))  # type: ignore[assignment]
    register = partial(app.route, "get") if verb == "route" else getattr(app, verb)
    for options in ({}, {"stream_body": True}, {"stream_body": False}):
        register("/a", handler, **options)
    assert [row[-1] for row in told] == [False, True, False]
    assert app.chosen == [[], ["stream_body=True"], []]


def test_gil_routes_are_noticed() -> None:
    app = Pyre()
    app.get("/a", handler)
    assert not app.has_gil_routes
    app.get("/b", handler, gil=True)
    assert app.has_gil_routes
    assert not Pyre().has_gil_routes


def test_a_websocket_is_a_route() -> None:
    app = Pyre()

    @app.websocket("/ws/{room}")
    def talk(ws: Any, room: str) -> None: ...

    assert app.native.route_table() == [("GET", "/ws/{room}")]
    with pytest.raises(ValueError, match="conflicts"):
        app.get("/ws/{name}", handler)
    app.post("/ws/{name}", handler)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"allowed_origins": "https://a.b"}, TypeError, "allowed_origins is a list of str"),
        ({"allowed_origins": [b"x"]}, TypeError, "allowed_origins is a list of str"),
        ({"allowed_origins": ["a.b"]}, ValueError, "'a.b' is no origin"),
        ({"allowed_origins": ["https://a.b/"]}, ValueError, "is no origin"),
        ({"allowed_origins": ["https://a.b:443"]}, ValueError, "sends .*443': it is 'https://a.b'"),
        ({"allowed_origins": ["HTTP://a.b:080"]}, ValueError, "it is 'http://a.b'"),
        ({"allowed_origins": ["http://a.b:0443"]}, ValueError, "it is 'http://a.b:443'"),
        ({"allowed_origins": ["wss://a.b"]}, ValueError, "it is 'https://a.b'"),
        (
            {"allowed_origins": ["https://Bücher.example:8443"]},
            ValueError,
            "xn--bcher-kva.example:8443'",
        ),
        ({"allowed_origins": ["https://*.a.b"]}, ValueError, "written out, and without allowed_"),
        ({"allowed_origins": ["https://a.b:"]}, ValueError, "'' is no port"),
        ({"allowed_origins": ["https://"]}, ValueError, "is no origin"),
        ({"allowed_origins": ["https://me@a.b"]}, ValueError, "is no origin"),
        ({"subprotocols": "chat"}, TypeError, "subprotocols is a list of str"),
        ({"subprotocols": ["a b"]}, ValueError, "'a b' cannot be the name of a subprotocol"),
        ({"subprotocols": [""]}, ValueError, "cannot be the name"),
        ({"compression": 1}, TypeError, "compression is True or False"),
        ({"request_timeout": "1"}, TypeError, "request_timeout is a number"),
    ],
)
def test_what_a_websocket_cannot_be_registered_with(
    options: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        Pyre().websocket("/ws", lambda ws: None, **options)


def test_origins_that_browsers_send() -> None:
    origins = [
        "https://a.b", "HTTPS://A.b", "http://a.b:8080", "https://a.b:80", "http://[::1]:8000",
        "http://[::1]", "https://xn--bcher-kva.example", "chrome-extension://abcdef",
    ]  # fmt: skip
    Pyre().websocket("/ws", lambda ws: None, allowed_origins=origins)


def test_a_decorator_that_is_not_called_says_so() -> None:
    """It would register nothing."""
    app = Pyre()
    for name in ("get", "post", "put", "delete", "patch", "options", "head", "websocket"):
        with pytest.raises(TypeError, match=rf'app.{name} takes a path: write @app.{name}\("/path'):
            getattr(app, name)(handler)
        with pytest.raises(TypeError, match=rf"app.{name}\(\) takes a path, not int"):
            getattr(app, name)(1)
    with pytest.raises(TypeError, match="takes a path, not bytes"):
        app.route("GET", b"/x")  # type: ignore[call-overload]
    assert app.native.route_table() == []


def test_a_generator_is_no_handler_of_a_websocket() -> None:
    def sync(ws: Any) -> Any:
        yield "a"

    async def async_one(ws: Any) -> Any:
        yield "a"

    for one in (sync, async_one, partial(sync)):
        with pytest.raises(TypeError, match=r"yields, .* sends by ws.send\(\)"):
            Pyre().websocket("/ws", one)


def test_a_request_is_not_taken_for_a_websocket() -> None:
    app = Pyre()

    def both(req: PyreRequest, ws: PyreWebSocket) -> None: ...
    def untyped(request: Any, ws: Any) -> None: ...
    def other(anything: Any, ws: Any) -> None: ...
    def only(r: PyreRequest) -> None: ...
    def socket(ws: PyreWebSocket) -> None: ...

    for one in (both, untyped):
        with pytest.raises(ValueError, match=r"no default: the request is ws\.request"):
            app.websocket("/ws", one)
    with pytest.raises(ValueError, match="takes 'anything', which is not in the path"):
        app.websocket("/ws", other)
    with pytest.raises(ValueError, match="takes a PyreRequest as 'r', and is called with a PyreW"):
        app.websocket("/ws", only)
    with pytest.raises(ValueError, match=r"takes a PyreWebSocket as 'ws'.* by app\.websocket"):
        app.get("/ws", socket)


def test_what_the_handler_of_a_websocket_takes() -> None:
    app = Pyre()
    told: list[Any] = []
    app.native = SimpleNamespace(add_route=lambda *row: told.append(row[3]))  # type: ignore[assignment]

    def first(anything: Any, room: str) -> None: ...
    def named(room: str, ws: Any) -> None: ...
    def annotated(room: str, talk: PyreWebSocket) -> None: ...
    def nothing() -> None: ...

    for one in (first, named, annotated, nothing):
        app.websocket("/{room}", one)
    room = ("room", "str")
    assert told == [(None, room), (room, None), (room, None), ()]
    with pytest.raises(ValueError, match="takes 'other', which is not in the path"):
        app.websocket("/{room}", lambda ws, other: None)
