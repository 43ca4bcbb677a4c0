"""Bodies of any length: generators and a stream; uploads read by a thread and a coroutine."""

import os
import threading
import zlib

from pyreframework import Pyre, PyreStream

PIECE = b"".join(b"%015d\n" % line for line in range(4096))

app = Pyre()


@app.get("/")
def index(req):
    return "Hello, World!"


def pieces(count):
    """Yield so many bytes; all pieces but the last are one and the same object."""
    for _ in range(count // len(PIECE)):
        yield PIECE
    if count % len(PIECE):
        yield PIECE[: count % len(PIECE)]


@app.get("/generator/{count}")
def generator(req, count):
    return pieces(int(count))


@app.get("/async-generator/{count}")
async def async_generator(req, count):
    for piece in pieces(int(count)):
        yield piece


@app.get("/stream/{count}")
def stream(req, count):
    found = PyreStream("application/octet-stream")
    threading.Thread(target=send, args=[found, int(count)]).start()
    return found


def send(stream, count):
    try:
        with stream:
            for piece in pieces(count):
                stream.send(piece)
    except ConnectionError:
        pass  # A client may go.


def answer(count, check):
    return str(count) if check is None else f"{count} {check}"


@app.post("/upload", stream_body=True)
def upload(req):
    count, check = 0, (0 if req.query else None)
    for piece in req.stream():
        count += len(piece)
        if check is not None:
            check = zlib.crc32(piece, check)
    return answer(count, check)


@app.post("/upload-async", stream_body=True)
async def upload_async(req):
    count, check = 0, (0 if req.query else None)
    async for piece in req.stream():
        count += len(piece)
        if check is not None:
            check = zlib.crc32(piece, check)
    return answer(count, check)


if __name__ == "__main__":
    app.run(
        host="127.0.0.1",
        port=int(os.environ.get("PYRE_PORT", "8000")),
        workers=int(os.environ.get("PYRE_WORKERS", "1")),
        max_body_size=2_000_000_000,
        request_timeout=600,
    )
