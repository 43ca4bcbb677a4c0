"""Hooks, exception handlers and a fallback made with `async def`, around handlers of both kinds."""

import asyncio
import contextvars
import os

from pyreframework import HTTPError, Pyre, PyreResponse

app = Pyre()
ON_MAIN = True if os.environ.get("TEST_GIL") else None
variable = contextvars.ContextVar("variable", default="unset")


class Wrong(Exception):
    pass


async def pause(req):
    """Wait, unless the test wants to know what happens without."""
    if req.header("x-pause") == "no":
        return
    await asyncio.sleep(0)
    await asyncio.sleep(0.001)


@app.before_request
async def first(req):
    req.state.ran = ["first"]
    req.state.before = variable.get()
    variable.set(f"set for {req.path}")
    await pause(req)
    req.state.ran.append("first went on")


@app.before_request
def second(req):
    req.state.ran.append("second")
    if req.header("x-before") == "sync":
        return "from the second", 202
    return None


@app.before_request
async def third(req):
    req.state.ran.append("third")
    what = req.header("x-before")
    await pause(req)
    match what:
        case "answer":
            return {"from": "third"}
        case "raise":
            raise Wrong("secret of the third")
        case "http":
            raise HTTPError(401, "who are you")
        case "false":
            return False
    return None


@app.after_request
async def after_first(req, resp):
    req.state.ran.append("after first")
    await pause(req)
    resp.headers["X-Variable"] = variable.get()
    resp.headers["X-Before"] = req.state.before
    match req.header("x-after"):
        case "raise":
            raise Wrong("secret of the after hook")
        case "replace":
            return PyreResponse("replaced", status_code=299)
    return None


@app.after_request
def after_second(req, resp):
    req.state.ran.append("after second")
    resp.headers["X-Seen"] = str(resp.status_code)
    resp.headers["X-Ran"] = ", ".join(req.state.ran)


@app.exception_handler(ValueError)
async def on_value(req, exc):
    await pause(req)
    return {"handled": str(exc)}, 422


@app.exception_handler(LookupError)
async def on_lookup(req, exc):
    await pause(req)
    raise HTTPError(404, f"no {exc.args[0]}")


@app.exception_handler(OSError)
async def on_os(req, exc):
    await pause(req)
    raise Wrong("secret of the exception handler")


@app.get("/sync", gil=ON_MAIN)
def sync(req):
    return "sync " + variable.get()


@app.get("/async", gil=ON_MAIN)
async def not_sync(req):
    await pause(req)
    return "async " + variable.get()


@app.get("/sync/error/{kind}", gil=ON_MAIN)
def sync_error(req, kind):
    fail(kind)


@app.get("/async/error/{kind}", gil=ON_MAIN)
async def async_error(req, kind):
    await pause(req)
    fail(kind)


def fail(kind):
    match kind:
        case "value":
            raise ValueError("wrong value")
        case "lookup":
            raise LookupError("page")
        case "os":
            raise OSError("disk")
        case "wrong":
            raise Wrong("secret of the handler")
        case "http":
            raise HTTPError(410)


@app.fallback
async def fallback(req):
    await pause(req)
    return f"fallback {req.path}", 404


app.run()
