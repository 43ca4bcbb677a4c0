"""Handlers whose clients go, and functions that run after answers."""

import asyncio
import gc
import os
import threading

from gates import at_gate, hold

from pyreframework import Pyre, PyreRequest

app = Pyre()
ON_MAIN = True if os.environ.get("TEST_GIL") else None
app.enable_metrics("/metrics")
seen = []
kept = []


@app.get("/", gil=ON_MAIN)
def hello():
    return "hello"


@app.get("/async", gil=ON_MAIN)
async def hello_later():
    await asyncio.sleep(0)
    return "hello"


@app.get("/seen", gil=ON_MAIN)
def show_seen():
    shown = list(seen)
    del seen[: len(shown)]
    return shown


@app.get("/requests", gil=ON_MAIN)
def requests():
    gc.collect()
    return sum(isinstance(thing, PyreRequest) for thing in gc.get_objects())


@app.get("/wait/{port:int}/{name}", gil=ON_MAIN)
async def wait(req, port, name):
    """Tell the gate of each end that comes."""
    try:
        return await at_gate(port, name)
    except asyncio.CancelledError:
        seen.append(f"{name} cancelled, disconnected: {req.is_disconnected()}")
        raise
    finally:
        seen.append(f"{name} left")


@app.get("/catch/{port:int}/{name}", gil=ON_MAIN)
async def catch(req, port, name):
    try:
        return await at_gate(port, name)
    except asyncio.CancelledError:
        seen.append(f"{name} returns")
        return "nobody reads this"


@app.get("/clean/{port:int}/{name}", gil=ON_MAIN)
async def clean(req, port, name):
    """Waits for something else when it is cancelled."""
    try:
        return await at_gate(port, name)
    finally:
        seen.append(await at_gate(port, f"{name}-cleaning"))


@app.get("/hold/{port:int}/{name}", gil=ON_MAIN)
def held(req, port, name):
    answer = hold(port, name)
    seen.append(f"{name}: {req.is_disconnected()}")
    return answer


@app.get("/hold-twice/{port:int}/{name}", gil=ON_MAIN)
def held_twice(req, port, name):
    while hold(port, name) == "look":
        seen.append(f"{name}: {req.is_disconnected()}")
    return "done"


@app.get("/task/{port:int}/{name}", gil=ON_MAIN)
def task(req, port, name):
    req.add_task(at_the_gate, port, name, mark="by name")
    return "answered"


@app.get("/task-async/{port:int}/{name}", gil=ON_MAIN)
async def task_async(req, port, name):
    if req.query == "wait":
        await asyncio.sleep(0)
    req.add_task(at_the_gate, port, name, mark="by name")
    return "answered"


@app.get("/async-task/{port:int}/{name}", gil=ON_MAIN)
def async_task(req, port, name):
    req.add_task(later_at_the_gate, port, name, mark="by name")
    return "answered"


@app.get("/async-task-async/{port:int}/{name}", gil=ON_MAIN)
async def async_task_async(req, port, name):
    req.add_task(later_at_the_gate, port, name, mark="by name")
    return "answered"


def at_the_gate(port, name, *, mark):
    seen.append(f"{name} {hold(port, name)} {mark}")


async def later_at_the_gate(port, name, *, mark):
    seen.append(f"{name} {await at_gate(port, name)} {mark}")


@app.get("/tasks/{kind}", gil=ON_MAIN)
def tasks(req, kind):
    leave(req, kind)
    return "answered"


@app.get("/async-tasks/{kind}", gil=ON_MAIN)
async def async_tasks(req, kind):
    leave(req, kind)
    return "answered"


def leave(req, kind):
    match kind:
        case "many":
            for number in range(5):
                req.add_task([note, note_later][number % 2], number)
        case "fail":
            req.add_task(fail, ValueError("secret of the task"))
            req.add_task(fail_later, KeyError("secret of the later task"))
            req.add_task(note, "behind the failures")
        case "exit":
            req.add_task(fail, SystemExit(3))
            req.add_task(note, "behind the exit")
        case "raise":
            req.add_task(note, "after the failure")
            raise ValueError("the handler fails after it left a task")
        case "kept":
            kept.append(req)
        case "wrong":
            errors = []
            for arguments in ((), (5,)):
                try:
                    req.add_task(*arguments)
                except TypeError as error:
                    errors.append(str(error))
            seen.extend(errors)
        case "partial":
            import functools

            req.add_task(functools.partial(note, "partial"))
            req.add_task(threading.Event().set)


def note(what):
    seen.append(what)


async def note_later(what):
    await asyncio.sleep(0.001)
    seen.append(what)


def fail(error):
    raise error


async def fail_later(error):
    await asyncio.sleep(0)
    raise error


@app.get("/late-task", gil=ON_MAIN)
def late_task():
    try:
        kept.pop().add_task(print)
    except RuntimeError as error:
        return str(error)


@app.before_request
def leave_in_hook(req):
    if req.header("x-task"):
        req.add_task(note, "left by a hook")


@app.after_request
def leave_in_after_hook(req, resp):
    if req.header("x-task"):
        req.add_task(note, "left by an after hook")


app.run()
