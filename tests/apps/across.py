"""Answers of all kinds, for pages of other origins; the test says whose."""

import asyncio
import collections
import json
import os

from gates import at_gate

from pyreframework import HTTPError, Pyre, PyreResponse, PyreStream, redirect, send_file

app = Pyre()
app.enable_cors(**json.loads(os.environ["TEST_CORS"]))
app.enable_metrics("/metrics")
ON_MAIN = True if os.environ.get("TEST_GIL") else None


@app.before_request
def before(req):
    if req.path == "/hooked":
        return "hooked", 401
    return None


@app.get("/text", gil=ON_MAIN)
def text(req):
    return "text"


@app.get("/async", gil=ON_MAIN)
async def later(req):
    await asyncio.sleep(0)
    return {"json": 1}


@app.get("/hooked", gil=ON_MAIN)
def hooked(req):
    return "never"


@app.get("/headers", gil=ON_MAIN)
def headers(req):
    """Says itself what the app says, and more."""
    own = {
        "access-control-allow-origin": "https://mine.example",
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Expose-Headers": "X-Mine",
        "Vary": "Accept",
        "X-Own": "own",
    }
    return PyreResponse("headers", headers=own)


@app.get("/error", gil=ON_MAIN)
def error(req):
    raise HTTPError(418)


@app.get("/raise", gil=ON_MAIN)
def fails(req):
    raise ValueError("a fault")


@app.get("/redirect", gil=ON_MAIN)
def elsewhere(req):
    return redirect("/text")


@app.get("/generator", gil=ON_MAIN)
def generator(req):
    yield "pie"
    yield "ces"


@app.get("/events", gil=ON_MAIN)
def events(req):
    stream = PyreStream("text/event-stream")
    stream.send_event("event")
    stream.close()
    return stream


@app.get("/late", gil=ON_MAIN, request_timeout=0.2)
async def late(req):
    await asyncio.sleep(60)


@app.get("/hold/{port:int}", gil=ON_MAIN)
async def hold(req, port):
    return await at_gate(port, "hold")


kept = collections.deque(maxlen=8)


@app.route(["GET", "POST"], "/keep/{how}", gil=ON_MAIN)
def keep(req, how):
    """Keeps the request beyond its answer."""
    kept.append(req)
    return send_file(__file__) if how == "file" else how


@app.route(["GET", "POST"], "/keep-async/{how}", gil=ON_MAIN)
async def keep_later(req, how):
    await asyncio.sleep(0)
    return keep(req, how)


@app.route(["GET", "POST"], "/keep-generator/{how}", gil=ON_MAIN)
def keep_generator(req, how):
    yield how
    yield req.path


app.static("/folder", os.path.dirname(__file__))


@app.get("/sent", gil=ON_MAIN)
def sent(req):
    own = {"Access-Control-Allow-Origin": "https://mine.example", "X-Own": "own"}
    return send_file(__file__, headers=own)


@app.options("/own-options", gil=ON_MAIN)
def own_options(req):
    return "mine"


@app.post("/post", gil=ON_MAIN)
def post(req):
    return "posted"


app.run()
