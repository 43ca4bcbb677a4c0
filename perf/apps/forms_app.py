"""Forms with a file of any length, spooled to disk: in a thread, in a coroutine, by parts."""

import os
import zlib

from pyreframework import Pyre

app = Pyre()


@app.get("/")
def index(req):
    return "Hello, World!"


def answer(file, pieces, check):
    if not check:
        return str(file)
    found = 0
    for piece in pieces:
        found = zlib.crc32(piece, found)
    return f"{file} {found}"


def pieces(file):
    while piece := file.read(1 << 18):
        yield piece


@app.post("/form", stream_body=True)
def form(req):
    found = req.files()["file"]
    return answer(found.size, pieces(found.file), req.query)


@app.post("/form-async", stream_body=True)
async def form_async(req):
    found = (await req.files())["file"]
    return answer(found.size, pieces(found.file), req.query)


@app.post("/parts", stream_body=True)
async def parts(req):
    """Go through the parts, and keep nothing of them."""
    size, check = 0, 0
    async for part in req.parts():
        async for piece in part:
            size += len(piece)
            if req.query:
                check = zlib.crc32(piece, check)
    return f"{size} {check}" if req.query else str(size)


if __name__ == "__main__":
    app.run(
        host="127.0.0.1",
        port=int(os.environ.get("PYRE_PORT", "8000")),
        workers=int(os.environ.get("PYRE_WORKERS", "1")),
        max_body_size=2_000_000_000,
        request_timeout=600,
    )
