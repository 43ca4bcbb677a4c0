"""Handlers that return at once, unless a request says what else to do.

So a test can prove to the server that a route is short, and have it take long after that.
"""

import asyncio
import ctypes
import http.client
import os
import socket
import threading
import time

from pyreframework import Pyre, PyreRequest, PyreResponse
from pyreframework.serving.settings import resolution

# Proof of few calls keeps tests short; what is tuned here is no option of users.
resolution.TAKE_BACK_MS = int(os.environ.get("TEST_TAKE_BACK_MS", resolution.TAKE_BACK_MS))
resolution.PROOF_CALLS = int(os.environ.get("TEST_PROOF_CALLS", "4"))
resolution.PROOF_CALLS_MAX = int(os.environ.get("TEST_PROOF_CALLS_MAX", resolution.PROOF_CALLS_MAX))

app = Pyre()
app.enable_metrics()
app.enable_health_probes()
app.enable_request_id()
# Calls through it keep the GIL.
holding = ctypes.PyDLL(None)
seen = []
goes_on = threading.Event()


def enter(query):
    """Come to the gate of a test; `query` names both."""
    port, name = query["gate"], query["name"]
    gate = socket.create_connection(("127.0.0.1", int(port)))
    gate.sendall(name.encode() + b"\n")
    return gate


def hold(query):
    """Wait there; the answer is what the test says when it lets us go."""
    with enter(query) as gate, gate.makefile() as lines:
        return lines.readline().strip()


def hold_with_gil(query):
    """Wait there without letting go of the GIL, as a C extension may."""
    with enter(query) as gate:
        os.set_blocking(gate.fileno(), True)
        answer = ctypes.create_string_buffer(100)
        received = holding.recv(gate.fileno(), answer, 100, 0)
    return answer.raw[:received].decode().strip()


def spin(query):
    """Compute in Python until a request says that it is enough."""
    enter(query).close()
    goes_on.clear()
    rounds = 0
    while not goes_on.is_set():
        rounds += 1
    return "spun"


def overrun(query):
    """Compute in Python for ever."""
    enter(query).close()
    while True:
        pass


def compute(query):
    """Compute in Python for so much of a CPU."""
    end = time.thread_time() + float(query["seconds"])
    while time.thread_time() < end:
        pass
    return "computed"


def sleep(query):
    time.sleep(float(query["seconds"]))
    return "slept"


def ask(query):
    """Ask this server for something."""
    connection = http.client.HTTPConnection("127.0.0.1", int(query["port"]), timeout=30)
    connection.request("GET", query["path"])
    answer = connection.getresponse().read().decode()
    connection.close()
    return f"asked {answer}"


def fail(query):
    """Fail, once the test lets us go if there is one at a gate."""
    raise LookupError("nothing wrong: " + (hold(query) if "gate" in query else "at once"))


def fail_as_asked(query):
    """Fail with what this program has an exception handler for."""
    raise KeyError(hold(query) if "gate" in query else "at once")


WORKS = {
    "hold": hold,
    "hold-with-gil": hold_with_gil,
    "spin": spin,
    "overrun": overrun,
    "compute": compute,
    "sleep": sleep,
    "ask": ask,
    "fail": fail,
    "fail-as-asked": fail_as_asked,
}


def work(req: PyreRequest):
    if not req.query:
        return str(threading.get_native_id())
    query = req.query_params
    return WORKS[query["do"]](query)


# Each has a record of its own.
for path in ("/a", "/b", "/c"):
    app.get(path)(work)
app.get("/ring", inline=False)(work)
app.get("/limited", request_timeout=0.3)(work)


@app.get("/main", gil=True)
def on_main(req: PyreRequest):
    return work(req)


@app.get("/async")
async def on_loop(req: PyreRequest):
    """A coroutine that does the same blocks its loop."""
    return work(req)


@app.get("/async/wait")
async def wait_on_loop(req: PyreRequest):
    await asyncio.sleep(0)
    return work(req)


@app.get("/leaves")
def leaves_a_task(req: PyreRequest):
    req.add_task(time.thread_time)
    return "left"


@app.get("/may-leave")
def may_leave_a_task(req: PyreRequest):
    """Leave a task that waits at the gate, if the request says so."""
    if req.query:
        req.add_task(hold, dict(req.query_params))
    return str(threading.get_native_id())


@app.get("/pid")
def pid():
    return str(os.getpid())


@app.get("/enough")
def enough():
    goes_on.set()
    return "enough"


@app.get("/big/{size:int}")
def big(size):
    return b"x" * size


@app.exception_handler(KeyError)
def on_key_error(req, exc):
    return "as asked", 418


@app.get("/watched")
def watched(req: PyreRequest):
    """Come to the gate again and again, and note each time whether anybody waits for the answer."""
    if not req.query:
        return "at once"
    while hold(req.query_params) == "look":
        seen.append(req.is_disconnected())
    return "enough"


@app.get("/seen")
def show_seen():
    shown = list(seen)
    seen.clear()
    return shown


@app.get("/hooked")
def hooked(req: PyreRequest):
    return f"{req.id} {req.state.before} {threading.get_native_id()}"


@app.before_request
def before(req):
    if req.path == "/hooked":
        req.state.before = threading.get_native_id()


@app.after_request
def after(req, resp: PyreResponse):
    if req.path == "/hooked":
        resp.headers["X-After"] = str(threading.get_native_id())


if os.environ.get("TEST_ASYNC_HOOK"):

    @app.before_request
    async def before_later(req):
        await asyncio.sleep(0)


app.run()
