"""Every kind of handler that answers at once, one that waits, and one that computes."""

import asyncio
import os

from pyreframework import Pyre

WAIT_S = 0.01
LOOP_S = 0.005

app = Pyre()


@app.get("/")
def index(req):
    return "Hello, World!"


@app.get("/async")
async def index_async(req):
    return "Hello, World!"


@app.get("/gil", gil=True)
def index_gil(req):
    return "Hello, World!"


@app.get("/gil-async", gil=True)
async def index_gil_async(req):
    return "Hello, World!"


@app.get("/io")
async def io(req):
    await asyncio.sleep(WAIT_S)
    return "Hello, World!"


def turns_of_a_loop():
    """How many turns of the loop below take LOOP_S, measured once in each worker."""
    import time

    turns = 1000
    while True:
        began = time.thread_time()
        for _ in range(turns):
            pass
        took = time.thread_time() - began
        if took >= LOOP_S:
            return int(turns * LOOP_S / took)
        turns *= 2


TURNS = turns_of_a_loop()


@app.get("/loop")
def loop(req):
    for _ in range(TURNS):
        pass
    return "Hello, World!"


if __name__ == "__main__":
    app.run(
        host="127.0.0.1",
        port=int(os.environ.get("PYRE_PORT", "8000")),
        workers=int(os.environ.get("PYRE_WORKERS", "1")),
    )
