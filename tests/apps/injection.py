"""Parameters filled by name, converted by annotation; and what registration refuses."""

import functools
import uuid

from pyreframework import Pyre, PyreRequest

app = Pyre()


def shown(*values):
    return [[type(value).__name__, str(value)] for value in values]


@app.get("/int/{n}")
def as_int(req, n: int):
    return shown(n)


@app.get("/float/{x}")
def as_float(req, x: float):
    return shown(x)


@app.get("/str/{s}")
def as_str(req, s: str):
    return shown(s)


@app.get("/bool/{b}")
def as_bool(req, b: bool):
    return shown(b)


@app.get("/uuid/{u}")
def as_uuid(req, u: uuid.UUID):
    return shown(u)


@app.get("/text/{n}")
def annotated_as_text(req, n: "int"):
    return shown(n)


@app.get("/typed/{n:int}/{x:float}/{u:uuid}/{s:str}/{p:path}")
def typed(req, n, x, u, s, p):
    return shown(n, x, u, s, p)


@app.get("/params/{n:int}/{x:float}/{u:uuid}/{s:str}/{p:path}")
def typed_params(req):
    return shown(*req.params.values())


@app.get("/order/{a}/{b}/{c}")
def order(req, c, a, b):
    return [a, b, c]


@app.get("/without/{a}/{b:int}")
def without_request(b, a):
    return [a, b]


@app.get("/nothing")
def takes_nothing():
    return "nothing"


@app.get("/default/{a}")
def with_default(req, a, more=5):
    return [a, more]


@app.get("/keyword/{a}")
def keyword_only(req, *, a: int):
    return shown(a)


@app.get("/unused/{a}")
def unused(req):
    return req.params


@app.get("/annotated/{a}")
def annotated(request: PyreRequest, a):
    return [request.path, a]


app.get("/lambda/{a}", lambda r, a: a)
app.get("/partial/{a}", functools.partial(lambda greeting, req, a: f"{greeting} {a}", "hi"))


@app.get("/rest/{*rest}")
def rest(req, rest):
    return [rest]


def refusals():
    """What registration says of handlers it cannot call."""
    other = Pyre()
    wrong = {
        "unknown": lambda: other.get("/a", lambda req, missing: 1),
        "unknown with param": lambda: other.get("/a/{b}", lambda req, b, missing: 1),
        "not callable": lambda: other.get("/b", 5),
        "no slash": lambda: other.get("no-slash", lambda req: 1),
        "unclosed": lambda: other.get("/{open", lambda req: 1),
        "empty name": lambda: other.get("/{}", lambda req: 1),
        "unknown converter": lambda: other.get("/{a:nonsense}", lambda req: 1),
        "name twice": lambda: other.get("/{a}/{a}", lambda req: 1),
        "catch-all first": lambda: other.get("/{*a}/b", lambda req: 1),
        "bad method": lambda: other.route("G T", "/c", lambda req: 1),
    }
    said = {}
    for name, action in wrong.items():
        try:
            action()
        except (ValueError, TypeError) as error:
            said[name] = f"{type(error).__name__}: {error}"
        else:
            said[name] = "accepted"
    return said


REFUSALS = refusals()


@app.get("/refusals")
def show_refusals(req):
    return REFUSALS


app.run()
