"""Generators that hold something across their yields, which belongs to one thread or one task."""

import asyncio
import contextvars
import os
import sqlite3
import threading

from pyreframework import Pyre, PyreStream

app = Pyre()
ON_MAIN = True if os.environ.get("TEST_GIL") else None
here = threading.local()
variable = contextvars.ContextVar("variable")
seen = []
tasks = set()


@app.get("/", gil=ON_MAIN)
def hello():
    return "hello"


@app.get("/seen", gil=ON_MAIN)
def show_seen():
    shown = list(seen)
    del seen[: len(shown)]
    return shown


@app.get("/database", gil=ON_MAIN)
def rows(req):
    database = sqlite3.connect(":memory:")
    yield "a,b\n"
    try:
        for row in database.execute("select 1, 2 union select 3, 4"):
            yield ",".join(map(str, row)) + "\n"
    finally:
        database.close()


@app.get("/thread", gil=ON_MAIN)
def thread(req):
    here.value = "kept"
    token = variable.set("set")
    yield "one "
    yield here.value
    variable.reset(token)


@app.get("/timeout", gil=ON_MAIN)
async def time_limit(req):
    try:
        async with asyncio.timeout(0.05):
            yield "one "
            await asyncio.Event().wait()
    except TimeoutError:
        yield "timed out"


@app.get("/group", gil=ON_MAIN)
async def group(req):
    queue = asyncio.Queue()

    async def produce():
        for number in range(3):
            await queue.put(f"{number} ")
        await queue.put(None)

    own = asyncio.current_task()
    async with asyncio.TaskGroup() as group:
        group.create_task(produce())
        while (piece := await queue.get()) is not None:
            yield piece
    yield str(asyncio.current_task() is own)


@app.get("/group-that-fails", gil=ON_MAIN)
async def group_that_fails(req):
    queue = asyncio.Queue()
    go_on = asyncio.Event()

    async def produce():
        await queue.put("one ")
        await go_on.wait()
        raise LookupError("of the group")

    async with asyncio.TaskGroup() as group:
        group.create_task(produce())
        while True:
            yield await queue.get()
            go_on.set()


@app.get("/later/{kind}", gil=ON_MAIN)
def later(req, kind):
    """An async generator that a plain function returns."""

    async def make():
        if kind == "raises":
            raise LookupError("before the first piece")
        yield "one "
        await asyncio.sleep(0)
        yield "two"

    return make()


@app.get("/many/{count:int}", gil=ON_MAIN)
async def many(req, count):
    """Tasks that all send, and await what that gives them."""
    stream = PyreStream("text/plain")

    async def send(number):
        await stream.send(f"{number:4}".encode() * 2500)

    async def send_all():
        async with stream, asyncio.TaskGroup() as group:
            for number in range(count):
                group.create_task(send(number))

    task = asyncio.create_task(send_all())
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    return stream


@app.get("/impatient", gil=ON_MAIN)
async def impatient(req):
    stream = PyreStream("text/plain")

    async def send():
        try:
            while True:
                await stream.send(b"x" * 65536, timeout=0.05)
        except TimeoutError:
            seen.append("not in time")
        await stream.close()

    task = asyncio.create_task(send())
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    return stream


@app.get("/cleans-up/{kind}", gil=ON_MAIN)
async def cleans_up(req, kind):
    try:
        yield "one"
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0.05)
        seen.append("cleaned up")
        if kind == "raises":
            raise LookupError("as it cleaned up")


@app.get("/cleans-up-there/{kind}", gil=ON_MAIN)
def cleans_up_there(req, kind):
    try:
        while True:
            yield b"x" * 65536
    finally:
        seen.append("cleaned up")
        if kind == "raises":
            raise LookupError("as it cleaned up")


@app.get("/slowly/{count:int}", gil=ON_MAIN)
async def slowly(req, count):
    for number in range(count):
        yield f"{number}\n"
        await asyncio.sleep(0.1)


@app.get("/gaps", gil=ON_MAIN)
def gaps(req):
    yield memoryview(b"a-b-c")[::2]


app.run()
