"""WebSockets whose handlers have tasks beside them, and what is kept of them."""

import asyncio
import gc
import time
import weakref

import gates

from pyreframework import Pyre, PyreStream

app = Pyre()
known = weakref.WeakSet()


async def in_group(*sending):
    async with asyncio.TaskGroup() as group:
        for one in sending:
            group.create_task(one)


@app.websocket("/tasks")
async def tasks(ws):
    """Sends by tasks, in all ways that asyncio has for coroutines."""
    loop = asyncio.get_running_loop()
    await in_group(ws.send("a"), ws.send_bytes(b"b"), ws.send_json(["c"]))
    await asyncio.create_task(ws.send("d"))
    await asyncio.gather(ws.send("e"), ws.send("f"))
    await asyncio.wait_for(ws.send("g"), 60)
    await asyncio.to_thread(lambda: asyncio.run_coroutine_threadsafe(ws.send("h"), loop).result(60))
    await asyncio.create_task(ws.close(4000))


@app.websocket("/full/{count:int}")
async def full(ws, count: int):
    """Sends more than there is room for, each by a task; one is cancelled."""
    text = "x" * 99_999
    sending = [asyncio.create_task(ws.send(f"{number % 10}{text}")) for number in range(count)]
    cancelled = asyncio.create_task(ws.send("perhaps"))
    cancelled.cancel()
    await ws.recv()
    await asyncio.gather(*sending)
    assert await asyncio.gather(cancelled, return_exceptions=True)
    await ws.send(f"cancelled {cancelled.cancelled()}")


@app.get("/stream")
async def stream(req):
    stream = PyreStream("text/plain")

    async def send():
        await in_group(*(stream.send(f"{number % 10}" + "x" * 99_999) for number in range(20)))
        await asyncio.create_task(stream.close())

    req.state.task = asyncio.create_task(send())
    return stream


@app.websocket("/async/watch")
async def watch(ws):
    """Receives nothing, and looks whether its client is there."""
    await ws.send("here")
    while not ws.is_disconnected:
        await asyncio.sleep(0.01)
    print("watched", flush=True)


@app.websocket("/def/watch")
def watch_on_thread(ws):
    ws.send("here")
    while not ws.is_disconnected:
        time.sleep(0.01)
    print("watched", flush=True)


@app.websocket("/async/gate/{port:int}")
async def gate(ws, port: int):
    """Receives once the gate of the test is open."""
    await ws.send("here")
    await gates.at_gate(port, "gate")
    print("received", sum([len(message) async for message in ws]), flush=True)


@app.websocket("/def/gate/{port:int}")
def gate_on_thread(ws, port: int):
    ws.send("here")
    gates.hold(port, "gate")
    print("received", sum(map(len, ws)), flush=True)


@app.websocket("/async/fill")
async def fill(ws):
    """Sends until there is no more room, and closes."""
    try:
        while True:
            await ws.send(b"x" * 60_000, timeout=0.3)
    except TimeoutError:
        ws.close(4000)


@app.websocket("/def/fill")
def fill_on_thread(ws):
    try:
        while True:
            ws.send(b"x" * 60_000, timeout=0.3)
    except TimeoutError:
        ws.close(4000)


@app.websocket("/async/push")
async def push(ws):
    """Sends until that is not possible any more."""
    while True:
        await ws.send("more")
        await asyncio.sleep(0.01)


@app.websocket("/def/push")
def push_on_thread(ws):
    while True:
        ws.send("more")
        time.sleep(0.01)


@app.websocket("/group/push")
async def push_in_group(ws):
    async with asyncio.TaskGroup() as group:
        group.create_task(push(ws))
        group.create_task(push(ws))


@app.websocket("/refs")
async def refs(ws):
    known.add(ws)
    await ws.send(str(len(known)))
    await ws.recv()


@app.get("/count-refs")
async def count(req):
    known.add(PyreStream())
    gc.collect()
    return len(known)


@app.websocket("/wrong/{what}")
async def wrong(ws, what):
    """Says what it is told of a wrong call."""
    calls = {
        "int": lambda: ws.send(1),
        "nan": lambda: ws.recv(timeout=float("nan")),
        "text": lambda: ws.send("a", timeout="1"),
        "task": lambda: ws.request.add_task(print),
    }
    try:
        await calls[what]()
    except Exception as error:
        await ws.send(f"{type(error).__name__}: {error}")


@app.websocket("/wrong-on-thread")
def wrong_on_thread(ws):
    try:
        ws.recv(timeout=float("nan"))
    except ValueError as error:
        ws.send(str(error))


@app.websocket("/cookies")
def cookies(ws):
    ws.accept(headers=[("Set-Cookie", "a=1"), ("X-One", "1"), ("Set-Cookie", ["b=2", "c=3"])])


if __name__ == "__main__":
    app.run()
