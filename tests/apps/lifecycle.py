"""Prints a line at every turn of its life, with the interpreter it happens in."""

import _interpreters
import os
import threading
import time

from pyreframework import Pyre

app = Pyre()
loads = 0


def here():
    current = _interpreters.get_current()
    return current[0] if isinstance(current, tuple) else int(current)


def say(what):
    print(f"{what} in {here()}", flush=True)


loads += 1
say(f"loaded as {__name__}")


@app.on_startup
def startup():
    say("startup")


@app.on_startup()
def startup_too():
    say("second startup")


@app.on_shutdown
def shutdown():
    say("shutdown")


@app.on_worker_start
def worker_start():
    say("worker start")


def worker_stop():
    say("worker stop")


app.on_worker_stop(worker_stop)


@app.get("/here")
def where(req):
    return {"interpreter": here(), "thread": threading.get_native_id(), "loads": loads}


@app.get("/main", gil=True)
def on_main(req):
    return {
        "interpreter": here(),
        "main thread": threading.get_native_id() == os.getpid(),
        "loads": loads,
    }


@app.get("/slow-here/{ms:int}")
def slow_here(req, ms):
    time.sleep(ms / 1000)
    return where(req)


@app.get("/print/{word}")
def printed(req, word):
    print(f"printed {word}")
    return word


@app.get("/threads")
def threads(req):
    """A thread of the user's, joined at the end of the interpreter."""
    results = []
    thread = threading.Thread(target=lambda: results.append(here()))
    thread.start()
    thread.join()
    return results


@app.get("/loop")
def loop(req):
    import asyncio

    async def main():
        await asyncio.sleep(0.001)
        async with asyncio.timeout(5):
            return await asyncio.to_thread(lambda: "looped")

    return asyncio.run(main())


@app.get("/library")
def library(req):
    import datetime
    import decimal
    import hashlib
    import re
    import sqlite3
    import subprocess
    import zlib

    base = sqlite3.connect(":memory:")
    return {
        "datetime": datetime.date(2024, 1, 2).isoformat(),
        "decimal": str(decimal.Decimal("0.1") + decimal.Decimal("0.2")),
        "hash": hashlib.sha256(b"").hexdigest()[:8],
        "re": re.sub("b+", "c", "abbba"),
        "sqlite": base.execute("select 6 * 7").fetchone()[0],
        "subprocess": subprocess.run(["echo", "ran"], capture_output=True, text=True).stdout,
        "zlib": len(zlib.decompress(zlib.compress(b"x" * 100))),
    }


app.run()
