"""Files of folders that are served: names, fields, codings, changes, their place among routes."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path

import httpx
import pytest
from dialogue import Reply, request
from files import LARGE, MODIFIED_S, SMALL, make_tree, pipelined, raw, serve_tree
from serving import Server, Write, serve, wait_until


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("files")
    make_tree(base)
    return base


@pytest.fixture(scope="module")
def server(base: Path) -> Iterator[Server]:
    with serve_tree(base, access_log=True, metrics=True) as server:
        yield server


DATES = ("date", "last-modified")
NOT_HERE = (404, b'{"error":"not found"}')


def what(reply: Reply) -> tuple[int, bytes]:
    return reply.status, reply.body


@pytest.mark.parametrize(
    ("target", "status", "body"),
    [
        ("/s/small.txt", 200, SMALL),
        ("/s/small.txt?v=1", 200, SMALL),
        ("/s/%73mall%2etxt", 200, SMALL),
        ("/s/large.bin", 200, LARGE),
        ("/s/nothing.txt", 200, b""),
        ("/s/a%20b%20%C3%A9.txt", 200, b"named"),
        ("/s/folder/", 200, b"<p>folder"),
        ("/s/folder/a.txt", 200, b"a"),
        ("/s/inside", 200, SMALL),
        ("/s/inside-folder/a.txt", 200, b"a"),
        ("/s/route", 200, b"a route goes first"),
        ("/s/slow/x", 200, b"x"),
        ("/s/inner/about.html", 200, b"<p>about"),
        ("/s/inner/", 200, b"<p>index"),
        ("/s/inner/small.txt", *NOT_HERE),
        ("/html/about", 200, b"<p>about"),
        ("/html/about.html", 200, b"<p>about"),
        ("/html/docs", 404, b"<p>not here"),
        ("/html/", 404, b"<p>not here"),
        ("/html/pages", 200, b"<p>pages"),
        ("/paged/pages", 200, b"<p>pages"),
        ("/paged/pages/", 404, b"<p>not here"),
        ("/%68tml/about", 200, b"<p>about"),
        ("/s/%69nner/about", *NOT_HERE),
        ("/s/%69nner/about.html", 200, b"<p>about"),
        ("/s%2finner/about.html", *NOT_HERE),
        ("/html/none", 404, b"<p>not here"),
        ("/html/.git", 404, b"<p>not here"),
        ("/app/", 200, b"<p>index"),
        ("/app/any/where", 200, b"<p>index"),
        ("/app/about.html", 200, b"<p>about"),
        ("/app/about", 200, b"<p>index"),
        ("/links/outside-folder/../small.txt", *NOT_HERE),
        ("/s/none", *NOT_HERE),
        ("/s/empty/", *NOT_HERE),
        ("/s/empty", *NOT_HERE),
        ("/s/small.txt/", *NOT_HERE),
        ("/s/small.txt/x", *NOT_HERE),
        ("/s/" + "n" * 300, *NOT_HERE),
        ("/s/" + "n/" * 3000, *NOT_HERE),
        ("/sx/small.txt", *NOT_HERE),
        ("/small.txt", *NOT_HERE),
    ],
)
def test_what_is_there(server: Server, target: str, status: int, body: bytes) -> None:
    reply = server.get(target)
    assert what(reply) == (status, body)
    head = server.request("HEAD", target)
    assert head.status == status
    length = [("content-length", str(len(body)))]
    assert [field for field in head.headers if field[0] == "content-length"] == length
    for name in ("etag", "last-modified", "content-type", "cache-control"):
        assert head.header(name) == reply.header(name)


def test_links_lead_out_only_where_they_may(server: Server) -> None:
    for name in ("outside", "outside-folder/a.txt", "absolute", "up/secret.txt"):
        assert what(server.get(f"/s/{name}")) == NOT_HERE
        assert server.get(f"/links/{name}").status == 200
    for name in ("dangling", "loop", "loop/a"):
        assert what(server.get(f"/s/{name}")) == what(server.get(f"/links/{name}")) == NOT_HERE


def test_the_fields(server: Server) -> None:
    reply = server.get("/s/small.txt")
    assert reply.header("content-type") == "text/plain; charset=utf-8"
    assert reply.header("last-modified") == "Tue, 14 Nov 2023 22:13:20 GMT"
    assert reply.header("x-content-type-options") == "nosniff"
    assert reply.header("accept-ranges") == "bytes"
    assert reply.header("cache-control") == "max-age=60"
    assert reply.header("etag") == f'"{MODIFIED_S:x}.0-{len(SMALL):x}"'
    assert reply.header("vary") is None
    assert server.get("/s/large.bin").header("content-type") == "application/octet-stream"
    year = "max-age=31536000, immutable"
    assert server.get("/app/about.html").header("cache-control") == year
    assert server.get("/app/any/where").header("cache-control") == "no-cache"
    assert server.get("/html/about").header("cache-control") is None


def test_no_file_is_from_the_future(server: Server, base: Path) -> None:
    place = base / "root" / "future.txt"
    place.write_text("future")
    os.utime(place, (MODIFIED_S * 2, MODIFIED_S * 2))
    reply = server.get("/s/future.txt")
    at, modified = (parsedate_to_datetime(reply.header(name) or "") for name in DATES)
    assert modified <= at


def test_a_folder_gets_its_slash(server: Server) -> None:
    for target, location in [
        ("/app", "/app/"),
        ("/s/folder", "/s/folder/"),
        ("/s/f%6flder?a=b/c", "/s/f%6flder/?a=b/c"),
        ("/s/inside-folder", "/s/inside-folder/"),
    ]:
        reply = server.get(target)
        assert (reply.status, reply.header("location")) == (301, location)
    # Unless it has nothing to show.
    assert what(server.get("/s")) == NOT_HERE


@pytest.mark.parametrize(
    "target", ["//evil.example", "//evil.example/..", "/\\evil.example", "/%5cevil.example/%2e%2e"]
)
def test_nobody_is_sent_to_another_host(base: Path, target: str) -> None:
    with serve_tree(base, {"WHOLE": "1"}) as server, server.connect() as peer:
        reply = raw(peer, target.encode())
        assert what(reply) == NOT_HERE
        assert reply.header("location") is None
        assert peer.get("/folder").header("location") == "/folder/"
        assert what(peer.get("/")) == NOT_HERE
        assert peer.get("/hello").text == "hello"


def test_codings(server: Server) -> None:
    for accept, coding, body in [
        (None, None, b"let plain;" * 100),
        ("gzip", "gzip", gzip.compress(b"let packed;")),
        ("gzip, br", "br", b"as if it were br"),
        ("zstd, gzip", "zstd", b"as if it were zst"),
        ("br;q=0.1, gzip;q=0.2", "gzip", None),
        ("identity, gzip;q=0.5", None, b"let plain;" * 100),
        ("br;q=0", None, b"let plain;" * 100),
    ]:
        reply = server.get("/s/app.js", [("Accept-Encoding", accept)] if accept else [])
        assert reply.header("content-encoding") == coding
        assert reply.header("vary") == "Accept-Encoding"
        assert reply.header("content-type") == "text/javascript; charset=utf-8"
        if body is not None and coding != "gzip":
            assert reply.body == body
    tags = {
        server.get("/s/app.js", [("Accept-Encoding", accept)]).header("etag")
        for accept in ("br", "gzip", "zstd", "identity")
    }
    assert len(tags) == 4


def test_methods(server: Server, base: Path) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        reply = server.request(method, "/s/small.txt")
        assert (reply.status, reply.header("allow")) == (405, "GET, HEAD, OPTIONS")
    reply = server.request("OPTIONS", "/s/small.txt")
    assert (reply.status, reply.header("allow")) == (204, "GET, HEAD, OPTIONS")
    with serve_tree(base, {"FALLBACK": "1"}) as other:
        assert what(other.request("POST", "/s/small.txt")) == (203, b"fallback")
        assert what(other.get("/s/none")) == (203, b"fallback")
        assert what(other.get("/s/../secret.txt")) == (203, b"fallback")
        assert other.get("/s/small.txt").body == SMALL
        assert other.get("/html/none").body == b"<p>not here"


def test_they_have_their_place_among_other_answers(server: Server) -> None:
    targets = [
        "/s/small.txt",
        "/hello",
        "/s/large.bin",
        "/s/slow/x",
        "/s/none",
        "/s/large.bin",
        "/s/small.txt",
        "/nowhere",
        "/s/nothing.txt",
    ]
    with server.connect() as peer:
        expected = [what(peer.get(target)) for target in targets]
        peer.send(pipelined(*targets) * 5)
        assert [what(peer.reply()) for _ in range(5) for _ in targets] == expected * 5
        # More than is written at a time.
        peer.send(pipelined("/s/small.txt") * 200 + pipelined("/s/large.bin") * 5)
        for _ in range(200):
            assert peer.reply().body == SMALL
        for _ in range(5):
            assert peer.reply().body == LARGE


def test_http_1_0_and_the_end_of_a_connection(server: Server) -> None:
    for target, body in [("/s/small.txt", SMALL), ("/s/large.bin", LARGE)]:
        with server.connect() as peer:
            peer.send(f"GET {target} HTTP/1.0\r\n\r\n".encode())
            reply = peer.reply()
            assert (reply.body, reply.closes) == (body, True)
            peer.expect_end()
        with server.connect() as peer:
            peer.send(f"GET {target} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".encode())
            assert peer.reply().header("connection") == "keep-alive"
            peer.send(request("GET", target, [("Connection", "close")]))
            assert peer.reply().body == body
            peer.expect_end()
        with server.connect() as peer:
            # It says that it has asked for all that it wants.
            peer.send(request("GET", target))
            peer.finish_sending()
            assert peer.reply().body == body


def test_changes_are_noticed_within_a_second(server: Server, base: Path) -> None:
    place = base / "root" / "changing.txt"
    for text in ("one", "two", "three", "four, which is longer"):
        place.write_text(text)
        says = partial(lambda text: server.get("/s/changing.txt").text == text, text)
        wait_until(says, f"it says {text}", 5)
    os.replace(base / "root" / "small.txt", base / "moved.txt")
    wait_until(lambda: server.get("/s/small.txt").status == 404, "it is gone", 5)
    os.replace(base / "moved.txt", base / "root" / "small.txt")
    wait_until(lambda: server.get("/s/small.txt").status == 200, "it is back", 5)
    place.unlink()


def test_the_folder_itself_may_be_made_anew(tmp_path: Path) -> None:
    root = make_tree(tmp_path)
    with serve_tree(tmp_path) as server:
        assert server.get("/s/small.txt").body == SMALL
        root.rename(tmp_path / "before")
        wait_until(lambda: server.get("/s/small.txt").status == 404, "it is gone", 5)
        root.mkdir()
        (root / "small.txt").write_text("new")
        wait_until(lambda: server.get("/s/small.txt").text == "new", "the new one is served", 5)


def test_metrics_and_the_access_log_tell_of_them(server: Server) -> None:
    server.get("/app/some-page?x=1")
    server.get("/s/large.bin")
    line = 'pyre_requests_total{method="GET",route="/app",status="200"}'
    assert line in server.get("/metrics").text
    server.output.wait_for('"GET /app/some-page HTTP/1.1" 200')
    server.output.wait_for('"GET /s/large.bin HTTP/1.1" 200')
    (log,) = [it for it in server.output.text().splitlines() if "some-page" in it]
    assert "route=/app" in log
    logged = [it.split('" 200 ')[1] for it in server.output.text().splitlines() if "large" in it]
    assert int(logged[-1].split()[0]) > len(LARGE)


def test_ids_of_requests(write: Write, base: Path) -> None:
    program = write(
        "app.py",
        f"""
