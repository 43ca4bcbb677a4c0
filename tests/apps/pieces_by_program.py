"""Streams that the program sends itself, and events."""

import asyncio
import os
import threading

from gates import hold

from pyreframework import Pyre, PyreResponse, PyreStream

app = Pyre()
ON_MAIN = True if os.environ.get("TEST_GIL") else None
seen = []
kept = []


@app.get("/", gil=ON_MAIN)
def hello():
    return "hello"


@app.get("/seen", gil=ON_MAIN)
def show_seen():
    shown = list(seen)
    del seen[: len(shown)]
    return shown


def raised(function, *arguments, **named):
    try:
        function(*arguments, **named)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "nothing"


@app.get("/threads/{count:int}/{each:int}", gil=ON_MAIN)
def threads(req, count, each):
    """Each sends pieces of its own letter; the last one to end closes."""
    stream = PyreStream("text/plain")

    def send(letter):
        for number in range(each):
            stream.send(letter * (number % 700 + 1) + "\n")

    def send_all():
        senders = [threading.Thread(target=send, args=(chr(97 + i),)) for i in range(count)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        stream.close()

    threading.Thread(target=send_all).start()
    return stream


@app.get("/early", gil=ON_MAIN)
def early(req):
    """All is said before it is returned."""
    with PyreStream("text/plain") as stream:
        stream.send("one")
        stream.send(b"two")
    return stream


@app.get("/early-async", gil=ON_MAIN)
async def early_async(req):
    async with PyreStream("text/plain") as stream:
        await stream.send("one")
        await stream.send(b"two")
    return stream


@app.get("/states", gil=ON_MAIN)
def states(req):
    stream = PyreStream("text/plain")
    seen.append([stream.is_closed, stream.is_disconnected, stream.is_draining])
    stream.send("text")
    stream.close()
    stream.close()
    seen.append([stream.is_closed, stream.is_disconnected, stream.is_draining])
    seen.append(raised(stream.send, "more"))
    seen.append(raised(stream.send_event, "more"))
    return stream


@app.get("/wrong", gil=ON_MAIN)
def wrong(req):
    stream = PyreStream()
    calls = [
        lambda: stream.send(5),
        lambda: stream.send(None),
        lambda: stream.send(),
        lambda: stream.send("a", timeout="soon"),
        lambda: stream.send_event({"a": 1}),
        lambda: stream.send_event("a", event=5.5),
        lambda: stream.send_event("a", id="1\n2"),
        lambda: stream.send_event("a", id="1\0002"),
        lambda: stream.send_event("a", event="x\ry"),
        lambda: stream.send_event("a", retry=-1),
        lambda: stream.send_event("a", retry="1"),
        lambda: PyreStream(status_code=99),
        lambda: PyreStream(content_type=b"text/plain"),
        lambda: PyreStream(headers={"X": "a\nb"}),
        lambda: PyreStream(headers={"Content-Length": "many"}),
        lambda: PyreStream(keep_alive_s="often"),
        lambda: PyreStream(keep_alive_s=-1),
    ]
    seen.extend(raised(call) for call in calls)
    stream.close()
    return stream


@app.get("/dropped/{pieces:int}", gil=ON_MAIN)
def dropped(req, pieces):
    """Nobody keeps it: nobody can send the rest or say that there is none."""
    stream = PyreStream("text/plain")
    for number in range(pieces):
        stream.send(f"{number}")
    return stream


@app.get("/raises", gil=ON_MAIN)
def raises(req):
    stream = PyreStream("text/plain")

    def send():
        try:
            with stream:
                stream.send("one")
                raise ValueError("in the middle")
        except ValueError:
            seen.append("raised")

    threading.Thread(target=send).start()
    return stream


@app.get("/twice", gil=ON_MAIN)
def twice(req):
    if not kept:
        kept.append(PyreStream("text/plain"))
        kept[0].send("for one")
        kept[0].close()
    return kept[0]


@app.get("/length/{length:int}/{sent:int}", gil=ON_MAIN)
def length(req, length, sent):
    stream = PyreStream("text/plain", headers={"Content-Length": str(length)})
    is_early = req.query == "early"

    def send():
        for action in [lambda: stream.send("x")] * sent + [stream.close]:
            try:
                action()
            except (ValueError, ConnectionError) as error:
                seen.append(f"{type(error).__name__}: {error}")

    if is_early:
        send()
    else:
        threading.Thread(target=send).start()
    return stream


@app.get("/inside/{how}", gil=ON_MAIN)
def inside(req, how):
    stream = PyreStream("text/plain", 201, {"X-Own": "stream", "X-Both": "stream"})
    stream.send("inside")
    stream.close()
    match how:
        case "alone":
            return stream
        case "status":
            return stream, 202
        case "tuple":
            return stream, 202, {"X-Both": "answer"}
        case "response":
            return PyreResponse(body=stream, status_code=202, headers={"X-Both": "answer"})


@app.get("/events", gil=ON_MAIN)
def events(req):
    stream = PyreStream()

    def send():
        with stream:
            stream.send_event("plain")
            stream.send_event("two\nlines\r\nthree\rfour")
            stream.send_event("all", event="kind", id="7", retry=1500)
            stream.send_event("numbers", id=8)
            stream.send_event("")
            stream.send_event("Grüße", "named", "by place")
            stream.send_event(f"after {req.header('last-event-id')}")

    threading.Thread(target=send).start()
    return stream


@app.get("/events-async", gil=ON_MAIN)
async def events_async(req):
    stream = PyreStream()

    async def send():
        async with stream:
            for number in range(5):
                await stream.send_event(str(number))
                await asyncio.sleep(0)

    kept_tasks.append(asyncio.create_task(send()))
    return stream


kept_tasks = []


@app.get("/silent/{port:int}/{name}", gil=ON_MAIN)
def silent(req, port, name):
    """Says nothing until the gate opens; comments keep it alive."""
    stream = PyreStream(None if req.query == "events" else "text/plain", keep_alive_s=0.05)

    def send():
        with stream:
            stream.send_event(hold(port, name))

    threading.Thread(target=send).start()
    return stream


@app.get("/generated-events/{port:int}/{name}", gil=ON_MAIN)
def generated(req, port, name):
    """The head is there before the first piece is."""

    def make():
        yield f"data: {hold(port, name)}\n\n"

    return PyreResponse(body=make(), content_type="text/event-stream")


app.run()
