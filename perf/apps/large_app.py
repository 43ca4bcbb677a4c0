"""Answers of 16 MB: what an aborted download leaves behind."""

import os

from pyreframework import Pyre

LARGE_BYTES = 16 * 1024 * 1024

app = Pyre()


@app.get("/")
def index(req):
    return "Hello, World!"


@app.get("/large")
def large(req):
    return b"x" * LARGE_BYTES


if __name__ == "__main__":
    app.run(
        host="127.0.0.1",
        port=int(os.environ.get("PYRE_PORT", "8000")),
        workers=int(os.environ.get("PYRE_WORKERS", "1")),
    )
