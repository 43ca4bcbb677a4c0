"""Which answers are compressed, for whom, and that every client reads them."""

from __future__ import annotations

import gzip
import shutil
import subprocess
import zlib
from collections.abc import Iterator

import httpx
import pytest
from dialogue import request
from gate import Gate
from places import PLACES
from serving import Server, serve

LONG = "a line of text, and another one; " * 100
LINES = "".join(f"line {number}\n" for number in range(200))
CODINGS = ["gzip", "br", "zstd"]
NAMES = ["etag", "weak", "vary", "any", "encoded", "range", "digest", "fixed", "picture"]
PATHS = [
    "/text",
    "/wide",
    "/async",
    "/hooked",
    "/error",
    "/generator",
    "/async-generator",
    "/length",
]

CURL = shutil.which("curl")
CURL_READS = (
    subprocess.run([CURL, "-V"], capture_output=True, text=True, check=True).stdout if CURL else ""
)
needs_curl = pytest.mark.skipif(
    not ("brotli" in CURL_READS and "zstd" in CURL_READS), reason="needs curl with brotli and zstd"
)


def served(place: str, **more: str) -> Iterator[Server]:
    given = dict(PLACES[place])
    env = more | dict(given.pop("env", {}))  # type: ignore[call-overload]
    with serve("pressed", workers=1, env=env, **given) as server:  # type: ignore[arg-type]
        yield server


@pytest.fixture(scope="module", params=PLACES)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    yield from served(str(request.param), TEST_CORS="1")


@pytest.fixture(scope="module", params=["workers", "main"])
def with_events(request: pytest.FixtureRequest) -> Iterator[Server]:
    yield from served(str(request.param), TEST_EVENTS="1")


def accept(coding: str) -> list[tuple[str, str]]:
    return [("Accept-Encoding", coding)]


@needs_curl
@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("path", PATHS)
def test_what_a_client_reads_is_the_same(server: Server, path: str, coding: str) -> None:
    plain = server.get(path)
    assert plain.header("content-encoding") is None
    assert plain.all("vary") == ["Origin", "Accept-Encoding"]
    packed = server.get(path, accept(coding))
    assert packed.header("content-encoding") == coding
    assert packed.all("vary") == ["Origin", "Accept-Encoding"]
    assert packed.status == plain.status
    if "generator" not in path:
        assert len(packed.body) < len(plain.body) / 2
    found = subprocess.run(
        [str(CURL), "-s", "--compressed", "-H", f"Accept-Encoding: {coding}", server.url + path],
        capture_output=True,
        check=True,
    )
    assert found.stdout == plain.body


@pytest.mark.parametrize("path", PATHS)
def test_httpx_reads_it(server: Server, path: str) -> None:
    with httpx.Client(trust_env=False) as client:
        answer = client.get(server.url + path, headers={"Accept-Encoding": "gzip"})
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.content == server.get(path).body


@pytest.mark.parametrize("path", [*PATHS, "/short", "/status/206"])
@pytest.mark.parametrize("coding", ["zstd", "identity"])
def test_head_has_the_head_of_get(server: Server, path: str, coding: str) -> None:
    found = server.get(path, accept(coding))
    head = server.request("HEAD", path, accept(coding))
    left = [dict(reply.headers) for reply in (found, head)]
    for fields in left:
        fields.pop("date")
    assert left[0] == left[1]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("gzip, br, zstd", "zstd"),
        ("gzip, br", "br"),
        ("gzip;q=1, br;q=0.5", "gzip"),
        ("*", "zstd"),
        ("gzip;q=0.5, identity", None),
        ("gzip;q=0", None),
        ("identity;q=0", None),
        ("deflate", None),
        ("", None),
    ],
)
def test_weights_decide(server: Server, asked: str, expected: str | None) -> None:
    reply = server.get("/text", accept(asked))
    assert (reply.status, reply.header("content-encoding")) == (200, expected)


def test_what_is_short_is_packed_for_those_alone_who_take_nothing_else(server: Server) -> None:
    short = server.get("/short", accept("gzip"))
    assert (short.text, short.all("vary")) == ("short", ["Origin"])
    packed = server.get("/short", accept("gzip, identity;q=0"))
    assert packed.header("content-encoding") == "gzip"
    assert gzip.decompress(packed.body) == b"short"


def test_what_does_not_become_less_stays_as_it_is(server: Server) -> None:
    reply = server.get("/random", accept("gzip"))
    assert (len(reply.body), reply.header("content-encoding")) == (5000, None)
    assert "Accept-Encoding" in reply.all("vary")


