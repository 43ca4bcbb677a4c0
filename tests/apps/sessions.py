"""Sessions and a guard against requests of other sites, in all kinds of handlers."""

import asyncio
import os
import time

from pyreframework import (
    HTTPError,
    Pyre,
    PyreResponse,
    PyreStream,
    delete_cookie,
    send_file,
    set_cookie,
)
from pyreframework.sessions import SessionStore

app = Pyre()
on_main = os.environ.get("TEST_GIL") == "1"
SECRETS = os.environ.get("TEST_SECRETS", "a secret of this test alone").split(",")


class Files(SessionStore):
    """Sessions in a folder, which all interpreters share."""

    def __init__(self, folder):
        self.folder = folder

    def load(self, key):
        import json

        try:
            with open(f"{self.folder}/{key}") as file:
                return json.load(file)
        except FileNotFoundError:
            return None

    def save(self, key, data, max_age):
        if "broken" in data:
            raise OSError("the store is broken")
        if "hangs" in data:
            for _ in range(3000):
                time.sleep(0.01)
        if "long" in data:
            print("it takes long to save", flush=True)
            time.sleep(0.2)
        self.write(key, data)

    def write(self, key, data):
        import json

        with open(f"{self.folder}/{key}.{os.urandom(4).hex()}", "w") as file:
            json.dump(data, file)
        os.rename(file.name, f"{self.folder}/{key}")
        if "long" in data:
            print("it is saved", flush=True)

    def delete(self, key):
        try:
            os.unlink(f"{self.folder}/{key}")
        except FileNotFoundError:
            pass


class AsyncFiles(SessionStore):
    def __init__(self, folder):
        self.files = Files(folder)

    async def load(self, key):
        await asyncio.sleep(0)
        return self.files.load(key)

    async def save(self, key, data, max_age):
        await asyncio.sleep(0.001)
        if "broken" in data:
            raise OSError("the store is broken")
        if "hangs" in data:
            await asyncio.Event().wait()
        if "long" in data:
            print("it takes long to save", flush=True)
            await asyncio.sleep(0.2)
        self.files.write(key, data)

    async def delete(self, key):
        await asyncio.sleep(0)
        self.files.delete(key)


STORES = {"": lambda: None, "def": Files, "async": AsyncFiles}
made = STORES[os.environ.get("TEST_STORE", "")]
store = made(os.environ["TEST_FOLDER"]) if "TEST_FOLDER" in os.environ else None
max_age = os.environ.get("TEST_MAX_AGE", "1209600")


@app.before_request
def earlier(req):
    """A hook that was there before the sessions."""
    if req.path == "/earlier":
        req.session["earlier"] = True
        return dict(req.session)
    return None


app.sessions(SECRETS, store=store, max_age=None if max_age == "none" else float(max_age))
app.enable_csrf(trusted_origins=["https://friend.example"], exempt=["/exempt/{name}"])

KEPT = PyreResponse("kept")


@app.before_request
def before(req):
    if req.path == "/hooked":
        req.session["hook"] = True
        return "hooked"
    if req.path.startswith("/ws"):
        req.session["ws"] = req.session.get("ws", 0) + 1
        if req.path == "/ws/unfit":
            req.session["unfit"] = object()
    return None


@app.after_request
def after(req, resp):
    if req.path == "/replaced":
        return PyreResponse("replaced", headers={"Set-Cookie": "other=1", "Vary": "X"})
    if req.path == "/after":
        req.session["after"] = True
    return None


@app.exception_handler(OSError)
def out_of_order(req, error):
    return {"error": "try again"}, 409


@app.exception_handler(KeyError)
def missing(req, error):
    req.session["missing"] = str(error)
    return {"missing": True}, 404


def get(path, handler, **options):
    app.get(path, handler, gil=on_main or None, **options)


def count(req, name):
    req.session[name] = req.session.get(name, 0) + 1
    return dict(req.session)


async def count_async(req, name):
    await asyncio.sleep(0)
    return count(req, name)


def show(req):
    return {"session": dict(req.session), "new": req.session.is_new}


def deep(req):
    req.session.setdefault("list", []).append(1)
    return dict(req.session)


def forget(req):
    req.session.clear()
    return "forgotten"


def renew(req):
    req.session.renew()
    return "renewed"


def kept(req):
    count(req, "kept")
    return KEPT


def plain(req):
    return "plain"


def fail(req):
    req.session["fail"] = 1
    raise RuntimeError("on purpose")


def raised(req):
    req.session["raised"] = 1
    raise HTTPError(409, "conflict")


def lost(req):
    return {}["name"]


def unfit(req):
    req.session["unfit"] = {"a": [object()]}


def no_json(req):
    count(req, "no_json")
    req.session.renew()
    return {"answer": object()}


async def no_json_async(req):
    await asyncio.sleep(0)
    return no_json(req)


def fails_at_once(req):
    count(req, "fails_at_once")
    req.session.renew()

    def pieces():
        raise RuntimeError("before the first piece")
        yield "a"

    return pieces()


async def fails_at_once_async(req):
    count(req, "fails_at_once")
    req.session.renew()

    async def pieces():
        await asyncio.sleep(0)
        raise RuntimeError("before the first piece")
        yield "a"

    return pieces()


def lost_in_pieces(req):
    """What its first piece raises has a handler, which changes the session."""
    count(req, "pieces")

    def pieces():
        yield {}["name"]

    return pieces()


