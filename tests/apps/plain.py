"""The plainest program: what the tests of the wire talk to. It needs no file beside it."""

import socket

from pyreframework import Pyre, PyreResponse

app = Pyre()


def hold(port, name):
    """Wait at the test's gate; the answer is what the test says when it opens."""
    with socket.create_connection(("127.0.0.1", port)) as gate:
        gate.sendall(name.encode() + b"\n")
        return gate.makefile().readline().strip()


@app.get("/")
def hello(req):
    return "hello"


@app.get("/after")
def after(req):
    return "after"


@app.route(["GET", "POST", "PUT"], "/smuggled")
def smuggled(req):
    print("SMUGGLED", flush=True)
    return "smuggled"


@app.post("/echo")
def echo(req):
    return bytes(req.body)


@app.put("/echo")
def echo_length(req):
    return {"length": len(req.body)}


@app.get("/number/{n:int}")
def number(req, n):
    return str(n)


@app.get("/big/{size:int}")
def big(req, size):
    return b"x" * size


@app.get("/wait/{port:int}/{name}")
def wait(req, port, name):
    return hold(port, name)


@app.post("/wait/{port:int}/{name}")
def wait_with_body(req, port, name):
    return hold(port, name) + " " + req.text()


@app.get("/nothing")
def nothing(req):
    return None


@app.get("/not-modified")
def not_modified(req):
    return PyreResponse(b"", status_code=304, headers={"ETag": '"a"'})


@app.get("/seen")
def seen(req):
    return {
        "path": req.path,
        "query": req.query,
        "version": req.http_version,
        "headers": dict(req.headers),
        "body": req.text(),
    }


@app.post("/seen")
def seen_with_body(req):
    return seen(req)


app.run()