@pytest.mark.parametrize("name", NAMES)
def test_what_a_handler_says_of_its_answer(server: Server, name: str) -> None:
    reply = server.get(f"/with/{name}", accept("gzip"))
    packed = reply.header("content-encoding") == "gzip"
    assert packed == (name in ("etag", "weak", "vary", "any"))
    assert (gzip.decompress(reply.body) if packed else reply.body) == LONG.encode()
    vary = {
        "vary": ["Origin", "Accept", "Accept-Encoding"],
        "any": ["Origin", "Accept, Accept-Encoding"],
    }
    assert reply.all("vary") == vary.get(
        name, ["Origin", "Accept-Encoding"] if packed else ["Origin"]
    )
    if name in ("etag", "weak"):
        assert reply.header("etag") == 'W/"a"'
        given = '"a"' if name == "etag" else 'W/"a"'
        assert server.get(f"/with/{name}").header("etag") == given


@pytest.mark.parametrize(("held", "tag"), [('W/"a"', 'W/"a"'), ('"b", "a"', '"a"'), (None, '"a"')])
def test_a_304_says_what_the_200_would(server: Server, held: str | None, tag: str) -> None:
    """RFC 9110 section 15.4.5."""
    fields = [*accept("gzip"), *([] if held is None else [("If-None-Match", held)])]
    reply = server.get("/status/304", fields)
    assert (reply.status, reply.body, reply.header("etag")) == (304, b"", tag)
    assert reply.all("vary") == ["Origin", "Accept-Encoding"]
    assert reply.header("content-encoding") is None


@pytest.mark.parametrize("status", [204, 205, 206])
def test_statuses_that_have_no_body_or_a_part_of_one(server: Server, status: int) -> None:
    reply = server.get(f"/status/{status}", accept("gzip"))
    assert (reply.header("content-encoding"), reply.all("vary")) == (None, ["Origin"])


def test_after_hooks_see_what_was_said(server: Server) -> None:
    assert server.get("/hooked", accept("gzip")).header("x-length") == str(len(LONG))


def test_the_servers_own_answers_stay_as_they_are(server: Server) -> None:
    reply = server.get("/nowhere", accept("gzip"))
    assert (reply.status, reply.json()) == (404, {"error": "not found"})
    assert reply.all("vary") == ["Origin"]


def test_answers_to_a_pipeline_keep_their_order(server: Server) -> None:
    paths = ["/text", "/generator", "/short", "/text", "/async"]
    with server.connect() as peer:
        peer.send(b"".join(request("GET", path, accept("gzip")) for path in paths))
        replies = [peer.reply() for _ in paths]
    bodies = [
        gzip.decompress(reply.body) if reply.header("content-encoding") else reply.body
        for reply in replies
    ]
    assert bodies[:4] == [LONG.encode(), LINES.encode(), b"short", LONG.encode()]
    assert bodies[4].startswith(b'[{"number":0')


@pytest.mark.parametrize("path", ["/text", "/generator"])
def test_http_1_0(server: Server, path: str) -> None:
    with server.connect() as peer:
        peer.send(f"GET {path} HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n".encode())
        reply = peer.reply()
    assert reply.header("content-encoding") == "gzip"
    assert gzip.decompress(reply.body).decode() == (LONG if path == "/text" else LINES)


def test_a_length_that_is_not_true_any_more_is_not_said(server: Server) -> None:
    assert server.get("/length").header("content-length") == str(len(LONG))
    reply = server.get("/length", accept("gzip"))
    assert reply.header("content-length") is None
    assert gzip.decompress(reply.body) == LONG.encode()


def test_event_streams_stay_as_they_are(server: Server) -> None:
    with Gate() as gate, server.connect() as peer:
        peer.send(request("GET", f"/events/{gate.port}", accept("gzip")))
        gate.entered()
        gate.release("event")
        reply = peer.reply()
    assert reply.body == b"data: first\n\ndata: second\n\n"
    assert reply.header("content-encoding") is None


def test_each_event_can_be_read_when_it_is_sent(with_events: Server) -> None:
    with Gate() as gate, with_events.connect() as peer:
        peer.send(request("GET", f"/events/{gate.port}", accept("gzip")))
        gate.entered()
        status, _, headers = peer._head()
        assert (status, dict(headers)["content-encoding"]) == (200, "gzip")
        unpacked = zlib.decompressobj(zlib.MAX_WBITS | 16)
        seen = b""
        while seen != b"data: first\n\n":
            seen += unpacked.decompress(peer._exactly(int(peer._line(), 16)))
            assert peer._line() == b""
        gate.release("event")
        seen += unpacked.decompress(peer._chunked())
    assert (seen, unpacked.eof) == (b"data: first\n\ndata: second\n\n", True)


def test_what_is_published_to_is_not_compressed(with_events: Server) -> None:
    reply = with_events.get("/topic/before", accept("gzip"))
    assert reply.header("content-encoding") is None
    assert b"data: told\n" in reply.body
    assert b"data: sent\n" in reply.body
