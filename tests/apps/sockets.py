"""WebSockets: each conversation as a coroutine, under ``/async``, and on a thread: ``/def``."""

import asyncio
import os
import threading

import gates
from turns import Turns

from pyreframework import HTTPError, Pyre, PyreRequest, PyreResponse, PyreWebSocket

app = Pyre()
GIL = os.environ.get("TEST_GIL") == "1"
ORIGINS = ["https://example.com", "http://localhost:3000"]


class OwnError(Exception):
    pass


class OwnAnswer(Exception):
    pass


@app.before_request
def guard(req):
    if req.header("x-refuse"):
        return {"error": "refused by a hook"}, 401
    req.state.hook = "seen"
    return None


@app.after_request
def mark(req, resp):
    resp.headers["X-After"] = "1"


@app.exception_handler(OwnError)
def own(req, error):
    return {"own": str(error), "path": req.path}, 418


@app.exception_handler(OwnAnswer)
async def own_async(req, error):
    await asyncio.sleep(0)
    return PyreResponse("async", status_code=409)


def both(path, **options):
    """Register a conversation in both ways; a coroutine function is turned into a plain one."""

    def register(make):
        conversation = make()
        app.websocket(f"/async{path}", gil=GIL, **options)(conversation["async"])
        app.websocket(f"/def{path}", gil=GIL, **options)(conversation["def"])
        return make

    return register


@both("/echo")
def echo():
    async def one(ws):
        async for message in ws:
            await ws.send(message)

    def other(ws: PyreWebSocket):
        for message in ws:
            ws.send(message)

    return {"async": one, "def": other}


@both("/methods")
def methods():
    """Asks for one message by each method, and says what it got."""

    async def one(ws):
        got = [
            await ws.recv(),
            await ws.recv_bytes(),
            await ws.recv_message(),
            await ws.recv_message(),
        ]
        await ws.send(repr(got))
        await ws.send_bytes(memoryview(b"bytes"))
        await ws.send_json({"a": [1, None, "ä"]})
        await ws.send(f"{await ws.recv()} {await ws.recv_message()} {await ws.recv_bytes()}")

    def other(ws):
        got = [ws.recv(), ws.recv_bytes(), ws.recv_message(), ws.recv_message()]
        ws.send(repr(got))
        ws.send_bytes(memoryview(b"bytes"))
        ws.send_json({"a": [1, None, "ä"]})
        ws.send(f"{ws.recv()} {ws.recv_message()} {ws.recv_bytes()}")

    return {"async": one, "def": other}


@both("/about/{number:int}/{name}", subprotocols=["chat.v2", "chat.v1"])
def about():
    def describe(ws, number, name):
        return {
            "number": number,
            "name": name,
            "params": ws.params,
            "query": ws.query_params,
            "cookies": ws.cookies,
            "header": ws.headers["x-some"],
            "hook": ws.state.hook,
            "client_ip": ws.client_ip,
            "route": ws.route,
            "path": ws.path,
            "offered": ws.subprotocols,
            "chosen": ws.subprotocol,
            "is_request": isinstance(ws.request, PyreRequest),
            "app": ws.app is app,
            "draining": ws.is_draining,
            "codes": [ws.close_code, ws.close_reason, ws.is_closed, ws.is_accepted],
            "module": __name__,
            "thread": threading.current_thread().name,
        }

    async def one(ws, number: int, name):
        await ws.send_json(describe(ws, number, name))

    def other(number, ws: PyreWebSocket, name):
        ws.send_json(describe(ws, number, name))

    return {"async": one, "def": other}


@both("/refuse-late/{port:int}")
def refuse_late():
    async def one(ws, port: int):
        await gates.at_gate(port, "late")
        raise HTTPError(403)

    def other(ws, port: int):
        gates.hold(port, "late")
        raise HTTPError(403)

    return {"async": one, "def": other}


@both("/refuse/{how}")
def refuse():
    def act(ws, how):
        if how == "error":
            raise HTTPError(403, "not you", headers={"X-Why": "because"})
        if how == "own":
            raise OwnError("mine")
        if how == "own-async":
            raise OwnAnswer
        if how == "fault":
            raise RuntimeError("before the handshake")
        if how == "stream":
            return (number for number in "12")
        if how == "object":
            return object()
        if how == "response":
            return PyreResponse("later", status_code=503, headers={"Retry-After": "7"})
        return None

    async def one(ws, how):
        return act(ws, how)

    def other(ws, how):
        return act(ws, how)

    return {"async": one, "def": other}


