"""Handlers that end in all ways, where the collector never runs; and what of them is left."""

import asyncio
import collections
import gc
import threading
import types

from pyreframework import HTTPError, Pyre, PyreStream, PyreWebSocket
from pyreframework.handlers.deliveries import Delivery

gc.disable()
app = Pyre()
MUCH = b"x" * 50_000


@app.get("/generator/{how}")
def generator(req, how):
    if how == "first":
        raise HTTPError(404)
    yield "piece"
    if how == "error":
        raise ValueError(how)
    while how == "cut":
        yield MUCH


@app.get("/async generator/{how}")
async def async_generator(req, how):
    if how == "first":
        raise HTTPError(404)
    yield "piece"
    if how == "error":
        raise ValueError(how)
    while how == "cut":
        yield MUCH
    if how == "silent":
        await asyncio.sleep(60)


@app.get("/stream/{how}")
def stream(req, how):
    stream = PyreStream()

    def send():
        try:
            with stream:
                stream.send("piece")
                while how == "cut":
                    stream.send(MUCH)
        except ConnectionError:
            pass

    threading.Thread(target=send).start()
    return stream


@app.get("/async stream/{how}")
async def async_stream(req, how):
    stream = PyreStream()

    async def send():
        try:
            async with stream:
                await stream.send("piece")
                while how == "cut":
                    await stream.send(MUCH)
        except ConnectionError:
            pass

    tasks.add(task := asyncio.create_task(send()))
    task.add_done_callback(tasks.discard)
    return stream


tasks = set()


@app.post("/upload/{how}", stream_body=True)
def upload(req, how):
    if how == "error":
        raise ValueError(how)
    return str(sum(map(len, req.stream())))


@app.post("/async upload/{how}", stream_body=True)
async def async_upload(req, how):
    if how == "error":
        raise ValueError(how)
    return str(sum([len(piece) async for piece in req.stream()]))


@app.websocket("/socket/{how}")
def socket(ws, how):
    ws.send("piece")
    if how == "error":
        raise ValueError(how)
    while how == "cut":
        ws.send(MUCH)
    for message in ws:
        ws.send(message)


@app.websocket("/async socket/{how}")
async def async_socket(ws, how):
    await ws.send("piece")
    if how == "error":
        raise ValueError(how)
    while how == "cut":
        await ws.send(MUCH)
    async for message in ws:
        await ws.send(message)


@app.get("/plain")
def plain(req):
    return "plain"


@app.get("/left")
def left():
    """How much there is of each kind, by name, but for what is used again: requests and tasks."""
    kinds = (
        PyreStream, PyreWebSocket, Delivery, types.TracebackType, types.GeneratorType,
        types.AsyncGeneratorType, types.CoroutineType, BaseException,
    )  # fmt: skip
    return collections.Counter(
        type(thing).__name__ for thing in gc.get_objects() if isinstance(thing, kinds)
    )


if __name__ == "__main__":
    app.run()
