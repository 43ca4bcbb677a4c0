"""Handlers that leave all they can with their task, and say what of others they find there.

A request looks first, then marks what it can reach with its id, does what it was asked to do, and
looks again: nothing of another may be there before, and its own must be there after. What it
finds goes into its answer; what one finds that has no answer is written to a file.
"""

import asyncio
import contextvars
import os
import threading
import time
import weakref

from pyreframework import Pyre, PyreResponse

LIMIT_MS = 60

app = Pyre()
app.enable_request_id()

found = os.open(os.environ["PERF_FOUND"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

variable = contextvars.ContextVar("variable", default=None)
by_task = weakref.WeakKeyDictionary()
by_context = {}
"""Who marked a context, by its identity; an entry leaves with its request."""
by_name = {}
of_thread = threading.local()
NAMES_MAX = 20_000


def write(line):
    """Append a whole line, which all interpreters do to the same file."""
    os.write(found, f"{line}\n".encode())


class Left(Exception):
    """What a request asked to be raised."""


@app.before_request
def begin(req):
    write(f"begin {req.id}")
    if vars_of(req.state):
        write(f"trace {req.id}: state of {vars_of(req.state)}")
    req.state.owner = req.id


@app.after_request
def finish(req, resp):
    write(f"end {req.id}")
    if req.state.owner != req.id:
        write(f"trace {req.id}: after hook with the state of {req.state.owner}")
    resp.headers["x-owner"] = req.id


@app.exception_handler(Left)
def left(req, error):
    return PyreResponse(f"{error} of {req.id}", status_code=418, headers={f"x-left-{req.id}": "1"})


def vars_of(state):
    return getattr(state, "owner", None)


def look(req):
    """Return what is there of others before anything was marked."""
    traces = []
    if req.headers["x-request-id"] != req.id or req.query_params["id"] != req.id:
        traces.append("headers or query of another")
    if req.params.get("id") != req.id:
        traces.append(f"path of {req.params.get('id')}")
    return traces


def look_at_task(req):
    task = asyncio.current_task()
    traces = []
    if task.cancelling():
        traces.append(f"{task.cancelling()} cancellations")
    if (owner := by_task.get(task)) is not None:
        traces.append(f"task of {owner}")
    if (owner := variable.get()) is not None:
        traces.append(f"context variable of {owner}")
    if (owner := by_name.get(task.get_name())) is not None:
        traces.append(f"name of {owner}")
    if callbacks := task._callbacks:  # noqa: SLF001 - nothing public tells of them
        traces.append(f"done callbacks {callbacks}")
    return traces


def mark_task(req, kind):
    """Leave marks; of some tasks nobody knows, so that they may be used again."""
    task = asyncio.current_task()
    variable.set(req.id)
    if kind == "none":
        return
    by_task[task] = req.id
    if kind == "name":
        by_name[task.get_name()] = req.id
        task.set_name(f"renamed by {req.id}")
        by_name[task.get_name()] = req.id
        while len(by_name) > NAMES_MAX:
            del by_name[next(iter(by_name))]
    if kind == "callback":
        task.add_done_callback(lambda done: write(f"called {req.id}"))
        write(f"calling {req.id}")


def check_task(req, kind):
    """Return what is not as this request left it."""
    task = asyncio.current_task()
    traces = []
    if variable.get() != req.id:
        traces.append(f"context variable became {variable.get()}")
    if kind != "none" and by_task.get(task) != req.id:
        traces.append(f"task became {by_task.get(task)}'s")
    if task.cancelling():
        traces.append(f"{task.cancelling()} cancellations that were not asked for")
    if req.state.owner != req.id:
        traces.append(f"state of {req.state.owner}")
    return traces


def answer(req, traces):
    """Say it in the body, and in a header that no other answer may have."""
    return PyreResponse(" | ".join([req.id, *traces]), headers={f"x-own-{req.id}": "1"})


def plain(req, id):
    work, ms = req.query_params["work"], int(req.query_params["ms"])
    traces = look(req)
    of_thread.owner = req.id
    if work in ("wait", "late", "leave"):
        time.sleep(ms / 1000)
    elif work == "raise":
        raise Left("left")
    elif work == "cancel":
        raise LookupError("nothing wrong: it was asked for")
    if of_thread.owner != req.id:
        traces.append(f"thread's local of {of_thread.owner}")
    if req.state.owner != req.id:
        traces.append(f"state of {req.state.owner}")
    return answer(req, traces)


async def coroutine(req, id):
    work, ms, kind = req.query_params["work"], int(req.query_params["ms"]), req.query_params["mark"]
    traces = [*look(req), *look_at_task(req)]
    for trace in traces:
        # It may have no answer.
        write(f"trace {req.id}: {trace}")
    mark_task(req, kind)
    if work in ("wait", "late", "leave"):
        await asyncio.sleep(ms / 1000)
    elif work == "raise":
        raise Left("left")
    elif work == "cancel":
        asyncio.current_task().cancel(f"by {req.id}")
        await asyncio.sleep(0)
    elif work == "group":
        async with asyncio.TaskGroup() as group:
            members = [group.create_task(asyncio.sleep(0, name)) for name in range(3)]
        traces += [] if [one.result() for one in members] == [0, 1, 2] else ["a group of another"]
    elif work == "timeout":
        try:
            async with asyncio.timeout(0.001):
                await asyncio.sleep(1)
        except TimeoutError:
            pass
    return answer(req, traces + check_task(req, kind))


for name, handler, on_main in (
    ("plain", plain, None),
    ("coroutine", coroutine, None),
    ("plain-main", plain, True),
    ("coroutine-main", coroutine, True),
):
    app.get(f"/{name}/{{id}}", handler, gil=on_main)


@app.get("/")
def hello(req):
    return "hello"


if __name__ == "__main__":
    app.run(request_timeout=LIMIT_MS / 1000)
