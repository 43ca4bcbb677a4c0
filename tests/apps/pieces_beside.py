"""What goes with an answer in pieces: tasks, variables, the log, the end of the server."""

import asyncio
import contextvars
import logging
import os
import threading

from gates import at_gate, hold

from pyreframework import Pyre, PyreStream

app = Pyre()
ON_MAIN = True if os.environ.get("TEST_GIL") else None
app.enable_metrics("/metrics")
app.enable_logging()
app.enable_request_id()
seen = []
logger = logging.getLogger("mine")
variable = contextvars.ContextVar("variable", default="unset")


@app.before_request
def set_variable(req):
    variable.set(f"set for {req.path.split('/')[1]}")


@app.get("/", gil=ON_MAIN)
def hello():
    return f"hello {os.getpid()}"


@app.get("/seen", gil=ON_MAIN)
def show_seen():
    shown = list(seen)
    del seen[: len(shown)]
    return shown


def note(what):
    seen.append(what)


@app.get("/tasks-def/{port:int}/{name}", gil=ON_MAIN)
def tasks(req, port, name):
    req.add_task(note, "task ran")
    yield "one"
    seen.append(hold(port, name))
    yield "two"
    seen.append("at the end")


@app.get("/tasks-async/{port:int}/{name}", gil=ON_MAIN)
async def tasks_later(req, port, name):
    req.add_task(note, "task ran")
    yield "one"
    seen.append(await at_gate(port, name))
    yield "two"
    seen.append("at the end")


@app.get("/context-def", gil=ON_MAIN)
def context(req):
    for _ in range(3):
        logger.warning("from the generator")
        yield f"{variable.get()} {req.query};"


@app.get("/context-async", gil=ON_MAIN)
async def context_later(req):
    for _ in range(3):
        await asyncio.sleep(0)
        logger.warning("from the generator")
        yield f"{variable.get()} {req.query};"


@app.get("/slow-def/{port:int}/{name}", gil=ON_MAIN)
def slow(req, port, name):
    yield hold(port, name)
    hold(port, name)
    yield " second"


@app.get("/slow-async/{port:int}/{name}", gil=ON_MAIN)
async def slow_later(req, port, name):
    yield await at_gate(port, name)
    await at_gate(port, name)
    yield " second"


@app.get("/def/{port:int}/{name}", gil=ON_MAIN)
def lines(req, port, name):
    yield "begins\n"
    while (line := hold(port, name)) not in ("end", ""):
        yield f"{line}\n"


@app.get("/async/{port:int}/{name}", gil=ON_MAIN)
async def lines_later(req, port, name):
    yield "begins\n"
    while (line := await at_gate(port, name)) not in ("end", ""):
        yield f"{line}\n"


@app.get("/thread/{port:int}/{name}", gil=ON_MAIN)
def by_thread(req, port, name):
    stream = PyreStream("text/plain")

    def send():
        try:
            with stream:
                stream.send("begins\n")
                while (line := hold(port, name)) not in ("end", ""):
                    stream.send(f"{line} {stream.is_draining}\n")
        except ConnectionError:
            print("gone", flush=True)

    threading.Thread(target=send).start()
    return stream


app.run()
