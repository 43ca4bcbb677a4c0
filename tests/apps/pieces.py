"""Answers in pieces, of every kind of handler, and what befalls them."""

import asyncio
import os
import threading

from pyreframework import HTTPError, Pyre, PyreResponse, PyreStream

app = Pyre()
ON_MAIN = True if os.environ.get("TEST_GIL") else None
app.enable_metrics("/metrics")
app.enable_logging()
seen = []

PIECES = {
    "text": ["one", "two ", "three"],
    "bytes": [b"\x00\xff", bytearray(b"array"), memoryview(b"view")],
    "other": ["Grüße", "日本", "🙂", "ascii"],
    "gaps": ["", "one", b"", "two", ""],
    "none": [],
    "empty": ["", b""],
    "wrong-first": [5, "never"],
    "wrong-later": ["one", {"a": 1}, "never"],
    "surrogate": ["one\udc80"],
}


class Refused(Exception):
    """What an exception handler knows."""


@app.exception_handler(Refused)
def refused(req, error):
    return {"refused": str(error)}, 418


class Again(Exception):
    """What answers to this fails with it as well."""


@app.exception_handler(Again)
def again(req, error):
    tries.append(req.path)
    return fails_again_later() if "async" in req.path else fails_again()


def fails_again():
    raise Again
    yield b""


async def fails_again_later():
    raise Again
    yield b""


tries = []


@app.get("/fails-again/{kind}", gil=ON_MAIN)
def fails_in_its_handler(req, kind):
    raise Again


@app.get("/tries", gil=ON_MAIN)
def count_tries(req):
    count = len(tries)
    tries.clear()
    return count


def pieces(which):
    try:
        yield from PIECES[which]
    finally:
        seen.append(f"{which} left")


async def pieces_later(which):
    try:
        for piece in PIECES[which]:
            await asyncio.sleep(0)
            yield piece
    finally:
        seen.append(f"{which} left")


def made(which, shape):
    """What handlers return that are no generators themselves."""
    generator = (pieces_later if shape.endswith("-later") else pieces)(which)
    match shape.removesuffix("-later"):
        case "plain":
            return generator
        case "response":
            return PyreResponse(
                body=generator,
                status_code=203,
                headers={"X-Kind": "response"},
                content_type="text/plain",
            )
        case "tuple":
            return generator, 203, {"X-Kind": "tuple"}
        case "status":
            return generator, 203
        case "stream":
            generator.aclose().close() if shape.endswith("-later") else generator.close()
            stream = PyreStream("text/plain", 203, {"X-Kind": "stream"})
            threading.Thread(target=send_all, args=(stream, which)).start()
            return stream
    return None


def send_all(stream, which):
    with stream:
        for piece in PIECES[which]:
            stream.send(piece)


@app.get("/", gil=ON_MAIN)
def hello():
    return "hello"


@app.get("/seen", gil=ON_MAIN)
def show_seen():
    shown = list(seen)
    del seen[: len(shown)]
    return shown


# The function itself is the generator.
@app.get("/is/def/{which}", gil=ON_MAIN)
def is_generator(req, which):
    yield from pieces(which)


@app.get("/is/async/{which}", gil=ON_MAIN)
async def is_async_generator(req, which):
    async for piece in pieces_later(which):
        yield piece


# It makes one.
@app.get("/makes/def/{shape}/{which}", gil=ON_MAIN)
def makes(req, shape, which):
    return made(which, shape)


@app.get("/makes/async/{shape}/{which}", gil=ON_MAIN)
async def makes_later(req, shape, which):
    if req.query != "at-once":
        await asyncio.sleep(0)
    return made(which, shape)


@app.get("/empty/{status:int}", gil=ON_MAIN)
def empty(req, status):
    return pieces("text"), status


# What they raise.
def error_of(what):
    match what:
        case "error":
            return ValueError("secret of the generator")
        case "http":
            return HTTPError(404, "there is none")
        case "handled":
            return Refused("not today")
        case "exit":
            return SystemExit(3)
    raise AssertionError(what)


def fails(what, after):
    try:
        for number in range(after):
            yield f"piece {number} "
        raise error_of(what)
    finally:
        seen.append(f"{what} raised")


async def fails_later(what, after):
    try:
        for number in range(after):
            yield f"piece {number} "
        await asyncio.sleep(0)
        raise error_of(what)
    finally:
        seen.append(f"{what} raised")


@app.get("/fails/def/{what}/{after:int}", gil=ON_MAIN)
def failing(req, what, after):
    return fails(what, after), 200, {"X-Fails": "later"}


@app.get("/fails/async/{what}/{after:int}", gil=ON_MAIN)
async def failing_later(req, what, after):
    return fails_later(what, after), 200, {"X-Fails": "later"}


@app.get("/fails/mixed/{what}/{after:int}", gil=ON_MAIN)
def failing_mixed(req, what, after):
    return fails_later(what, after)


@app.get("/fails/crossed/{what}/{after:int}", gil=ON_MAIN)
async def failing_crossed(req, what, after):
    return fails(what, after)


@app.before_request
def stop_some(req):
    if req.header("x-stop"):
        return "stopped", 403
    return None


@app.after_request
def mark(req, resp):
    if req.header("x-mark"):
        resp.headers["X-Marked"] = f"{resp.status_code} {type(resp.body).__name__}"
        resp.status_code = 299
    if req.header("x-replace"):
        return PyreResponse(body="replaced")
    return resp


app.run()
