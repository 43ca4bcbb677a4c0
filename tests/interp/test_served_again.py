"""An app that is served again in the same process: whoever waits on the new event loop is woken."""

from __future__ import annotations

from collections.abc import AsyncIterator

from pyreframework import Pyre, PyreRequest, PyreWebSocket
from pyreframework.testing import TestClient

PIECE = "x" * 65_536
"""A few of them fill what may wait for a client."""

PIECES = 100

app = Pyre()


@app.get("/stream")
async def stream() -> AsyncIterator[str]:
    for _ in range(PIECES):
        yield PIECE


@app.websocket("/flood")
async def flood(ws: PyreWebSocket) -> None:
    for _ in range(PIECES):
        await ws.send(PIECE)


@app.websocket("/echo")
async def echo(ws: PyreWebSocket) -> None:
    async for message in ws:
        await ws.send(message)


@app.post("/upload", stream_body=True)
async def upload(req: PyreRequest) -> int:
    return sum([len(piece) async for piece in req.stream()])


def test_an_app_that_is_served_again() -> None:
    for _ in range(3):
        with TestClient(app, timeout=30) as client:
            with client.stream("GET", "/stream") as answer:
                assert sum(map(len, answer.iter_bytes())) == PIECES * len(PIECE)
            with client.websocket_connect("/flood") as ws:
                assert sum(map(len, ws)) == PIECES * len(PIECE)
            with client.websocket_connect("/echo") as ws:
                for text in ("a", PIECE, "b"):
                    ws.send_text(text)
                    assert ws.receive_text() == text
            parts = (PIECE.encode() for _ in range(PIECES))
            assert client.post("/upload", data=parts).json() == PIECES * len(PIECE)
