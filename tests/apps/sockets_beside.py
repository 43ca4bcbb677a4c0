"""WebSockets whose handlers have tasks beside them, and what is kept of them."""

import asyncio
import weakref

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
    await asyncio.to_thread(
        lambda: asyncio.run_coroutine_threadsafe(ws.send("h"), loop).result(60)
    )
    await asyncio.create_task(ws.close(4000))


@app.websocket("/full/{count:int}")
async def full(ws, count: int):
    """Sends more than there is room for, each by a task; one is cancelled as it waits, or has sent."""
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


if __name__ == "__main__":
    app.run()
