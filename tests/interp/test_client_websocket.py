"""`TestClient.websocket_connect`: a conversation with handlers on workers and on main."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from gate import Gate
from serving import wait_until

from pyreframework import HTTPError, Pyre, PyreRequest, PyreResponse, PyreWebSocket, set_cookie
from pyreframework.testing import TestClient, WebSocketDisconnect, WebSocketRefused

app = Pyre()


def come(port: int, name: str) -> socket.socket:
    """Come to the gate of the test."""
    peer = socket.create_connection(("127.0.0.1", port))
    peer.sendall(f"{name}\n".encode())
    return peer


@app.websocket("/echo")
async def echo(ws: PyreWebSocket) -> None:
    async for message in ws:
        await ws.send(message)


@app.websocket("/echo-def")
def echo_def(ws: PyreWebSocket) -> None:
    for message in ws:
        ws.send(message)


@app.websocket("/about/{name}", subprotocols=["chat.v2", "chat.v1"])
async def about(ws: PyreWebSocket, name: str) -> None:
    await ws.send_json(
        {
            "name": name,
            "query": ws.query_params,
            "cookies": dict(ws.cookies),
            "headers": dict(ws.headers),
            "offered": ws.subprotocols,
        }
    )


@app.websocket("/count/{number:int}")
async def count(ws: PyreWebSocket, number: int) -> None:
    for at in range(number):
        await ws.send(str(at))
        await ws.send_bytes(bytes([at]))


@app.websocket("/close/{code:int}")
async def close(ws: PyreWebSocket, code: int) -> None:
    await ws.send("before")
    ws.close(code, "a reason, caf\xe9")


@app.websocket("/fails")
async def fails(ws: PyreWebSocket) -> None:
    await ws.recv()
    raise LookupError("in the middle")


@app.websocket("/refused/{how}")
async def refused(ws: PyreWebSocket, how: str) -> PyreResponse | None:
    if how == "error":
        raise HTTPError(403, "not you", headers={"X-Why": "because"})
    return set_cookie(PyreResponse("gone", status_code=410), "seen", "1")


@app.websocket("/cookie")
async def cookie(ws: PyreWebSocket) -> None:
    ws.accept(headers={"Set-Cookie": ["theme=dark", "deep=1; Path=/elsewhere"]})


@app.websocket("/told/{port:int}/{name}")
async def told(ws: PyreWebSocket, port: int, name: str) -> None:
    """Tell the test how it ended."""
    await ws.send("here")
    while await ws.recv_message() is not None:
        pass
    come(port, f"{name} {ws.close_code} {ws.close_reason}").close()


@app.websocket("/deaf/{port:int}")
def deaf(ws: PyreWebSocket, port: int) -> None:
    """Receive nothing before the test says so."""
    ws.accept()
    with come(port, "deaf") as gate:
        gate.recv(1)


@app.websocket("/talkative/{count:int}")
async def talkative(ws: PyreWebSocket, count: int) -> None:
    """Receive only behind a great deal that it sends itself."""
    for _ in range(count):
        await ws.send_bytes(b"x" * 65536)
    while (message := await ws.recv_bytes()) is not None:
        await ws.send(str(len(message)))


@app.get("/cookies")
def cookies(req: PyreRequest) -> dict[str, str]:
    return dict(req.cookies)


@pytest.fixture(scope="module", params=["default", "subinterp"])
def client(request: pytest.FixtureRequest) -> Iterator[TestClient]:
    with TestClient(app, mode=request.param) as client:
        yield client


# Messages.


@pytest.mark.parametrize("path", ["/echo", "/echo-def"])
def test_messages_of_each_kind(client: TestClient, path: str) -> None:
    with client.websocket_connect(path) as ws:
        ws.send_text("caf\xe9")
        assert ws.receive_text() == "caf\xe9"
        ws.send_bytes(b"\0\xff")
        assert ws.receive_bytes() == b"\0\xff"
        ws.send_json({"a": [1, None, "\xe9"]})
        assert ws.receive_json() == {"a": [1, None, "\xe9"]}
        ws.send_json([1], mode="binary")
        assert ws.receive_json(mode="binary") == [1]
        ws.send_text("")
        ws.send_bytes(b"")
        assert [ws.receive(), ws.receive()] == ["", b""]
        assert repr(ws) == f"<WebSocketTestSession {client.base_url}{path} [open]>"
    assert (ws.close_code, ws.close_reason) == (1000, "")
    assert repr(ws).endswith("[closed: 1000]>")


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 3_000_000])
def test_messages_of_all_lengths(client: TestClient, size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    with client.websocket_connect("/echo") as ws:
        ws.send_bytes(data[:size])
        assert ws.receive_bytes() == data[:size]
        ws.send_text("x" * size)
        assert ws.receive_text() == "x" * size


def test_a_message_of_the_other_kind_is_refused(client: TestClient) -> None:
    with client.websocket_connect("/echo") as ws:
        ws.send_text("a" * 200)
        with pytest.raises(TypeError, match=r"message is 'a{100}'\.\.\., not one of bytes"):
            ws.receive_bytes()
        ws.send_bytes(b"a")
        with pytest.raises(TypeError, match="message is b'a', not a text"):
            ws.receive_json()
        with pytest.raises(ValueError, match="mode is 'text' or 'binary', not 'bytes'"):
            ws.receive_json("bytes")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="JSON compliant"):
            ws.send_json(float("nan"))
        ws.send_text("{")
        with pytest.raises(ValueError, match="Expecting property name"):
            ws.receive_json()


def test_a_loop_over_the_messages_ends_with_the_websocket(client: TestClient) -> None:
    with client.websocket_connect("/count/2") as ws:
        assert list(ws) == ["0", b"\0", "1", b"\1"]
        assert list(ws) == []
    assert ws.close_code == 1000


def test_much_is_sent_by_both_sides_before_either_receives(client: TestClient) -> None:
    """More than all buffers between them have room for."""
    sent = [b"y" * 65536] * 200
    with client.websocket_connect("/talkative/200") as ws:
        for data in sent:
            ws.send_bytes(data)
        assert [len(ws.receive_bytes()) for _ in range(200)] == [65536] * 200
        assert [ws.receive_text() for _ in sent] == ["65536"] * 200


# Handshakes.


def test_what_goes_with_the_handshake(client: TestClient) -> None:
    client.cookies["kept"] = "1"
    client.headers["X-Client"] = "c"
    try:
        with client.websocket_connect(
            "/about/a b?x=1",
            ["chat.v1", "chat.v2"],
            params={"y": [2]},
            headers={"X-Own": "o", "Origin": "https://example.com"},
            cookies={"more": "2"},
        ) as ws:
            assert ws.accepted_subprotocol == "chat.v1"
            about = ws.receive_json()
    finally:
        client.cookies.clear()
        client.headers.clear()
    assert (about["name"], about["query"]) == ("a b", {"x": "1", "y": "2"})
    assert about["cookies"] == {"kept": "1", "more": "2"}
    assert about["offered"] == ["chat.v1", "chat.v2"]
    headers = about["headers"]
    assert (headers["x-client"], headers["x-own"]) == ("c", "o")
    assert headers["user-agent"] == "pyre-test-client"
    assert headers["origin"] == "https://example.com"
    assert "sec-websocket-extensions" not in headers


def test_no_subprotocol_is_agreed_on(client: TestClient) -> None:
    with client.websocket_connect("/about/a", subprotocols=["other"]) as ws:
        assert ws.accepted_subprotocol is None
    with client.websocket_connect("/about/a") as ws:
        assert ws.accepted_subprotocol is None
        assert ws.receive_json()["offered"] == []
    # As a header of one's own.
    with client.websocket_connect("/about/a", headers={"Sec-WebSocket-Protocol": "chat.v2"}) as ws:
        assert ws.accepted_subprotocol == "chat.v2"
    with pytest.raises(TypeError, match=r"not the text 'chat\.v2'"):
        client.websocket_connect("/about/a", "chat.v2")


def test_a_whole_address(client: TestClient) -> None:
    url = client.base_url
    for address in (f"{url}/count/1", f"ws{url.removeprefix('http')}/count/1"):
        with client.websocket_connect(address) as ws:
            assert ws.receive_text() == "0"
    with pytest.raises(ValueError, match="is not an address of the app"):
        client.websocket_connect("ws://example.com/echo")


def test_the_answer_sets_cookies(client: TestClient) -> None:
    with client.websocket_connect("/cookie") as ws:
        assert ws.response.status_code == 101
        assert ws.response.headers["upgrade"] == "websocket"
        assert ws.response.cookies == {"theme": "dark", "deep": "1"}
        assert (ws.response.body, ws.response.method) == (b"", "GET")
    assert client.get("/cookies").json() == {"theme": "dark"}
    client.cookies.clear()


@pytest.mark.parametrize(
    ("path", "headers", "status", "body"),
    [
        ("/refused/error", {}, 403, {"error": "not you"}),
        ("/refused/response", {}, 410, "gone"),
        ("/missing", {}, 404, {"error": "not found"}),
        ("/echo", {"Sec-WebSocket-Version": "12"}, 426, None),
        ("/echo", {"Upgrade": None}, 426, None),
        ("/echo", {"Sec-WebSocket-Key": "short"}, 400, None),
        ("/cookies", {}, 200, {}),
    ],
)
def test_a_handshake_that_is_refused(
    client: TestClient, path: str, headers: dict[str, str | None], status: int, body: Any
) -> None:
    with pytest.raises(WebSocketRefused, match=f"{path} answered the handshake with {status}") as e:
        client.websocket_connect(path, headers=headers)
    response = e.value.response
    assert (e.value.code, e.value.reason, response.status_code) == (1006, "", status)
    if isinstance(body, str):
        assert response.text == body
        assert response.cookies == {"seen": "1"}
        client.cookies.clear()
    elif body is not None:
        assert response.json() == body
    if path == "/refused/error":
        assert response.headers["X-Why"] == "because"


def test_a_key_of_ones_own(client: TestClient) -> None:
    headers = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    with client.websocket_connect("/echo", headers=headers) as ws:
        # RFC 6455 section 1.3.
        assert ws.response.headers["Sec-WebSocket-Accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


# Ends.


@pytest.mark.parametrize("code", [1000, 1008, 3000, 4999])
def test_the_server_closes(client: TestClient, code: int) -> None:
    with client.websocket_connect(f"/close/{code}") as ws:
        assert ws.receive_text() == "before"
        for use in (ws.receive, ws.receive_text, ws.receive_json, lambda: ws.send_text("a")):
            with pytest.raises(WebSocketDisconnect, match=f"closed: {code} a reason, caf\xe9") as e:
                use()
            assert (e.value.code, e.value.reason) == (code, "a reason, caf\xe9")
    assert (ws.close_code, ws.close_reason) == (code, "a reason, caf\xe9")


def test_a_loop_raises_what_is_no_end_in_order(client: TestClient) -> None:
    with client.websocket_connect("/close/4000") as ws:
        messages = iter(ws)
        assert next(messages) == "before"
        with pytest.raises(WebSocketDisconnect, match="4000"):
            next(messages)


def test_a_handler_that_fails(client: TestClient) -> None:
    with client.websocket_connect("/fails") as ws:
        ws.send_text("go")
        with pytest.raises(WebSocketDisconnect) as e:
            ws.receive_text()
        assert e.value.code == 1011


@pytest.mark.parametrize(
    ("code", "reason", "seen"),
    [(1000, "", "1000 "), (4001, "caf\xe9", "4001 caf\xe9"), (None, "", "1005 ")],
)
def test_the_client_closes(client: TestClient, code: int | None, reason: str, seen: str) -> None:
    with Gate() as gate:
        with client.websocket_connect(f"/told/{gate.port}/end") as ws:
            assert ws.receive_text() == "here"
            ws.close(code, reason)
            assert ws.close_code == (code or 1005)
            ws.close()
            with pytest.raises(WebSocketDisconnect):
                ws.receive()
            with pytest.raises(WebSocketDisconnect):
                ws.send_bytes(b"late")
        assert gate.entered() == f"end {seen}".strip()


def test_the_client_leaves_without_a_word(client: TestClient) -> None:
    with Gate() as gate:
        with client.websocket_connect(f"/told/{gate.port}/first") as ws:
            # Otherwise the handler may find in sending that nobody is there.
            assert ws.receive_text() == "here"
            ws.abort()
            with pytest.raises(WebSocketDisconnect, match="ended without a close frame"):
                ws.receive_text()
        assert ws.close_code == 1006
        assert gate.entered() == "first 1006"
        # And so it does when a test fails.
        with suppress(KeyError), client.websocket_connect(f"/told/{gate.port}/second") as ws:
            assert ws.receive_text() == "here"
            raise KeyError("the test fails")
        assert ws.close_code == 1006
        assert gate.entered() == "second 1006"


@pytest.mark.parametrize(
    ("code", "reason", "why"),
    [
        (999, "", "not 999"),
        (1005, "", "not 1005"),
        (5000, "", "not 5000"),
        (None, "why", "needs a code"),
        (1000, "\xe9" * 62, "not 124"),
    ],
)
def test_what_cannot_stand_in_a_close_frame(
    client: TestClient, code: int | None, reason: str, why: str
) -> None:
    with client.websocket_connect("/echo") as ws:
        with pytest.raises(ValueError, match=why):
            ws.close(code, reason)
        ws.send_text("still open")
        assert ws.receive_text() == "still open"


def echoing() -> Pyre:
    """An app of its own, for other options than those of the fixture."""
    app = Pyre()
    app.websocket("/echo", echo)
    return app


def test_the_server_stops() -> None:
    with TestClient(echoing()) as client:
        with client.websocket_connect("/echo") as ws:
            ws.send_text("a")
            assert ws.receive_text() == "a"
            closing = threading.Thread(target=client.close)
            closing.start()
            with pytest.raises(WebSocketDisconnect) as e:
                ws.receive_text()
            assert e.value.code == 1001
            closing.join()
    with pytest.raises(RuntimeError, match="this TestClient is closed"):
        client.websocket_connect("/echo")


# Waiting.


def test_time_outs_of_receiving(client: TestClient) -> None:
    with client.websocket_connect("/echo", timeout=0.01) as ws:
        with pytest.raises(TimeoutError, match=r"/echo has sent no message in 0\.01 s"):
            ws.receive()
        with pytest.raises(TimeoutError, match="no message in 0 s"):
            ws.receive_text(timeout=0)
        ws.send_text("a", timeout=None)
        assert ws.receive_text(timeout=None) == "a"
        ws.close(timeout=None)


def test_a_server_that_takes_nothing(client: TestClient) -> None:
    with Gate() as gate:
        with client.websocket_connect(f"/deaf/{gate.port}") as ws:
            assert gate.entered() == "deaf"
            said = ""
            while not said:
                try:
                    ws.send_bytes(b"x" * 1_000_000, timeout=0.2)
                except TimeoutError as error:
                    said = str(error)
            assert (
                "has not taken a message in 0.2 s (timeout=): its handler does not receive" in said
            )
            with pytest.raises(WebSocketDisconnect):
                ws.send_text("behind half a message")
            gate.release("deaf")


def test_threads_send_receive_and_close_at_once(client: TestClient) -> None:
    got: list[str | bytes] = []
    with client.websocket_connect("/echo") as ws:
        receiver = threading.Thread(target=lambda: got.extend(ws))
        receiver.start()
        senders = [
            threading.Thread(target=lambda: [ws.send_bytes(b"x" * 5000) for _ in range(200)])
            for _ in range(3)
        ]
        for thread in senders:
            thread.start()
        for thread in senders:
            thread.join()
        wait_until(lambda: len(got) == 600, "all have come back")
        ws.close()
        receiver.join()
    assert set(got) == {b"x" * 5000}


def test_a_thread_that_waits_is_woken_by_an_abort(client: TestClient) -> None:
    failures: list[int] = []

    def receive() -> None:
        try:
            ws.receive_text()
        except WebSocketDisconnect as error:
            failures.append(error.code)

    with client.websocket_connect("/echo") as ws:
        thread = threading.Thread(target=receive)
        thread.start()
        ws.abort()
        thread.join()
    assert failures == [1006]


def test_one_at_a_unix_domain_socket(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("s") / "s"
    with TestClient(echoing(), uds=str(path)) as client, client.websocket_connect("/echo") as ws:
        ws.send_text("local")
        assert ws.receive_text() == "local"
