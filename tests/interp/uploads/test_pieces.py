"""A handler reads the body of a request as it comes, wherever it runs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest
from dialogue import Peer, request
from gate import Gate
from places import PLACES
from serving import Server, serve

CHUNKED = [("Transfer-Encoding", "chunked")]
DATA = bytes(range(256)) * 4096
KINDS = pytest.mark.parametrize("kind", ["def", "async"])


@pytest.fixture(scope="module", params=PLACES.values(), ids=PLACES)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve("uploads", **request.param) as server:
        yield server


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def chunks(data: bytes, size: int) -> bytes:
    parts = [chunk(data[at : at + size]) for at in range(0, len(data), size)]
    return b"".join(parts) + b"0\r\n\r\n"


def ways(data: bytes) -> list[tuple[list[tuple[str, str]], bytes]]:
    """A body as it may stand on the wire."""
    return [
        ([("Content-Length", str(len(data)))], data),
        (CHUNKED, chunks(data, 1000)),
        (CHUNKED, chunks(data, 70_000)),
    ]


def send_apart(peer: Peer, target: str, fields: list[tuple[str, str]], body: bytes) -> None:
    """A request whose body does not come with its head: a part of it is sent some time later."""
    peer.send(request("POST", target, fields) + body[:1])
    peer.send(body[1:])


@KINDS
def test_each_piece_comes_when_it_is_there(server: Server, kind: str) -> None:
    """And the connection goes on behind the last one."""
    with server.connect() as peer, Gate() as gate:
        for fields, frame, end in [
            (CHUNKED, chunk, b"0\r\nTrailer: x\r\n\r\n"),
            ([("Content-Length", "9")], bytes, b""),
        ]:
            peer.send(request("POST", f"/{kind}/steps/{gate.port}", fields))
            for name in ["one", "two", "six"]:
                peer.send(frame(name.encode()))
                assert gate.entered() == name
                gate.release(name, f"{name} told")
            peer.send(end)
            reply = peer.reply()
            assert reply.json() == ["one told", "two told", "six told"]
            assert not reply.closes
        assert peer.get("/").text == "hello"


def test_one_who_sends_much_leaves_the_others_their_turns(server: Server) -> None:
    """A coroutine that never has to wait for a piece lets others on its loop have a turn."""
    with server.connect() as peer, Gate() as gate:
        peer.send(request("POST", f"/async/turns/{gate.port}", [("Content-Length", "100000")]))
        assert gate.entered() == "turns"
        peer.send(b"x" * 100_000)
        gate.release("turns")
        assert peer.reply().json() >= 5


@KINDS
@pytest.mark.parametrize("way", range(3))
def test_nothing_of_a_large_body_is_lost(server: Server, kind: str, way: int) -> None:
    fields, body = ways(DATA)[way]
    with server.connect() as peer:
        for _ in range(2):
            send_apart(peer, f"/{kind}/digest", fields, body)
            found = peer.reply().json()
            assert found["bytes"] == len(DATA) and found["pieces"] > 1
            assert found["sha"] == hashlib.sha256(DATA).hexdigest()


@KINDS
@pytest.mark.parametrize("body", [b"", b"x", b"hello"])
def test_a_body_that_comes_with_its_head(server: Server, kind: str, body: bytes) -> None:
    for fields, sent in [([("Content-Length", str(len(body)))], body), (CHUNKED, chunks(body, 2))]:
        found = server.request("POST", f"/{kind}/digest", fields, sent).json()
        assert (found["bytes"], found["sha"]) == (len(body), hashlib.sha256(body).hexdigest())
        assert found["pieces"] <= 1


@KINDS
@pytest.mark.parametrize("way", range(3))
def test_reading_so_many_bytes(server: Server, kind: str, way: int) -> None:
    """As many as were asked for, but for the last ones."""
    fields, body = ways(DATA)[way]
    for n in [3000, 65536, 700_000, len(DATA), len(DATA) + 1]:
        with server.connect() as peer:
            send_apart(peer, f"/{kind}/read/{n}", fields, body)
            whole, rest = divmod(len(DATA), n)
            assert peer.reply().json() == [n] * whole + ([rest] if rest else [])
    assert server.post(f"/{kind}/read/2", b"hello").json() == [2, 2, 1]


@KINDS
def test_the_body_as_a_whole(server: Server, kind: str) -> None:
    """Where its route takes it as it comes: in `def` it is waited for."""
    form = [("Content-Type", "application/x-www-form-urlencoded")]
    for what, body, expected in [
        ("body", b"hello", "hello"),
        ("text", "gr\u00fcn".encode(), "gr\u00fcn"),
        ("json", b'{"a": [1, 2]}', {"a": [1, 2]}),
        ("form", b"a=1&b=2", {"a": "1", "b": "2"}),
    ]:
        target = f"/{kind}/what/{what}"
        assert server.request("POST", target, form, body).json() == {"is": expected}
        with server.connect() as peer:
            send_apart(peer, target, [*form, *CHUNKED], chunks(body, 2))
            assert peer.reply().json() == {"is": expected}


def test_what_is_no_json_is_the_clients_fault(server: Server) -> None:
    for kind in ["def", "async"]:
        with server.connect() as peer:
            send_apart(peer, f"/{kind}/what/json", [("Content-Length", "2")], b"{]")
            reply = peer.reply()
            assert (reply.status, reply.json()) == (400, {"error": "bad request"})


@KINDS
def test_a_body_of_which_a_part_was_read_is_no_whole(server: Server, kind: str) -> None:
    for fields, body in ways(b"hello"):
        for apart in [False, True]:
            with server.connect() as peer:
                if apart:
                    send_apart(peer, f"/{kind}/part", fields, body)
                else:
                    peer.send(request("POST", f"/{kind}/part", fields) + body)
                first, error, rest = peer.reply().json()
                assert (first, rest) == ("h", "ello")
                assert "a part of the body has been read" in error


@KINDS
def test_what_has_been_read_is_not_read_again(server: Server, kind: str) -> None:
    """As with a file; as a whole it is there."""
    for fields, body in ways(b"hello world"):
        with server.connect() as peer:
            send_apart(peer, f"/{kind}/again", fields, body)
            assert peer.reply().json() == [11, 0, 0, 0, 11, 11]


@KINDS
def test_what_goes_through_the_pieces_is_of_one_kind(server: Server, kind: str) -> None:
    """In a coroutine: libraries that take either go through what is both as a thread would."""
    for fields, body in ways(b"hello world"):
        with server.connect() as peer:
            send_apart(peer, f"/{kind}/kinds", fields, body)
            assert peer.reply().json() == [[True, kind == "def"], "hello world"]


@KINDS
def test_it_may_be_read_elsewhere(server: Server, kind: str) -> None:
    """By a thread of the program, and on an event loop of its own."""
    for fields, body in ways(DATA):
        with server.connect() as peer:
            send_apart(peer, f"/{kind}/thread", fields, body)
            assert peer.reply().json()["sha"] == hashlib.sha256(DATA).hexdigest()


def test_two_tasks_may_read(server: Server) -> None:
    for fields, body in ways(DATA):
        with server.connect() as peer:
            send_apart(peer, "/async/two", fields, body)
            assert peer.reply().json() == {"bytes": len(DATA)}


def test_a_coroutine_is_not_to_wait(server: Server) -> None:
    assert "async for piece in req.stream()" in server.post("/async/wrong", b"hello").text


def test_routes_that_get_whole_bodies_can_read_in_pieces(server: Server) -> None:
    for fields, body in ways(DATA[:5000]):
        with server.connect() as peer:
            send_apart(peer, "/def/whole", fields, body)
            assert peer.reply().json() == [[5000], 5000, []]
            send_apart(peer, "/async/whole", fields, body)
            assert peer.reply().json() == [[2, 4998], 5000, []]


@KINDS
def test_an_echo_while_the_body_comes(server: Server, kind: str) -> None:
    with server.connect() as peer:
        for _ in range(2):
            peer.send(request("POST", f"/{kind}/echo", CHUNKED))
            for word in [b"one", b"two"]:
                peer.send(chunk(word))
                while word not in peer.received:
                    peer.receive(1000)
            peer.send(b"0\r\n\r\n")
            reply = peer.reply()
            assert (reply.body, reply.closes) == (b"onetwo", False)


@KINDS
def test_an_echo_of_much(server: Server, kind: str) -> None:
    """The client sends and reads in turn; each side may be full in between."""
    sent = DATA * 8
    with server.connect() as peer:
        peer.send(request("POST", f"/{kind}/echo", [("Content-Length", str(len(sent)))]))
        left = memoryview(sent)
        peer.socket.setblocking(False)
        while left:
            try:
                left = left[peer.socket.send(left[:100_000]) :]
            except BlockingIOError:
                pass
            try:
                peer.received += peer.socket.recv(200_000)
            except BlockingIOError:
                pass
        peer.socket.settimeout(30)
        assert peer.reply().body == sent
        assert peer.get("/").text == "hello"


@KINDS
def test_requests_before_and_behind(server: Server, kind: str) -> None:
    """What stands before is answered first; what stands behind waits for the answer."""
    hello = request("GET", "/")
    lost = request("GET", "/nothing")
    for fields, body in ways(b"hello world"):
        upload = request("POST", f"/{kind}/digest", fields) + body
        for cut in [len(upload) - 1, len(upload) - len(body), len(upload) - len(body) - 1]:
            with server.connect() as peer:
                peer.send(hello + lost + upload[:cut])
                assert peer.reply().text == "hello"
                assert peer.reply().status == 404
                peer.send(upload[cut:] + hello + upload + hello)
                for _ in range(2):
                    reply = peer.reply()
                    assert reply.json()["bytes"] == 11 and not reply.closes
                    assert peer.reply().text == "hello"
