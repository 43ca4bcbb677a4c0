"""Messages in and out, with a client that others have written and with frames of our own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest
import websockets
from frames import (
    BINARY,
    CONTINUATION,
    DEFLATE,
    PING,
    PONG,
    TEXT,
    Wire,
    close_frame,
    deflated,
    frame,
)
from gate import Gate
from places import PLACES
from serving import Server, serve
from websockets.asyncio.client import ClientConnection, connect

KINDS = pytest.mark.parametrize("kind", ["async", "def"])
COMPRESSIONS = pytest.mark.parametrize("compression", [None, "deflate"])


@pytest.fixture(scope="module", params=PLACES)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve("sockets", **PLACES[request.param]) as server:
        yield server


def opened(server: Server, path: str, compression: str | None = None) -> connect:
    url = server.url.replace("http://", "ws://") + path
    return connect(url, compression=compression, max_size=None, ping_interval=None)


MESSAGES = [
    "",
    b"",
    "a",
    "ä €\N{GRINNING FACE}\0",
    b"\0\xff" * 3,
    "x" * 125,
    "x" * 126,
    b"y" * 65535,
    b"y" * 65536,
    "long " * 300_000,
    bytes(range(256)) * 20_000,
]


@KINDS
@COMPRESSIONS
def test_what_is_sent_comes_back(server: Server, kind: str, compression: str | None) -> None:
    async def talk() -> None:
        async with opened(server, f"/{kind}/echo", compression) as ws:
            agreed = [one.name for one in ws.protocol.extensions]
            assert agreed == (["permessage-deflate"] if compression else [])
            for message in MESSAGES:
                await ws.send(message)
                assert await ws.recv() == message
            for message in MESSAGES:
                await ws.send(message)
            for message in MESSAGES:
                assert await ws.recv() == message
            # In fragments.
            await ws.send(["one ", "", "two ", "three"])
            assert await ws.recv() == "one two three"
        assert ws.close_code == 1000

    asyncio.run(talk())


@KINDS
def test_each_method(server: Server, kind: str) -> None:
    async def talk() -> None:
        async with opened(server, f"/{kind}/methods") as ws:
            for message in ("text", b"bytes", "text", b"bytes"):
                await ws.send(message)
            assert await ws.recv() == repr(
                ["text", b"bytes", ("text", "text"), ("binary", b"bytes")]
            )
            assert await ws.recv() == b"bytes"
            assert json.loads(await ws.recv()) == {"a": [1, None, "ä"]}

    asyncio.run(talk())


@KINDS
def test_after_the_end_there_is_none(server: Server, kind: str) -> None:
    with Wire.open(server, f"/{kind}/methods") as wire:
        for opcode in (TEXT, BINARY, TEXT, BINARY):
            wire.send(frame(opcode, b"x"))
        assert "binary" in wire.text()
        assert [wire.message().opcode for _ in range(2)] == [BINARY, TEXT]
        wire.send(close_frame(3000, b"enough"))
        wire.expect_close(3000)
        wire.expect_end()


@KINDS
@pytest.mark.parametrize(("sent", "got"), [([BINARY], "text is"), ([TEXT, TEXT], "bytes are")])
def test_a_message_of_the_other_kind_closes(
    server: Server, kind: str, sent: list[int], got: str
) -> None:
    with Wire.open(server, f"/{kind}/methods") as wire:
        for opcode in sent:
            wire.send(frame(opcode, b"x"))
        assert wire.expect_close(1003).payload[2:] == f"{got} expected".encode()
        wire.send(close_frame(1003))
        wire.expect_end()


@KINDS
def test_wrong_calls_say_so(server: Server, kind: str) -> None:
    with Wire.open(server, f"/{kind}/wrong") as wire:
        said = wire.text()
    errors = "TypeError TypeError TypeError TypeError ValueError ValueError ValueError ValueError"
    assert said.startswith(f"{errors} TypeError AttributeError TypeError")
    assert ("async for" in said) == (kind == "async")


@KINDS
def test_waiting_has_an_end(server: Server, kind: str) -> None:
    with Wire.open(server, f"/{kind}/timeout") as wire:
        assert wire.text() == "nobody"
        assert wire.text() == "again nobody"
        wire.say("now")
        assert wire.text() == "now"


def test_tasks_receive(server: Server) -> None:
    with Wire.open(server, "/tasks") as wire:
        assert wire.text() == "go"
        for text in ("one", "two", "three"):
            wire.say(text)
        assert wire.text() == "one ['two', 'three'] True"
        wire.say("four")
        assert wire.text() == "four"


def test_waiting_that_is_given_up_loses_nothing(server: Server) -> None:
    with Wire.open(server, "/impatient") as wire:
        assert wire.text() == "has given up"
        for number in range(50):
            wire.expect_silence(0.005)
            wire.say(str(number))
            assert wire.text() == str(number)
        wire.close()


def test_an_event_loop_of_the_handler(server: Server) -> None:
    with Wire.open(server, "/own-loop") as wire:
        for number in range(20):
            wire.say(str(number))
            assert wire.text() == str(number)
        wire.say("bye")
        wire.say("so long")
        assert wire.text() == "so long"
        wire.expect_close(1000)


@COMPRESSIONS
def test_threads_send_large_messages(server: Server, compression: str | None) -> None:
    async def talk() -> list[str]:
        async with opened(server, "/large-threads", compression) as ws:
            return [str(message) async for message in ws]

    got = asyncio.run(talk())
    assert got.pop() == "all"
    for name in "abcd":
        own = [text for text in got if text.startswith(name)]
        assert own == [
            f"{name} {number} " * (20_000 if number % 2 else 100) for number in range(20)
        ]


def test_one_who_says_much_leaves_the_others_their_turns(server: Server) -> None:
    """A coroutine that never has to wait for a message lets others on its loop have a turn."""
    with Gate() as gate, Wire.open(server, f"/many/{gate.port}") as wire:
        gate.entered()
        wire.send(frame(TEXT, b"x") * 3000 + frame(TEXT, b"last"))
        # The answer shows that what lies before the ping has been read.
        wire.send(frame(PING))
        assert wire.read().opcode == PONG
        gate.release_all()
        assert int(wire.text()) >= 5


def test_a_task_that_a_handler_leaves_behind_comes_to_the_end(server: Server) -> None:
    seen = len(server.output.lines)
    with Wire.open(server, "/left-behind") as wire:
        assert wire.text() == "left"
        wire.expect_close(1000)
        server.output.wait_for("left behind got None", since=seen)


def test_threads_send(server: Server) -> None:
    with Wire.open(server, "/threads") as wire:
        got = [wire.text() for _ in range(151)]
    assert got.pop() == "all"
    for name in "abc":
        own = [text for text in got if text.startswith(name)]
        assert own == [f"{name} {number}" for number in range(50)]


@KINDS
def test_pings_are_answered_between_fragments(server: Server, kind: str) -> None:
    with Wire.open(server, f"/{kind}/echo") as wire:
        wire.send(frame(TEXT, b"one ", final=False) + frame(PING, b"there?"))
        answer = wire.read()
        assert (answer.opcode, answer.payload) == (PONG, b"there?")
        wire.send(frame(PONG, b"unasked") + frame(CONTINUATION, b"two"))
        assert wire.text() == "one two"
        wire.send(b"".join(frame(PING, bytes([number])) for number in range(20)))
        pongs = [wire.read() for _ in range(20)]
        assert [pong.payload for pong in pongs] == [bytes([number]) for number in range(20)]
        wire.close()


@KINDS
def test_byte_by_byte(server: Server, kind: str) -> None:
    whole = frame(TEXT, "ä€".encode(), final=False) + frame(PING) + frame(CONTINUATION, b"x" * 130)
    with Wire.open(server, f"/{kind}/echo") as wire:
        for byte in whole:
            wire.send(bytes([byte]))
        assert wire.text() == "ä€" + "x" * 130
        wire.close()


@KINDS
def test_compression_is_agreed_and_kept_to(server: Server, kind: str) -> None:
    text = "again and again " * 100
    with Wire.open(server, f"/{kind}/echo", [DEFLATE]) as wire:
        assert wire.head["sec-websocket-extensions"] == "permessage-deflate"
        wire.send(frame(TEXT, deflated(text.encode()), reserved=4))
        got = wire.message()
        assert got.is_compressed
        assert len(got.payload) < len(text) / 10
        # A short one is not worth it; nor does the client have to.
        wire.say("short")
        got = wire.message()
        assert (got.is_compressed, got.payload) == (False, b"short")
        # In fragments: only the first says that it is compressed.
        piece = deflated(text.encode())
        wire.send(frame(TEXT, piece[:5], reserved=4, final=False) + frame(CONTINUATION, piece[5:]))
        assert wire.message().is_compressed
        wire.close()
    no_takeover = "permessage-deflate; server_no_context_takeover; server_max_window_bits=10"
    with Wire.open(server, f"/{kind}/echo", [(DEFLATE[0], no_takeover)]) as wire:
        assert wire.head["sec-websocket-extensions"] == no_takeover
        for _ in range(3):
            wire.say(text)
            assert wire.text() == text
        wire.close()


def test_a_route_may_do_without_compression(server: Server) -> None:
    with Wire.open(server, "/plain", [DEFLATE]) as wire:
        assert "sec-websocket-extensions" not in wire.head
        wire.say("x" * 1000)
        assert not wire.message().is_compressed


@KINDS
def test_many_at_once(server: Server, kind: str) -> None:
    """Conversations of many clients do not mix, and none waits for another one."""

    async def talk(name: int) -> None:
        async with opened(server, f"/{kind}/echo") as ws:
            for number in range(20):
                await ws.send(f"{name} {number}")
                assert await ws.recv() == f"{name} {number}"

    async def all_of_them() -> None:
        async with asyncio.TaskGroup() as group:
            for name in range(100):
                group.create_task(talk(name))

    asyncio.run(all_of_them())


def test_a_client_that_others_have_written_closes_in_order(server: Server) -> None:
    async def talk() -> ClientConnection:
        async with opened(server, "/async/echo") as ws:
            await ws.close(4000, "so long")
        return ws

    ws = asyncio.run(talk())
    assert (ws.close_code, ws.close_reason) == (4000, "")
    assert isinstance(
        ws.protocol.close_exc, websockets.ConnectionClosedOK | websockets.ConnectionClosedError
    )
