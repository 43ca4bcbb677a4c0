"""Forms that are refused: with the reason, and never as a fault of the handler."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from gate import Gate
from multiparts import BOUNDARY, fields, form, part, posted
from places import in_both_modes
from serving import Server, serve, wait_until

WAYS = pytest.mark.parametrize(
    "way", ["/def/whole", "/def/coming", "/async/whole", "/async/coming"]
)
A = part('name="a"', b"1")
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"
LATIN_NAME = form(A).replace(b'"a"', b'"\xe9"')
LATIN = form(part('name="a"', b"\xe9"))
OTHER = form(part('name="_charset_"', b"latin-1"))
BASE64 = form(part("name=a", b"MQ==", "Content-Transfer-Encoding: base64"))
URL_ENCODED = "application/x-www-form-urlencoded"


@in_both_modes
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve("forms", mode=request.param) as server:
        yield server
        assert "Traceback" not in server.output.text()
        assert "ERROR" not in server.output.text()


REFUSED: dict[str, tuple[str, bytes, str]] = {
    "another type": ("text/plain", b"a=1", "the body is not a form"),
    "no type": ("", b"a=1", "the body is not a form"),
    "no boundary": ("multipart/form-data", form(A), "the Content-Type of the form has no boundary"),
    "no such boundary": ("multipart/form-data; boundary=x", form(A), "ends before its last"),
    "an empty body": (MULTIPART, b"", "the form ends before its last boundary"),
    "no last boundary": (MULTIPART, A, "the form ends before its last boundary"),
    "line feeds": (MULTIPART, form(A).replace(b"\r", b""), "followed by something else than CRLF"),
    "no name": (MULTIPART, form(part('filename="x"')), "a part of the form has no name"),
    "a name in Latin-1": (MULTIPART, LATIN_NAME, "a name in the form is not UTF-8"),
    "a value in Latin-1": (MULTIPART, LATIN, "the field 'a' of the form is not UTF-8"),
    "another charset": (MULTIPART, OTHER, "the form is in 'latin-1'"),
    "base64": (MULTIPART, BASE64, "Content-Transfer-Encoding"),
    "pairs in Latin-1": (URL_ENCODED, b"a=%E9", "the form is not UTF-8"),
    "pairs of another charset": (URL_ENCODED, b"_charset_=utf-16", "the form is in 'utf-16'"),
}  # fmt: skip


@WAYS
@pytest.mark.parametrize("why", REFUSED)
def test_what_is_malformed_is_answered_400(server: Server, way: str, why: str) -> None:
    kind, body, reason = REFUSED[why]
    answer = server.post(f"{way}/show", body, fields(kind))
    assert answer.status == 400
    assert reason in answer.json()["error"]
    caught = server.post(f"{way}/caught", body, fields(kind)).json()
    assert caught == {"caught": f"400 {answer.json()['error']}", "status": 400}
    assert server.post(f"{way}/again", body, fields(kind)).status == 400


TOO_MUCH: dict[str, tuple[bytes, str]] = {
    "parts": (form(*[part("name=a")] * 4), "the form has too many parts"),
    "head": (form(part("name=a", b"", "X: " + "y" * 200)), "the head of a part of the form"),
    "name": (form(part(f"name={'a' * 21}")), "a name in the form is too long"),
    "field": (form(part("name=a", b"x" * 101)), "the field 'a' of the form has more than 100"),
    "file": (form(part('name=f; filename="x"', b"x" * 5001)), "the file 'f' of the form has more"),
    "fields": (form(*[part("name=a", b"x" * 80)] * 2), "the fields of the form have more than 150"),
}


@WAYS
@pytest.mark.parametrize("what", TOO_MUCH)
def test_what_exceeds_a_bound_is_answered_413(server: Server, way: str, what: str) -> None:
    body, reason = TOO_MUCH[what]
    answer = server.post(f"{way}/tight", body, fields())
    assert answer.status == 413
    assert answer.json()["error"].startswith(reason)


@WAYS
def test_what_keeps_to_all_bounds(server: Server, way: str) -> None:
    body = form(
        part("name=a", b"x" * 100),
        part('name=f; filename="x"', b"y" * 5000),
        part('name=f; filename="x"', b"z" * 50),
    )
    found = server.post(f"{way}/tight", body, fields()).json()
    assert [file[2] for file in found["files"]["f"]] == [5000, 50]
    pairs = server.post(f"{way}/tight", b"a=1&b=2&c=3&d=4", fields(URL_ENCODED))
    assert (pairs.status, pairs.json()) == (413, {"error": "the form has more than 3 fields"})
    long = server.post(f"{way}/tight", b"a=" + b"x" * 101, fields(URL_ENCODED))
    reason = "the field 'a' of the form has more than 100 bytes"
    assert (long.status, long.json()) == (413, {"error": reason})
    long = server.post(f"{way}/tight", b"a" * 200, fields(URL_ENCODED))
    assert (long.status, long.json()) == (413, {"error": "the form has more than 150 bytes"})


@WAYS
def test_a_form_that_is_compressed_is_answered_415(server: Server, way: str) -> None:
    for kind in (MULTIPART, URL_ENCODED):
        answer = server.post(
            f"{way}/show", b"\x1f\x8b", [*fields(kind), ("Content-Encoding", "gzip")]
        )
        assert answer.status == 415
        assert "Content-Encoding 'gzip'" in answer.json()["error"]
        whole = server.post(
            f"{way}/show", form(A), [*fields(MULTIPART), ("Content-Encoding", "identity")]
        )
        assert whole.status == 200


@WAYS
def test_a_file_that_is_no_text_is_the_clients_fault(server: Server, way: str) -> None:
    body = form(part('name="file"; filename="x"', b"\xff"))
    answer = server.post(f"{way}/text", body, fields())
    assert (answer.status, answer.json()) == (400, {"error": "'file' in the form is not UTF-8"})


@pytest.mark.parametrize("kind", ["def", "async"])
def test_a_client_that_goes_leaves_no_file_open(server: Server, kind: str) -> None:
    body = form(part('name="file"; filename="x"', b"x" * 3_000_000))
    with server.connect() as peer, Gate() as gate:
        peer.send(posted(f"/{kind}/coming/held/{gate.port}", body)[:1_000_000])
        assert gate.entered() == "begun"
        gate.release("begun")
        peer.socket.close()
        assert gate.entered() == "ClientGone"
        gate.release("ClientGone")
    wait_until(lambda: server.get("/open").json() == 0, "no temporary file is open")


def test_files_that_are_kept_stay_until_they_go(server: Server) -> None:
    body = form(part('name="file"; filename="x"', b"x" * 5000))
    with server.connect() as peer:
        for _ in range(3):
            peer.send(posted("/keep", body))
            assert peer.reply().json() == 5000
    wait_until(lambda: server.get("/open").json() == 3, "those of three files are open")

    def are_gone() -> bool:
        # Each worker has its own, and who is asked is the server's choice.
        assert len(set(server.post("/drop", b"").json())) <= 1
        return bool(server.get("/open").json() == 0)

    wait_until(are_gone, "no temporary file is open")
