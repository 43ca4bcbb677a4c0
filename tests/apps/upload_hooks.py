"""Hooks that read the body of a request that its handler takes as it comes."""

import contextvars
import os

from pyreframework import Pyre

app = Pyre()
ON_MAIN = True if os.environ.get("TEST_GIL") else None
who = contextvars.ContextVar("who", default="nobody")
bodies = []


class OddError(Exception):
    """What handlers raise."""


if os.environ.get("TEST_ASYNC"):

    @app.before_request
    async def read(req):
        if req.method == "POST":
            assert await req.read() == req.body
            assert await req.read() == b""


@app.before_request
def check(req):
    if req.header("x-check"):
        who.set(req.json()["who"])
        assert req.read() == req.body
        assert req.read() == b""


@app.after_request
def after(req, resp):
    if req.header("x-check"):
        bodies.append(f"{who.get()} {req.text()}")
        resp.headers["x-who"] = who.get()


@app.exception_handler(OddError)
def odd(req, error):
    return {"odd": req.json()["who"], "who": who.get()}, 418


def upload(path):
    return app.post(path, gil=ON_MAIN, stream_body=True)


@upload("/def/read")
def whole(req):
    return [who.get(), req.read().decode()]


@upload("/async/read")
async def whole_async(req):
    return [who.get(), (await req.read()).decode()]


@upload("/def/stream")
def pieces(req):
    return [who.get(), b"".join(req.stream()).decode()]


@upload("/async/stream")
async def pieces_async(req):
    return [who.get(), b"".join([piece async for piece in req.stream()]).decode()]


@upload("/def/odd")
def raises(req):
    raise OddError


@upload("/async/odd")
async def raises_async(req):
    raise OddError


@app.get("/bodies", gil=ON_MAIN)
def show():
    return bodies


app.run()