@both("/accept/{how}")
def accept():
    def plain(ws, how):
        if how == "headers":
            ws.accept(headers={"X-Mine": "1", "Set-Cookie": ["a=1", "b=2"]})
        elif how == "protocol":
            ws.accept("b")
        elif how == "other":
            try:
                ws.accept("c")
            except ValueError as error:
                return ws.send(str(error))
        elif how == "reserved":
            try:
                ws.accept(headers={"Sec-WebSocket-Accept": "x"})
            except ValueError as error:
                return ws.send(str(error))
        elif how == "twice":
            ws.accept()
            try:
                ws.accept()
            except RuntimeError as error:
                return ws.send(str(error))
        return ws.send(repr(ws.subprotocol))

    async def one(ws, how):
        await plain(ws, how)

    def other(ws, how):
        plain(ws, how)

    return {"async": one, "def": other}


@both("/raise")
def raising():
    async def one(ws):
        await ws.recv()
        raise RuntimeError("after the handshake")

    def other(ws):
        ws.recv()
        raise RuntimeError("after the handshake")

    return {"async": one, "def": other}


@both("/close/{code:int}")
def closing():
    def check(ws):
        """What is left to do with a WebSocket that this side has closed."""
        ws.close()
        try:
            ws.send("late")
        except ConnectionError as error:
            print("late:", error, ws.is_closed, ws.close_code, ws.close_reason, flush=True)

    async def one(ws, code: int):
        await ws.send("before")
        await ws.close(code, "a reason")
        assert await ws.recv() is None
        check(ws)

    def other(ws, code: int):
        ws.send("before")
        ws.close(code, "a reason")
        assert ws.recv() is None
        check(ws)

    return {"async": one, "def": other}


@both("/wrong")
def wrong():
    """What must not be done, and how that is said."""

    def attempts(ws):
        return [
            lambda: ws.send(1),
            lambda: ws.send(),
            lambda: ws.send_bytes("text"),
            lambda: ws.send_json(object()),
            lambda: ws.close(1005),
            lambda: ws.close(999),
            lambda: ws.close("1000"),
            lambda: ws.close(1000, "x" * 124),
            lambda: ws.close(1000, b"bytes"),
            lambda: setattr(ws, "unknown", 1),
            lambda: PyreWebSocket(),
        ]

    def tell(ws):
        said = []
        for attempt in attempts(ws):
            try:
                attempt()
            except Exception as error:
                said.append(type(error).__name__)
            else:
                said.append("nothing")
        return " ".join(said)

    async def one(ws):
        said = tell(ws)
        try:
            for _ in ws:
                pass
        except RuntimeError as error:
            said += f" {error}"
        await ws.send(said)

    def other(ws):
        ws.send(tell(ws))

    return {"async": one, "def": other}


@both("/timeout")
def timing_out():
    async def one(ws):
        try:
            await ws.recv(timeout=0.05)
        except TimeoutError:
            await ws.send("nobody")
        try:
            await asyncio.wait_for(ws.recv(), 0.05)
        except TimeoutError:
            await ws.send("again nobody")
        await ws.send(await ws.recv(timeout=30))

    def other(ws):
        try:
            ws.recv(timeout=0.05)
        except TimeoutError:
            ws.send("nobody")
        try:
            ws.recv_message(0.05)
        except TimeoutError:
            ws.send("again nobody")
        ws.send(ws.recv(timeout=30))

    return {"async": one, "def": other}


