"""Every kind of handler that answers at once, one that waits, and one that computes."""

import asyncio
import os

from pyreframework import Pyre

WAIT_S = 0.01

app = Pyre()


@app.get("/")
def index(req):
    return "Hello, World!"


@app.get("/async")
async def index_async(req):
    return "Hello, World!"


@app.get("/params/{id}")
def params(req):
    return {"id": req.params["id"]}


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


# The same work in every worker and server; about 5 ms on a machine of 2024.
TURNS = 250_000


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