def deep_in_pieces(req):
    """Only what was there before counts, wherever the body is made."""
    found = req.session.setdefault("list", [])

    def pieces():
        found.append(1)
        yield "a"

    return pieces()


def hangs(req):
    req.session["hangs"] = True
    return "never"


async def hangs_async(req):
    await asyncio.sleep(0)
    return hangs(req)


def hangs_in_pieces(req):
    req.session["hangs"] = True
    return (piece for piece in ("never", "sent"))


def takes_long(req):
    req.session["long"] = True
    return "long"


def broken(req):
    req.session["broken"] = True
    return "never"


def broken_in_pieces(req):
    req.session["broken"] = True
    return (piece for piece in ("never", "sent"))


def counted_body(req, name):
    """Reads its body as it comes."""
    size = sum(len(piece) for piece in req.stream())
    return {**count(req, name), "size": size}


async def counted_body_async(req, name):
    size = 0
    async for piece in req.stream():
        size += len(piece)
    return {**count(req, name), "size": size}


def events(req):
    count(req, "events")

    def pieces():
        yield "data: a\n\n"

    return PyreResponse(pieces(), content_type="text/event-stream")


def large(req):
    req.session["large"] = "x" * 4000


def replaced(req):
    return count(req, "replaced")


def generator(req):
    count(req, "generator")

    def pieces():
        yield "a"
        yield "b"

    return pieces()


def measured(req):
    """What its headers say of its length stays, whoever adds to them."""
    count(req, "measured")

    def pieces():
        yield "abc"

    resp = PyreResponse(pieces(), headers={"Content-Length": "3", "set-cookie": "one=1"})
    return set_cookie(resp, "two", "2")


async def measured_stream(req):
    count(req, "measured")
    found = PyreStream("text/plain", headers={"Content-Length": "5"})
    req.add_task(send, found)
    return delete_cookie(PyreResponse(found), "two")


def late(req):
    seen = dict(req.session)

    def pieces():
        yield str(len(seen) + len(req.session))
        try:
            req.session["late"] = 1
        except RuntimeError as error:
            yield str(error)

    return pieces()


def too_late(req):
    yield str(req.session)


def in_task(req):
    def task():
        try:
            print("changed", req.session.setdefault("task", 1))
        except RuntimeError as error:
            print("refused:", error)

    req.add_task(task)
    return "later"


async def slow(req):
    req.session["slow"] = 1
    print("it is slow", flush=True)
    await asyncio.sleep(0.5)
    return "slow"


def aged(req):
    count(req, "aged")
    return PyreResponse("x", headers={"Cache-Control": "max-age=60"})


async def stream(req):
    count(req, "stream")
    found = PyreStream()
    req.add_task(send, found)
    return found


async def send(found):
    async with found:
        await found.send("piece")


def sent(req):
    count(req, "sent")
    return send_file(__file__)


def cached(req):
    count(req, "cached")
    return PyreResponse("x", headers={"cache-control": "no-store", "vary": "Accept, cookie"})


def token(req):
    return [req.csrf_token, req.csrf_token]


def do(req):
    return "done"


async def do_async(req):
    await asyncio.sleep(0)
    return "done"


def field(req):
    return dict(req.form())


def body(req):
    return str(len(b"".join(req.stream())))


get("/count/{name}", count)
get("/async/{name}", count_async)
for path in (show, deep, forget, renew, kept, plain, fail, raised, lost, unfit, large,
             no_json, no_json_async, fails_at_once, fails_at_once_async,
             lost_in_pieces, deep_in_pieces, broken, broken_in_pieces, takes_long,
             events, measured, measured_stream, replaced, generator, late, too_late,
             in_task, slow, aged, stream, sent, cached, token):  # fmt: skip
    get(f"/{path.__name__}", path)


@app.websocket("/ws/def", gil=on_main or None)
def socket_def(ws):
    try:
        ws.request.session["late"] = 1
    except RuntimeError as error:
        ws.send(f"{ws.request.session['ws']}, {error}")


@app.websocket("/ws/async", gil=on_main or None)
async def socket_async(ws):
    await asyncio.sleep(0)
    try:
        ws.request.session["late"] = 1
    except RuntimeError as error:
        await ws.accept(headers={"Set-Cookie": "other=1"})
        await ws.send(f"{ws.request.session['ws']}, {error}")


@app.websocket("/ws/refused", gil=on_main or None)
async def socket_refused(ws):
    return {"error": "no"}, 403


@app.websocket("/ws/fails", gil=on_main or None)
def socket_fails(ws):
    raise RuntimeError("on purpose")


@app.websocket("/ws/unfit", gil=on_main or None)
def socket_unfit(ws):
    ws.send("never")


for path in (hangs, hangs_async, hangs_in_pieces):
    get(f"/{path.__name__}", path, request_timeout=0.3)
get("/hooked", plain)
get("/after", plain)
get("/earlier", plain)
for method in ("post", "put", "delete", "patch"):
    getattr(app, method)("/do", do, gil=on_main or None)
app.post("/do_async", do_async, gil=on_main or None)
app.post("/field", field, gil=on_main or None)
app.post("/counted/{name}", counted_body, gil=on_main or None, stream_body=True)
app.post("/counted_async/{name}", counted_body_async, gil=on_main or None, stream_body=True)
app.post("/body", body, gil=on_main or None, stream_body=True)
app.post("/exempt/{name}", do, gil=on_main or None)

if __name__ == "__main__":
    app.run()
