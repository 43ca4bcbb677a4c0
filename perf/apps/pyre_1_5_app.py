"""The five benchmark routes on version 1.5, which passes no path parameters; and one that waits."""

import asyncio
import os

from pyreframework import Pyre

app = Pyre()


@app.get("/")
def index(req):
    return "Hello, World!"


@app.get("/json")
def message(req):
    return {"message": "Hello, World!"}


@app.get("/user/{id}")
def user(req):
    return {"id": req.params["id"]}


@app.post("/echo")
def echo(req):
    return req.json()


@app.get("/compute")
def compute(req):
    return {"result": sum(n * n for n in range(100))}


@app.get("/io")
async def io(req):
    await asyncio.sleep(0.01)
    return "Hello, World!"


if __name__ == "__main__":
    app.run(
        host="127.0.0.1",
        port=int(os.environ.get("PYRE_PORT", "8000")),
        workers=int(os.environ.get("PYRE_WORKERS", "1")),
    )
