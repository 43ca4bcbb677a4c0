"""Topics: WebSockets and event streams that only listen, and a route that publishes."""

import os
import time

from pyreframework import Pyre, PyreStream

app = Pyre()


@app.get("/")
def root(req):
    return "Hello, World!"


@app.websocket("/ws")
async def listen(ws):
    await ws.subscribe("news")
    async for _ in ws:
        pass


@app.get("/events")
def events(req):
    stream = PyreStream(keep_alive_s=None)
    stream.subscribe("news")
    return stream


@app.post("/publish/{number:int}/{size:int}")
def publish(number: int, size: int):
    """Says when it was published, by a clock that all processes of the machine share."""
    app.publish("news", f"#{number} {time.monotonic_ns()}#".ljust(size, "."))


if __name__ == "__main__":
    app.run(
        host="127.0.0.1",
        port=int(os.environ.get("PYRE_PORT", "8000")),
        workers=int(os.environ.get("PYRE_WORKERS", "1")),
    )
