"""The opening handshake: what is answered by 101, and by what else."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from dialogue import request
from frames import BINARY, TEXT, Wire, close_frame, frame, handshake
from gate import Gate
from places import MAIN, PLACES, WORKER
from serving import Server, serve, wait_until

KINDS = pytest.mark.parametrize("kind", ["async", "def"])


@pytest.fixture(scope="module", params=PLACES)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve("sockets", **PLACES[request.param]) as server:
        yield server


@pytest.fixture(scope="module")
def on_workers() -> Iterator[Server]:
    with serve("sockets", request_timeout=1) as server:
        yield server


@KINDS
def test_what_a_handler_knows_of_its_request(server: Server, kind: str) -> None:
    headers = [
        ("Cookie", "a=1; b=2"),
        ("X-Some", "thing"),
        ("Sec-WebSocket-Protocol", "x, chat.v1"),
    ]
    with Wire.open(server, f"/{kind}/about/7/a%20b?q=1", headers) as wire:
        assert wire.head["sec-websocket-protocol"] == "chat.v1"
        told = json.loads(wire.text())
        wire.expect_close(1000)
        wire.send(close_frame())
        wire.expect_end()
    name, module = told.pop("thread"), told.pop("module")
    assert module in (WORKER, MAIN)
    assert (name == "pyre-websocket") == (kind == "def"), name
    assert told == {
        "number": 7,
        "name": "a b",
        "params": {"number": 7, "name": "a b"},
        "query": {"q": "1"},
        "cookies": {"a": "1", "b": "2"},
        "header": "thing",
        "hook": "seen",
        "client_ip": "127.0.0.1",
        "route": f"/{kind}/about/{{number:int}}/{{name}}",
        "path": f"/{kind}/about/7/a%20b",
        "offered": ["x", "chat.v1"],
        "chosen": "chat.v1",
        "is_request": True,
        "app": True,
        "draining": False,
        "codes": [None, "", False, False],
    }


REFUSED = {
    "error": (403, {"error": "not you"}),
    "own": (418, {"own": "mine"}),
    "own-async": (409, "async"),
    "fault": (500, {"error": "internal server error"}),
    "stream": (500, {"error": "internal server error"}),
    "object": (500, {"error": "internal server error"}),
    "response": (503, "later"),
}


@KINDS
@pytest.mark.parametrize("how", REFUSED)
def test_a_handshake_is_refused_by_what_comes_before_it_is_accepted(
    server: Server, kind: str, how: str
) -> None:
    with server.connect() as peer:
        peer.send(handshake(f"/{kind}/refuse/{how}"))
        reply = peer.reply()
        status, body = REFUSED[how]
        assert reply.status == status
        assert reply.closes
        if isinstance(body, dict):
            assert reply.json().items() >= body.items()
        else:
            assert reply.text == body
        peer.expect_end()
    if how in ("fault", "stream", "object"):
        server.output.wait_for(f"GET /{kind}/refuse/{{how}}")
    if how == "error":
        assert reply.header("x-why") == "because"


@KINDS
def test_a_handler_that_does_nothing_accepts_and_closes(server: Server, kind: str) -> None:
    with Wire.open(server, f"/{kind}/refuse/no") as wire:
        wire.expect_close(1000)
        wire.send(close_frame())
        wire.expect_end()


@KINDS
def test_accept_says_what_else_the_answer_has(server: Server, kind: str) -> None:
    offered = [("Sec-WebSocket-Protocol", "a, b")]

    def said(how: str) -> str:
        with Wire.open(server, f"/{kind}/accept/{how}", offered) as wire:
            text = wire.text()
            wire.expect_close(1000)
            return text

    assert said("protocol") == "'b'"
    assert said("plain") == "None"
    assert said("other") == "the client does not offer the subprotocol 'c'"
    assert "written by the server" in said("reserved")
    assert said("twice") == "the handshake has been answered"
    with server.connect() as peer:
        peer.send(handshake(f"/{kind}/accept/headers", offered))
        while b"\r\n\r\n" not in peer.received:
            peer.received += peer.socket.recv(4096)
        head = bytes(peer.received)
    for line in (b"X-Mine: 1", b"Set-Cookie: a=1", b"Set-Cookie: b=2"):
        assert b"\r\n" + line + b"\r\n" in head


def fields(**changed: str | None) -> list[tuple[str, str]]:
    """The fields of a handshake, but for those that are changed or left out."""
    all_fields = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    } | {name.replace("_", "-"): value for name, value in changed.items()}
    return [(name, value) for name, value in all_fields.items() if value is not None]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 426),
        (fields(Upgrade=None), 426),
        (fields(Connection="keep-alive"), 426),
        (fields(Sec_WebSocket_Version="8"), 426),
        (fields(Sec_WebSocket_Version=None), 426),
        (fields(Sec_WebSocket_Key=None), 400),
        (fields(Sec_WebSocket_Key="short"), 400),
    ],
)
def test_what_is_no_handshake(
    on_workers: Server, headers: list[tuple[str, str]], status: int
) -> None:
    with on_workers.connect() as peer:
        reply = peer.get("/async/echo", headers)
        assert reply.status == status
        if status == 426:
            assert reply.json() == {"error": "upgrade required"}
            assert reply.header("upgrade") == "websocket"
            assert reply.header("sec-websocket-version") == "13"
            assert reply.header("connection") == "Upgrade"
        # It is an answer as any other: the connection goes on.
        assert peer.get("/plain-request").text == "plain"


def test_other_methods(on_workers: Server) -> None:
    with on_workers.connect() as peer:
        reply = peer.request("POST", "/async/echo")
        assert (reply.status, reply.header("allow")) == (405, "GET, HEAD, OPTIONS")
        assert peer.request("HEAD", "/async/echo").status == 426
        with_body = request("GET", "/async/echo", fields(), b"body")
        peer.send(with_body)
        assert peer.reply().status == 400


def test_a_handshake_with_a_body_that_is_asked_for(on_workers: Server) -> None:
    """It is refused as one with a body that has come, before that is sent."""
    headers = [*fields(), ("Expect", "100-continue"), ("Content-Length", "3")]
    with on_workers.connect() as peer:
        peer.send(request("GET", "/async/echo", headers))
        assert peer.reply().status == 400


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://example.com", 101),
        ("HTTPS://EXAMPLE.COM", 101),
        ("http://localhost:3000", 101),
        (None, 101),
        ("https://example.com.evil.org", 403),
        ("http://example.com", 403),
        ("null", 403),
        ("", 403),
    ],
)
def test_pages_of_other_origins_are_refused(
    on_workers: Server, origin: str | None, status: int
) -> None:
    headers = [] if origin is None else [("Origin", origin)]
    if status == 101:
        with Wire.open(on_workers, "/origins", headers) as wire:
            assert wire.text() == "welcome"
        return
    with on_workers.connect() as peer:
        peer.send(handshake("/origins", headers))
        reply = peer.reply()
        assert (reply.status, reply.json()) == (403, {"error": "forbidden"})


@KINDS
def test_a_before_hook_may_answer(server: Server, kind: str) -> None:
    with server.connect() as peer:
        peer.send(handshake(f"/{kind}/echo", [("X-Refuse", "1")]))
        reply = peer.reply()
        assert (reply.status, reply.json()) == (401, {"error": "refused by a hook"})
        assert reply.header("x-after") == "1"
        # It was no upgrade, and the connection goes on.
        assert peer.get("/plain-request").text == "plain"


@KINDS
def test_a_parameter_that_does_not_convert_finds_no_route(server: Server, kind: str) -> None:
    with server.connect() as peer:
        peer.send(handshake(f"/{kind}/about/seven/a"))
        assert peer.reply().status == 404


@KINDS
def test_frames_that_come_with_the_handshake_are_not_lost(server: Server, kind: str) -> None:
    behind = frame(TEXT, b"early") + frame(BINARY, b"\0\1") + close_frame(1000)
    with Wire.open(server, f"/{kind}/echo", behind=behind) as wire:
        assert wire.text() == "early"
        assert wire.message().payload == b"\0\1"
        wire.expect_close(1000)
        wire.expect_end()


@KINDS
def test_a_handshake_may_follow_another_request(server: Server, kind: str) -> None:
    with server.connect() as peer:
        peer.send(request("GET", "/plain-request") + handshake(f"/{kind}/echo"))
        assert peer.reply().text == "plain"
        head = b""
        while b"\r\n\r\n" not in head:
            part = bytes(peer.received) or peer.socket.recv(4096)
            peer.received.clear()
            head += part
        assert head.startswith(b"HTTP/1.1 101 ")


@KINDS
def test_a_client_that_leaves_within_the_handshake_leaves_nothing_behind(
    server: Server, kind: str
) -> None:
    whole = handshake(f"/{kind}/silent") + frame(TEXT, b"hello")
    before = server.descriptors()
    for end in range(1, len(whole), 7):
        with server.connect() as peer:
            peer.send(whole[:end])
            if end % 2:
                peer.abort()
    wait_until(lambda: server.descriptors() <= before, "all connections are closed")
    with Wire.open(server, f"/{kind}/echo") as wire:
        wire.say("still here")
        assert wire.text() == "still here"


@KINDS
@pytest.mark.parametrize("aborts", [False, True], ids=["closes", "resets"])
def test_a_client_that_leaves_before_the_answer(server: Server, kind: str, aborts: bool) -> None:
    name = f"left-{kind}-{aborts}"
    with Gate() as gate, server.connect() as peer:
        peer.send(handshake(f"/{kind}/pending/{gate.port}/{name}"))
        assert gate.entered() == name
        if aborts:
            peer.abort()
        else:
            peer.socket.close()
        # Its handler learns of it when it asks for a message.
        gate.release(name)
        server.output.wait_for(f"{name} got None (1006|1001|None|1000) ")


@KINDS
def test_a_handler_that_does_not_answer_the_handshake_in_time(
    on_workers: Server, kind: str
) -> None:
    with Gate() as gate, on_workers.connect() as peer:
        peer.send(handshake(f"/{kind}/pending/{gate.port}/late-{kind}"))
        gate.entered()
        reply = peer.reply()
        assert (reply.status, reply.json()) == (504, {"error": "request timeout"})
        assert reply.closes
        gate.release(f"late-{kind}")
        on_workers.output.wait_for(f"late-{kind} got None 1006 True")


def test_threads_of_handlers_are_bounded() -> None:
    with serve("sockets", ws_threads=2, workers=1) as server, Gate() as gate:
        wires = [Wire.open(server, f"/def/gate/{gate.port}/{name}") for name in "ab"]
        for wire in wires:
            assert wire.text() == "here"
            gate.entered()
        with server.connect() as peer:
            peer.send(handshake("/def/echo"))
            reply = peer.reply()
            assert (reply.status, reply.header("retry-after")) == (503, "1")
            assert reply.json() == {"error": "server overloaded"}
        # Coroutines need none of them, nor do other requests.
        with Wire.open(server, "/async/echo") as wire:
            wire.say("x")
            assert wire.text() == "x"
        assert server.get("/plain-request").text == "plain"
        gate.release_all()
        wires[0].close()

        def is_let_in() -> bool:
            with server.connect() as peer:
                peer.send(handshake("/def/silent"))
                return peer.socket.recv(12) == b"HTTP/1.1 101"

        wait_until(is_let_in, "a thread is free again")
        wires[1].close()
