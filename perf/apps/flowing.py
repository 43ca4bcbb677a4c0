"""Routes whose bodies flow, for `hand_over_app.py`: answers and requests in parts, and WebSockets.

Each piece says whose it is, who sent it, its number and its length, so that a client knows of every
byte whether it is right. A conversation is noted when it begins and when its `finally` runs: there
must be one of these for each of those, also if the client has left.
"""

import asyncio
import contextlib
import hashlib
import os
import random
import threading
import time
from typing import NamedTuple

from pyreframework import PyreResponse, PyreStream

SENDERS = 3
PAUSE_SHARE = 0.1

# Appended to by whole lines, so that all interpreters can share it.
_noted = os.open(os.environ.get("PERF_FLOWS", os.devnull), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
# asyncio holds tasks weakly.
_tasks = set()


@contextlib.contextmanager
def noted(name):
    """Note that a conversation begins, and that it ends, however it does."""
    os.write(_noted, f"begin {name}\n".encode())
    try:
        yield
    finally:
        os.write(_noted, f"end {name}\n".encode())


class Asked(NamedTuple):
    """What a request wants: so many pieces, of at most so many bytes, and where it breaks off."""

    name: str
    pieces: int
    size: int
    breaks: int

    @classmethod
    def by(cls, req):
        query = req.query_params
        return cls(req.id, *(int(query.get(key, "-1")) for key in ("pieces", "size", "breaks")))

    def made(self, sender):
        """Make the pieces of one sender, each with the pause behind it in seconds."""
        chance = random.Random(f"{self.name} {sender}")
        for number in range(self.pieces):
            if number == self.breaks:
                raise LookupError(f"nothing wrong: {self.name} asked for it")
            pause_s = chance.random() * 0.005 if chance.random() < PAUSE_SHARE else 0.0
            yield piece(self.name, sender, number, chance.randint(0, self.size)), pause_s


def piece(name, sender, number, size):
    return f"{name} {sender} {number} {size}\n".encode() + bytes([33 + number % 90]) * size


def generator(req):
    asked = Asked.by(req)
    with noted(asked.name):
        for data, pause_s in asked.made(0):
            time.sleep(pause_s)
            yield data


async def async_generator(req):
    asked = Asked.by(req)
    with noted(asked.name):
        for data, pause_s in asked.made(0):
            if pause_s:
                await asyncio.sleep(pause_s)
            yield data


def measured(req):
    """Give an answer in parts the length that they have together."""
    asked = Asked.by(req)
    length = sum(len(data) for data, _ in asked.made(0))
    return PyreResponse(generator(req), headers={"Content-Length": str(length)})


def by_threads(req):
    """Have several threads send at once; the last of them ends the answer."""
    asked = Asked.by(req)
    stream = PyreStream("application/octet-stream")
    left = [SENDERS]
    lock = threading.Lock()

    def send(sender):
        with noted(f"{asked.name}/{sender}"):
            with contextlib.suppress(ConnectionError):
                for data, pause_s in asked.made(sender):
                    time.sleep(pause_s)
                    stream.send(data)
            with lock:
                left[0] -= 1
                if left[0] == 0:
                    stream.close()

    for sender in range(SENDERS):
        threading.Thread(target=send, args=[sender]).start()
    return stream


async def by_tasks(req):
    """Do the same with tasks."""
    asked = Asked.by(req)
    stream = PyreStream("application/octet-stream")

    async def send(sender):
        with noted(f"{asked.name}/{sender}"), contextlib.suppress(ConnectionError):
            for data, pause_s in asked.made(sender):
                await asyncio.sleep(pause_s)
                await stream.send(data)

    async def send_all():
        async with stream:
            await asyncio.gather(*(send(sender) for sender in range(SENDERS)))

    begin(send_all())
    return stream


def begin(coroutine):
    task = asyncio.get_running_loop().create_task(coroutine)
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


def event(asked, number):
    """The data of an event; every other one has two lines."""
    return f"{asked.name} {number}" + "\n" * (number % 2) + "." * (number * 37 % (asked.size + 1))


def events_of_a_thread(req):
    asked = Asked.by(req)
    stream = PyreStream(keep_alive_s=0.01)

    def send():
        with noted(asked.name), contextlib.suppress(ConnectionError), stream:
            for number, (_, pause_s) in enumerate(asked.made(0)):
                time.sleep(4 * pause_s)
                stream.send_event(event(asked, number), event="piece", id=number)

    threading.Thread(target=send).start()
    return stream


async def events_of_a_task(req):
    asked = Asked.by(req)
    stream = PyreStream(keep_alive_s=0.01)

    async def send():
        with noted(asked.name), contextlib.suppress(ConnectionError):
            async with stream:
                for number, (_, pause_s) in enumerate(asked.made(0)):
                    await asyncio.sleep(4 * pause_s)
                    await stream.send_event(event(asked, number), event="piece", id=number)

    begin(send())
    return stream


class Digest:
    """What a body was, as far as it was read."""

    def __init__(self):
        self._bytes, self._sha = 0, hashlib.sha256()

    def add(self, data):
        self._bytes += len(data)
        self._sha.update(data)

    def __str__(self):
        return f"{self._bytes} {self._sha.hexdigest()}"


def take(req):
    with noted(req.id):
        found = Digest()
        for data in req.stream():
            found.add(data)
        return f"{req.id} {found}"


async def take_async(req):
    with noted(req.id):
        found = Digest()
        async for data in req.stream():
            found.add(data)
        return f"{req.id} {found}"


def read(req):
    """Read pieces of a length that this side chooses; the first of them only, if it is asked to."""
    with noted(req.id):
        size, most = int(req.query_params["size"]), int(req.query_params["pieces"])
        found = Digest()
        while most and (data := req.read(size)):
            most -= 1
            found.add(data)
        return f"{req.id} {found}"


async def read_async(req):
    with noted(req.id):
        size, most = int(req.query_params["size"]), int(req.query_params["pieces"])
        found = Digest()
        while most and (data := await req.read(size)):
            most -= 1
            found.add(data)
        return f"{req.id} {found}"


def echo_body(req):
    """Answer with the body while it comes."""
    with noted(req.id):
        yield from req.stream()


async def echo_body_async(req):
    with noted(req.id):
        async for data in req.stream():
            yield data


def echo(ws):
    with noted(ws.id):
        for message in ws:
            ws.send(message)


async def echo_async(ws):
    with noted(ws.id):
        async for message in ws:
            await ws.send(message)


def push(ws):
    """Have several threads send while this one returns what it receives."""
    asked = Asked.by(ws.request)

    def send(sender):
        with noted(f"{asked.name}/{sender}"), contextlib.suppress(ConnectionError):
            for data, pause_s in asked.made(sender):
                time.sleep(pause_s)
                ws.send(data)

    with noted(asked.name):
        threads = [threading.Thread(target=send, args=[sender]) for sender in range(SENDERS)]
        for thread in threads:
            thread.start()
        try:
            for message in ws:
                ws.send(message)
        finally:
            for thread in threads:
                thread.join()


async def push_async(ws):
    asked = Asked.by(ws.request)

    async def send(sender):
        with noted(f"{asked.name}/{sender}"), contextlib.suppress(ConnectionError):
            for data, pause_s in asked.made(sender):
                await asyncio.sleep(pause_s)
                await ws.send(data)

    with noted(asked.name):
        async with asyncio.TaskGroup() as group:
            for sender in range(SENDERS):
                group.create_task(send(sender))
            with contextlib.suppress(ConnectionError):
                async for message in ws:
                    await ws.send(message)


ANSWERS = (
    generator, async_generator, measured, by_threads, by_tasks, events_of_a_thread, events_of_a_task
)  # fmt: skip
UPLOADS = (take, take_async, read, read_async, echo_body, echo_body_async)
SOCKETS = (echo, echo_async, push, push_async)


def add(app):
    """Register each of them twice: on workers, and on the main interpreter."""
    for place, on_main in (("", None), ("/main", True)):
        for handler in ANSWERS:
            app.get(f"/flow{place}/{handler.__name__}", gil=on_main)(handler)
        for handler in UPLOADS:
            app.post(f"/flow{place}/{handler.__name__}", gil=on_main, stream_body=True)(handler)
        for handler in SOCKETS:
            app.websocket(f"/flow{place}/{handler.__name__}", gil=on_main)(handler)
