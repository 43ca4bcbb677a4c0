"""As `plain`, as far as the rules of HTTP/1.1 go, with bodies that are read as they come."""

import os

from pyreframework import Pyre

app = Pyre()


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


@app.get("/seen")
def seen(req):
    return {"path": req.path, "query": req.query, "headers": dict(req.headers)}


if os.environ["TEST_KIND"] == "def":

    @app.route(["POST", "PUT"], "/echo", stream_body=True)
    def echo(req):
        return b"".join(req.stream())

else:

    @app.route(["POST", "PUT"], "/echo", stream_body=True)
    async def echo(req):
        return b"".join([piece async for piece in req.stream()])


app.run()