from pyreframework import Pyre
app = Pyre()
app.enable_request_id()
app.static("/s", {str(base / "root")!r})
app.run()
""",
    )
    with serve(program) as server:
        for target in ("/s/small.txt", "/s/large.bin", "/s/none", "/s/folder"):
            reply = server.get(target, [("X-Request-ID", "mine")])
            assert reply.header("x-request-id") == "mine", target


def test_httpx(server: Server) -> None:
    with httpx.Client(base_url=server.url) as client:
        assert client.get("/s/large.bin").content == LARGE
        assert client.get("/s/app.js", headers={"Accept-Encoding": "gzip"}).text == "let packed;"
        tag = client.get("/s/small.txt").headers["etag"]
        assert client.get("/s/small.txt", headers={"If-None-Match": tag}).status_code == 304
        part = client.get("/s/large.bin", headers={"Range": "bytes=-5"})
        assert (part.status_code, part.content) == (206, LARGE[-5:])


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl is installed")
def test_curl_goes_on_where_it_was(server: Server, tmp_path: Path) -> None:
    place = tmp_path / "got"
    place.write_bytes(LARGE[:1_000_000])
    command = ["curl", "-sSf", "-C", "-", "-o", str(place), f"{server.url}/s/large.bin"]
    subprocess.run(command, check=True, timeout=60)
    assert place.read_bytes() == LARGE
