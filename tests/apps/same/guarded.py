"""Apps with something registered where not every interpreter comes by; served in every way.

As a program it serves each of them by `run()` and by clients, on workers and on the main
interpreter, and writes down what came of it.
"""

import os

from pyreframework import HTTPError, Pyre, StartError

GUARD = os.environ["GUARD"]
try:
    import refusing
except ImportError:
    refusing = None


def is_registered():
    """What is registered here: in all interpreters, or where the guard lets it."""
    return {
        "always": True,
        "main": __name__ == "__main__",
        "workers": __name__ != "__main__",
        "import": refusing is not None,
    }[GUARD]


def index(req):
    return "index"


def secret(req):
    raise KeyError("secret")


def other(req):
    return {"value": object}


def check(req):
    if req.path == "/secret":
        raise HTTPError(401)


def mark(req, resp):
    resp.headers["X-Mark"] = "yes"


def missing(req):
    return "fallback", 404


def caught(req, exc):
    return "caught", 418


KINDS = {
    "route": lambda app: app.get("/more", index),
    "option": lambda app: app.get("/more", index, request_timeout=5),
    "before": lambda app: app.before_request(check),
    "after": lambda app: app.after_request(mark),
    "fallback": lambda app: app.fallback(missing),
    "exception": lambda app: app.exception_handler(KeyError, caught),
    "json": lambda app: setattr(app, "json_default", str),
    "ids": lambda app: app.enable_request_id(),
    "start": lambda app: app.on_worker_start(lambda: None),
    "stop": lambda app: app.on_worker_stop(lambda: None),
    "startup": lambda app: app.on_startup(lambda: None),
}


def make(kind):
    app = Pyre()
    app.get("/", index)
    app.get("/secret", secret)
    app.get("/other", other)
    if is_registered():
        KINDS[kind](app)
    elif kind == "option":
        app.get("/more", index)
    return app


apps = {kind: make(kind) for kind in KINDS}
# A client looks for a global.
globals().update({f"app_{kind}": app for kind, app in apps.items()})


def answers(client):
    found = {}
    for path in ("/", "/secret", "/other", "/more", "/nowhere"):
        reply = client.get(path)
        marks = [name for name in ("x-mark", "x-request-id") if name in reply.headers]
        found[path] = [reply.status_code, reply.text, marks]
    return found


def by_client(app, mode):
    from pyreframework.testing import TestClient

    try:
        with TestClient(app, mode=mode, workers=1) as client:
            return answers(client)
    except StartError as error:
        return str(error)


def by_run(app, mode, path):
    """The answers of `run()`, or what it says on standard error as it refuses."""
    import contextlib
    import io
    import threading

    import httpx

    said, code = io.StringIO(), []

    def run():
        try:
            app.run(mode=mode, uds=path, workers=1)
        except SystemExit as end:
            code.append(end.code)

    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()) as banner:
        thread = threading.Thread(target=run)
        thread.start()
        while thread.is_alive() and "try: curl" not in banner.getvalue():
            thread.join(0.01)
        found = None
        if thread.is_alive():
            transport = httpx.HTTPTransport(uds=path)
            with httpx.Client(transport=transport, base_url="http://localhost") as client:
                found = answers(client)
            app.stop()
        thread.join()
    if found is not None:
        return found
    assert code == [3], code
    return said.getvalue().removeprefix("pyre: a worker could not start\n").strip()


if __name__ == "__main__":
    import json
    import tempfile

    table = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind, app in apps.items():
            table[kind] = {
                "run workers": by_run(app, None, f"{folder}/s"),
                "client workers": by_client(app, "subinterp"),
                "run main": by_run(app, "default", f"{folder}/s"),
                "client main": by_client(app, None),
            }
    with open(os.environ["TABLE"], "w") as file:
        json.dump(table, file)
