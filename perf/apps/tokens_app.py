"""Token streams on Pyre, from async generators."""

import os

from tokens import tokens

from pyreframework import Pyre, PyreResponse

app = Pyre()


@app.get("/")
def index(req):
    return "Hello, World!"


@app.get("/tokens/{count}/{per_second}")
async def stream(req, count, per_second):
    events = tokens(int(count), int(per_second))
    return PyreResponse(events, content_type="text/event-stream")


if __name__ == "__main__":
    workers = int(os.environ.get("PYRE_WORKERS", "1"))
    app.run(
        host="127.0.0.1",
        port=int(os.environ.get("PYRE_PORT", "8000")),
        workers=workers,
        io_workers=workers,
    )
