"""`TestClient.stream`, and bodies that are sent in pieces: on workers and on main."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from gate import Gate

from pyreframework import Pyre, PyreRequest, PyreResponse, PyreStream, redirect
from pyreframework.testing import IncompleteBody, ServerSentEvent, TestClient

app = Pyre()
# Larger than all buffers between a sender and a client that does not read.
PIECE = b"x" * 65536


def come(port: int, name: str) -> socket.socket:
    """Come to the gate of the test."""
    peer = socket.create_connection(("127.0.0.1", port))
    peer.sendall(f"{name}\n".encode())
    return peer


def wait(port: int, name: str) -> str:
    with come(port, name) as peer:
        return peer.makefile().readline().strip()


@app.get("/count/{number:int}")
def count(number: int) -> Iterator[str]:
    return (f"{at}\n" for at in range(number))


@app.get("/held/{port:int}")
def held(port: int) -> Iterator[str]:
    yield "begun\n"
    yield wait(port, "generator") + "\n"


@app.get("/endless/{port:int}")
def endless(port: int) -> Iterator[bytes]:
    try:
        while True:
            yield PIECE
    finally:
        come(port, "left").close()


@app.get("/asleep/{port:int}")
async def asleep(port: int) -> AsyncIterator[bytes]:
    try:
        yield b"begun\n"
        await asyncio.Event().wait()
    finally:
        come(port, "left").close()


@app.get("/forever")
async def forever(req: PyreRequest) -> AsyncIterator[str]:
    yield "begun\n"
    await asyncio.Event().wait()


@app.get("/broken")
def broken(req: PyreRequest) -> Iterator[str]:
    yield "begun"
    raise LookupError("in the middle")


@app.get("/short")
def short(req: PyreRequest) -> PyreResponse:
    return PyreResponse((piece for piece in ["abc"]), headers={"Content-Length": "10"})


@app.get("/events")
def events(req: PyreRequest) -> PyreStream:
    stream = PyreStream("text/event-stream")

    def send() -> None:
        with stream:
            stream.send_event("one\ntwo", event="tick", id="7", retry=1500)
            stream.send(b": a comment\n\n")
            stream.send_event('{"total": 3}')
            stream.send_event("caf\xe9\n", event="tock")

    threading.Thread(target=send).start()
    return stream


@app.get("/text")
def text(req: PyreRequest) -> PyreResponse:
    pieces = ("caf\xe9\r\nth\xe9".encode("latin-1")[at : at + 3] for at in range(0, 9, 3))
    return PyreResponse(pieces, content_type="text/plain; charset=latin-1")


@app.get("/refused")
def refused(req: PyreRequest) -> PyreResponse:
    return PyreResponse({"error": "no"}, status_code=403, headers={"Set-Cookie": "a=1"})


@app.get("/moved/{where}")
def moved(where: str) -> PyreResponse:
    return redirect(f"/{where}/3")


@app.get("/client")
def client_of(req: PyreRequest) -> Iterator[str]:
    assert req.client is not None
    yield str(req.client[1])


@app.post("/upload")
def upload(req: PyreRequest) -> dict[str, Any]:
    names = ("transfer-encoding", "content-length", "content-type")
    return {"body": req.body.decode(), **{name: req.headers.get(name) for name in names}}


@pytest.fixture(scope="module", params=["default", "subinterp"])
def client(request: pytest.FixtureRequest) -> Iterator[TestClient]:
    with TestClient(app, mode=request.param) as client:
        yield client


# What comes.


def test_a_streamed_response(client: TestClient) -> None:
    with client.stream("get", "/count/3", params={"a": 1}) as response:
        assert (response.status_code, response.reason, response.ok) == (200, "OK", True)
        assert response.headers["Transfer-Encoding"] == "chunked"
        assert (response.method, response.url) == ("GET", f"{client.base_url}/count/3?a=1")
        assert repr(response) == "<StreamedResponse [200 OK]>"
        with pytest.raises(RuntimeError, match="read first"):
            _ = response.text
        assert response.read() == response.read() == b"0\n1\n2\n"
        assert list(response.iter_lines()) == ["0", "1", "2"]
    assert (response.body, response.content, response.text) == (b"0\n1\n2\n",) * 2 + ("0\n1\n2\n",)
    assert response.elapsed.total_seconds() > 0
    assert list(response.iter_bytes(4)) == [b"0\n1\n", b"2\n"]


def test_an_ordinary_request_reads_the_whole(client: TestClient) -> None:
    response = client.get("/count/3")
    assert (response.text, list(response.iter_lines())) == ("0\n1\n2\n", ["0", "1", "2"])
    assert next(client.get("/events").iter_events()).data == "one\ntwo"
    assert client.head("/count/3").body == b""


@pytest.mark.parametrize(
    ("way", "expected"),
    [
        (lambda response: b"".join(response.iter_bytes()), b"caf\xe9\r\nth\xe9"),
        (lambda response: list(response.iter_bytes(4)), [b"caf\xe9", b"\r\nth", b"\xe9"]),
        (lambda response: "".join(response.iter_text()), "caf\xe9\r\nth\xe9"),
        (lambda response: list(response.iter_text(5)), ["caf\xe9\r", "\nth\xe9"]),
        (lambda response: list(response.iter_lines()), ["caf\xe9", "th\xe9"]),
    ],
)
def test_ways_to_read(client: TestClient, way: Any, expected: object) -> None:
    with client.stream("GET", "/text") as response:
        assert way(response) == expected
        with pytest.raises(RuntimeError, match="comes once"):
            response.read()
        with pytest.raises(RuntimeError, match="comes once"):
            list(response.iter_bytes())


def test_events_of_a_stream(client: TestClient) -> None:
    with client.stream("GET", "/events") as response:
        assert list(response.iter_events()) == [
            ServerSentEvent("one\ntwo", "tick", "7", 1500),
            ServerSentEvent('{"total": 3}', "message", "7"),
            ServerSentEvent("caf\xe9\n", "tock", "7"),
        ]


def test_a_piece_comes_before_the_next_one_is_made(client: TestClient) -> None:
    with Gate() as gate, client.stream("GET", f"/held/{gate.port}") as response:
        found = response.iter_lines()
        assert next(found) == "begun"
        gate.entered()
        gate.release("generator", "released")
        assert list(found) == ["released"]


@pytest.mark.parametrize("path", ["endless", "asleep"])
@pytest.mark.parametrize("reads", [0, 1])
def test_who_leaves_early_is_gone(client: TestClient, path: str, reads: int) -> None:
    with Gate() as gate:
        with client.stream("GET", f"/{path}/{gate.port}") as response:
            for _, piece in zip(range(reads), response.iter_bytes(), strict=False):
                assert piece
        assert gate.entered() == "left"
        with pytest.raises(RuntimeError, match="is closed"):
            response.read()
        response.close()


def test_an_error_inside_of_the_with_closes(client: TestClient) -> None:
    with Gate() as gate:
        with pytest.raises(LookupError), client.stream("GET", f"/endless/{gate.port}"):
            raise LookupError
        assert gate.entered() == "left"


def test_another_thread_closes(client: TestClient) -> None:
    with Gate() as gate, client.stream("GET", f"/asleep/{gate.port}") as response:
        found = response.iter_lines()
        assert next(found) == "begun"
        closer = threading.Timer(0.01, response.close)
        closer.start()
        with pytest.raises(RuntimeError, match="is closed"):
            next(found)
        closer.join()
        assert gate.entered() == "left"


@pytest.mark.parametrize(
    ("path", "came", "error"),
    [("/broken", b"begun", "last chunk is missing"), ("/short", b"abc", "should be 10")],
)
def test_a_body_that_is_cut_off(client: TestClient, path: str, came: bytes, error: str) -> None:
    seen: list[bytes] = []
    with client.stream("GET", path) as response:
        found = response.iter_bytes()
        with pytest.raises(IncompleteBody, match=rf"GET http://.*{path} was cut off .*{error}"):
            seen.extend(found)
    assert b"".join(seen) == came
    with pytest.raises(IncompleteBody, match=error):
        client.get(path)
    with client.stream("GET", path) as response, pytest.raises(IncompleteBody, match=error):
        response.read()


def test_a_piece_that_is_late(client: TestClient) -> None:
    seen: list[str] = []
    with (
        pytest.raises(TimeoutError, match=r"GET http://.* had no whole answer .* 0\.5 s"),
        client.stream("GET", "/forever", timeout=0.5) as response,
    ):
        seen.extend(response.iter_lines())
    assert seen in ([], ["begun"])
    with pytest.raises(TimeoutError, match=r"no whole answer"):
        client.get("/forever", timeout=0.2)


def test_a_refusal(client: TestClient) -> None:
    with client.stream("GET", "/refused") as response:
        with pytest.raises(ValueError, match="answered 403 with content type 'application/json'"):
            response.iter_events()
        response.read()
        with pytest.raises(Exception, match="403 Forbidden for GET") as raised:
            response.raise_for_status()
        assert raised.value.response is response  # type: ignore[attr-defined]
        assert (response.json(), response.cookies) == ({"error": "no"}, {"a": "1"})


def test_redirects_of_a_streamed_request(client: TestClient) -> None:
    with client.stream("GET", "/moved/count") as response:
        assert [before.status_code for before in response.history] == [302]
        assert response.read() == b"0\n1\n2\n"
    with client.stream("GET", "/moved/count", follow_redirects=False) as response:
        assert (response.status_code, response.history) == (302, [])


def test_responses_without_a_body(client: TestClient) -> None:
    with client.stream("HEAD", "/count/3") as response:
        assert (response.ok, list(response.iter_bytes())) == (True, [])


def test_connections_are_kept_after_the_end_only(client: TestClient) -> None:
    ports = set()
    for _ in range(3):
        with client.stream("GET", "/client") as response:
            ports.add(response.read())
    assert ports == {client.get("/client").body}
    idle = client._connections._idle
    kept = idle[-1]
    with client.stream("GET", "/client") as response:
        assert response.ok
        assert kept not in idle
    assert kept not in idle


def test_what_it_does_not_know_is_refused(client: TestClient) -> None:
    with (
        pytest.raises(TypeError, match="content"),
        client.stream("GET", "/", content=b"x"),  # type: ignore[call-arg]
    ):
        pass


# What is sent.


@pytest.mark.parametrize("name", ["data", "body"])
def test_bodies_in_pieces(client: TestClient, name: str) -> None:
    pieces: Any = (piece for piece in ("one ", b"", b"two ", bytearray(b"three")))
    seen = client.post("/upload", **{name: pieces}).json()
    assert seen == {
        "body": "one two three",
        "transfer-encoding": "chunked",
        "content-length": None,
        "content-type": None,
    }
    with client.stream("POST", "/upload", **{name: iter([])}) as response:
        response.read()
        assert response.json() == seen | {"body": ""}


@pytest.mark.parametrize("name", ["data", "body"])
def test_bodies_in_pieces_with_a_length(client: TestClient, name: str) -> None:
    given: Any = {name: iter([b"one", b"two"]), "headers": {"content-length": "6"}}
    seen = client.post("/upload", **given).json()
    assert (seen["body"], seen["content-length"]) == ("onetwo", "6")
    assert seen["transfer-encoding"] is None


def test_a_body_that_fails_in_the_middle(client: TestClient) -> None:
    def body() -> Iterator[bytes]:
        yield b"one"
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        client.post("/upload", body=body())
    assert client.post("/upload", body=iter([b"two"])).json()["body"] == "two"
