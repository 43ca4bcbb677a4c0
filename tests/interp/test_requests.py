"""What a handler sees of a request: the same on workers and on main, now and later."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from dialogue import request
from places import in_both_modes
from serving import Server, serve


@in_both_modes
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """One worker, so that what one request leaves behind the next one finds."""
    with serve("request_attributes", mode=request.param, workers=1) as server:
        yield server


def test_everything_at_once(server: Server) -> None:
    with server.connect() as peer:
        here = peer.socket.getsockname()
        seen = peer.request(
            "POST",
            "/see/caf%C3%A9%20x/7?a=1&b=2&a=3&empty=&bare&plus=x+y&enc=%26%3D",
            [
                ("X-One", "1"),
                ("X-Many", "a"),
                ("x-many", "b"),
                ("Cookie", "theme=dark; id=5"),
            ],
            b"body\xff",
        ).json()
    assert seen["method"] == "POST"
    assert seen["path"] == "/see/caf%C3%A9%20x/7"
    assert seen["params"] == {"name": "caf\u00e9 x", "n": 7}
    assert seen["query"] == "a=1&b=2&a=3&empty=&bare&plus=x+y&enc=%26%3D"
    assert seen["query_params"] == {
        "a": "3",
        "b": "2",
        "empty": "",
        "bare": "",
        "plus": "x y",
        "enc": "&=",
    }
    assert seen["query_params_all"]["a"] == ["1", "3"]
    assert seen["query_params_all"]["b"] == ["2"]
    assert seen["headers"] == {
        "host": "pyre.test",
        "x-one": "1",
        "x-many": "a, b",
        "cookie": "theme=dark; id=5",
        "content-length": "5",
    }
    assert seen["client_ip"] == "127.0.0.1"
    assert seen["client"] == list(here)
    assert seen["scheme"] == "http"
    assert seen["http_version"] in ("1.1", "HTTP/1.1")
    assert seen["cookies"] == {"theme": "dark", "id": "5"}
    assert seen["body"] == seen["view"] == "body\xff"
    assert seen["app"] is True
    assert seen["id"]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_methods(server: Server, method: str) -> None:
    assert server.request(method, "/see/x/1").json()["method"] == method


def test_head_says_head(server: Server) -> None:
    with server.connect() as peer:
        assert peer.request("HEAD", "/see/x/1").status == 200


def test_http10(server: Server) -> None:
    with server.connect() as peer:
        peer.send(request("GET", "/see/x/1", version="HTTP/1.0"))
        assert peer.reply().json()["http_version"] in ("1.0", "HTTP/1.0")


def test_bare_request(server: Server) -> None:
    """Nothing there: everything empty, nothing raises."""
    seen = server.get("/see/x/-1").json()
    assert seen["params"] == {"name": "x", "n": -1}
    for name in ("query", "body", "view"):
        assert seen[name] == ""
    for name in ("query_params", "query_params_all", "cookies"):
        assert seen[name] == {}


def test_ids_differ(server: Server) -> None:
    ids = {server.get("/see/x/1").json()["id"] for _ in range(50)}
    assert len(ids) == 50


@pytest.mark.parametrize(
    "query",
    ["%", "%4", "%zz", "=", "&&&", "a=%ff", "a%ff=1", "=a&=b", "a=b=c", "a;b", "%00", "+"],
)
def test_odd_queries_never_fail(server: Server, query: str) -> None:
    reply = server.get(f"/see/x/1?{query}")
    assert reply.status == 200
    assert reply.json()["query"] == query


@pytest.mark.parametrize("segment", ["%ff", "%", "%2", "%zz", "%00", "a+b", "%2F", "%2e%2e"])
def test_odd_segments_never_fail(server: Server, segment: str) -> None:
    reply = server.get(f"/see/{segment}/1")
    assert reply.status in (200, 400, 404)
    if reply.status == 200 and segment in ("a+b", "%2F"):
        assert reply.json()["params"]["name"] == {"a+b": "a+b", "%2F": "/"}[segment]


@pytest.mark.parametrize(
    ("cookie", "cookies"),
    [
        ("a=1", {"a": "1"}),
        ("a=1;b=2", {"a": "1", "b": "2"}),
        ('a="x y"', {"a": "x y"}),
        ("a=b=c", {"a": "b=c"}),
        ("a=", {"a": ""}),
        ("; ;a=1;", {"a": "1"}),
        ("nonsense", {}),
    ],
)
def test_cookies(server: Server, cookie: str, cookies: dict[str, str]) -> None:
    assert server.get("/see/x/1", [("Cookie", cookie)]).json()["cookies"] == cookies


def test_text(server: Server) -> None:
    assert server.post("/text", "caf\u00e9".encode()).json()["text"] == "caf\u00e9"
    assert server.post("/text", b"").json() == {"text": "", "again": ""}
    assert server.post("/text", b"\xff").json()["text"] == "UnicodeDecodeError"


def test_form(server: Server) -> None:
    reply = server.post(
        "/form",
        b"a=1&b=x+y&c=%C3%A9",
        [("Content-Type", "application/x-www-form-urlencoded")],
    )
    assert reply.json()["form"] == {"a": "1", "b": "x y", "c": "\u00e9"}


def test_lookups(server: Server) -> None:
    seen = server.get("/lookup/x%20y?q=1&q=2", [("X-One", "1")]).json()
    assert seen["header"] == seen["header lower"] == "1"
    assert (seen["header missing"], seen["header default"]) == (None, "d")
    assert seen["param"] == "x y"
    assert seen["query_param"] == "2"
    assert seen["param missing"] in (None, "KeyError")
    assert seen["query_param missing"] in (None, "KeyError")


def test_headers_are_a_mapping(server: Server) -> None:
    headers = [("X-One", "1"), ("X-Many", "a"), ("X-Many", "b"), ("X-MANY", "c")]
    assert server.get("/mapping", headers).json() == {
        "is a mapping": True,
        "get": "1",
        "get missing": None,
        "get default": "d",
        "item": "1",
        "missing": "KeyError",
        "in": True,
        "not in": False,
        "len": True,
        "keys": ["host", "x-many", "x-one"],
        "joined": "a, b, c",
    }


def test_requests_are_read_only(server: Server) -> None:
    assert set(server.get("/frozen").json().values()) == {"AttributeError"}


def test_state_belongs_to_one_request(server: Server) -> None:
    with server.connect() as peer:
        assert peer.get("/state", [("X-Mark", "a")]).json() == {"mark": "a"}
        assert peer.get("/state").json() == {"mark": None}


def test_types(server: Server) -> None:
    seen = server.get("/types").json()
    assert seen == {"request": True, "route": True, "made": "TypeError", "response": True}


def test_requests_kept_after_their_handlers(server: Server) -> None:
    """A kept request shows its own data for ever, whatever came after it on the connection."""
    with server.connect() as peer:
        wire = b"".join(
            request("POST", f"/keep/r{n}?n={n}", [("X-N", str(n))], f"body {n}".encode() * 10)
            for n in range(40)
        )
        peer.send(wire)
        for _ in range(40):
            assert peer.reply().text == "kept"
        for n in range(500):
            assert peer.get(f"/see/{'z' * (n % 90)}x/{n}?{'y' * 200}").status == 200
    kept = server.get("/kept").json()
    assert len(kept) == 40
    for n, seen in enumerate(kept):
        assert seen["path"] == f"/keep/r{n}"
        assert seen["params"] == {"name": f"r{n}"}
        assert seen["query_params"] == {"n": str(n)}
        assert seen["headers"]["x-n"] == str(n)
        assert seen["body"] == seen["view"] == f"body {n}" * 10
    views = server.get("/kept/views").json()
    assert views == [[f"body {n}" * 10] * 2 for n in range(40)]
    assert server.get("/kept").json() == []


# -------------------------------------------------------------------------------------- json()


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"{}", {}),
        (
            b' [1, 2.5, -0, 1e3, "x", true, false, null] ',
            [1, 2.5, 0, 1000.0, "x", True, False, None],
        ),
        (b'"caf\\u00e9 \\ud83d\\ude00"', "caf\u00e9 \U0001f600"),
        (b'{"a": {"b": [{}]}}', {"a": {"b": [{}]}}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b"123456789012345678901234567890", 123456789012345678901234567890),
        (b"\t\r\n 1 \n", 1),
    ],
)
def test_json_body(server: Server, body: bytes, value: object) -> None:
    assert server.post("/json", body).json() == {"json": value}


MALFORMED = [
    b"",
    b" ",
    b"{",
    b"[1,]",
    b'{"a":1,}',
    b"{'a':1}",
    b"nul",
    b"NaN",
    b"Infinity",
    b"01",
    b"1.",
    b".5",
    b"+1",
    b"1e",
    b'"a',
    b'"\\x"',
    b'"\\u12"',
    b'"\n"',
    b'"\x00"',
    b"[1 2]",
    b"1 2",
    b"{1:2}",
    b'{"a" 1}',
    b"\xff",
    b'"\xff"',
    b"\xef\xbb\xbf{}",
    b"[" * 100_000,
    b"[" * 100_000 + b"]" * 100_000,
    b'{"a":' * 100_000,
    b"1" * 5000 + b"x",
    b"-",
    b"tru\x00",
    b"{}\x00",
]


@pytest.mark.parametrize("body", MALFORMED, ids=lambda body: repr(body[:20]))
def test_malformed_json(server: Server, body: bytes) -> None:
    """Not caught it is the client's fault, 400; caught it is a ValueError."""
    with server.connect() as peer:
        reply = peer.request("POST", "/json", body=body)
        if body != b"\xef\xbb\xbf{}" or reply.status != 200:
            assert reply.status == 400
            assert isinstance(reply.json()["error"], str)
            caught = peer.request("POST", "/json-caught", body=body)
            assert caught.json() == {"json": "ValueError"}
        assert peer.request("POST", "/json", body=b"1").json() == {"json": 1}


def test_json_bombs(server: Server) -> None:
    escapes = b'"' + b"\\u0041" * 1_500_000 + b'"'
    reply = server.post("/json", escapes)
    assert reply.status == 200
    assert reply.json()["json"] == "A" * 1_500_000
    with server.connect() as peer:
        size = 50_000_000
        peer.send(b"POST /json HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
        peer.send_pieces([b"\\u0041" * 10_000] * (size // 60_000 + 1))
        assert peer.reply().status == 413
    many_digits = server.post("/json", b"9" * 1_000_000)
    assert many_digits.status in (200, 400)
    assert server.post("/json", b"[" + b"1," * 1_000_000 + b"1]").status == 200
