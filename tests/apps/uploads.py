"""Handlers that take bodies in pieces, each as `def` and as `async def`."""

import asyncio
import hashlib
import os
import threading
import time
from collections.abc import AsyncIterable, Iterable

from gates import at_gate, hold
from turns import Turns

from pyreframework import HTTPError, Pyre, PyreResponse

app = Pyre()
ON_MAIN = True if os.environ.get("TEST_GIL") else None
if os.environ.get("TEST_METRICS"):
    app.enable_metrics("/metrics")
kept = []
hooked = []


def upload(path):
    return app.post(path, gil=ON_MAIN, stream_body=True)


class Digest:
    def __init__(self):
        self.count, self.bytes, self.sha = 0, 0, hashlib.sha256()

    def add(self, piece):
        assert type(piece) is bytes and piece
        self.count += 1
        self.bytes += len(piece)
        self.sha.update(piece)

    def result(self):
        return {"pieces": self.count, "bytes": self.bytes, "sha": self.sha.hexdigest()}


@upload("/def/digest")
def digest(req):
    digest = Digest()
    for piece in req.stream():
        digest.add(piece)
    return digest.result()


@upload("/async/digest")
async def digest_async(req):
    digest = Digest()
    async for piece in req.stream():
        digest.add(piece)
    return digest.result()


@upload("/def/steps/{port:int}")
def steps(req, port: int):
    """Tell the gate of each piece; what it says is the answer."""
    return [hold(port, piece.decode()) for piece in req.stream()]


@upload("/async/steps/{port:int}")
async def steps_async(req, port: int):
    return [await at_gate(port, piece.decode()) async for piece in req.stream()]


@upload("/def/read/{n:int}")
def read(req, n: int):
    sizes = []
    while piece := req.read(n):
        sizes.append(len(piece))
    assert req.read(n) == req.read() == b""
    return sizes


@upload("/async/read/{n:int}")
async def read_async(req, n: int):
    sizes = []
    while piece := await req.read(n):
        sizes.append(len(piece))
    assert await req.read(n) == await req.read() == b""
    return sizes


@upload("/def/some/{n:int}")
def some(req, n: int):
    """Answer with the first bytes, and leave the rest."""
    return req.read(n)


@upload("/async/some/{n:int}")
async def some_async(req, n: int):
    return await req.read(n)


@upload("/def/large/{n:int}")
def large(req, n: int):
    """Answer at once, with so many bytes."""
    return b"x" * n


@upload("/async/large/{n:int}")
async def large_async(req, n: int):
    return b"x" * n


@upload("/def/gated/{port:int}/{name}")
def gated(req, port: int, name):
    """Read what there is once the gate opens."""
    hold(port, name)
    return digest(req)


@upload("/async/gated/{port:int}/{name}")
async def gated_async(req, port: int, name):
    await at_gate(port, name)
    return await digest_async(req)


@upload("/async/turns/{port:int}")
async def turns_async(req, port: int):
    """Read what has come, and tell how often others had a turn meanwhile."""
    await at_gate(port, "turns")
    async with Turns() as turns:
        for _ in range(200):
            assert len(await req.read(500)) == 500
    return turns.count


@upload("/def/echo")
def echo(req):
    yield from req.stream()


@upload("/async/echo")
async def echo_async(req):
    async for piece in req.stream():
        yield piece


EVENTS = {"Content-Type": "text/event-stream"}


@upload("/def/events/{port:int}")
def events(req, port: int):
    """An answer that begins before anything is read."""

    def made():
        hold(port, "begun")
        yield from req.stream()

    return PyreResponse(made(), headers=EVENTS)


@upload("/async/events/{port:int}")
async def events_async(req, port: int):
    async def made():
        await at_gate(port, "begun")
        async for piece in req.stream():
            yield piece

    return PyreResponse(made(), headers=EVENTS)


@upload("/def/pieces/{n:int}")
def pieces(req, n: int):
    """An answer in pieces from one that does not read."""
    return (b"x" for _ in range(n))


@upload("/async/pieces/{n:int}")
async def pieces_async(req, n: int):
    return (b"x" for _ in range(n))


@upload("/def/what/{what}")
def what(req, what):
    """The body as a whole."""
    thing = getattr(req, what)
    return {"is": thing.decode() if what == "body" else thing()}


@upload("/async/what/{what}")
async def what_async(req, what):
    """The body as a whole, before all of it has been read and behind that."""
    try:
        getattr(req, what)
        if what == "form":
            raise RuntimeError("it is awaited itself, and needs no `await req.read()`")
        if what != "body":
            getattr(req, what)()
        raise AssertionError("it did not refuse")
    except RuntimeError as error:
        assert "await req.read()" in str(error)
    body = await req.read()
    assert body == req.body and await req.read() == b""
    thing = getattr(req, what)
    return {"is": thing.decode() if what == "body" else thing()}


@upload("/def/part")
def part(req):
    first = req.read(1)
    try:
        return req.body
    except RuntimeError as error:
        return [first.decode(), str(error), req.read().decode()]


