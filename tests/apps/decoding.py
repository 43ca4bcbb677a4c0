"""Handlers that read bodies in every way, decoded by the app; they answer what they have read."""

import asyncio
import hashlib
import os

from pyreframework import BodyError, FormError, HTTPError, Pyre, PyreResponse

app = Pyre()
types = ("text/plain", "application/octet-stream")
app.enable_compression(0, types, decode_requests="TEST_ENCODED" not in os.environ)
ON_MAIN = True if os.environ.get("TEST_GIL") else None
kept = []


def raw(body):
    return PyreResponse(body, content_type="application/octet-stream")


@app.post("/def/body", gil=ON_MAIN)
def body(req):
    assert req.body is req.body
    return raw(req.body)


@app.post("/async/body", gil=ON_MAIN)
async def body_async(req):
    return raw(req.body)


@app.post("/def/text", gil=ON_MAIN)
def text(req):
    return req.text()


@app.post("/def/json", gil=ON_MAIN)
def as_json(req):
    return req.json()


@app.post("/def/stream", gil=ON_MAIN)
def pieces(req):
    return raw(b"".join(req.stream()))


@app.post("/async/stream", gil=ON_MAIN)
async def pieces_async(req):
    return raw(b"".join([piece async for piece in req.stream()]))


@app.post("/def/streamed", gil=ON_MAIN, stream_body=True)
def streamed(req):
    return raw(b"".join(req.stream()))


@app.post("/async/streamed", gil=ON_MAIN, stream_body=True)
async def streamed_async(req):
    return raw(b"".join([piece async for piece in req.stream()]))


@app.post("/def/read", gil=ON_MAIN, stream_body=True)
def read(req):
    found = []
    while piece := req.read(1000):
        assert len(piece) == 1000 or not req.read(1)
        found.append(piece)
    return raw(b"".join(found))


@app.post("/async/read", gil=ON_MAIN, stream_body=True)
async def read_async(req):
    first = await req.read(3)
    return raw(first + await req.read())


@app.post("/def/whole", gil=ON_MAIN, stream_body=True)
def whole(req):
    found = req.read()
    assert found == req.body
    return raw(found)


@app.post("/async/whole", gil=ON_MAIN, stream_body=True)
async def whole_async(req):
    found = await req.read()
    assert found == req.body
    return raw(found)


@app.post("/def/late", gil=ON_MAIN)
def late(req):
    """Reads when others have been answered."""
    kept.append(req)
    return PyreResponse(b"".join(one.body for one in kept[:-1]), content_type="text/plain")


@app.post("/def/form", gil=ON_MAIN)
def form(req):
    files = {name: len(file.read()) for name, file in req.files().items()}
    return {**req.form(), **files}


@app.post("/async/form", gil=ON_MAIN, stream_body=True)
async def form_async(req):
    fields, files = await req.form(), await req.files()
    sizes = {name: len(await file.read()) for name, file in files.items()}
    return {**fields, **sizes}


@app.post("/async/parts", gil=ON_MAIN, stream_body=True)
async def parts(req):
    return {part.name: len(await part.read()) async for part in req.parts()}


@app.post("/def/chained", gil=ON_MAIN)
def chained(req):
    try:
        return req.json()
    except ValueError as error:
        raise RuntimeError("what is read cannot be") from error


@app.post("/async/grouped", gil=ON_MAIN, stream_body=True)
async def grouped(req):
    async with asyncio.TaskGroup() as group:
        task = group.create_task(req.read())
    return len(task.result())


@app.post("/async/grouped-form", gil=ON_MAIN, stream_body=True)
async def grouped_form(req):
    async with asyncio.TaskGroup() as group:
        task = group.create_task(_form(req))
    return task.result()


async def _form(req):
    return await req.form()


@app.post("/def/form-error", gil=ON_MAIN)
def form_error(req):
    try:
        return req.form()
    except FormError as error:
        return {"form": error.status}


@app.post("/async/echoed", gil=ON_MAIN, stream_body=True)
async def echoed(req):
    async for piece in req.stream():
        yield piece


@app.get("/async/ping", gil=ON_MAIN)
async def ping(req):
    return "pong"


@app.post("/def/after", gil=ON_MAIN, stream_body=True)
def after(req):
    """Goes on reading behind what cannot be read."""
    count, found = 0, []
    try:
        for piece in req.stream():
            count += len(piece)
    except BodyError as error:
        found.append(error.status)
    for size in (10, 20_000, -1):
        try:
            found.append(len(req.read(size)))
        except BodyError as error:
            found.append(error.status)
    return [count, *found]


@app.post("/def/caught", gil=ON_MAIN)
def caught(req):
    try:
        return raw(req.body)
    except HTTPError as error:
        return {"status": error.status, "again": _again(req)}


def _again(req):
    try:
        return len(req.body)
    except HTTPError as error:
        return error.status


@app.post("/def/summed", gil=ON_MAIN, stream_body=True)
def summed(req):
    """So much may come that nobody keeps it."""
    digest, longest, count = hashlib.sha256(), 0, 0
    for piece in req.stream():
        digest.update(piece)
        longest, count = max(longest, len(piece)), count + len(piece)
    return {"sha": digest.hexdigest(), "longest": longest, "count": count}


@app.post("/def/headers", gil=ON_MAIN)
def headers(req):
    return [len(req.body), req.header("content-encoding"), req.header("content-length")]


@app.get("/zeros/{count}", gil=ON_MAIN)
def zeros(req, count: int):
    """More than a body may have."""
    for _ in range(count >> 16):
        yield bytes(1 << 16)
    yield bytes(count % (1 << 16))


@app.post("/def/unread", gil=ON_MAIN)
def unread(req):
    return "unread"


if __name__ == "__main__":
    app.run()
