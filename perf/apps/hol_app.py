"""A fast route beside a slow one: what a slow handler does to the others."""

import asyncio
import os
import time

from pyreframework import Pyre

SLOW_S = 0.05

app = Pyre()


@app.get("/")
def fast(req):
    return "Hello, World!"


@app.get("/slow")
def slow(req):
    time.sleep(SLOW_S)
    return "Good morning, World!"


@app.get("/slow-gil", gil=True)
def slow_gil(req):
    time.sleep(SLOW_S)
    return "Good morning, World!"


@app.get("/slow-async")
async def slow_async(req):
    await asyncio.sleep(SLOW_S)
    return "Good morning, World!"


@app.get("/busy")
def busy(req):
    end = time.thread_time() + SLOW_S
    while time.thread_time() < end:
        pass
    return "Good evening, World!"


if __name__ == "__main__":
    app.run(
        host="127.0.0.1",
        port=int(os.environ.get("PYRE_PORT", "8000")),
        workers=int(os.environ.get("PYRE_WORKERS", "2")),
    )
