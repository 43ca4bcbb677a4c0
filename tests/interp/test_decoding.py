"""Bodies of requests that their clients have compressed."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import subprocess
import zlib
from collections.abc import Iterator

import httpx
import pytest
from dialogue import Reply, request
from multiparts import BOUNDARY, fields, form, part
from places import PLACES
from serving import Server, serve

CODINGS = ["gzip", "br", "zstd"]
BODY_MAX = 4 << 20
BODY = b"".join(b"line %d of it\n" % number for number in range(20_000))
WHOLE = ["/def/body", "/async/body", "/def/text", "/def/stream", "/async/stream"]
COMING = [
    "/def/streamed",
    "/async/streamed",
    "/def/read",
    "/async/read",
    "/def/whole",
    "/async/whole",
]
CURL = shutil.which("curl")


# Two of the places: where a body is decoded is the same in all of them.
@pytest.fixture(scope="module", params=["workers", "gil"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    given = dict(PLACES[str(request.param)])
    with serve("decoding", workers=1, max_body_size=BODY_MAX, **given) as server:  # type: ignore[arg-type]
        yield server
        assert "Traceback" not in server.output.text()


def packed(server: Server, body: bytes, coding: str) -> bytes:
    """A body in a coding, which the server's own answer has."""
    if coding == "gzip":
        return gzip.compress(body)
    found = server.post("/def/body", body, [("Accept-Encoding", coding)])
    assert found.header("content-encoding") == coding
    return found.body


def post(
    server: Server, target: str, body: bytes, coding: str, more: list[tuple[str, str]] | None = None
) -> Reply:
    return server.post(target, body, [("Content-Encoding", coding), *(more or [])])


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("target", WHOLE + COMING)
def test_a_handler_reads_what_the_client_meant(server: Server, target: str, coding: str) -> None:
    sent = packed(server, BODY, coding)
    assert len(sent) < len(BODY) / 2
    assert post(server, target, sent, coding).body == BODY
    assert post(server, target, sent, coding.upper()).body == BODY
    # What is said to be plain stays as it is.
    for plain in ("identity", "", "identity, identity"):
        assert post(server, target, BODY[:5000], plain).body == BODY[:5000]


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("target", WHOLE + COMING)
def test_however_it_comes(server: Server, target: str, coding: str) -> None:
    sent = packed(server, BODY, coding)
    encoded = ("Content-Encoding", coding)
    with server.connect() as peer:
        for size in (1, 700, 20_000):
            start = sent[: 8 * size]
            peer.send(request("POST", target, [encoded, ("Transfer-Encoding", "chunked")]))
            for at in range(0, len(start), size):
                piece = start[at : at + size]
                peer.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            rest = sent[len(start) :]
            if rest:
                peer.send(b"%x\r\n%b\r\n" % (len(rest), rest))
            peer.send(b"0\r\n\r\n")
            assert peer.reply("POST").body == BODY


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("target", ["/def/body", "/async/body", "/def/streamed", "/async/whole"])
def test_several_one_behind_the_other(server: Server, target: str, coding: str) -> None:
    bodies = [b"%d" % number * 3000 for number in range(4)]
    encoded = [packed(server, body, coding) for body in bodies]
    sent = b"".join(
        request("POST", target, [("Content-Encoding", coding)], body) for body in encoded
    )
    with server.connect() as peer:
        peer.send(sent)
        for body in bodies:
            assert peer.reply("POST").body == body


def test_of_several_members(server: Server) -> None:
    sent = gzip.compress(b"one ") + gzip.compress(b"") + gzip.compress(b"two")
    for target in WHOLE + COMING:
        assert post(server, target, sent, "x-gzip").body == b"one two"


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("target", WHOLE + COMING)
def test_what_cannot_be_decoded(server: Server, target: str, coding: str) -> None:
    sent = packed(server, BODY, coding)
    for wrong in (b"nonsense, that is", sent[:-1], sent[:100], sent + b"behind"):
        with server.connect() as peer:
            peer.send(request("POST", target, [("Content-Encoding", coding)], wrong))
            reply = peer.reply("POST")
            assert reply.status == 400
            expected = f"the body is not what its Content-Encoding says: {coding}"
            assert reply.json()["error"].startswith(expected)
            # Where all of it had come before it was read, the connection goes on.
            if target in WHOLE:
                peer.send(request("POST", target, [("Content-Encoding", coding)], sent))
                assert peer.reply("POST").body == BODY


