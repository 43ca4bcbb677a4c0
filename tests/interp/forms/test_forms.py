"""What forms come to, wherever their handler runs and however they come."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest
from multiparts import fields, form, part, posted
from places import PLACES
from serving import Server, Write, serve

WAYS = pytest.mark.parametrize(
    "way", ["/def/whole", "/def/coming", "/async/whole", "/async/coming"]
)
URL_ENCODED = fields("application/x-www-form-urlencoded")


@pytest.fixture(scope="module", params=PLACES.values(), ids=PLACES)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve("forms", workers=1, **request.param) as server:
        yield server


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@WAYS
def test_fields_and_files(server: Server, way: str) -> None:
    large = bytes(range(256)) * 12_000
    body = form(
        part('name="a"', b"1"),
        part('name="file"; filename="small"', b"tiny", "Content-Type: image/png"),
        part('name="a"', "\u00fc\r\n".encode()),
        part('name="file"; filename="l\u00e4rge %22\\"x"', large),
        part('name="other"; filename=""'),
        part('name=""', b"without"),
        part('name="_charset_"', b"UTF-8"),
    )
    found = server.post(f"{way}/show", body, fields())
    assert found.json() == {
        "fields": {"a": ["1", "\u00fc\r\n"], "": ["without"], "_charset_": ["UTF-8"]},
        "files": {
            "file": [
                ["small", "image/png", 4, digest(b"tiny")],
                ['l\u00e4rge ""x', "text/plain", len(large), digest(large)],
            ],
            "other": [["", "text/plain", 0, digest(b"")]],
        },
    }


@WAYS
def test_it_does_not_matter_how_a_form_is_cut(server: Server, way: str) -> None:
    body = form(
        part('name="a"', b"\r\n--a-Boundar"),
        part('name="file"; filename="f"', b"\r\n--a-Boundarx\r\n" * 200),
    )
    whole = server.post(f"{way}/show", body, fields()).json()
    assert whole["fields"] == {"a": ["\r\n--a-Boundar"]}
    with server.connect() as peer:
        for size in (7, 61, 500):
            head, _, sent = posted(f"{way}/show", body).partition(b"\r\n\r\n")
            peer.send(head + b"\r\n\r\n")
            for at in range(0, len(sent), size):
                peer.send(sent[at : at + size])
            assert peer.reply().json() == whole


@WAYS
def test_url_encoded(server: Server, way: str) -> None:
    found = server.post(f"{way}/show", b"a=1&b=%C3%A9+&a=2&&c", URL_ENCODED)
    assert found.json() == {"fields": {"a": ["1", "2"], "b": ["\u00e9 "], "c": [""]}, "files": {}}
    assert server.post(f"{way}/show", b"", URL_ENCODED).json() == {"fields": {}, "files": {}}


@WAYS
def test_parts_one_by_one(server: Server, way: str) -> None:
    large = b"x" * 700_000
    body = form(part('name="a"', b"1"), part('name="f"; filename="x"', large, "Content-Type: a/b"))
    assert server.post(f"{way}/parts", body, fields()).json() == [
        ["a", None, "text/plain", digest(b"1")],
        ["f", "x", "a/b", digest(large)],
    ]
    body = form(part("name=one", b"abcdef"), part("name=skipped", b"x" * 9), part("name=two", b"y"))
    over = "this part is over: the next one has been asked for"
    assert server.post(f"{way}/some", body, fields()).json() == ["ab", "cde", over, over, "y", ""]


@WAYS
@pytest.mark.parametrize("size", [4, 3_000_000])
def test_files_are_saved_and_read(server: Server, way: str, size: int) -> None:
    data = (b"%07d\n" * (size // 8 + 1) % tuple(range(size // 8 + 1)))[:size]
    body = form(
        part('name="before"; filename="x"', b"b" * 2_000_000),
        part('name="file"; filename="y"', data),
    )
    assert server.post(f"{way}/saved", body, fields()).json() == [size, size]
    assert server.post(f"{way}/part-saved", body, fields()).json() == [3, size - 3, digest(data)]


@WAYS
def test_parse_multipart(server: Server, way: str) -> None:
    body = form(
        part('name="a"', b"1"),
        part('name="a"', b"2"),
        part('name="file"; filename="x.csv"', b"\xc3\xa9", "Content-Type: text/csv"),
    )
    assert server.post(f"{way}/multipart", body, fields()).json() == {
        "a": ["a", None, "text/plain", 1, "2"],
        "file": ["file", "x.csv", "text/csv", 2, "\u00e9"],
    }
    refused = server.post(f"{way}/multipart", b"a=1", URL_ENCODED)
    assert refused.status == 400
    assert refused.json()["error"].endswith("it is not multipart/form-data")


@WAYS
def test_a_field_behind_files_that_fill_the_memory_is_taken(server: Server, way: str) -> None:
    """Sixteen files, each just small enough to stay in memory, take all that a form may have."""
    contents = [bytes([number]) * 2**20 for number in range(16)]
    files = [part('name="file"; filename="f"', content) for content in contents]
    body = form(*files, part("name=a", b"1"), part('name="file"; filename="f"', b"last"))
    found = server.post(f"{way}/show", body, fields()).json()
    assert found["fields"] == {"a": ["1"]}
    digests = [digest(content) for content in [*contents, b"last"]]
    assert [file[3] for file in found["files"]["file"]] == digests


@pytest.mark.parametrize("way", ["/def/whole", "/def/coming"])
def test_what_is_left_of_the_body(server: Server, way: str) -> None:
    body = form(part('name="a"', b"1"))
    found = server.post(f"{way}/beside", body, fields()).json()
    if way == "/def/whole":
        assert found == [len(body), len(body), 0, 1]
    else:
        assert found[0].startswith("a part of the body has been read")
        assert found[1:3] == [0, 0]
        assert found[3].startswith("a part of the body has been read")


def test_a_body_that_was_read_as_a_whole_is_still_a_form(server: Server) -> None:
    body = form(part('name="a"', b"1"), part('name="f"; filename="x"', b"y" * 300_000))
    found = server.post("/async/coming/read-before", body, fields()).json()
    assert found == [len(body), {"a": "1"}, [300_000]]


def test_a_coroutine_is_told_how_parts_are_read(server: Server) -> None:
    found = server.post("/async/coming/in-a-loop", form(part("name=a")), fields()).text
    assert "async for part in req.parts()" in found


def test_a_part_that_is_left_holds_nothing(server: Server) -> None:
    body = form(part("name=a", b"x" * 500_000), part("name=b"))
    assert server.post("/def/coming/left", body, fields()).json() == 0


def test_a_form_that_is_asked_for_several_times_is_read_once(server: Server) -> None:
    body = form(part("name=a", b"1"), part('name="f"; filename="x"', b"y" * 100_000))
    with server.connect() as peer:
        sent = posted("/async/coming/together", body)
        peer.send(sent[:-20])
        peer.send(sent[-20:])
        assert peer.reply().json() == [True, {"a": "1"}, {"f": 100_000}]
    refused = server.post("/async/coming/together", body[:-10], fields())
    assert refused.status == 400


def test_a_body_that_was_read_before_its_form_is_no_fault_of_the_client(server: Server) -> None:
    found = server.post("/async/coming/begun", form(part("name=a", b"1")), fields()).json()
    assert found[0] == "--a"
    assert found[1].startswith("a part of the body has been read")


@pytest.mark.parametrize("threads", [1, 4])
def test_a_hook_reads_the_form_and_the_handler_has_it(write: Write, threads: int) -> None:
    program = write(
        "program.py",
        """
        from pyreframework import Pyre

        app = Pyre()


        @app.before_request
        def before(req):
            if req.path.startswith("/def") or app.hooked:
                req.state.form = req.form()


        app.hooked = THREADS > 1


        @app.post("/def", stream_body=True)
        def handle(req):
            return [req.form() is req.state.form, req.form(), req.files()["f"].size]


        @app.post("/async", stream_body=True)
        async def handle_async(req):
            form = await req.form()
            return [form is getattr(req.state, "form", form), form, (await req.files())["f"].size]


        app.run()
        """.replace("THREADS", str(threads)),
    )
    body = form(part("name=a", b"1"), part('name="f"; filename="x"', b"y" * 2_000_000))
    with serve(program, workers=1, threads=threads) as server:
        for kind in ("def", "async"):
            assert server.post(f"/{kind}", body, fields()).json() == [True, {"a": "1"}, 2_000_000]
        for kind in ("def", "async"):
            assert server.post(f"/{kind}", body[:-9], fields()).status == 400
        assert "Traceback" not in server.output.text()
