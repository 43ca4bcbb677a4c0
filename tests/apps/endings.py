"""Requests that end in every way; a permit is taken before each and given back after it."""

import asyncio
import os
import socket

from pyreframework import HTTPError, Pyre, PyreRequest, PyreResponse, RequestTimeout

app = Pyre()
ON_MAIN = True if os.environ.get("TEST_GIL") else None


def note(req: PyreRequest, text: object) -> None:
    # In one piece, as logs come in between.
    os.write(1, f"{req.query or req.path}: {text}\n".encode())


def is_watched(req: PyreRequest) -> bool:
    return bool(req.query)


@app.before_request
def take(req):
    if is_watched(req):
        note(req, "taken")
    if req.path == "/before":
        return "no", 99
    return None


@app.after_request
def fails(req, resp):
    if req.path == "/after":
        raise ValueError("an after hook fails")
    if req.path == "/after-result":
        return "no", 100
    return None


if os.environ.get("TEST_HOOKS") == "async":

    @app.after_request
    async def give_back(req, resp):
        # A hook that waits is not cancelled because its client is not there any more.
        await asyncio.sleep(0.02)
        if is_watched(req):
            note(req, f"given back on {resp.status_code}")

else:

    @app.after_request
    def give_back(req, resp):
        if is_watched(req):
            note(req, f"given back on {resp.status_code}")


@app.exception_handler(asyncio.CancelledError)
def cancelled(req, exc):
    if req.path.startswith("/handled"):
        note(req, "the cancellation was handled")
        return "handled", 418
    raise exc


@app.exception_handler(RequestTimeout)
def overran(req, exc):
    if req.path.startswith("/handled"):
        note(req, "the time-out was handled")
        return "handled", 419
    raise exc


@app.get("/", gil=ON_MAIN)
def hello():
    return "hello"


@app.get("/ok", gil=ON_MAIN)
def ok(req):
    return PyreResponse("made", status_code=201)


@app.get("/before", gil=ON_MAIN)
def never(req):
    return "never"


for path in ("/after", "/after-result"):
    app.get(path, lambda req: "fine", gil=ON_MAIN)


@app.get("/raise", gil=ON_MAIN)
def raises(req):
    raise LookupError("nobody handles it")


@app.get("/http", gil=ON_MAIN)
def http(req):
    raise HTTPError(410)


@app.get("/no-status", gil=ON_MAIN)
def no_status(req):
    """A result that is no response: after hooks see what becomes of that."""
    return "no", 150


@app.get("/no-result", gil=ON_MAIN)
def no_result(req):
    return object()


def busy(req):
    note(req, "busy")
    while True:
        pass


app.get("/busy", busy, gil=ON_MAIN)
app.get("/busy/timed", busy, gil=ON_MAIN, request_timeout=0.1)
# Its handler of exceptions is to come in time: a longer limit gives more grace, on a busy machine.
app.get("/handled/busy", busy, gil=ON_MAIN, request_timeout=1)


@app.get("/async/ok", gil=ON_MAIN)
async def async_ok(req):
    await asyncio.sleep(0)
    return PyreResponse("made", status_code=201)


@app.get("/async/raise", gil=ON_MAIN)
async def async_raises(req):
    await asyncio.sleep(0)
    raise LookupError("nobody handles it")


async def wait(req):
    note(req, "waits")
    await asyncio.Event().wait()


async def clean(req):
    """Waits once more when it is cancelled, for something that comes from outside."""
    try:
        note(req, "waits")
        await asyncio.Event().wait()
    finally:
        here, there = socket.socketpair()
        with here, there:
            here.setblocking(False)
            asyncio.get_running_loop().call_later(0.05, there.send, b"x")
            await asyncio.get_running_loop().sock_recv(here, 1)
        note(req, "cleaned")


for prefix in ("", "/handled"):
    app.get(f"{prefix}/wait", wait, gil=ON_MAIN, request_timeout=0)
    app.get(f"{prefix}/wait/timed", wait, gil=ON_MAIN, request_timeout=0.1)
    app.get(f"{prefix}/clean", clean, gil=ON_MAIN, request_timeout=0)

app.run()
