"""WebSockets that echo: a coroutine and a thread."""

import os

from pyreframework import Pyre

app = Pyre()


@app.get("/")
def root(req):
    return "Hello, World!"


@app.websocket("/ws")
async def echo(ws):
    async for message in ws:
        await ws.send(message)


@app.websocket("/def")
def echo_on_a_thread(ws):
    for message in ws:
        ws.send(message)


if __name__ == "__main__":
    app.run(
        host="127.0.0.1",
        port=int(os.environ.get("PYRE_PORT", "8000")),
        workers=int(os.environ.get("PYRE_WORKERS", "1")),
        io_workers=int(os.environ.get("PYRE_WORKERS", "1")),
    )
