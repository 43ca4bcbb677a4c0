"""Many routes whose handlers do what a request asks for: return, wait, compute, raise, leave tasks.

Which routes are short, and which thread carries which reactor, changes all the time: two short
calls are proof enough here, and a handler is found out after a millisecond.
"""

import asyncio
import os
import time

import flowing

from pyreframework import Pyre
from pyreframework.serving.settings import resolution

ROUTES = int(os.environ.get("PERF_ROUTES", "64"))
METHODS = ["GET", "POST"]

resolution.TAKE_BACK_MS = 1
resolution.PROOF_CALLS = 2
# Two are enough also for a route that a reactor was taken back from; else that would soon be rare.
resolution.PROOF_CALLS_MAX = 2

app = Pyre()
app.enable_request_id()

# Appended to by whole lines, so that all interpreters can share it.
tasks = os.open(os.environ["PERF_TASKS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


class Asked(Exception):
    """What a request asked to be raised."""


@app.exception_handler(Asked)
def asked(req, exc):
    return f"{exc} of {req.id}", 418


def left(name):
    os.write(tasks, f"{name}\n".encode())


async def left_on_the_loop(name):
    await asyncio.sleep(0)
    left(name)


def compute(us):
    end_ns = time.thread_time_ns() + us * 1000
    while time.thread_time_ns() < end_ns:
        for _ in range(100):
            pass


def do(req, work, us):
    """Do what a `def` handler and a coroutine do in the same way."""
    if work in ("sleep", "block"):
        time.sleep(us / 1e6)
    elif work == "compute":
        compute(us)
    elif work == "raise":
        raise Asked("raised")
    elif work == "fail":
        raise LookupError(f"nothing wrong: {req.id} asked for it")


def result(req, word):
    """Say who was asked what; the client knows every byte of it."""
    pad = int(req.query_params.get("pad", "0"))
    return f"{req.id} {req.route} {word}\n".encode() + req.body + b"." * pad


def plain(req, word=""):
    work, us = req.query_params["work"], int(req.query_params["us"])
    if work == "task":
        req.add_task(left, req.id)
    do(req, work, us)
    return result(req, word)


async def coroutine(req, word=""):
    work, us = req.query_params["work"], int(req.query_params["us"])
    if work == "task":
        req.add_task(left_on_the_loop, req.id)
    if work == "sleep":
        await asyncio.sleep(us / 1e6)
    else:
        do(req, work, us)
    return result(req, word)


for number in range(ROUTES):
    handler = coroutine if number % 16 in (5, 10) else plain
    on_main = number % 16 in (10, 15)
    for path in (f"/r{number}", f"/r{number}/{{word}}"):
        app.route(METHODS, path, handler, gil=on_main)


flowing.add(app)


@app.get("/")
def hello(req):
    return "hello"


if __name__ == "__main__":
    app.run()
