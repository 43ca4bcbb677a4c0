"""Tasks of all kinds, left by handlers of all kinds: each tells what it sees of its request."""

import asyncio
import logging
import os
from contextvars import ContextVar

from pyreframework import Pyre

app = Pyre()
app.enable_request_id()
ON_MAIN = True if os.environ.get("TEST_GIL") else None
HOOKS = bool(os.environ.get("TEST_HOOKS"))
log = logging.getLogger("shop")
user = ContextVar("user", default="nobody")


def task(name):
    log.info("task %s %s", name, user.get())


async def task_later(name):
    log.info("task %s %s", name, user.get())
    await asyncio.sleep(0.001)
    log.info("behind %s %s", name, user.get())


def leave(req, name):
    user.set(name)
    req.add_task(task, name)
    req.add_task(task_later, name)


@app.get("/sync/{name}", gil=ON_MAIN)
def sync(req, name):
    leave(req, name)
    return name


@app.get("/async/{name}", gil=ON_MAIN)
async def at_once(req, name):
    leave(req, name)
    return name


@app.get("/waiting/{name}", gil=ON_MAIN)
async def waiting(req, name):
    leave(req, name)
    await asyncio.sleep(0.001)
    return name


@app.get("/failing/{name}", gil=ON_MAIN)
async def failing(req, name):
    leave(req, name)
    await asyncio.sleep(0.001)
    raise KeyError(name)


@app.get("/after/{name}", gil=ON_MAIN)
async def after(req, name):
    """The variable is set behind the task and behind the wait."""
    req.add_task(task, name)
    req.add_task(task_later, name)
    await asyncio.sleep(0.001)
    user.set(name)
    return name


if HOOKS:

    @app.after_request
    async def hook(req, resp):
        await asyncio.sleep(0)


app.run()
