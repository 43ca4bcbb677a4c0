"""A chat over WebSocket: each room is a topic, so its people may be connected to any worker.

Open the page in two tabs; `#red` behind its address is the room `red`. Others take part without a
page: `curl -N http://127.0.0.1:8000/rooms/lobby/events` follows a room as an event stream, and
`curl -d hello http://127.0.0.1:8000/rooms/lobby?name=me` says something in it.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

from pyreframework import HTTPError, Pyre, PyreRequest, PyreResponse, PyreStream, PyreWebSocket

PAGE = Path(__file__).with_name("page.html").read_text(encoding="utf-8")

NAME_CHARACTERS_MAX = 30
TEXT_CHARACTERS_MAX = 500

# Something that is no part of a chat has come: the page does not connect again.
WRONG = 1008

app = Pyre()


def checked(what: str, value: object, characters_max: int) -> str:
    """Return a text without the space around it, if that leaves one that is short enough."""
    text = value.strip() if isinstance(value, str) else ""
    if not 0 < len(text) <= characters_max:
        raise ValueError(f"{what} has 1 to {characters_max} characters")
    return text


def entering(req: PyreRequest, room: str) -> tuple[str, str]:
    """Return the name of who comes to a room, and the topic of that."""
    try:
        name = checked("a name", req.query_param("name"), NAME_CHARACTERS_MAX)
        return name, topic_of(room)
    except ValueError as error:
        raise HTTPError(400, str(error)) from error


def topic_of(room: str) -> str:
    # Other parts of an app may have topics as well.
    return f"room {checked('the name of a room', room, NAME_CHARACTERS_MAX)}"


def said(message: str | bytes) -> dict[str, str]:
    """Return what a page has sent, if that is something to say.

    Raises:
        ValueError: It is something else.
    """
    try:
        given: Any = json.loads(message)
    except RecursionError as error:
        raise ValueError("a message is not deep") from error
    if not isinstance(given, dict):
        raise ValueError("a message is an object")
    return {
        "text": checked("a text", given.get("text"), TEXT_CHARACTERS_MAX),
        # Who has sent it knows by this that it has arrived.
        "id": checked("an id", given.get("id"), NAME_CHARACTERS_MAX),
    }


async def publish(topic: str, data: dict[str, str]) -> None:
    """Tell everybody in a room, whichever worker they are connected to."""
    try:
        app.publish(topic, data)
    except BlockingIOError:
        # Very much is on its way. To wait is for a thread, as the loop has others to serve.
        await asyncio.to_thread(app.publish, topic, data)


@app.get("/")
def page() -> PyreResponse:
    return PyreResponse(PAGE, content_type="text/html; charset=utf-8")


@app.websocket("/rooms/{room}")
async def talk(ws: PyreWebSocket, room: str) -> None:
    name, topic = entering(ws.request, room)
    # From here on the engine sends what is published; this coroutine only listens to its client.
    await ws.subscribe(topic)
    await publish(topic, {"kind": "joined", "name": name})
    try:
        async for message in ws:
            await publish(topic, {"kind": "said", "name": name, **said(message)})
    except ValueError as error:
        await ws.close(WRONG, str(error))
    finally:
        await publish(topic, {"kind": "left", "name": name})


@app.get("/rooms/{room}/events")
def follow(room: str) -> PyreStream:
    try:
        topic = topic_of(room)
    except ValueError as error:
        raise HTTPError(400, str(error)) from error
    stream = PyreStream(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
    stream.subscribe(topic)
    return stream


@app.post("/rooms/{room}")
def say(req: PyreRequest, room: str) -> None:
    name, topic = entering(req, room)
    try:
        text = checked("a text", req.text(), TEXT_CHARACTERS_MAX)
    except ValueError as error:
        raise HTTPError(400, str(error)) from error
    app.publish(topic, {"kind": "said", "name": name, "text": text, "id": ""})


if __name__ == "__main__":
    # Nobody says as much as a megabyte.
    app.run(max_message_size=16 * 1024)
