"""Which route takes which request, decided without Python; and what is refused at registration."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from places import in_both_modes
from serving import Server, serve

ID = "12345678-1234-5678-1234-567812345678"


@in_both_modes
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve("routing", mode=request.param) as server:
        yield server


@pytest.mark.parametrize(
    ("target", "route", "params"),
    [
        ("/", "/", {}),
        ("/?x", "/", {}),
        ("/users", "/users", {}),
        ("/users/me", "/users/me", {}),
        ("/users/5", "/users/{id:int}", {"id": "5"}),
        ("/users/-5", "/users/{id:int}", {"id": "-5"}),
        ("/users/ann", "/users/{name}", {"name": "ann"}),
        ("/users/5x", "/users/{name}", {"name": "5x"}),
        ("/users/5/posts", "/users/{id:int}/posts", {"id": "5"}),
        ("/users/5/posts/7", "/users/{name}/posts/{post}", {"name": "5", "post": "7"}),
        ("/users/me/posts/7", "/users/{name}/posts/{post}", {"name": "me", "post": "7"}),
        ("/files/special", "/files/special", {}),
        ("/files/specially", "/files/{*path}", {"path": "specially"}),
        ("/files/special/x", "/files/{*path}", {"path": "special/x"}),
        ("/files/a/raw", "/files/{name}/raw", {"name": "a"}),
        ("/files/a/raw/b", "/files/{*path}", {"path": "a/raw/b"}),
        ("/files/a//b", "/files/{*path}", {"path": "a//b"}),
        ("/assets/a/b.css", "/assets/{p:path}", {"p": "a/b.css"}),
        (f"/x/{ID}", "/x/{v:uuid}", {"v": ID}),
        ("/x/1.5", "/x/{v:float}", {"v": "1.5"}),
        ("/x/word", "/x/{v}", {"v": "word"}),
        ("/trailing/", "/trailing/", {}),
        ("/caf%C3%A9", "/caf\u00e9", {}),
        ("/caf%c3%a9", "/caf\u00e9", {}),
        ("/%75sers", "/users", {}),
        ("/users/a%2Fb", "/users/{name}", {"name": "a/b"}),
        ("/users/a%20b", "/users/{name}", {"name": "a b"}),
        ("/a/b/c/d/e/f/g", "/a/b/c/d/e/{*rest}", {"rest": "f/g"}),
        ("/a/x/c/y/e/z", "/a/{b}/c/{d}/e/{f}", {"b": "x", "d": "y", "f": "z"}),
        ("/own-head", "/own-head", {}),
        ("/main", "/main", {}),
    ],
)
def test_matches(server: Server, target: str, route: str, params: dict[str, str]) -> None:
    reply = server.get(target)
    assert reply.status == 200
    assert reply.json() == {"route": route, "params": params}


@pytest.mark.parametrize(
    "target",
    [
        "/no",
        "/users/",
        "/users//posts",
        "/users/5/posts/",
        "/users/5/no",
        "/trailing",
        "//",
        "/Users",
        "/assets/",
        "/x/",
        "/a/x/c/y/e",
        "/users/me/",
        "/users%2Fme",
    ],
)
def test_matches_nothing(server: Server, target: str) -> None:
    reply = server.get(target)
    assert (reply.status, reply.json()) == (404, {"error": "not found"})


def test_methods(server: Server) -> None:
    assert server.post("/users", b"x").json()["route"] == "POST /users"
    assert server.request("REPORT", "/caldav").json()["route"] == "REPORT /caldav"
    assert server.request("PATCH", "/only-delete").json()["route"] == "PATCH"
    assert server.request("DELETE", "/only-delete").json()["route"] == "DELETE"


@pytest.mark.parametrize(
    ("method", "target", "allowed"),
    [
        ("POST", "/", {"GET", "HEAD", "OPTIONS"}),
        ("PUT", "/users", {"GET", "HEAD", "POST", "OPTIONS"}),
        ("GET", "/only-delete", {"DELETE", "PATCH", "OPTIONS"}),
        ("HEAD", "/only-delete", {"DELETE", "PATCH", "OPTIONS"}),
        ("POST", "/users/5", {"GET", "HEAD", "OPTIONS"}),
        ("POST", "/users/ann/posts/1", {"GET", "HEAD", "OPTIONS"}),
        ("POST", "/files/a/b", {"GET", "HEAD", "OPTIONS"}),
        ("BREW", "/users", {"GET", "HEAD", "POST", "OPTIONS"}),
        ("GET", "/caldav", {"REPORT", "OPTIONS"}),
        ("get", "/users", {"GET", "HEAD", "POST", "OPTIONS"}),
    ],
)
def test_method_not_allowed(server: Server, method: str, target: str, allowed: set[str]) -> None:
    with server.connect() as peer:
        reply = peer.request(method, target)
        assert reply.status == 405
        if method != "HEAD":
            assert reply.json() == {"error": "method not allowed"}
        assert {word.strip() for word in (reply.header("allow") or "").split(",")} == allowed
        assert peer.get("/").status == 200


def test_options(server: Server) -> None:
    reply = server.request("OPTIONS", "/users")
    assert (reply.status, reply.body) == (204, b"")
    allowed = {word.strip() for word in (reply.header("allow") or "").split(",")}
    assert allowed == {"GET", "HEAD", "POST", "OPTIONS"}
    assert server.request("OPTIONS", "/own-options").text == "mine"
    assert server.request("OPTIONS", "/no").status == 404


def test_conflicts_name_both_routes(server: Server) -> None:
    for name, (first, second, said) in server.get("/conflicts").json().items():
        assert said != "accepted", name
        assert first in said and second in said, said
