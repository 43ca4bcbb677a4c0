"""Routes that touch everything a request can build, to be asked many thousand times."""

import gc

from pyreframework import HTTPError, Pyre, PyreResponse, set_cookie

app = Pyre()


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
