"""Connections that stay open and silent: WebSockets, and event streams of two kinds."""

import asyncio
import os

from pyreframework import Pyre, PyreResponse, PyreStream

app = Pyre()
held = set()
"""Event streams of this interpreter that are open, as a program keeps those that it sends to."""
sweeper = None


@app.get("/")
def index(req):
    return "Hello, World!"


@app.websocket("/ws")
async def echo(ws):
    async for message in ws:
        await ws.send(message)


@app.get("/stream")
async def stream(req):
    global sweeper
    found = PyreStream()
    await found.send_event("hello")
    held.add(found)
    if sweeper is None:
        sweeper = asyncio.create_task(sweep())
    return found


async def sweep():
    """Forget those whose clients have gone."""
    while True:
        await asyncio.sleep(0.5)
        held.difference_update([one for one in held if one.is_disconnected])


@app.get("/generator")
async def generator(req):
    return PyreResponse(events(), content_type="text/event-stream")


async def events():
    yield "data: hello\n\n"
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    workers = int(os.environ.get("PYRE_WORKERS", "1"))
    app.run(
        host="127.0.0.1",
        port=int(os.environ.get("PYRE_PORT", "8000")),
        workers=workers,
        io_workers=workers,
    )
