"""What lives as long as an interpreter serves: a lifespan, and async hooks of life."""

import asyncio
import contextlib
import os
import sys

from pyreframework import Pyre

ON_MAIN = True if os.environ.get("TEST_GIL") else None
FAIL = os.environ.get("TEST_FAIL", "")
resources = {}


def say(what):
    print(f"{what} in {__name__}", flush=True)


@contextlib.asynccontextmanager
async def lifespan(app):
    say("entering")
    await asyncio.sleep(0)
    if FAIL == "enter":
        raise LookupError("nothing to enter")
    resources["loop"] = asyncio.get_running_loop()
    resources["queue"] = asyncio.Queue()
    resources["worker"] = asyncio.create_task(work(resources["queue"]))
    resources["app"] = app
    try:
        yield
    finally:
        await asyncio.sleep(0)
        resources["worker"].cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await resources["worker"]
        say("left")
        if FAIL == "leave":
            raise LookupError("cannot leave")


async def work(queue):
    """Lives on the loop beside requests."""
    while True:
        future, number = await queue.get()
        future.set_result(number * 2)


app = Pyre(lifespan=lifespan)


@app.on_startup
async def startup():
    await asyncio.sleep(0)
    say("startup")
    if FAIL == "startup":
        raise LookupError("no startup")


@app.on_shutdown
async def shutdown():
    await asyncio.sleep(0)
    say("shutdown")


@app.on_worker_start
async def worker_start():
    await asyncio.sleep(0)
    resources["started on"] = asyncio.get_running_loop()
    say("worker start")
    if FAIL == "worker start":
        raise LookupError("no worker start")


@app.on_worker_stop
async def worker_stop():
    await asyncio.sleep(0)
    say("worker stop")


@app.get("/double/{number:int}", gil=ON_MAIN)
async def double(number):
    future = asyncio.get_running_loop().create_future()
    await resources["queue"].put((future, number))
    return await future


@app.get("/loops", gil=ON_MAIN)
async def loops():
    running = asyncio.get_running_loop()
    return [
        resources["loop"] is running,
        resources["started on"] is running,
        resources["app"] is app,
        type(running).__name__,
    ]


@app.get("/def", gil=ON_MAIN)
def plain():
    """A plain handler reaches the loop as any thread does."""
    if os.environ.get("TEST_ONE_THREAD"):
        return "no other thread"
    waiting = asyncio.run_coroutine_threadsafe(double(21), resources["loop"])
    return str(waiting.result(30))


if os.environ.get("TEST_POLICY"):

    class Policy(asyncio.DefaultEventLoopPolicy):
        def new_event_loop(self):
            sys.exit("the policy of the program was asked")

    asyncio.set_event_loop_policy(Policy())

app.run()
