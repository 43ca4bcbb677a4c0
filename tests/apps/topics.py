"""Topics: WebSockets and event streams that listen, and all that may publish."""

import asyncio
import os
import threading

from pyreframework import Pyre, PyreRequest, PyreStream, PyreWebSocket

app = Pyre()
GIL = os.environ.get("TEST_GIL") == "1"
halves: list[PyreStream] = []
kept: list[PyreStream] = []
clock_stops = threading.Event()


def tick() -> None:
    number = 0
    while not clock_stops.wait(0.02):
        app.publish("clock", f"tick {number}")
        number += 1


@app.on_startup
def start() -> None:
    app.publish("clock", "nobody listens yet")
    threading.Thread(target=tick).start()


@app.on_shutdown
def stop() -> None:
    clock_stops.set()


@app.before_request
def publishing_hook(req: PyreRequest) -> None:
    if (text := req.header("x-publish")) is not None:
        app.publish("t", text)


def obey(ws: PyreWebSocket, order: str) -> str:
    """Do what a client asks for, and say what came of it."""
    try:
        match order[0]:
            case "+":
                ws.subscribe(order[1:])
            case "-":
                ws.unsubscribe(order[1:])
            case "!":
                topic, _, data = order[1:].partition(" ")
                app.publish(topic, data)
            case "*":
                for number in range(int(order[1:])):
                    ws.subscribe(f"topic {number}")
    except (RuntimeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return order


@app.websocket("/async", gil=GIL)
async def obeys_async(ws: PyreWebSocket) -> None:
    async for order in ws:
        await ws.send(obey(ws, order))


@app.websocket("/def", gil=GIL)
def obeys(ws: PyreWebSocket) -> None:
    for order in ws:
        ws.send(obey(ws, order))


@app.websocket("/cut", gil=GIL)
async def cut(ws: PyreWebSocket) -> None:
    app.publish("t", "before")
    await ws.subscribe("t")
    app.publish("t", "behind")
    await ws.recv()
    await ws.unsubscribe("t")
    app.publish("t", "late")
    await ws.subscribe("t")
    app.publish("t", "again")
    async for _ in ws:
        pass


@app.websocket("/listen/{topic}", gil=GIL)
async def listens(ws: PyreWebSocket, topic: str) -> None:
    """What becomes of one that only listens."""
    await ws.subscribe(topic)
    await ws.send("listens")
    async for _ in ws:
        pass
    raised = None
    try:
        await ws.send("late")
    except ConnectionError as error:
        raised = str(error)
    print(f"left with {ws.close_code} {ws.close_reason} {raised}", flush=True)


@app.get("/events", gil=GIL)
def events(req: PyreRequest) -> PyreStream:
    stream = PyreStream()
    for topic in req.query_params_all["topic"]:
        stream.subscribe(topic)
    if (early := req.query_param("early")) is not None:
        app.publish("t", early)
    if req.query_param("own") is not None:
        stream.send_event("own")
    if req.query_param("keep") is not None:
        kept.append(stream)
    return stream


@app.get("/half", gil=GIL)
def half(req: PyreRequest) -> PyreStream:
    stream = PyreStream()
    stream.subscribe("t")
    stream.send("data: ha")
    halves.append(stream)
    return stream


@app.post("/other-half", gil=GIL)
def other_half(req: PyreRequest) -> str:
    halves.pop().send("lf\n\n")
    return "sent"


@app.post("/close-kept", gil=GIL)
def close_kept(req: PyreRequest) -> str:
    kept.pop().close()
    return "closed"


@app.get("/not-events", gil=GIL)
def not_events(req: PyreRequest) -> str:
    errors = []
    for stream in (
        PyreStream("text/plain"),
        PyreStream(headers={"Content-Type": "application/x-ndjson"}),
    ):
        try:
            stream.subscribe("t")
        except ValueError as error:
            errors.append(str(error))
    for stream in (
        PyreStream("text/event-stream; charset=utf-8"),
        PyreStream(headers={"content-type": "Text/Event-Stream"}),
    ):
        stream.subscribe("t")
        stream.unsubscribe("t")
    closed = PyreStream()
    closed.close()
    try:
        closed.subscribe("t")
    except ValueError as error:
        errors.append(str(error))
    return "\n".join(errors)


def given(req: PyreRequest) -> tuple[str, object, dict[str, object]]:
    data: object = req.body
    match req.query_param("as", "text"):
        case "text":
            data = req.text()
        case "json":
            data = req.json()
        case "buffer":
            data = bytearray(req.body)
    fields = {name: req.query_param(name) for name in ("event", "id")}
    return req.query_param("topic", "t"), data, fields


@app.post("/publish/def", gil=GIL)
def publish(req: PyreRequest) -> str:
    topic, data, fields = given(req)
    try:
        return repr(app.publish(topic, data, **fields))
    except (TypeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"


@app.post("/publish/async", gil=GIL)
async def publish_async(req: PyreRequest) -> str:
    topic, data, fields = given(req)
    return repr(app.publish(topic, data, **fields))


@app.post("/publish/main", gil=True)
def publish_on_main(req: PyreRequest) -> str:
    topic, data, fields = given(req)
    return repr(app.publish(topic, data, **fields))


@app.post("/publish/thread", gil=GIL)
def publish_on_a_thread(req: PyreRequest) -> str:
    topic, data, fields = given(req)
    threading.Thread(target=app.publish, args=[topic, data], kwargs=fields).start()
    return "None"


@app.post("/publish/loop", gil=GIL)
def publish_on_another_loop(req: PyreRequest) -> str:
    topic, data, fields = given(req)

    async def other() -> None:
        await asyncio.sleep(0)
        app.publish(topic, data, **fields)

    threading.Thread(target=lambda: asyncio.run(other())).start()
    return "None"


@app.post("/publish/task", gil=GIL)
def publish_behind_the_answer(req: PyreRequest) -> str:
    topic, data, fields = given(req)
    req.add_task(app.publish, topic, data, **fields)
    return "None"


@app.post("/publish/row/{count:int}", gil=GIL)
def publish_many(req: PyreRequest, count: int) -> str:
    name = req.text()
    for number in range(count):
        app.publish("t", f"{name} {number}")
    return "None"


@app.post("/publish/last/{count:int}", gil=GIL)
def publish_and_stop(req: PyreRequest, count: int) -> str:
    for number in range(count):
        app.publish("t", f"last {number}")
    app.stop()
    return "None"


@app.get("/flood/async", gil=GIL)
async def flood(req: PyreRequest) -> str:
    for number in range(1_000_000):
        try:
            app.publish("flood", "x" * 64)
        except BlockingIOError as error:
            return f"{number} {error}"
    return "all were taken"


@app.get("/flood/timeout", gil=GIL)
def flood_for_a_time(req: PyreRequest) -> str:
    for number in range(1_000_000):
        try:
            app.publish("flood", "x" * 64, timeout=0)
        except TimeoutError as error:
            return f"{number} {error}"
    return "all were taken"


@app.get("/flood/patient", gil=GIL)
def flood_patiently(req: PyreRequest) -> str:
    for _ in range(int(req.query)):
        app.publish("flood", "x" * 64)
    return "all were taken"


@app.get("/bad-names", gil=GIL)
def bad_names(req: PyreRequest) -> list[str]:
    stream = PyreStream()
    found = []
    for topic in ("", "x" * 257, "ä" * 129, "\udcff", 7):
        for call in (lambda: app.publish(topic, "x"), lambda: stream.subscribe(topic)):  # noqa: B023
            try:
                call()
            except (TypeError, ValueError) as error:
                found.append(f"{type(error).__name__}: {error}")
    stream.subscribe("x" * 256)
    app.publish("x" * 256, "x")
    return found


if __name__ == "__main__":
    app.run()