@upload("/async/part")
async def part_async(req):
    first = await req.read(1)
    try:
        return req.body
    except RuntimeError as error:
        return [first.decode(), str(error), (await req.read()).decode()]


@upload("/def/again")
def again(req):
    """What is left after all has been read, and that it is there as a whole."""
    found = [len(req.read()), len(req.read()), len(req.read(3)), len(list(req.stream()))]
    return [*found, len(req.body), len(req.text())]


@upload("/async/again")
async def again_async(req):
    found = [len(await req.read()), len(await req.read()), len(await req.read(3))]
    return [*found, len([p async for p in req.stream()]), len(req.body), len(req.text())]


@upload("/async/kinds")
async def kinds(req):
    """What libraries take for what it is, and where it may be handed to."""
    stream = req.stream()
    kinds = [isinstance(stream, kind) for kind in (AsyncIterable, Iterable)]
    return [kinds, b"".join(await asyncio.to_thread(list, stream)).decode()]


@upload("/def/kinds")
def kinds_in_thread(req):
    stream = req.stream()

    async def take():
        return b"".join([piece async for piece in stream])

    kinds = [isinstance(stream, kind) for kind in (AsyncIterable, Iterable)]
    return [kinds, asyncio.run(take()).decode()]


@upload("/def/idle/{port:int}")
def idle(req, port: int):
    """Read nothing, and look whether the client has gone."""
    hold(port, "begun")
    while not req.is_disconnected():
        time.sleep(0.01)
    hold(port, "told")


@upload("/async/idle/{port:int}")
async def idle_async(req, port: int):
    await at_gate(port, "begun")
    try:
        await asyncio.Event().wait()
    finally:
        await at_gate(port, "told")


def name_of(error):
    if isinstance(error, ConnectionError):
        return "ConnectionError"
    status = f" {error.status}" if isinstance(error, HTTPError) else ""
    return type(error).__name__ + status


@upload("/def/noted/{port:int}")
def noted(req, port: int):
    """Tell the gate of the begin, and of an end by an exception."""
    hold(port, "begun")
    try:
        return digest(req)
    except BaseException as error:
        hold(port, name_of(error))
        raise


@upload("/async/noted/{port:int}")
async def noted_async(req, port: int):
    await at_gate(port, "begun")
    try:
        return await digest_async(req)
    except BaseException as error:
        await at_gate(port, name_of(error))
        raise


@upload("/def/caught/{port:int}")
def caught(req, port: int):
    hold(port, "begun")
    try:
        return digest(req)
    except HTTPError as error:
        return PyreResponse(f"caught {error}", status_code=418)


@upload("/async/caught/{port:int}")
async def caught_async(req, port: int):
    await at_gate(port, "begun")
    try:
        return await digest_async(req)
    except HTTPError as error:
        return PyreResponse(f"caught {error}", status_code=418)


@upload("/def/kept")
def keep(req):
    kept.append(req)
    return req.read(1)


@upload("/async/kept")
async def keep_async(req):
    kept.append(req)
    return await req.read(1)


@app.get("/kept", gil=ON_MAIN)
def show_kept():
    """What a request says that has been answered."""
    req = kept.pop() if kept else None
    try:
        return {"rest": req.read().decode(), "path": req.path}
    except RuntimeError as error:
        return {"error": str(error), "path": req.path}


@upload("/async/thread")
async def in_thread(req):
    """The body is read on a thread that is none of the server's."""
    return await asyncio.to_thread(digest, req)


@upload("/def/thread")
def on_other_loop(req):
    """The body is read by a coroutine on a loop that is none of the server's."""
    found = []
    thread = threading.Thread(target=lambda: found.append(asyncio.run(digest_async(req))))
    thread.start()
    thread.join()
    return found[0]


@upload("/async/two")
async def two_tasks(req):
    """Each piece goes to one of two tasks."""
    found = []

    async def take():
        found.extend([piece async for piece in req.stream()])

    await asyncio.gather(take(), take())
    return {"bytes": sum(map(len, found))}


@upload("/async/wrong")
async def wrong(req):
    try:
        return list(req.stream())
    except RuntimeError as error:
        return str(error)


@app.post("/def/whole", gil=ON_MAIN)
def whole(req):
    return [[len(piece) for piece in req.stream()], len(req.body), list(req.stream())]


@app.post("/async/whole", gil=ON_MAIN)
async def whole_async(req):
    first = await req.read(2)
    return [[len(first), len(await req.read())], len(req.body), [p async for p in req.stream()]]


@app.get("/", gil=ON_MAIN)
def hello():
    return "hello"


if os.environ.get("TEST_HOOKS"):

    @app.before_request
    def before(req):
        if req.header("x-refuse"):
            return "refused", 403
        return None

    @app.after_request
    def after(req, resp):
        resp.headers["x-hooked"] = str(resp.status_code)
        hooked.append(resp.status_code)

    @app.get("/hooked", gil=ON_MAIN)
    def show_hooked():
        shown = list(hooked)
        hooked.clear()
        return shown


app.run()