@both("/flood/{count:int}/{size:int}")
def flood():
    """Sends much, whether or not anybody reads it."""

    async def one(ws, count: int, size: int):
        for number in range(count):
            await ws.send_bytes(number.to_bytes(4) * (size // 4))
        print("flooded", flush=True)

    def other(ws, count: int, size: int):
        for number in range(count):
            ws.send_bytes(number.to_bytes(4) * (size // 4))
        print("flooded", flush=True)

    return {"async": one, "def": other}


@both("/gate/{port:int}/{name}")
def gate():
    """Receives only once the gate of the test is open, then tells how it ended."""

    async def one(ws, port: int, name):
        await ws.send("here")
        await gates.at_gate(port, name)
        total = 0
        async for message in ws:
            total += len(message)
            if message == "how much":
                await ws.send(str(total))
        print(f"{name} ended {ws.close_code} {ws.is_disconnected} {total}", flush=True)

    def other(ws, port: int, name):
        ws.send("here")
        gates.hold(port, name)
        total = 0
        for message in ws:
            total += len(message)
            if message == "how much":
                ws.send(str(total))
        print(f"{name} ended {ws.close_code} {ws.is_disconnected} {total}", flush=True)

    return {"async": one, "def": other}


@both("/pending/{port:int}/{name}")
def pending():
    """Answers the handshake only once the gate is open."""

    async def one(ws, port: int, name):
        await gates.at_gate(port, name)
        told(ws, name, await ws.recv())

    def other(ws, port: int, name):
        gates.hold(port, name)
        told(ws, name, ws.recv())

    def told(ws, name, got):
        print(f"{name} got {got!r} {ws.close_code} {ws.is_disconnected}", flush=True)

    return {"async": one, "def": other}


@both("/silent")
def silent():
    async def one(ws):
        message = await ws.recv()
        print(f"silent: {message} {ws.close_code}", flush=True)

    def other(ws):
        message = ws.recv()
        print(f"silent: {message} {ws.close_code}", flush=True)

    return {"async": one, "def": other}


@app.websocket("/origins", allowed_origins=ORIGINS)
async def origins(ws):
    await ws.send("welcome")


@app.websocket("/plain", compression=False)
async def plain(ws):
    async for message in ws:
        await ws.send(message)


@app.websocket("/tasks")
async def tasks(ws):
    """Sends and receives in tasks of their own; all that asyncio has for coroutines is of use."""
    receiving = asyncio.create_task(ws.recv())
    done, _ = await asyncio.wait([receiving], timeout=0.01)
    assert not done
    await ws.send("go")
    first = await receiving
    both = await asyncio.gather(ws.recv(), ws.recv())
    cancelled = asyncio.ensure_future(ws.recv())
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.gather(cancelled, return_exceptions=True)
    await ws.send(f"{first} {both} {cancelled.cancelled()}")
    await ws.send(await ws.recv())


@app.websocket("/many/{port:int}")
async def many(ws, port: int):
    """Receives what has come at once, and tells how often others had a turn meanwhile."""
    await ws.accept()
    await gates.at_gate(port, "many")
    async with Turns() as turns:
        async for message in ws:
            if message == "last":
                break
    await ws.send(str(turns.count))


@app.websocket("/left-behind")
async def left_behind(ws):
    """Ends while a task that it has made still receives."""

    async def receive():
        print("left behind got", await ws.recv(), flush=True)

    ws.state.task = asyncio.create_task(receive())
    for _ in range(3):
        await asyncio.sleep(0)
    await ws.send("left")


@app.websocket("/threads")
async def threads(ws):
    """Others send as well: threads of the program."""

    def send(name):
        for number in range(50):
            ws.send(f"{name} {number}")

    ws.accept()
    await asyncio.gather(*(asyncio.to_thread(send, name) for name in "abc"))
    await ws.send("all")


@app.websocket("/impatient")
async def impatient(ws):
    """Gives up waiting many times, each time without losing anything."""
    ws.accept()
    count = 0
    while True:
        try:
            message = await asyncio.wait_for(ws.recv(), 0.001)
        except TimeoutError:
            count += 1
            if count == 1:
                await ws.send("has given up")
            continue
        if message is None:
            return
        await ws.send(message)


@app.websocket("/own-loop")
def own_loop(ws):
    """Runs an event loop of its own on the thread of the handler."""

    async def talk():
        async for message in ws:
            if message == "bye":
                await ws.send(await ws.recv())
                return
            await ws.send(message)

    asyncio.run(talk())


@app.websocket("/large-threads")
async def large_threads(ws):
    """Threads send large messages at the same time, which may be compressed."""

    def send(name):
        for number in range(20):
            ws.send(f"{name} {number} " * (20_000 if number % 2 else 100))

    ws.accept()
    await asyncio.gather(*(asyncio.to_thread(send, name) for name in "abcd"))
    await ws.send("all")


@app.get("/plain-request")
def plain_request(req):
    return "plain"


if __name__ == "__main__":
    app.run()
