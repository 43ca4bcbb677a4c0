"""Hooks around handlers, errors and the fallback; the order in which they ran comes back."""

from pyreframework import HTTPError, Pyre, PyreResponse

app = Pyre()


class Specific(ValueError):
    pass


class Unhandled(Exception):
    pass


@app.before_request
def first(req):
    req.state.ran = ["first"]


@app.before_request()
def second(req):
    req.state.ran.append("second")
    what = req.header("x-before")
    if what == "str":
        return "from the hook"
    if what == "dict":
        return {"from": "hook"}
    if what == "response":
        return PyreResponse("no", status_code=403)
    if what == "tuple":
        return "gone", 410
    if what == "empty":
        return ""
    if what == "false":
        return False
    if what == "raise":
        raise Unhandled("secret of the hook")
    if what == "http":
        raise HTTPError(401, "who are you", headers={"WWW-Authenticate": "Basic"})
    return None


def third(req):
    req.state.ran.append("third")


app.before_request(third)


@app.after_request
def after_first(req, resp):
    req.state.ran.append("after first")
    resp.headers["X-After"] = "first"


@app.after_request()
def after_second(req, resp):
    req.state.ran.append("after second")
    what = req.header("x-after")
    if what == "raise":
        raise Unhandled("secret of the after hook")
    if what == "replace":
        return PyreResponse("replaced", status_code=299)
    if what == "http":
        raise HTTPError(409, "too late")
    status = resp.status_code
    resp.headers["X-Seen"] = str(status)
    resp.headers["X-Ran"] = ", ".join(req.state.ran)
    return None


@app.get("/")
def handler(req):
    print("HANDLER RAN", req.header("x-mark"), flush=True)
    return "handled"


@app.get("/error/{kind}")
def error(req, kind):
    match kind:
        case "plain":
            raise Unhandled("secret of the handler")
        case "value":
            raise ValueError("wrong value")
        case "specific":
            raise Specific("very wrong")
        case "key":
            return {}["missing"]
        case "lookup":
            raise LookupError("look")
        case "http":
            raise HTTPError(404)
        case "http-detail":
            raise HTTPError(402, {"pay": 5}, headers={"X-Price": "5"})
        case "http-cause":
            try:
                raise Unhandled("inner secret")
            except Unhandled as inner:
                raise HTTPError(410, "gone") from inner
        case "exit":
            raise SystemExit(7)
        case "interrupt":
            raise KeyboardInterrupt
        case "generator":
            raise GeneratorExit
        case "base":
            raise BaseException("bare")
        case "recursion":
            return error(req, kind)
        case "stop":
            raise StopIteration("stop")
        case "group":
            raise ExceptionGroup("several", [ValueError("a"), TypeError("b")])
        case "unprintable":
            raise Unprintable
        case "runtime":
            raise RuntimeError("handler of this one fails")


class Unprintable(Exception):
    def __str__(self):
        raise ValueError("cannot say")

    __repr__ = __str__


@app.exception_handler(ValueError)
def on_value(req, exc):
    return {"handled": str(exc), "by": "value"}, 422


@app.exception_handler(Specific)
def on_specific(req, exc):
    return PyreResponse(f"specific: {exc}", status_code=418)


@app.exception_handler(LookupError)
def on_lookup(req, exc):
    raise HTTPError(404, f"no {type(exc).__name__}")


@app.exception_handler(RuntimeError)
def on_runtime(req, exc):
    raise Unhandled("secret of the exception handler")


@app.fallback
def fallback(req):
    if req.path == "/fallback/raise":
        raise Unhandled("secret of the fallback")
    return {"fallback": req.path, "method": req.method, "params": dict(req.params)}, 404


app.run()
