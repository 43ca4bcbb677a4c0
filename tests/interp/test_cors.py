"""What pages of other origins may read: each answer says it once; preflights need no handler."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import httpx
import pytest
from dialogue import Reply, request
from gate import Gate
from places import PLACES
from serving import Server, serve

ORIGIN = "https://page.example"
OTHER = "https://other.example"
ALLOWED = "access-control-allow-origin"
CREDENTIALS = "access-control-allow-credentials"
EXPOSED = "access-control-expose-headers"

PATHS = {
    "/text": 200,
    "/async": 200,
    "/hooked": 401,
    "/headers": 200,
    "/error": 418,
    "/raise": 500,
    "/redirect": 302,
    "/generator": 200,
    "/events": 200,
    "/metrics": 200,
    "/folder/across.py": 200,
    "/folder/nowhere": 404,
    "/sent": 200,
    "/nowhere": 404,
    "/post": 405,
    "/late": 504,
}


def served(place: str, **cors: object) -> Iterator[Server]:
    given = dict(PLACES[place])
    env = {"TEST_CORS": json.dumps(cors)} | dict(given.pop("env", {}))  # type: ignore[call-overload]
    with serve("across", workers=1, env=env, **given) as server:  # type: ignore[arg-type]
        yield server


@pytest.fixture(scope="module", params=PLACES)
def place(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def anybody(place: str) -> Iterator[Server]:
    """Shares with all origins."""
    yield from served(place, expose_headers=["X-Own", "ETag"])


@pytest.fixture(scope="module")
def some(place: str) -> Iterator[Server]:
    """Shares with one origin, and those that fit a pattern."""
    yield from served(
        place,
        allow_origins=[ORIGIN, "null"],
        allow_origin_regex=r"https://\w+\.pages\.example",
        allow_methods=["GET", "PUT"],
        allow_headers=["X-A", "X-B"],
        expose_headers="X-Own",
        allow_credentials=True,
        allow_private_network=True,
        max_age=60,
    )


def ask(server: Server, path: str, origin: str | None, method: str = "GET") -> Reply:
    with server.connect() as peer:
        return peer.request(method, path, [] if origin is None else [("Origin", origin)])


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", PATHS)
def test_with_all(anybody: Server, path: str, method: str) -> None:
    for origin in (ORIGIN, None):
        reply = ask(anybody, path, origin, method)
        assert reply.status == PATHS[path]
        assert reply.all(ALLOWED) == ["*"]
        assert reply.all(EXPOSED) == ["X-Own, ETag"]
        assert not reply.all(CREDENTIALS)
        assert reply.all("vary") == (["Accept"] if path == "/headers" else [])


@pytest.mark.parametrize("path", PATHS)
def test_with_some(some: Server, path: str) -> None:
    for origin in (ORIGIN, "null", "https://a.pages.example"):
        reply = ask(some, path, origin)
        assert reply.status == PATHS[path]
        assert reply.all(ALLOWED) == [origin]
        assert reply.all(CREDENTIALS) == ["true"]
        assert reply.all(EXPOSED) == ["X-Own"]
        assert "Origin" in reply.all("vary")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("origin", [None, OTHER, "https://a.pages.example.evil", "https://é"])
def test_not_with_others(some: Server, path: str, origin: str | None) -> None:
    """The answer is the same, and no page may read it."""
    reply = ask(some, path, origin)
    assert reply.status == PATHS[path]
    for name in (ALLOWED, CREDENTIALS, EXPOSED):
        assert not reply.all(name)
    # A cache has to know that it depends on the origin.
    assert "Origin" in reply.all("vary")


def test_requests_in_a_pipeline_have_an_origin_each(some: Server) -> None:
    origins = [ORIGIN, None, OTHER, "null", ORIGIN]
    with some.connect() as peer:
        for origin in origins:
            field = f"Origin: {origin}\r\n" if origin else ""
            peer.send(f"GET /text HTTP/1.1\r\nHost: a\r\n{field}\r\n".encode())
        for origin in origins:
            allowed = [origin] if origin in (ORIGIN, "null") else []
            assert peer.reply().all(ALLOWED) == allowed


@pytest.mark.parametrize("place_of_much", ["head", "body"])
@pytest.mark.parametrize("how", ["text", "file"])
@pytest.mark.parametrize("kind", ["keep", "keep-async", "keep-generator"])
def test_requests_that_are_kept_name_their_origin_too(
    some: Server, kind: str, how: str, place_of_much: str
) -> None:
    """A long one takes the buffer with it that it was read into."""
    much = "x" * 6000
    for _ in range(3):
        with some.connect() as peer:
            if place_of_much == "head":
                reply = peer.get(f"/{kind}/{how}", [("X-Much", much), ("Origin", ORIGIN)])
            else:
                headers = [("Origin", ORIGIN)]
                reply = peer.request("POST", f"/{kind}/{how}", headers, much.encode())
            assert (reply.status, reply.all(ALLOWED)) == (200, [ORIGIN])


def test_two_origins_are_none(some: Server) -> None:
    with some.connect() as peer:
        reply = peer.get("/text", [("Origin", ORIGIN), ("Origin", ORIGIN)])
        assert (reply.status, reply.all(ALLOWED)) == (200, [])


def preflight(
    server: Server, path: str, origin: str, more: Mapping[str, str] | None = None
) -> Reply:
    asked = {"Origin": origin, "Access-Control-Request-Method": "PUT"} | dict(more or {})
    with server.connect() as peer:
        return peer.request("OPTIONS", path, asked.items())


@pytest.mark.parametrize("path", [*PATHS, "/own-options", "*"])
def test_preflights_need_no_handler(anybody: Server, path: str) -> None:
    reply = preflight(
        anybody, path, ORIGIN, {"Access-Control-Request-Headers": "x-a, Authorization"}
    )
    assert (reply.status, reply.body) == (204, b"")
    assert reply.all(ALLOWED) == ["*"]
    assert reply.all("access-control-allow-methods") == ["GET, POST, PUT, DELETE, PATCH, OPTIONS"]
    assert reply.all("access-control-allow-headers") == ["x-a, Authorization"]
    assert reply.all("access-control-max-age") == ["86400"]
    assert not reply.all("access-control-allow-private-network")


@pytest.mark.parametrize("asked", ["x a", "x-a,,b", "x-a;b", "x-a, (b)"])
def test_what_is_no_list_of_headers_is_not_sent_back(anybody: Server, asked: str) -> None:
    reply = preflight(anybody, "/text", ORIGIN, {"Access-Control-Request-Headers": asked})
    assert (reply.status, reply.all("access-control-allow-headers")) == (204, [])


def test_preflights_of_some(some: Server) -> None:
    network = {"Access-Control-Request-Private-Network": "true"}
    reply = preflight(some, "/text", ORIGIN, network)
    assert reply.status == 204
    assert reply.all(ALLOWED) == [ORIGIN]
    assert reply.all(CREDENTIALS) == ["true"]
    assert reply.all("access-control-allow-methods") == ["GET, PUT"]
    assert reply.all("access-control-allow-headers") == ["X-A, X-B"]
    assert reply.all("access-control-max-age") == ["60"]
    assert reply.all("access-control-allow-private-network") == ["true"]
    assert "Origin" in reply.all("vary")
    refused = preflight(some, "/text", OTHER, network)
    assert refused.status == 403
    assert not [name for name, _ in refused.headers if name.lower().startswith("access-control")]


def test_options_that_are_no_preflight_go_their_way(anybody: Server) -> None:
    for headers in ([("Origin", ORIGIN)], [("Access-Control-Request-Method", "PUT")], []):
        with anybody.connect() as peer:
            assert peer.request("OPTIONS", "/own-options", headers).body == b"mine"
            reply = peer.request("OPTIONS", "/text", headers)
            assert (reply.status, reply.all(ALLOWED)) == (204, ["*"])
            assert "GET" in reply.all("allow")[0]


def test_answers_of_a_full_server() -> None:
    cors = json.dumps({"allow_origins": [ORIGIN]})
    with serve("across", workers=1, threads=1, max_in_flight=1, env={"TEST_CORS": cors}) as server:
        with Gate() as gate, server.connect() as first:
            first.send(request("GET", f"/hold/{gate.port}"))
            gate.entered()
            reply = ask(server, "/text", ORIGIN)
            assert (reply.status, reply.all(ALLOWED)) == (503, [ORIGIN])
            gate.release_all()
            assert first.reply().status == 200


def test_a_start_warns_of_credentials_for_all() -> None:
    cors = json.dumps({"allow_credentials": True})
    with serve("across", workers=1, env={"TEST_CORS": cors}) as server:
        server.output.wait_for("any page that a user looks at can act for him")
        reply = ask(server, "/text", OTHER)
        assert (reply.all(ALLOWED), reply.all(CREDENTIALS)) == ([OTHER], ["true"])
        assert ask(server, "/text", None).all("vary") == ["Origin"]


def test_as_clients_see_it(some: Server) -> None:
    with httpx.Client(base_url=some.url, headers={"Origin": ORIGIN}) as client:
        for _ in range(3):
            assert client.get("/async").headers[ALLOWED] == ORIGIN
            assert client.get("/generator").text == "pieces"
