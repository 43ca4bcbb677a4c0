"""What a handler returns, and what the client gets: the same on workers and on main."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from places import in_both_modes
from serving import Server, serve, wait_until

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
OCTETS = "application/octet-stream"


@in_both_modes
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve("results", mode=request.param) as server:
        yield server


@pytest.mark.parametrize(
    ("name", "content_type", "body"),
    [
        ("str", TEXT, "caf\u00e9".encode()),
        ("empty", TEXT, b""),
        ("wide", TEXT, "\U0001f600 \u4e2d".encode()),
        ("str-subclass", TEXT, b"sub"),
        ("bytes", OCTETS, b"\x00\xff"),
        ("bytes-subclass", OCTETS, b"sub"),
        ("bytearray", OCTETS, b"array"),
        ("memoryview", OCTETS, b"234"),
        ("memoryview-strided", OCTETS, b"02468"),
        ("response", TEXT, b"plain"),
        ("response-bytes", OCTETS, b"raw"),
        ("response-html", "text/html; charset=utf-8", b"<p>"),
    ],
)
def test_bytes_and_text(server: Server, name: str, content_type: str, body: bytes) -> None:
    reply = server.get(f"/{name}")
    assert reply.status == 200
    assert reply.header("content-type") == content_type
    assert reply.header("content-length") == str(len(body))
    assert reply.body == body


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dict", {"a": 1, "b": [True, None, "x"]}),
        ("dict-empty", {}),
        ("list", [1, 2.5, "x"]),
        ("int", 42),
        ("float", 1.5),
        ("true", True),
        ("int-large", 10**40),
        ("dataclass", {"x": 1, "y": 2.5, "label": "here"}),
        (
            "nested",
            {"points": [{"x": 1, "y": 2.0, "label": "here"}, {"x": 3, "y": 4.0, "label": "here"}]},
        ),
        ("set", [7]),
        ("frozenset", [7]),
        ("deque", [1, 2]),
        ("ordered", {"a": 1}),
        ("datetime", ["2024-01-02T03:04:05", "2024-01-02"]),
        ("uuid", {"id": "00000000-0000-0000-0000-000000000001"}),
        ("decimal", {"price": "1.10"}),
        ("enum", ["red", 3]),
        ("keys", json.loads(json.dumps({1: "int", 1.5: "float", True: "bool", None: "none"}))),
        ("text-escapes", {"t": '"\\\x00\x1f\n/\u2028\u00e9'}),
        ("floats", [0.1, 1e300, -0.0, 1e-7, 123456789012345680.0]),
        ("tuple-three", [1, 2, 3]),
    ],
)
def test_json(server: Server, name: str, value: object) -> None:
    reply = server.get(f"/{name}")
    assert reply.status == 200
    assert reply.header("content-type") == JSON
    assert reply.json() == value


def test_depth_within_the_limit(server: Server) -> None:
    reply = server.get("/depth-200")
    assert reply.text.replace(" ", "") == "[" * 201 + "]" * 201


def test_none_is_204(server: Server) -> None:
    reply = server.get("/none")
    assert (reply.status, reply.body) == (204, b"")
    assert reply.header("content-type") is None


@pytest.mark.parametrize(
    ("name", "status", "content_type", "body"),
    [
        ("tuple-status", 201, TEXT, b"made"),
        ("tuple-headers", 201, TEXT, b"made"),
        ("response-full", 418, "application/tea+json", None),
        ("tuple-json-status", 202, JSON, None),
    ],
)
def test_status(
    server: Server, name: str, status: int, content_type: str, body: bytes | None
) -> None:
    reply = server.get(f"/{name}")
    assert reply.status == status
    assert reply.header("content-type") == content_type
    if body is None:
        assert reply.json() == {"a": 1}
    else:
        assert reply.body == body


def test_headers(server: Server) -> None:
    assert server.get("/tuple-headers").header("x-made") == "yes"
    assert server.get("/response-full").header("x-tea") == "green"
    assert server.get("/response-many").all("set-cookie") == ["a=1", "b=2"]


@pytest.mark.parametrize(
    "name",
    ["tuple-enum", "tuple-int-enum", "tuple-int-subclass", "response-enum", "tuple-enum-headers"],
)
def test_http_status_is_a_status(server: Server, name: str) -> None:
    """``return body, HTTPStatus.GONE`` is no array of 200."""
    reply = server.get(f"/{name}")
    assert (reply.status, reply.text in ("gone", '{"a":1}')) == (410, True)
    assert reply.header("x-made") == ("yes" if name.endswith("headers") else None)


def test_a_bool_is_no_status(server: Server) -> None:
    reply = server.get("/tuple-bool")
    assert (reply.status, reply.json()) == (200, ["an array", True])


def test_enums_are_their_numbers_inside(server: Server) -> None:
    assert server.get("/enum-inside").json() == [410, {"410": 410}]


@pytest.mark.parametrize("name", ["response-205", "tuple-205"])
def test_205_has_no_body(server: Server, name: str) -> None:
    """RFC 9110 section 15.3.6: no content, which is said by the length."""
    with server.connect() as peer:
        reply = peer.get(f"/{name}")
        assert (reply.status, reply.body) == (205, b"")
        assert reply.header("content-length") == "0"
        assert reply.header("content-type") is None
        assert peer.get("/str").status == 200


@pytest.mark.parametrize("name", ["tuple-none-status", "response-204", "response-304"])
def test_bodiless(server: Server, name: str) -> None:
    """The head ends the answer, whatever the handler put into the body."""
    with server.connect() as peer:
        assert peer.get(f"/{name}").status == int(name[-3:] if name[-1].isdigit() else 204)
        assert peer.get("/str").status == 200


def test_response_of_none(server: Server) -> None:
    reply = server.get("/response-none")
    assert (reply.status in (200, 204), reply.body) == (True, b"")


@pytest.mark.parametrize(("name", "status"), [("redirect", 302), ("redirect-308", 308)])
def test_redirect(server: Server, name: str, status: int) -> None:
    reply = server.get(f"/{name}")
    assert (reply.status, reply.header("location")) == (status, "/elsewhere")
    assert (reply.header("content-type"), reply.header("content-length")) == (None, "0")


@pytest.mark.parametrize(
    ("name", "in_the_log"),
    [
        ("object", ["Opaque", "/object"]),
        ("function", ["builtin_function_or_method", "/function"]),
        ("complex", ["complex", "/complex"]),
        ("object-inside", ["Opaque", "$.users[0].score"]),
        ("nan", ["$.users[0].score"]),
        ("infinity", ["$[0]"]),
        ("bytes-inside", ["bytes", "$.a"]),
        ("cycle", ["Circular reference detected at $.a"]),
        ("deep", ["depth"]),
        ("key-object", ["Opaque"]),
        ("key-tuple", ["tuple"]),
        ("bad-status", ["99999"]),
    ],
)
def test_what_cannot_be_sent(server: Server, name: str, in_the_log: list[str]) -> None:
    """500 without a word of why; the log says why and where."""
    with server.connect() as peer:
        reply = peer.get(f"/{name}")
        assert (reply.status, reply.json()) == (500, {"error": "internal server error"})
        for words in in_the_log:
            wait_until(lambda w=words: w in server.output.text(), f"the log says {words!r}", 10)
        assert peer.get("/str").status == 200


def test_lone_surrogates_never_break_the_connection(server: Server) -> None:
    with server.connect() as peer:
        assert peer.get("/surrogate").status in (200, 500)
        assert peer.get("/str").status == 200


def test_head_of_every_result(server: Server) -> None:
    for name in ("str", "bytes", "dict", "tuple-status", "response-full", "none"):
        with server.connect() as peer:
            got, headed = peer.get(f"/{name}"), peer.request("HEAD", f"/{name}")
            assert headed.status == got.status
            for header in ("content-length", "content-type"):
                assert headed.header(header) == got.header(header)


def test_headers_cannot_be_broken_out_of(server: Server) -> None:
    """CR, LF or NUL in a name or value: ValueError where it is set."""
    refused = server.get("/injection").json()
    assert refused.count("made") == 7
    assert refused.count("set") == 7
    assert refused.count("listed") == 7
    assert "type" in refused


@pytest.mark.parametrize("name", ["injected-late", "injected-type", "injected-tuple"])
def test_nothing_injected_reaches_the_wire(server: Server, name: str) -> None:
    with server.connect() as peer:
        reply = peer.get(f"/{name}")
        assert (reply.status, reply.header("injected")) == (500, None)
        assert peer.get("/str").status == 200


def test_attributes_of_a_response(server: Server) -> None:
    assert server.get("/attributes").json() == {
        "body": "x",
        "status_code": 201,
        "content_type": None,
        "header": "b",
        "refused": True,
    }
