"""Tokens as they are made, for a page that loses none of them when its connection breaks.

`/tokens` is an event stream for the `EventSource` of the page; `/text` has the same words as plain
text, for `curl -N`. Each event has the number of its token as id. A browser that connects again
sends the last one it has seen as `Last-Event-ID`, and gets what follows, from whichever worker.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path

from pyreframework import Pyre, PyreRequest, PyreResponse, PyreStream

PAGE = Path(__file__).with_name("page.html").read_text(encoding="utf-8")

TEXT = (
    "A model makes its answer one token at a time. The page shows each of them as it comes. "
    "When the connection breaks, the browser connects again and says what it has seen last, "
    "so that the answer goes on where it was."
)
WORDS = TEXT.split()

# How long this model takes for a token.
TOKEN_SECONDS = 0.05

# A connection ends after so many tokens, as by a network that breaks: to show that none is lost.
TOKENS_PER_CONNECTION = 12

app = Pyre()

# asyncio holds tasks weakly.
senders: set[asyncio.Task[None]] = set()


async def tokens(start: int) -> AsyncGenerator[tuple[int, str]]:
    """Make the tokens from this one on, each with its number."""
    for number in range(start, len(WORDS)):
        await asyncio.sleep(TOKEN_SECONDS)
        yield number, WORDS[number]


async def send(stream: PyreStream, start: int) -> None:
    """Send the tokens from this one on, until the browser has gone or is to come again."""
    with contextlib.suppress(ConnectionError):
        async with stream:
            # The browser waits so many milliseconds before it connects again.
            await stream.send_event("", event="begin", retry=100)
            async for number, token in tokens(start):
                await stream.send_event(token, id=number)
                if stream.is_draining or number + 1 - start == TOKENS_PER_CONNECTION:
                    return
            await stream.send_event("", event="done")


@app.get("/")
def page() -> PyreResponse:
    return PyreResponse(PAGE, content_type="text/html; charset=utf-8")


@app.get("/tokens")
async def events(req: PyreRequest) -> PyreStream:
    last = req.header("Last-Event-ID", "")
    start = int(last) + 1 if last.isdecimal() else 0
    stream = PyreStream(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
    sender = asyncio.create_task(send(stream, start))
    senders.add(sender)
    sender.add_done_callback(senders.discard)
    return stream


@app.get("/text")
async def text() -> AsyncGenerator[str]:
    async for _, token in tokens(0):
        yield f"{token} "
    yield "\n"


if __name__ == "__main__":
    app.run()
