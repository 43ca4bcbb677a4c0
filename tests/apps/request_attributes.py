"""Shows what handlers see of a request, and keeps some requests for later."""

from collections.abc import Mapping

from pyreframework import Pyre, PyreRequest, PyreResponse

app = Pyre()
kept = []


def attempt(action):
    """The result, or the name of what it raised."""
    try:
        return action()
    except Exception as error:
        return type(error).__name__


def plain(req):
    host, port = req.client
    return {
        "method": req.method,
        "path": req.path,
        "params": dict(req.params),
        "query": req.query,
        "query_params": dict(req.query_params),
        "query_params_all": {name: list(v) for name, v in req.query_params_all.items()},
        "headers": dict(req.headers),
        "client_ip": req.client_ip,
        "client": [host, port],
        "scheme": req.scheme,
        "http_version": req.http_version,
        "cookies": dict(req.cookies),
        "body": bytes(req.body).decode("latin-1"),
        "view": bytes(memoryview(req)).decode("latin-1"),
        "id": str(req.id),
        "app": req.app is app,
    }


@app.route(["GET", "POST", "PUT", "PATCH", "DELETE"], "/see/{name}/{n:int}")
def see(req):
    return plain(req)


@app.post("/text")
def text(req):
    return {"text": attempt(req.text), "again": attempt(req.text)}


@app.post("/json")
def json_body(req):
    return {"json": req.json()}


@app.post("/json-caught")
def json_caught(req):
    try:
        return {"json": req.json()}
    except ValueError:
        return {"json": "ValueError"}


@app.post("/form")
def form(req):
    return {"form": dict(req.form())}


@app.get("/lookup/{name}")
def lookup(req):
    return {
        "header": req.header("X-One"),
        "header lower": req.header("x-one"),
        "header missing": req.header("x-none"),
        "header default": req.header("x-none", "d"),
        "param": req.param("name"),
        "param missing": attempt(lambda: req.param("none")),
        "query_param": req.query_param("q"),
        "query_param missing": attempt(lambda: req.query_param("none")),
    }


@app.get("/mapping")
def mapping(req):
    headers = req.headers
    return {
        "is a mapping": isinstance(headers, Mapping),
        "get": headers.get("x-one"),
        "get missing": headers.get("x-none"),
        "get default": headers.get("x-none", "d"),
        "item": headers["x-one"],
        "missing": attempt(lambda: headers["x-none"]),
        "in": "x-one" in headers,
        "not in": "x-none" in headers,
        "len": len(headers) == len(list(headers)) == len(list(headers.items())),
        "keys": sorted(headers.keys()),
        "joined": headers["x-many"],
    }


@app.get("/frozen")
def frozen(req):
    outcome = {}
    for name in ("nonsense", "method", "path", "headers", "params", "body", "json"):
        try:
            setattr(req, name, 1)
        except AttributeError:
            outcome[name] = "AttributeError"
        else:
            outcome[name] = "set"
    return outcome


@app.before_request
def mark(req):
    if req.header("x-mark"):
        req.state.mark = req.header("x-mark")


@app.get("/state")
def state(req):
    return {"mark": getattr(req.state, "mark", None)}


@app.post("/keep/{name}")
def keep(req):
    kept.append(req)
    return "kept"


@app.get("/kept")
def show_kept(req):
    return [plain(one) for one in kept]


@app.get("/kept/views")
def show_views(req):
    """Views outlive the request they were taken from."""
    views = [memoryview(one) for one in kept]
    bodies = [one.body for one in kept]
    kept.clear()
    return [[bytes(v).decode(), bytes(b).decode()] for v, b in zip(views, bodies, strict=True)]


@app.get("/types")
def types(req):
    return {
        "request": isinstance(req, PyreRequest),
        "route": "/types" in str(req.route) or "/types" in repr(req.route),
        "made": attempt(lambda: PyreRequest()),
        "response": isinstance(PyreResponse("x"), PyreResponse),
    }


app.run()
