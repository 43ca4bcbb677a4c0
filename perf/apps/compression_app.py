"""Answers of 20 KB: JSON as a whole, and the same bytes by a generator of 20 pieces."""

import json
import os

from pyreframework import Pyre, PyreResponse

BODY_BYTES = 20_000
PIECE_BYTES = 1_000

app = Pyre()
app.enable_compression()


def body():
    rows = []
    for number in range(1000):
        name = f"name {number * 7919 % 1009}"
        rows.append({"number": number, "name": name, "price": number * 31 % 977 / 4})
        made = json.dumps(rows)
        if len(made) >= BODY_BYTES:
            return made[:BODY_BYTES]
    raise AssertionError("there are rows enough")


BODY = body()
PIECES = [BODY[start : start + PIECE_BYTES] for start in range(0, BODY_BYTES, PIECE_BYTES)]


@app.get("/")
def index(req):
    return "Hello, World!"


@app.get("/whole")
def whole(req):
    return PyreResponse(BODY, content_type="application/json")


@app.get("/pieces")
def pieces(req):
    return PyreResponse((piece for piece in PIECES), content_type="application/json")


if __name__ == "__main__":
    app.run(
        host="127.0.0.1",
        port=int(os.environ.get("PYRE_PORT", "8000")),
        workers=int(os.environ.get("PYRE_WORKERS", "1")),
        access_log=False,
    )