@pytest.mark.parametrize("coding", ["compress", "deflate", "gzip, br", "br,gzip", "gzip;q=1", "*"])
@pytest.mark.parametrize("target", WHOLE + COMING)
def test_codings_that_are_not_known(server: Server, target: str, coding: str) -> None:
    reply = post(server, target, b"something", coding)
    assert reply.status == 415
    assert reply.header("accept-encoding") == "zstd, br, gzip"
    assert "zstd, br, gzip" in reply.json()["error"]
    # Nothing is nothing in each of them.
    assert post(server, target, b"", coding).status == 200


def test_lines_of_it_are_one_list(server: Server) -> None:
    lines = [("Content-Encoding", "gzip"), ("Content-Encoding", "gzip")]
    assert server.post("/def/body", gzip.compress(b"a"), lines).status == 415
    lines[0] = ("Content-Encoding", "identity")
    assert server.post("/def/body", gzip.compress(b"a"), lines).body == b"a"


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("target", WHOLE + COMING)
def test_a_bomb(server: Server, target: str, coding: str) -> None:
    # As long as a body may be, and a byte more.
    accepted = [("Accept-Encoding", coding)]
    most = server.get(f"/zeros/{BODY_MAX}", accepted).body
    assert len(most) < 20_000
    assert len(post(server, target, most, coding).body) == BODY_MAX
    bomb = server.get(f"/zeros/{BODY_MAX + 1}", accepted).body
    reply = post(server, target, bomb, coding)
    assert reply.status == 413
    assert coding in reply.json()["error"]


def test_a_large_bomb_costs_little(server: Server) -> None:
    pack = zlib.compressobj(9, wbits=31)
    bomb = b"".join(pack.compress(bytes(1 << 20)) for _ in range(1024)) + pack.flush()
    assert len(bomb) < BODY_MAX
    before = server.resident_bytes()
    for target in WHOLE + COMING:
        assert post(server, target, bomb, "gzip").status == 413
    assert server.resident_bytes() - before < 64 << 20


def test_a_handler_may_catch_it(server: Server) -> None:
    found = post(server, "/def/caught", b"nonsense", "gzip")
    assert found.json() == {"status": 400, "again": 400}
    assert post(server, "/def/unread", b"nonsense", "gzip").text == "unread"


@pytest.mark.parametrize("target", ["/def/chained", "/async/grouped", "/async/grouped-form"])
def test_the_client_is_to_blame_for_what_comes_of_it(server: Server, target: str) -> None:
    bomb = gzip.compress(bytes(BODY_MAX + 1))
    for body, coding, status in (
        (gzip.compress(BODY)[:-1], "gzip", 400),
        (bomb, "gzip", 413),
        (b"something", "deflate", 415),
    ):
        reply = post(server, target, body, coding, fields())
        assert reply.status == status
        assert "the body" in reply.json()["error"]


def test_who_catches_errors_of_forms_catches_it(server: Server) -> None:
    for kind in (fields(), [("Content-Type", "application/x-www-form-urlencoded")]):
        assert post(server, "/def/form-error", b"?", "gzip", kind).json() == {"form": 400}
        assert post(server, "/def/form-error", b"?", "lzw", kind).json() == {"form": 415}


def test_nothing_comes_behind_what_cannot_be_read(server: Server) -> None:
    bomb = gzip.compress(bytes(BODY_MAX + 1))
    # All that may be comes before that.
    assert post(server, "/def/after", bomb, "gzip").json() == [BODY_MAX, 413, 413, 413, 413]
    found = post(server, "/def/after", gzip.compress(BODY)[:-1], "gzip").json()
    assert found == [len(BODY), 400, 400, 400, 400]
    assert post(server, "/def/after", BODY, "gzip, br").json() == [0, 415, 415, 415, 415]


def test_an_answer_in_pieces_breaks_off_and_nothing_is_logged(server: Server) -> None:
    """The fixture looks at the log."""
    with server.connect() as peer:
        peer.send(
            request(
                "POST",
                "/async/echoed",
                [("Content-Encoding", "gzip")],
                gzip.compress(BODY)[:-1],
            )
        )
        with pytest.raises(AssertionError):
            peer.reply("POST")


