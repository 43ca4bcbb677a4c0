"""Handlers that let through what ends a body too early, in all the ways in which they may."""

import asyncio
import contextlib
import os

from gates import at_gate, hold

from pyreframework import Pyre, PyreResponse, PyreStream, RequestTimeout

app = Pyre()
ON_MAIN = True if os.environ.get("TEST_GIL") else None
seen = []
cleaned = []


class LostError(Exception):
    """What a program makes of an upload that has no end."""


def upload(path, **options):
    return app.post(path, gil=ON_MAIN, stream_body=True, **options)


@app.after_request
def note(req, resp):
    seen.append(f"{req.path.rpartition('/')[0]} {resp.status_code}")


async def take(req):
    async for _ in req.stream():
        pass


@upload("/async/two/{port:int}")
async def two(req, port: int):
    """Each of two tasks is told."""
    await at_gate(port, "begun")
    await asyncio.gather(take(req), take(req))


@upload("/async/group/{port:int}")
async def group(req, port: int):
    await at_gate(port, "begun")
    async with asyncio.TaskGroup() as group:
        group.create_task(take(req))
        group.create_task(take(req))


@upload("/async/cause/{port:int}")
async def cause_async(req, port: int):
    await at_gate(port, "begun")
    try:
        await take(req)
    except Exception as error:
        raise LostError("no file") from error


@upload("/def/cause/{port:int}")
def cause(req, port: int):
    hold(port, "begun")
    try:
        list(req.stream())
    except Exception as error:
        raise LostError("no file") from error


@upload("/async/mixed/{port:int}")
async def mixed(req, port: int):
    """Another exception is in the group, which is a fault of the handler."""
    await at_gate(port, "begun")

    async def fail():
        try:
            await take(req)
        finally:
            raise LostError("a fault of its own")

    async with asyncio.TaskGroup() as group:
        group.create_task(take(req))
        group.create_task(fail())


@upload("/def/cleaning/{port:int}")
def cleaning(req, port: int):
    """What is raised while it cleans up is a fault of the handler."""
    hold(port, "begun")
    try:
        list(req.stream())
    except Exception:
        raise LostError("a fault of its own")  # noqa: B904


@upload("/def/echo/{port:int}")
def echo(req, port: int):
    yield b"begun"
    hold(port, "begun")
    yield from req.stream()


@upload("/async/echo/{port:int}")
async def echo_async(req, port: int):
    yield b"begun"
    await at_gate(port, "begun")
    async for piece in req.stream():
        yield piece


@upload("/async/task/{port:int}")
async def task(req, port: int):
    """What is left to be done reads the body while the answer is sent."""
    stream = PyreStream("text/plain")

    async def copy():
        # What `send` says of a client that has gone is for the program.
        with contextlib.suppress(ConnectionError):
            async with stream:
                await at_gate(port, "begun")
                async for piece in req.stream():
                    await stream.send(piece)

    req.add_task(copy)
    return stream


@app.get("/seen", gil=ON_MAIN)
def show():
    shown = [seen[:], cleaned[:]]
    seen.clear()
    cleaned.clear()
    return shown


READS = {
    "stream": lambda req: list(req.stream()),
    "read": lambda req: req.read(),
    "n": lambda req: req.read(1_000_000),
    "json": lambda req: req.json(),
}


@upload("/slow/{way}", request_timeout=2)
def slow(req, way):
    try:
        return READS[way](req)
    except RequestTimeout:
        return "interrupted"
    finally:
        cleaned.append(way)


@upload("/long/{way}")
def long(req, way):
    print(f"reads {way}", flush=True)
    try:
        return READS[way](req)
    finally:
        print(f"cleaned up after {way}", flush=True)


@upload("/def/returned")
def returned(req):
    return PyreResponse(req.stream())


@upload("/async/returned")
async def returned_async(req):
    return PyreResponse(req.stream())


app.run()
