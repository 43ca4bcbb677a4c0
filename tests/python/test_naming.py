"""`app.url_for`: addresses by name, and what is said where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyreframework import Pyre
from pyreframework.testing import TestClient

ID = "12345678-1234-5678-1234-567812345678"


def app_of(*routes: tuple[str, str]) -> Pyre:
    app = Pyre()
    for name, path in routes:
        app.get(path, name=name)(lambda req: "ok")
    return app


@pytest.mark.parametrize(
    ("path", "params", "made"),
    [
        ("/", {}, "/"),
        ("/a b/caf\u00e9/%41/100%", {}, "/a%20b/caf%C3%A9/%41/100%25"),
        ("/users/{id:int}", {"id": 7}, "/users/7"),
        ("/users/{id:int}", {"id": "-7"}, "/users/-7"),
        ("/users/{id:float}", {"id": 1.5}, "/users/1.5"),
        ("/users/{id:float}", {"id": 1e16}, "/users/10000000000000000"),
        ("/users/{id:float}", {"id": -1.25e22}, "/users/-12500000000000000000000"),
        ("/users/{id:float}", {"id": 1e-7}, "/users/0.0000001"),
        ("/users/{id:float}", {"id": -1.5e-7}, "/users/-0.00000015"),
        ("/users/{id:float}", {"id": 3}, "/users/3"),
        ("/users/{id:uuid}", {"id": UUID(ID)}, f"/users/{ID}"),
        ("/users/{id:uuid}", {"id": ID.replace("-", "")}, f"/users/{ID.replace('-', '')}"),
        ("/users/{id}", {"id": "a/b c?#%&'"}, "/users/a%2Fb%20c%3F%23%25%26%27"),
        ("/users/{id}", {"id": "caf\u00e9"}, "/users/caf%C3%A9"),
        ("/r-{year:int}.txt", {"year": 2026}, "/r-2026.txt"),
        ("/f/{rest:path}", {"rest": "a/b c/"}, "/f/a/b%20c/"),
        ("/f/{*rest}", {"rest": ""}, "/f/"),
        ("/", {"q": "a b&c=d+e", "n": 5}, "/?q=a%20b%26c%3Dd%2Be&n=5"),
        ("/", {"q": ["a", "b"], "none": None, "yes": True}, "/?q=a&q=b&yes=true"),
        ("/", {"q": []}, "/"),
        ("/u/{name}", {"name": "x", "self": "y"}, "/u/x?self=y"),
    ],
)
def test_the_address(path: str, params: dict[str, Any], made: str) -> None:
    assert app_of(("it", path)).url_for("it", **params) == made


@pytest.mark.parametrize(
    ("path", "params", "error", "words"),
    [
        ("/u/{id}", {}, TypeError, r"url_for\('it'\) needs id=, for /u/\{id\}"),
        ("/u/{id}", {"id": None}, TypeError, "id is a str, a number or a UUID, not NoneType"),
        ("/u/{id}", {"id": True}, TypeError, "not bool"),
        ("/u/{id}", {"id": ""}, ValueError, "id is empty"),
        ("/u/{id}", {"id": ".."}, ValueError, "browsers take away"),
        ("/u/{id:path}", {"id": "a/../b"}, ValueError, "browsers take away"),
        ("/{id:path}", {"id": "/evil.example"}, ValueError, "another server"),
        ("/u/{id:int}", {"id": "x"}, ValueError, "id is of the type int, and 'x' is none"),
        ("/u/{id:int}", {"id": 1.5}, ValueError, "type int"),
        ("/u/{id:int}", {"id": "\u0663"}, ValueError, "type int"),
        ("/u/{id:float}", {"id": float("nan")}, ValueError, "type float"),
        ("/u/{id:uuid}", {"id": "12"}, ValueError, "type uuid"),
        ("/u/{id}", {"id": "\ud800"}, ValueError, "surrogates"),
        ("/", {"q": b"x"}, TypeError, "q is a str"),
    ],
)
def test_what_does_not_fit(
    path: str, params: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        app_of(("it", path)).url_for("it", **params)


def test_names() -> None:
    app = Pyre()

    @app.get("/users/{id}")
    @app.post("/users/{id}")
    def show(req, id): ...

    @app.get("/other", name="given")
    def hidden(req): ...

    @app.get("/one")
    def twice(req): ...

    app.get("/two")(twice)
    app.get("/three", name="twice-given")(twice)
    app.websocket("/socket", name="socket")(lambda ws: None)
    assert app.url_for("show", id=1) == "/users/1"
    assert app.url_for("given") == "/other"
    assert app.url_for("twice-given") == "/three"
    assert app.url_for("socket") == "/socket"
    with pytest.raises(ValueError, match=r"several routes have this name \(/one, /two\)"):
        app.url_for("twice")
    with pytest.raises(ValueError, match="no route has this name; there are: given, show, socket"):
        app.url_for("hidden")
    with pytest.raises(TypeError, match="not int"):
        app.url_for(5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="there are: none"):
        Pyre().url_for("x")


def test_a_name_that_was_given_goes_before_that_of_a_handler() -> None:
    app = Pyre()

    @app.get("/handler")
    def page(req): ...

    app.get("/given", name="page")(lambda req: "")
    assert app.url_for("page") == "/given"


def test_a_name_is_given_once() -> None:
    app = app_of(("it", "/a"))
    app.post("/a", name="it")(lambda req: "")
    with pytest.raises(ValueError, match="GET /b: /a has the name 'it' already"):
        app.get("/b", name="it")
    with pytest.raises(TypeError, match="name is a str, not int"):
        app.get("/b", name=5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="name is empty"):
        app.get("/b", name="")


def test_files(tmp_path: Path) -> None:
    (tmp_path / "a b.css").write_text("body {}")
    app = Pyre()
    app.static("/assets/", tmp_path, name="static")
    made = app.url_for("static", path="a b.css")
    assert made == "/assets/a%20b.css"
    with TestClient(app) as client:
        assert client.get(made).text == "body {}"
    with pytest.raises(ValueError, match="has the name 'static' already"):
        app.static("/other", tmp_path, name="static")


@given(
    text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    rest=st.text(st.characters(exclude_categories=["Cs"])),
)
def test_any_text_survives(text: str, rest: str) -> None:
    try:
        made = app_of(("it", "/x/{text}/{*rest}")).url_for("it", text=text, rest=rest)
    except ValueError as error:
        assert "browsers" in str(error)
        return
    assert made.isascii() and made.isprintable() and " " not in made
    assert made.count("/") == 3 + rest.count("/")
    assert unquote(made) == f"/x/{text}/{rest}"


def test_what_a_handler_gets_is_what_was_given() -> None:
    app = Pyre()

    @app.get("/x/{text}/{*rest}")
    def show(req, text: str, rest: str):
        return [text, rest, req.query_params_all]

    with TestClient(app) as client:
        for text, rest in [("a b+c%20", "d/e+f"), ("\u00e9\u4e2d'&\"<>", "/"), ("a/b", "")]:
            made = app.url_for("show", text=text, rest=rest, q=[text, "+&="], **{"n m": 1})
            assert client.get(made).json() == [text, rest, {"q": [text, "+&="], "n m": ["1"]}]
