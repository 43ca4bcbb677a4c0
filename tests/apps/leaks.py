"""Routes that touch everything a request can build, to be asked many thousand times."""

import asyncio
import contextvars
import gc

from pyreframework import HTTPError, Pyre, PyreResponse, set_cookie

app = Pyre()
variable = contextvars.ContextVar("variable")


@app.before_request
def before(req):
    req.state.n = 1


@app.after_request
def after(req, resp):
    resp.headers["X-After"] = "1"


@app.get("/plain")
def plain(req):
    return "plain"


@app.get("/everything/{name}/{n:int}")
def everything(req, name, n: int):
    seen = [
        req.method,
        req.path,
        req.params,
        req.query,
        req.query_params,
        req.query_params_all,
        dict(req.headers),
        list(req.headers),
        req.client_ip,
        req.client,
        req.scheme,
        req.http_version,
        req.cookies,
        req.body,
        req.text(),
        req.state.n,
        req.route,
        req.app,
        req.id,
        bytes(memoryview(req)),
        req.header("host"),
        req.param("name"),
        req.query_param("a"),
    ]
    req.state.loop = req
    return {"seen": len(seen), "name": name, "n": n, "list": [1, 2.5, None, {"a": "b"}]}


@app.get("/async/{kind}")
async def coroutine(req, kind):
    match kind:
        case "wait":
            await asyncio.sleep(0)
        case "timer":
            await asyncio.sleep(0.0001)
        case "context":
            variable.set([req])
            await asyncio.sleep(0)
        case "tasks":
            await asyncio.gather(*(asyncio.create_task(asyncio.sleep(0)) for _ in range(3)))
        case "callback":
            asyncio.current_task().add_done_callback(lambda task: req.path)
        case "error":
            await asyncio.sleep(0)
            raise ValueError(f"wrong {req.path}")
        case "timeout":
            async with asyncio.timeout(30):
                await asyncio.sleep(0)
        case "cancel":
            asyncio.current_task().cancel()
            try:
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                pass
        case "after":
            req.add_task(after_answer, req)
    return kind


async def after_answer(req):
    await asyncio.sleep(0)
    return req.path


held = set()


@app.get("/hold")
async def hold(req):
    held.add(req.id)
    try:
        await asyncio.sleep(600)
    finally:
        held.remove(req.id)


@app.get("/held")
async def count_held():
    return len(held)


@app.get("/after")
def leave_tasks(req):
    req.add_task(len, "x")
    return "answered"


@app.post("/json")
def json_body(req):
    return req.json()


@app.get("/error/{kind}")
def error(req, kind):
    if kind == "http":
        raise HTTPError(404, "no")
    if kind == "cookie":
        return set_cookie(PyreResponse("x", headers={"A": ["b", "c"]}), "a", "b")
    if kind == "result":
        return object()
    if kind == "json":
        return {"a": [object()]}
    frame = {"req": req}
    raise ValueError(f"wrong {len(frame)}")


@app.exception_handler(ValueError)
def on_value(req, exc):
    return {"error": str(exc)}, 400


@app.get("/collect")
def collect(req):
    return str(gc.collect())


app.run()
