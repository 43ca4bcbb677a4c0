"""What hooks leave running, and what they do as a worker ends, where modules do not load."""

from __future__ import annotations

import textwrap

from serving import Write, serve

WORKER, MAIN = "__mp_main__", "__main__"
HEAD = """
import asyncio
import threading
import numpy as np
from pyreframework import Pyre
"""


BACKGROUND = """
from contextlib import asynccontextmanager

queue = database = model = None
cached = {}
threaded = {}
timed = {}
pooled = {}
inner = {}
soon = {}
ready = threading.Event()
CONFIG = {"seconds": 0.01}

class Database:
    def __init__(self, url):
        self.url = url

async def answer():
    while True:
        value, future = await queue.get()
        future.set_result(float(np.sqrt(value)))

async def refresh():
    while True:
        await asyncio.sleep(CONFIG["seconds"])
        cached["value"] = float(np.sqrt(4))

def in_thread():
    ready.wait()
    threaded["value"] = float(np.sqrt(9))

def at_once():
    soon["value"] = float(np.sqrt(64))

def by_timer():
    timed["value"] = float(np.sqrt(16))

def in_pool():
    ready.wait()
    pooled["value"] = float(np.sqrt(25))

@asynccontextmanager
async def lifespan(app):
    global queue, database, model
    queue = asyncio.Queue()
    database = Database("db")
    model = np.arange(3)
    loop = asyncio.get_running_loop()

    async def poll():
        while True:
            await asyncio.sleep(CONFIG["seconds"])
            inner["value"] = float(np.sqrt(36))

    tasks = [asyncio.create_task(one()) for one in (answer, refresh)]
    tasks.append(loop.create_task(poll()))
    loop.call_soon(at_once)
    await asyncio.sleep(0)
    loop.call_later(CONFIG["seconds"], by_timer)
    thread = threading.Thread(target=in_thread)
    thread.start()
    waiting = loop.run_in_executor(None, in_pool)
    yield
    ready.set()
    for task in tasks:
        task.cancel()
    thread.join()
    await waiting

app = Pyre(lifespan=lifespan)

async def wait_for(table):
    while "value" not in table:
        await asyncio.sleep(0.01)
    return [__name__, table["value"]]

@app.get("/queue")
async def by_queue():
    future = asyncio.get_running_loop().create_future()
    await queue.put((49.0, future))
    return [__name__, await future]

@app.get("/cached")
async def by_cached():
    return await wait_for(cached)

@app.get("/threaded")
async def by_threaded():
    return await wait_for(threaded)

@app.get("/timed")
async def by_timed():
    return await wait_for(timed)

@app.get("/pooled")
async def by_pooled():
    return await wait_for(pooled)

@app.get("/inner")
async def by_inner():
    return await wait_for(inner)

@app.post("/ready")
def set_ready():
    ready.set()
    return __name__

@app.get("/soon")
async def by_soon():
    return await wait_for(soon)

app.get("/config", lambda req: [__name__, CONFIG["seconds"]])
app.get("/database", lambda req: [__name__, database.url])
app.run()
"""


def test_what_hooks_leave_running_moves_what_it_shares(write: Write) -> None:
    with serve(write("program.py", HEAD + BACKGROUND)) as server:
        assert server.post("/ready", b"").text == MAIN
        for path, value in (
            ("queue", 7.0), ("cached", 2.0), ("threaded", 3.0), ("timed", 4.0), ("pooled", 5.0),
            ("inner", 6.0), ("soon", 8.0),
        ):  # fmt: skip
            assert (path, server.get(f"/{path}").json()) == (path, [MAIN, value])
        assert server.get("/config").json() == [WORKER, 0.01]
        assert server.get("/database").json() == [WORKER, "db"]


OBJECTS = """
import queue

class Service:
    def __init__(self, factor):
        self.factor = factor
        self.asked = queue.Queue()
        self.done = {}
        self.thread = None

    def start(self):
        self.thread = threading.Thread(target=self.work)
        self.thread.start()

    def work(self):
        while True:
            value = self.asked.get()
            if value is None:
                return
            self.done[value] = float(np.sqrt(value)) * self.factor

class Ticker(threading.Thread):
    def __init__(self):
        super().__init__()
        self.begin = threading.Event()

    def run(self):
        self.begin.wait()
        TICKS["value"] = float(np.sqrt(4))

class Starter:
    def __init__(self):
        self.go = threading.Event()
        threading.Thread(target=self.work).start()

    def work(self):
        self.go.wait()
        STARTED["value"] = float(np.sqrt(16))

TICKS = {}
STARTED = {}
TABLE = {}
service = Service(2)
ticker = starter = None
app = Pyre()
app.on_worker_start(service.start)

async def answer(asked):
    while True:
        value, future = await asked.get()
        future.set_result(float(np.sqrt(value)))

@app.on_worker_start
async def start():
    global ticker, starter
    ticker = Ticker()
    ticker.start()
    starter = Starter()
    asked = asyncio.Queue()
    TABLE["asked"] = asked
    TABLE["task"] = asyncio.create_task(answer(asked))

@app.on_worker_stop
def stop():
    service.asked.put(None)
    ticker.begin.set()
    starter.go.set()

async def until(table, key):
    while key not in table:
        await asyncio.sleep(0.01)
    return [__name__, table[key]]

@app.get("/service")
async def by_service():
    service.asked.put(9)
    return await until(service.done, 9)

@app.get("/ticks")
async def by_ticker():
    ticker.begin.set()
    return await until(TICKS, "value")

@app.get("/started")
async def by_starter():
    starter.go.set()
    return await until(STARTED, "value")

@app.get("/asked")
async def by_table():
    future = asyncio.get_running_loop().create_future()
    await TABLE["asked"].put((25, future))
    return [__name__, await future]

app.get("/plain", lambda req: __name__)
app.run()
"""


def test_what_objects_leave_running(write: Write) -> None:
    with serve(write("program.py", HEAD + OBJECTS)) as server:
        for path, value in (("service", 6.0), ("ticks", 2.0), ("started", 4.0), ("asked", 5.0)):
            assert (path, server.get(f"/{path}").json()) == (path, [MAIN, value])
        assert server.get("/plain").text == WORKER


def test_what_does_nothing_as_a_worker_ends_is_said(write: Write) -> None:
    text = """
    app = Pyre()
    model = None

    @app.on_worker_start
    def load():
        global model
        model = np.arange(3)

    @app.on_worker_stop
    def save():
        model.sort()
        np.save("counts.npy", [1])

    app.get("/plain", lambda req: __name__)
    app.run()
    """
    with serve(write("program.py", HEAD + textwrap.dedent(text)), workers=1) as server:
        assert server.get("/plain").text == WORKER
    output = server.output.text()
    assert "a hook uses numpy.save as a worker ends, and numpy does not load in workers" in output
    assert "sort" not in output
