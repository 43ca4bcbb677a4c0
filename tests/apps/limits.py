"""Handlers that take their time, in every way in which one can."""

import asyncio
import os
import socket
import time

from gates import at_gate

from pyreframework import Pyre, RequestTimeout

app = Pyre()
ON_MAIN = True if os.environ.get("TEST_GIL") else None
app.enable_metrics("/metrics")
app.enable_health_probes()
seen = []


def hold(port, name):
    """Wait at the test's gate, in C: nothing can interrupt this thread before it opens."""
    with socket.create_connection(("127.0.0.1", port)) as gate:
        gate.sendall(name.encode() + b"\n")
        received = b""
        while not received.endswith(b"\n"):
            received += gate.recv(100)
        return received.decode().strip()


@app.get("/", gil=ON_MAIN)
def hello():
    return "hello"


@app.get("/async", gil=ON_MAIN)
async def hello_later():
    await asyncio.sleep(0)
    return "hello"


@app.get("/spin", gil=ON_MAIN)
def spin():
    while True:
        pass


@app.get("/spin/own", gil=ON_MAIN, request_timeout=0.1)
def spin_own():
    while True:
        pass


@app.get("/short/{seconds:float}", gil=ON_MAIN, request_timeout=0)
def unlimited(seconds):
    time.sleep(seconds)
    return "took its time"


@app.get("/async/short/{seconds:float}", gil=ON_MAIN, request_timeout=0)
async def unlimited_later(seconds):
    await asyncio.sleep(seconds)
    return "took its time"


@app.get("/catch", gil=ON_MAIN)
def catch():
    try:
        while True:
            pass
    except RequestTimeout as error:
        return f"caught {type(error).__name__}, no Exception: {not isinstance(error, Exception)}"


@app.exception_handler(RequestTimeout)
def on_timeout(req, exc):
    if req.query == "handled":
        return "took too long", 503
    raise exc


@app.get("/finally", gil=ON_MAIN)
def cleans_up():
    try:
        while True:
            pass
    finally:
        seen.append("cleaned up")


@app.get("/stubborn", gil=ON_MAIN)
def stubborn():
    """Goes on after the first interruption, and ends with a later one."""
    caught = 0
    while True:
        try:
            while True:
                pass
        except BaseException:
            caught += 1
            if caught == 5:
                seen.append(f"caught {caught}")
                return "late"


@app.get("/hold/{port:int}/{name}", gil=ON_MAIN)
def held(port, name):
    return hold(port, name)


@app.get("/large", gil=ON_MAIN)
def large():
    return "x" * 200_000


@app.get("/async/wait", gil=ON_MAIN)
async def wait():
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        seen.append("cancelled")
        raise


@app.get("/async/wait/own", gil=ON_MAIN, request_timeout=0.1)
async def wait_own():
    await asyncio.sleep(60)


@app.get("/async/answer", gil=ON_MAIN)
async def answers_when_cancelled():
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        return "instead"


@app.get("/async/swallow/{port:int}/{name}", gil=ON_MAIN)
async def swallow(port, name):
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        seen.append("swallowed")
    return await at_gate(port, name)


@app.get("/async/block/{port:int}/{name}", gil=ON_MAIN)
async def block(port, name):
    return hold(port, name)


@app.get("/async/spin", gil=ON_MAIN)
async def spin_on_loop():
    while True:
        pass


@app.get("/async/spin/later", gil=ON_MAIN)
async def spin_on_loop_later():
    await asyncio.sleep(0)
    while True:
        pass


@app.get("/seen", gil=ON_MAIN)
def show_seen():
    shown = list(seen)
    seen.clear()
    return shown


app.run()
