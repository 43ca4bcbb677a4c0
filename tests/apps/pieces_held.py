"""Answers in pieces that wait at the gate of a test, and clients that go or do not read."""

import asyncio
import gc
import os
import threading

from gates import at_gate, hold

from pyreframework import Pyre, PyreStream

app = Pyre()
ON_MAIN = True if os.environ.get("TEST_GIL") else None
app.enable_metrics("/metrics")
seen = []
kept = {}

BIG = b"x" * 16384


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


@app.get("/left", gil=ON_MAIN)
def left():
    """What is left of streams that have ended."""
    from pyreframework.handlers import streams

    gc.collect()
    return {
        "senders": len(streams.waiters),
        "streams": sum(isinstance(thing, PyreStream) for thing in gc.get_objects()),
    }


# A piece for each line that the gate says.
@app.get("/def/{port:int}/{name}", gil=ON_MAIN)
def lines(req, port, name):
    try:
        yield f"{name} begins\n"
        while (line := hold(port, name)) != "end":
            yield f"{line}\n"
    except GeneratorExit:
        seen.append(f"{name} closed, disconnected: {req.is_disconnected()}")
        raise
    finally:
        seen.append(f"{name} left")


@app.get("/async/{port:int}/{name}", gil=ON_MAIN)
async def lines_later(req, port, name):
    try:
        yield f"{name} begins\n"
        while (line := await at_gate(port, name)) != "end":
            yield f"{line}\n"
    except (asyncio.CancelledError, GeneratorExit) as error:
        seen.append(f"{name} {type(error).__name__}, disconnected: {req.is_disconnected()}")
        raise
    finally:
        seen.append(f"{name} left")


@app.get("/mixed/{port:int}/{name}", gil=ON_MAIN)
def lines_mixed(req, port, name):
    return lines_later(req, port, name)


@app.get("/rush/{port:int}/{name}", gil=ON_MAIN)
async def rush(req, port, name):
    """Much, and then nothing for long."""
    for _ in range(64):
        yield BIG
    yield await at_gate(port, name)


# The first piece comes late.
@app.get("/first-def/{port:int}/{name}", gil=ON_MAIN)
def first(req, port, name):
    try:
        yield hold(port, name)
        seen.append(f"{name} goes on")
        yield "second"
    finally:
        seen.append(f"{name} left")


@app.get("/first-async/{port:int}/{name}", gil=ON_MAIN)
async def first_later(req, port, name):
    try:
        yield await at_gate(port, name)
        seen.append(f"{name} goes on")
        yield "second"
    finally:
        seen.append(f"{name} left")


# Those who send themselves.
def send_lines(stream, port, name):
    try:
        with stream:
            stream.send(f"{name} begins\n")
            while (line := hold(port, name)) != "end":
                stream.send(f"{line}\n")
    except ConnectionError as error:
        seen.append(f"{name} {type(error).__name__}, disconnected: {stream.is_disconnected}")
    finally:
        seen.append(f"{name} left, closed: {stream.is_closed}")


async def send_lines_later(stream, port, name):
    try:
        async with stream:
            await stream.send(f"{name} begins\n")
            while (line := await at_gate(port, name)) != "end":
                await stream.send(f"{line}\n")
    except ConnectionError as error:
        seen.append(f"{name} {type(error).__name__}, disconnected: {stream.is_disconnected}")
    finally:
        seen.append(f"{name} left, closed: {stream.is_closed}")


@app.get("/thread/{port:int}/{name}", gil=ON_MAIN)
def by_thread(req, port, name):
    stream = PyreStream("text/plain")
    threading.Thread(target=send_lines, args=(stream, port, name)).start()
    return stream


tasks = set()


@app.get("/task/{port:int}/{name}", gil=ON_MAIN)
async def by_task(req, port, name):
    stream = PyreStream("text/plain")
    task = asyncio.create_task(send_lines_later(stream, port, name))
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    return stream


# More than fits: each notes how many pieces it has made.
def noted(name):
    made = kept.setdefault(name, [0])

    def note():
        made[0] += 1

    return note


@app.get("/made/{name}", gil=ON_MAIN)
def how_many(req, name):
    return str(kept.get(name, [0])[0])


@app.get("/big-def/{count:int}/{name}", gil=ON_MAIN)
def big(req, count, name):
    note = noted(name)
    try:
        for _ in range(count):
            note()
            yield BIG
    finally:
        seen.append(f"{name} left")


@app.get("/big-async/{count:int}/{name}", gil=ON_MAIN)
async def big_later(req, count, name):
    note = noted(name)
    try:
        for _ in range(count):
            note()
            yield BIG
    finally:
        seen.append(f"{name} left")


@app.get("/big-mixed/{count:int}/{name}", gil=ON_MAIN)
def big_mixed(req, count, name):
    return big_later(req, count, name)


def send_big(stream, count, name, options):
    note = noted(name)
    try:
        with stream:
            for _ in range(count):
                note()
                stream.send(BIG, **options)
    except (OSError, ValueError) as error:
        seen.append(f"{name} {type(error).__name__}: {error}")
    finally:
        seen.append(f"{name} left")


@app.get("/big-thread/{count:int}/{name}", gil=ON_MAIN)
def big_by_thread(req, count, name):
    stream = PyreStream("text/plain")
    options = {"timeout": float(req.query)} if req.query else {}
    threading.Thread(target=send_big, args=(stream, count, name, options)).start()
    return stream


@app.get("/big-task/{count:int}/{name}", gil=ON_MAIN)
async def big_by_task(req, count, name):
    stream = PyreStream("text/plain")

    async def send():
        note = noted(name)
        try:
            async with stream:
                for _ in range(count):
                    note()
                    await stream.send(BIG)
        except (OSError, ValueError) as error:
            seen.append(f"{name} {type(error).__name__}: {error}")
        finally:
            seen.append(f"{name} left")

    task = asyncio.create_task(send())
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    return stream


@app.get("/big-forgetful/{count:int}/{name}", gil=ON_MAIN)
async def big_without_waiting(req, count, name):
    """Sends and sends, and never waits."""
    stream = PyreStream("text/plain")

    async def send():
        send_big(stream, count, name, {})

    task = asyncio.create_task(send())
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    return stream


app.run()