@pytest.mark.parametrize("target", ["/async/streamed", "/async/whole", "/async/form"])
def test_what_stands_for_nothing_holds_nobody_up(server: Server, target: str) -> None:
    """Members of a gzip body may be empty: 20 bytes that come out as none."""
    nothing = gzip.compress(b"") * 10_000
    with server.connect() as peer, server.connect() as other:
        fields = [("Content-Encoding", "gzip"), ("Transfer-Encoding", "chunked")]
        kind = ("Content-Type", "application/x-www-form-urlencoded")
        peer.send(request("POST", target, [*fields, kind]))
        for _ in range(8):
            peer.send(b"%x\r\n%b\r\n" % (len(nothing), nothing))
            other.send(request("GET", "/async/ping"))
            assert other.reply().text == "pong"
        last = gzip.compress(b"a=b")
        peer.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(last), last))
        reply = peer.reply("POST")
        assert reply.json() == {"a": "b"} if "form" in target else reply.body == b"a=b"


def test_headers_say_what_was_sent(server: Server) -> None:
    sent = gzip.compress(BODY)
    found = post(server, "/def/headers", sent, "gzip").json()
    assert found == [len(BODY), "gzip", str(len(sent))]


def test_json(server: Server) -> None:
    value = {"rows": [{"number": number} for number in range(500)]}
    for coding in CODINGS:
        sent = packed(server, json.dumps(value).encode(), coding)
        assert post(server, "/def/json", sent, coding).json() == value
    assert post(server, "/def/json", gzip.compress(b"{"), "gzip").status == 400


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("target", ["/def/form", "/async/form", "/async/parts"])
def test_forms(server: Server, target: str, coding: str) -> None:
    body = form(part("name=a", b"b"), part('name="f"; filename="x"', b"y" * 1_000_000))
    found = post(server, target, packed(server, body, coding), coding, fields()).json()
    assert found == {"a": 1 if "parts" in target else "b", "f": 1_000_000}
    reply = post(server, target, b"--" + BOUNDARY.encode(), coding, fields())
    assert reply.status == 400
    assert coding in reply.json()["error"]
    assert post(server, target, body, "deflate", fields()).status == 415


def test_of_forms_with_an_ampersand(server: Server) -> None:
    kind = [("Content-Type", "application/x-www-form-urlencoded")]
    for target in ("/def/form", "/async/form"):
        found = post(server, target, gzip.compress(b"a=b&c=%C3%A9"), "gzip", kind)
        assert found.json() == {"a": "b", "c": "é"}


def test_one_that_is_kept_is_read_later(server: Server) -> None:
    bodies = [b"%d" % number * size for number, size in enumerate((10, 9000, 100_000))]
    found = [post(server, "/def/late", gzip.compress(body), "gzip").body for body in bodies]
    assert found == [b"", bodies[0], bodies[0] + bodies[1]]


def test_more_comes_out_than_is_kept(server: Server) -> None:
    body = bytes(BODY_MAX // 2) + BODY
    found = post(server, "/def/summed", gzip.compress(body), "gzip").json()
    assert found["count"] == len(body)
    assert found["sha"] == hashlib.sha256(body).hexdigest()
    assert found["longest"] <= 64 << 10


def test_httpx(server: Server) -> None:
    def lines() -> Iterator[bytes]:
        pack = zlib.compressobj(wbits=31)
        for line in BODY.splitlines(keepends=True):
            yield pack.compress(line)
        yield pack.flush()

    with httpx.Client(base_url=server.url) as client:
        for target in WHOLE + COMING:
            found = client.post(target, content=lines(), headers={"Content-Encoding": "gzip"})
            assert found.content == BODY


@pytest.mark.skipif(CURL is None, reason="needs curl")
def test_curl_that_asks_first(server: Server) -> None:
    sent = gzip.compress(BODY)
    for target in ("/def/body", "/async/streamed"):
        command = [str(CURL), "-s", "--data-binary", "@-", "-H", "Content-Encoding: gzip"]
        command += ["-H", "Expect: 100-continue", server.url + target]
        found = subprocess.run(command, input=sent, capture_output=True, check=True)
        assert found.stdout == BODY


def test_without_the_option_it_stays_as_it_is() -> None:
    with serve("decoding", workers=1, env={"TEST_ENCODED": "1"}) as server:
        sent = gzip.compress(BODY)
        for target in ("/def/body", "/async/stream", "/def/streamed", "/async/whole"):
            assert post(server, target, sent, "gzip").body == sent
        assert post(server, "/def/form", sent, "gzip", fields()).status == 415
