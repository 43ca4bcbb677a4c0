"""`WebSocketTestSession`: what is open when its server stops, and what its methods refuse."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gate import Gate

from pyreframework import Pyre, PyreWebSocket
from pyreframework.testing import TestClient, WebSocketDisconnect, WebSocketTestSession, answering
from pyreframework.testing.answering import Answering
from pyreframework.testing.conversation import Conversation

app = Pyre()


@app.websocket("/echo")
async def echo(ws: PyreWebSocket) -> None:
    async for message in ws:
        await ws.send(message)


@app.websocket("/echo-def")
def echo_def(ws: PyreWebSocket) -> None:
    for message in ws:
        ws.send(message)


@app.websocket("/told/{port:int}/{name}")
async def told(ws: PyreWebSocket, port: int, name: str) -> None:
    """Send two messages, and tell the test that they are sent and how it ended."""
    await ws.send("one")
    await ws.send_bytes(b"two")
    with socket.create_connection(("127.0.0.1", port)) as gate:
        gate.sendall(f"{name}\n".encode())
        while await ws.recv_message() is not None:
            pass


@app.websocket("/ticks")
async def ticks(ws: PyreWebSocket) -> None:
    """Only send."""
    while True:
        await ws.send("tick")
        await asyncio.sleep(0.01)


@app.websocket("/ticks-def")
def ticks_def(ws: PyreWebSocket) -> None:
    while True:
        ws.send("tick")
        time.sleep(0.01)


@pytest.fixture(params=["default", "subinterp"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def ws() -> Iterator[WebSocketTestSession]:
    with TestClient(app) as client, client.websocket_connect("/echo") as ws:
        yield ws
        ws.send_text("still open")
        assert ws.receive_text() == "still open"


# Open when the server stops.


@pytest.mark.parametrize("path", ["/echo", "/echo-def", "/ticks", "/ticks-def"])
def test_sessions_that_are_left_open_are_answered_for(mode: str, path: str) -> None:
    """The server would wait for seconds, as they do not answer its goodbye."""
    with TestClient(app, mode=mode) as client:
        sessions = [client.websocket_connect(path) for _ in range(3)]
        sessions[0].abort()
        sessions[1].send_text("a")
    assert [session.close_code for session in sessions] == [1006, 1001, 1001]
    assert not [each for each in threading.enumerate() if each.name == "pyre-test-answer"]


def test_messages_that_came_before_the_stop_are_kept(mode: str) -> None:
    with Gate() as gate, TestClient(app, mode=mode) as client:
        session = client.websocket_connect(f"/told/{gate.port}/first")
        other = client.websocket_connect(f"/told/{gate.port}/second")
        assert {gate.entered(), gate.entered()} == {"first", "second"}
        client.close()
        assert list(session) == ["one", b"two"]
        with pytest.raises(WebSocketDisconnect, match="1001"):
            session.receive()
        with pytest.raises(WebSocketDisconnect, match="1001"):
            session.send_text("late")
        # Closing drops them, as it does otherwise.
        other.close()
        assert list(other) == []


def test_a_thread_that_receives_goes_on_until_the_end(mode: str) -> None:
    got: list[str | bytes] = []
    with Gate() as gate, TestClient(app, mode=mode) as client:
        session = client.websocket_connect(f"/told/{gate.port}/first")
        thread = threading.Thread(target=lambda: got.extend(session))
        thread.start()
        assert gate.entered() == "first"
    thread.join()
    assert (got, session.close_code) == (["one", b"two"], 1001)


def test_a_session_outlives_its_client_while_another_one_has_the_server() -> None:
    with TestClient(app) as other:
        with TestClient(app) as client:
            session = client.websocket_connect("/echo")
            assert client.base_url == other.base_url
        session.send_text("a")
        assert session.receive_text() == "a"
    assert session.close_code == 1001


def test_a_server_that_cannot_be_ended_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "ENDING_S", 0.01)
    ours, theirs = socket.socketpair()
    with theirs:
        conversation = Conversation(ours, b"", "http://localhost/")
        sessions = Answering()
        sessions.add(conversation)
        with sessions.until_stopped():
            pass
        assert conversation.close_code == 1006


def test_a_session_that_is_open_as_the_process_ends(tmp_path: Path) -> None:
    """Of some versions of Python no thread can be started then; see the next test."""
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent("""
        import atexit

        from pyreframework import Pyre
        from pyreframework.testing import TestClient

        app = Pyre()

        @app.websocket("/echo")
        async def echo(ws):
            async for message in ws:
                await ws.send(message)

        def end():
            client.close()
            print(ws.close_code)

        client = TestClient(app)
        ws = client.websocket_connect("/echo")
        atexit.register(end)
        """)
    )
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", str(program)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout in ("1001\n", "1006\n")


def test_no_thread_can_be_started_to_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def start_others(thread: threading.Thread) -> None:
        if thread.name == "pyre-test-answer":
            raise RuntimeError("can't start new thread at interpreter shutdown")
        start(thread)

    with TestClient(app) as client:
        session = client.websocket_connect("/echo")
        monkeypatch.setattr(threading.Thread, "start", start_others)
    assert session.close_code == 1006


# What is refused, and the session goes on.


@pytest.mark.parametrize(
    ("use", "why"),
    [
        (lambda ws: ws.send_text(b"x"), r"send_text\(\) takes a str, not bytes: .*send_bytes"),
        (lambda ws: ws.send_text(5), r"send_text\(\) takes a str, not int: .*send_json"),
        (lambda ws: ws.send_bytes(5), r"send_bytes\(\) takes bytes, .*, not int: .*send_json"),
        (lambda ws: ws.send_bytes([104, 105]), r"send_bytes\(\) takes .*, not list"),
        (lambda ws: ws.send_bytes("x"), r"send_bytes\(\) takes .*, not str: .*send_text"),
        (lambda ws: ws.receive(timeout="1"), "timeout is a number of seconds, or None, not str"),
        (lambda ws: ws.send_text("a", timeout=b""), "timeout is a number .*, not bytes"),
        (lambda ws: ws.close("1000"), "code is an int, or None, not str"),
        (lambda ws: ws.close(1000.0), "code is an int, or None, not float"),
        (lambda ws: ws.close(1000, b"why"), "reason is a str, not bytes"),
    ],
)
def test_wrong_types(ws: WebSocketTestSession, use: Callable[[Any], object], why: str) -> None:
    with pytest.raises(TypeError, match=why):
        use(ws)


@pytest.mark.parametrize("timeout", [-1, -0.001, float("-inf"), float("nan")])
def test_time_outs_that_are_none(ws: WebSocketTestSession, timeout: float) -> None:
    uses: list[Callable[[], object]] = [
        lambda: ws.receive(timeout=timeout),
        lambda: ws.send_text("a", timeout=timeout),
        lambda: ws.close(timeout=timeout),
    ]
    for use in uses:
        with pytest.raises(ValueError, match=r"timeout is a number of seconds, 0 or more, not "):
            use()


def test_bytes_of_each_kind(ws: WebSocketTestSession) -> None:
    for data in (b"ab", bytearray(b"ab"), memoryview(b"aXbX")[::2]):
        ws.send_bytes(data)
        assert ws.receive_bytes() == b"ab"


def test_handshakes_that_are_none() -> None:
    with TestClient(app) as client:
        for path in (None, b"/echo"):
            with pytest.raises(TypeError, match=r"path has to be a str, not (NoneType|bytes)"):
                client.websocket_connect(path)  # type: ignore[arg-type]
            with pytest.raises(TypeError, match=r"path has to be a str, not (NoneType|bytes)"):
                client.get(path)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="a list of names, and 1 is no str"):
            client.websocket_connect("/echo", [1])  # type: ignore[list-item]
