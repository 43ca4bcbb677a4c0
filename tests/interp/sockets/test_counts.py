"""What is counted and logged of WebSockets."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from typing import Any

import pytest
from dialogue import Peer
from frames import BINARY, CLOSE, TEXT, Wire, close_frame, frame, handshake
from gate import Gate
from serving import Server, Write, serve, wait_until


def metrics(peer: Peer) -> dict[str, float]:
    """All samples that are about WebSockets, by their name and labels."""
    found = re.findall(r"^(pyre_websocket\S+) (\S+)$", peer.get("/metrics").text, re.MULTILINE)
    return {name: float(value) for name, value in found}


def access_records(server: Server) -> list[dict[str, Any]]:
    """The lines of the access log so far."""
    lines = [json.loads(line) for line in server.output.text().splitlines() if line[:1] == "{"]
    return [line for line in lines if line["logger"] == "pyre.access"]


@pytest.mark.parametrize("kind", ["async", "def"])
def test_sockets_messages_and_bytes_are_counted(kind: str) -> None:
    with serve("sockets", metrics=True, io_workers=1) as server, server.connect() as peer:
        with Wire.open(server, f"/{kind}/echo") as wire, Wire.open(server, f"/{kind}/echo") as two:
            for size in (1, 10, 100):
                wire.send(frame(BINARY, b"x" * size))
                assert len(wire.message().payload) == size
            two.say("a")
            assert two.text() == "a"
            counted = metrics(peer)
            assert counted.pop("pyre_websockets_open") == 2
            assert counted == {
                "pyre_websockets_total": 2,
                'pyre_websocket_messages_total{direction="received"}': 4,
                'pyre_websocket_messages_total{direction="sent"}': 4,
                'pyre_websocket_bytes_total{direction="received"}': 112,
                'pyre_websocket_bytes_total{direction="sent"}': 112,
            }
            two.abort()
            wire.close()
        wait_until(lambda: metrics(peer)["pyre_websockets_open"] == 0, "both have ended")
        # One that is refused is none.
        with server.connect() as other:
            other.send(handshake(f"/{kind}/refuse/error"))
            assert other.reply().status == 403
        counted = metrics(peer)
        assert counted["pyre_websockets_total"] == 2
        assert counted['pyre_websocket_messages_total{direction="sent"}'] == 4
        page = peer.get("/metrics").text
        template = f'method="GET",route="/{kind}/'
        assert f'{template}echo",status="101"}} 2' in page
        assert f'{template}refuse/{{how}}",status="403"}} 1' in page


def record_after(server: Server, count: int) -> dict[str, Any]:
    """The next line of the access log behind so many, once it is there."""
    wait_until(lambda: len(access_records(server)) > count, "one more line of the access log")
    return access_records(server)[-1]


def by_the_client(code: int | None) -> Callable[[Wire], None]:
    """Close with this code; None for a close frame without one."""

    def close(wire: Wire) -> None:
        wire.send(close_frame(code))
        wire.expect_close(1005 if code is None else code)

    return close


def goes(wire: Wire) -> None:
    wire.abort()


def breaks_a_rule(wire: Wire) -> None:
    wire.send(frame(TEXT, b"a", key=None))
    wire.expect_close(1002)


def is_closed(code: int) -> Callable[[Wire], None]:
    """Let the handler come to its end, and answer the close frame of the server."""

    def close(wire: Wire) -> None:
        wire.say("go")
        while (found := wire.message()).opcode != CLOSE:
            pass
        assert found.code == code
        wire.send(close_frame(code))
        wire.expect_end()

    return close


ENDS = [
    ("/echo", by_the_client(1000), 1000),
    ("/echo", by_the_client(4001), 4001),
    ("/echo", by_the_client(None), 1005),
    ("/echo", goes, 1006),
    ("/echo", breaks_a_rule, 1002),
    ("/raise", is_closed(1011), 1011),
    ("/close/3000", is_closed(3000), 3000),
    ("/wrong", is_closed(1000), 1000),
]


@pytest.mark.parametrize("kind", ["async", "def"])
def test_the_access_log_has_a_line_at_the_end_with_the_close_code(kind: str) -> None:
    with serve("sockets", access_log=True, log_format="json") as server:
        for number, (path, end, code) in enumerate(ENDS):
            with Wire.open(server, f"/{kind}{path}?{number}", [("X-Some", str(number))]) as wire:
                if path == "/echo":
                    wire.send(frame(TEXT, b"x" * 1000))
                    wire.message()
                assert len(access_records(server)) == number
                end(wire)
            record = record_after(server, number)
            assert (record["path"], record["status"]) == (f"/{kind}{path}", 101)
            assert record["close_code"] == code, record
            assert record["message"] == f"GET /{kind}{path} HTTP/1.1 101"
            if path == "/echo":
                assert record["bytes"] == 1000
            assert 0 <= record["duration_ms"] < 30_000
        # What never was a WebSocket has none.
        with server.connect() as peer:
            peer.send(handshake(f"/{kind}/refuse/error"))
            assert peer.reply().status == 403
        assert server.get("/plain-request").status == 200
        plain = record_after(server, len(ENDS) + 1)
        refused = access_records(server)[-2]
        assert (refused["status"], plain["status"]) == (403, 200)
        assert "close_code" not in refused
        assert "close_code" not in plain


def test_the_access_log_has_the_close_code_of_a_goodbye() -> None:
    with serve("sockets", access_log=True, log_format="json") as server:
        with Wire.open(server, "/async/echo") as stays, Wire.open(server, "/def/echo") as goes:
            server.signal(signal.SIGTERM)
            goes.expect_close(1001)
            goes.abort()
            stays.expect_close(1001)
            stays.send(close_frame(1001))
            stays.expect_end()
        assert server.wait() == 0
        codes = {record["path"]: record["close_code"] for record in access_records(server)}
    # Also of the one who went without a word: this side had closed before.
    assert codes == {"/async/echo": 1001, "/def/echo": 1001}


def test_the_close_code_of_a_goodbye_that_nobody_answers() -> None:
    with serve("sockets", access_log=True, log_format="json") as server:
        with Wire.open(server, "/async/echo") as wire:
            server.signal(signal.SIGTERM)
            wire.expect_close(1001)
            assert server.wait() == 0
        (record,) = access_records(server)
    assert record["close_code"] == 1001


@pytest.mark.parametrize("kind", ["async", "def"])
def test_a_client_that_goes_before_its_handshake_is_refused(kind: str) -> None:
    """It is no fault of the handler, and nobody has become a WebSocket."""
    with serve("sockets", access_log=True, log_format="json") as server, Gate() as gate:
        with server.connect() as peer:
            peer.send(handshake(f"/{kind}/refuse-late/{gate.port}"))
            assert gate.entered() == "late"
            peer.abort()
        record = record_after(server, 0)
        gate.release("late")
        assert record["status"] == 499
        assert "close_code" not in record
        # What the handler has raised is dealt with once its tasks have ended.
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert "ERROR" not in server.output.text()


def test_a_text_of_the_access_log_shows_the_close_code() -> None:
    with serve("sockets", access_log=True) as server:
        with Wire.open(server, "/async/echo") as wire:
            wire.close(4001)
        server.output.wait_for(
            r'pyre\.access: 127\.0\.0\.1 "GET /async/echo HTTP/1\.1" 101 0 \d+\.\d{3}ms '
            r"close_code=4001 route=/async/echo$"
        )
        server.get("/plain-request")
        server.output.wait_for(
            r'"GET /plain-request HTTP/1\.1" 200 \d+ \S+ms route=/plain-request$'
        )


def test_handlers_of_the_program_get_the_close_code(write: Write) -> None:
    file = write(
        "shown.py",
        """
        import logging

        from pyreframework import Pyre

        logging.basicConfig(level=logging.INFO)

        class Shown(logging.Handler):
            def emit(self, record):
                code = getattr(record, "close_code", "none")
                print("code:", record.path, code, type(code).__name__, flush=True)

        logging.getLogger("pyre.access").addHandler(Shown())
        app = Pyre()

        @app.websocket("/ws")
        async def ws(ws):
            await ws.recv()

        @app.get("/")
        def plain(req):
            return "plain"

        app.run()
        """,
    )
    with serve(file, access_log=True) as server:
        Wire.open(server, "/ws").abort()
        server.output.wait_for(r"^code: /ws 1006 int$")
        assert server.get("/").status == 200
        server.output.wait_for(r"^code: / none str$")
