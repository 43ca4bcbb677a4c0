"""Senders of streams that end, or that nobody is to read after all."""

import asyncio
import os
import threading

from pyreframework import Pyre, PyreStream

app = Pyre()
ON_MAIN = True if os.environ.get("TEST_GIL") else None
seen = []


@app.get("/", gil=ON_MAIN)
def hello():
    return "hello"


@app.get("/seen", gil=ON_MAIN)
def show_seen():
    shown = list(seen)
    del seen[: len(shown)]
    return shown


def outcome(stream):
    """Say what sending comes to, and what the stream says of itself."""
    try:
        stream.send("more")
    except (ConnectionError, ValueError) as error:
        return f"{type(error).__name__}, disconnected: {stream.is_disconnected}"
    return "sent"


# Those of this interpreter, by name.
ended = {}


@app.get("/ends/{name}", gil=ON_MAIN)
def ends(req, name):
    """Answer with a stream that has ended."""
    stream = ended[name] = PyreStream("text/plain")
    stream.send(name)
    stream.close()
    return stream


@app.get("/after/{name}", gil=ON_MAIN)
def after_the_end(req, name):
    return outcome(ended[name])


def send_until_refused(stream, name):
    try:
        while True:
            stream.send("x" * 65536)
    except ConnectionError:
        seen.append(f"{name} refused, disconnected: {stream.is_disconnected}")


async def send_until_refused_later(stream, name):
    try:
        while True:
            await stream.send("x" * 65536)
    except ConnectionError:
        seen.append(f"{name} refused, disconnected: {stream.is_disconnected}")


@app.get("/unread/{name}", gil=ON_MAIN)
def unread(req, name):
    """Answer with a stream, but in a way that is no answer."""
    stream = PyreStream("text/plain")
    threading.Thread(target=send_until_refused, args=(stream, name)).start()
    return stream, 200, {"X-Broken": "a\nb"}


tasks = set()


@app.get("/unread-async/{name}", gil=ON_MAIN)
async def unread_later(req, name):
    stream = PyreStream("text/plain")
    task = asyncio.create_task(send_until_refused_later(stream, name))
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    await asyncio.sleep(0)
    return stream, 200, {"X-Broken": "a\nb"}


async def send_impatiently(stream):
    try:
        while True:
            await asyncio.wait_for(stream.send("x" * 65536), 0.1)
    except TimeoutError:
        seen.append("gave up")


@app.get("/impatient", gil=ON_MAIN)
async def impatient():
    """Answer with a stream whose sender lets go of it when its client takes nothing."""
    stream = PyreStream("text/plain")
    task = asyncio.create_task(send_impatiently(stream))
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    return stream


kept = []


@app.get("/silent", gil=ON_MAIN)
def silent():
    stream = PyreStream("text/plain")
    kept.append(stream)
    stream.send("begin")
    return stream


app.run()
