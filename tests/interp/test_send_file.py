"""Files that handlers answer with: the same on workers and on main, `def` and `async def`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from dialogue import request
from files import LARGE, SMALL, make_tree
from serving import Server, serve, wait_until

from pyreframework import Pyre, PyreResponse, send_file
from pyreframework.sending import disposition
from pyreframework.testing import TestClient

PLACES = ("workers", "main", "async", "waiting", "main-async")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("sent")
    make_tree(base)
    return base


@pytest.fixture(scope="module")
def server(base: Path) -> Iterator[Server]:
    with serve("sent_files", env={"TREE": str(base)}, workers=1, access_log=True) as server:
        yield server


@pytest.mark.parametrize("place", PLACES)
def test_it_is_answered_as_files_of_a_folder_are(server: Server, place: str) -> None:
    with server.connect() as peer:
        reply = peer.get(f"/{place}/small.txt")
        assert (reply.status, reply.body) == (200, SMALL)
        assert reply.header("content-type") == "text/plain; charset=utf-8"
        assert reply.header("x-content-type-options") == "nosniff"
        assert reply.header("last-modified") == "Tue, 14 Nov 2023 22:13:20 GMT"
        assert reply.header("x-after") == "200"
        tag = reply.header("etag") or ""
        known = peer.get(f"/{place}/small.txt", [("If-None-Match", tag)])
        assert (known.status, known.header("etag")) == (304, tag)
        assert known.header("content-type") is None
        part = peer.get(f"/{place}/large.bin", [("Range", "bytes=5-9")])
        assert (part.status, part.body) == (206, LARGE[5:10])
        assert part.header("content-range") == f"bytes 5-9/{len(LARGE)}"
        parts = peer.get(f"/{place}/large.bin", [("Range", "bytes=0-0,1000-1000")])
        assert parts.status == 206 and b"Content-Range: bytes 1000-1000/" in parts.body
        none = peer.get(f"/{place}/small.txt", [("Range", "bytes=5000-")])
        assert (none.status, none.header("content-range")) == (416, "bytes */1000")
        other = peer.get(f"/{place}/small.txt", [("If-Match", '"other"')])
        assert other.status == 412
        head = peer.request("HEAD", f"/{place}/large.bin")
        assert (head.status, head.header("content-length")) == (200, str(len(LARGE)))
        assert peer.get(f"/{place}/nothing.txt").body == b""
        assert peer.get(f"/{place}/none").status == 404
        assert peer.get(f"/{place}/large.bin").body == LARGE


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("bytes_", [100, 10_000])
def test_the_object_of_a_request_may_be_kept(server: Server, place: str, bytes_: int) -> None:
    padding = ("X-Padding", "p" * bytes_)
    path = f"/{place}/small.txt?keep=1"
    with server.connect() as peer:
        whole = peer.get(path, [padding])
        assert (whole.status, whole.body) == (200, SMALL)
        tag = whole.header("etag") or ""
        for condition, status in [
            (("If-None-Match", tag), 304),
            (("If-Match", '"other"'), 412),
            (("Range", "bytes=5-9"), 206),
            (("Range", "bytes=5000-"), 416),
        ]:
            assert peer.get(path, [padding, condition]).status == status
            # Behind what is long, too.
            assert peer.get(path, [condition, padding]).status == status
        assert peer.request("HEAD", path, [padding]).header("content-length") == str(len(SMALL))
        assert peer.request("POST", path, [], b"b" * bytes_).body == SMALL
        # And one that is not the last one of its job.
        told = request("GET", path, [padding, ("Range", "bytes=1-2")])
        peer.send(told + request("GET", f"/{place}/small.txt") + told)
        assert [peer.reply().body for _ in range(3)] == [SMALL[1:3], SMALL, SMALL[1:3]]


@pytest.mark.parametrize("place", PLACES)
def test_other_methods_have_no_preconditions_and_no_ranges(server: Server, place: str) -> None:
    path = f"/{place}/small.txt"
    tag = server.get(path).header("etag") or ""
    with server.connect() as peer:
        for condition in [
            ("If-None-Match", tag),
            ("If-None-Match", "*"),
            ("If-Match", '"other"'),
            ("If-Modified-Since", "Tue, 14 Nov 2045 22:13:20 GMT"),
            ("If-Unmodified-Since", "Tue, 14 Nov 1995 22:13:20 GMT"),
            ("Range", "bytes=0-1"),
            ("Range", "bytes=5000-"),
        ]:
            reply = peer.request("POST", path, [condition], b"body")
            assert (reply.status, reply.body) == (200, SMALL), condition


def test_it_is_a_method_of_the_response_too(server: Server) -> None:
    one, other = server.get("/method"), server.get("/workers/small.txt")
    assert (one.status, one.body, one.header("etag")) == (200, SMALL, other.header("etag"))
    assert one.header("content-disposition") == 'attachment; filename="other.txt"'
    assert server.get("/method", [("Range", "bytes=0-0")]).status == 206


def test_the_method_refuses_what_the_function_does() -> None:
    with pytest.raises(FileNotFoundError):
        PyreResponse.file("/no/such/file")
    with pytest.raises(TypeError, match="path"):
        PyreResponse.file()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="other"):
        PyreResponse.file(__file__, other=1)  # type: ignore[call-arg]
    assert PyreResponse.file(path=__file__).status_code == 200


def test_a_weak_tag_of_a_handler(server: Server) -> None:
    for tag in ('W/"own"', '"own"'):
        known = server.get("/weak", [("If-None-Match", tag)])
        assert (known.status, known.header("etag")) == (304, 'W/"own"')
        assert server.get("/weak", [("If-Match", tag)]).status == 412
        assert server.get("/weak", [("Range", "bytes=0-1"), ("If-Range", tag)]).status == 200
    assert server.get("/weak", [("If-None-Match", 'W/"other"')]).status == 200


def test_what_the_handler_says_stands_in_refusals(server: Server) -> None:
    for condition, status in [
        (("If-Match", '"other"'), 412),
        (("Range", "bytes=5000-"), 416),
        (("If-None-Match", "*"), 304),
    ]:
        reply = server.get("/said", [condition])
        assert reply.status == status
        assert reply.all("set-cookie") == ["a=1", "b=2"]
        assert reply.header("x-own") == "own"
        assert reply.header("vary") == "Cookie"
        assert reply.header("x-after") == "200"
        assert reply.header("content-language") is None
        # What is said of the file is not said of the message in its place.
        about = "/other" if status == 304 else None
        assert reply.header("content-location") == about
        assert reply.header("cache-control") == ("max-age=60" if status == 304 else None)
        assert (reply.header("etag") is not None) is (status == 304)


def test_which_part_it_is_says_the_server_alone(server: Server) -> None:
    whole, part = (server.get("/ranged", fields) for fields in ([], [("Range", "bytes=1-2")]))
    none = server.get("/ranged", [("Range", "bytes=5000-")])
    ranges = [[], ["bytes 1-2/1000"], ["bytes */1000"]]
    assert [reply.all("content-range") for reply in (whole, part, none)] == ranges
    accepted = [["own"], ["own"], ["bytes"]]
    assert [reply.all("accept-ranges") for reply in (whole, part, none)] == accepted


def test_they_keep_their_place_in_a_pipeline(server: Server) -> None:
    targets = [f"/{place}/{name}" for place in PLACES for name in ("large.bin", "small.txt")]
    with server.connect() as peer:
        peer.send(b"".join(request("GET", target) for target in targets) * 3)
        for _ in range(3):
            for target in targets:
                assert peer.reply().body == (LARGE if "large" in target else SMALL)


def test_a_download_has_a_name(server: Server) -> None:
    reply = server.get("/download")
    assert reply.body == LARGE
    assert reply.header("cache-control") == "max-age=60"
    assert reply.header("content-type") == "application/octet-stream"
    given = reply.header("content-disposition") or ""
    assert given.startswith('attachment; filename="gr__e 1.bin"; ')
    assert unquote(given.partition("filename*=UTF-8''")[2]) == "größe 1.bin"


def test_what_the_handler_says_goes_first(server: Server) -> None:
    reply = server.get("/own")
    assert reply.header("content-type") == "text/x-own"
    assert (reply.header("etag"), reply.all("set-cookie")) == ('"own"', ["a=1", "b=2"])
    known = server.get("/own", [("If-None-Match", '"own"')])
    assert (known.status, known.all("set-cookie")) == (304, ["a=1", "b=2"])
    assert server.get("/status").status == 203
    assert server.get("/status", [("Range", "bytes=0-1")]).body == SMALL
    assert server.get("/empty").status == 204


def test_a_file_may_lose_its_name(server: Server) -> None:
    for _ in range(3):
        assert server.get("/gone").text == "it was there"


def test_an_answer_may_be_sent_often(server: Server) -> None:
    for _ in range(5):
        assert server.get("/kept").body == SMALL
        assert server.get("/hooked").body == SMALL


def test_tasks_come_behind_it(server: Server) -> None:
    assert server.get("/task").body == SMALL
    wait_until(lambda: server.get("/done").json()["done"], "the task is done")


def test_an_answer_before_the_body_has_come(server: Server) -> None:
    with server.connect() as peer:
        peer.send(b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nbegun")
        reply = peer.reply("POST")
        assert (reply.body, reply.closes) == (LARGE, True)
        peer.expect_end()


def test_http_1_0(server: Server) -> None:
    with server.connect() as peer:
        peer.send(b"GET /workers/large.bin HTTP/1.0\r\n\r\n")
        assert peer.reply().body == LARGE
        peer.expect_end()


def test_the_log_has_what_was_sent(server: Server) -> None:
    server.get("/async/large.bin", [("Range", "bytes=0-999999")])
    server.output.wait_for('"GET /async/large.bin HTTP/1.1" 206 1000')


def test_no_descriptor_is_left(server: Server) -> None:
    server.get("/kept")
    before = server.descriptors()
    for _ in range(20):
        for place in PLACES:
            server.get(f"/{place}/small.txt")
            server.get(f"/{place}/large.bin", [("If-Match", '"other"')])
    wait_until(lambda: server.descriptors() <= before, "all are closed")


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        send_file(tmp_path / "none")
    with pytest.raises(IsADirectoryError):
        send_file(tmp_path)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match="Invalid argument"):
        send_file(tmp_path / "fifo")
    with pytest.raises(ValueError, match="max_age"):
        send_file(__file__, max_age=-1)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (None, "attachment"),
        ("a.txt", 'attachment; filename="a.txt"'),
        ("a b;c.txt", 'attachment; filename="a b;c.txt"'),
        ('a"b.txt', "attachment; filename=\"a_b.txt\"; filename*=UTF-8''a%22b.txt"),
        ("50%25.txt", "attachment; filename=\"50_25.txt\"; filename*=UTF-8''50%2525.txt"),
        ("€.txt", "attachment; filename=\"_.txt\"; filename*=UTF-8''%E2%82%AC.txt"),
        ("a'b(1)*.txt", 'attachment; filename="a\'b(1)*.txt"'),
    ],
)
def test_names_of_downloads(name: str | None, expected: str) -> None:
    assert disposition(name, attachment=True) == expected


def test_what_is_said_of_storing_it() -> None:
    said = [
        send_file(__file__, **options).headers.get("Content-Disposition")
        for options in ({}, {"attachment": False}, {"attachment": True})
    ]
    assert said == [None, "inline", "attachment"]


@pytest.mark.parametrize("name", ["", "a/b", "a\\b", "a\r\nb", "a\0", "\x7f"])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be the name of a file"):
        send_file(__file__, download_name=name)


def test_the_client_for_tests_gets_both(base: Path) -> None:
    app = Pyre()
    app.static("/s", base / "root")
    app.get("/one", lambda: send_file(base / "root" / "large.bin"))
    with TestClient(app) as client:
        assert client.get("/s/large.bin").body == LARGE
        assert client.get("/one").body == LARGE
        assert client.get("/s/none").status_code == 404
