"""The five benchmark routes on Pyre."""

import os

from pyreframework import Pyre

app = Pyre()


@app.get("/")
def index(req):
    return "Hello, World!"


@app.get("/json")
def message(req):
    return {"message": "Hello, World!"}


@app.get("/user/{id}")
def user(req, id):
    return {"id": id}


@app.post("/echo")
def echo(req):
    return req.json()


@app.get("/compute")
def compute(req):
    return {"result": sum(n * n for n in range(100))}


if __name__ == "__main__":
    app.run(
        host="127.0.0.1",
        port=int(os.environ.get("PYRE_PORT", "8000")),
        workers=int(os.environ.get("PYRE_WORKERS", "1")),
    )
