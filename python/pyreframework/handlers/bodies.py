"""Bodies of requests in pieces: what `PyreRequest.stream` and `read` are in a coroutine.

A thread waits in the engine. A coroutine waits here, until its event loop is told that there is
more. Imported with the first body that is read in pieces.
"""

from __future__ import annotations

from pyreframework.handlers.event_loop import running_loop
from pyreframework.handlers.streams import ClientGone, Waiting, waiters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from pyreframework.engine import PyreRequest


__all__ = ["ClientGone", "is_in_coroutine", "look", "read", "stream"]


# Pieces that coroutines of an interpreter get without waiting before others on the loop have a
# turn: the reactor brings more while they are busy with these, so that they might never wait.
PIECES_PER_TURN = 16


class Turn:
    """How many pieces coroutines have got since one has waited."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0

    def is_over(self) -> bool:
        """Count one more; tell whether others have their turn first."""
        self.count += 1
        if self.count <= PIECES_PER_TURN:
            return False
        self.count = 0
        return True


turn = Turn()


class AwaitedPieces:
    """A body in pieces, as it comes, for ``async for``."""

    __slots__ = ("_request",)

    def __init__(self, request: PyreRequest) -> None:
        self._request = request

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        piece = await take(self._request, -1)
        if not piece:
            raise StopAsyncIteration
        return piece


class Pieces(AwaitedPieces):
    """What ``req.stream()`` returns in a thread.

    Made there, it may be handed to an event loop as well.
    """

    __slots__ = ()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        piece = self._request._next_piece()
        if not piece:
            raise StopIteration
        return piece


class AsyncPieces(AwaitedPieces):
    """What ``req.stream()`` returns in a coroutine.

    It is no `Iterable`: libraries that take either kind, such as httpx, would go through it as one.
    """

    __slots__ = ()

    def __getitem__(self, _: int) -> bytes:
        """Return the next piece, in a thread to which this was handed.

        By this a ``for`` goes through what has no ``__iter__``.

        Raises:
            RuntimeError: An event loop runs on this thread.
        """
        piece = self._request._next_piece()
        if not piece:
            raise IndexError("the body has no more pieces")
        return piece


def stream(request: PyreRequest) -> Pieces | AsyncPieces:
    """Return what goes through the pieces of a body where this is called."""
    return AsyncPieces(request) if is_in_coroutine() else Pieces(request)


def is_in_coroutine() -> bool:
    """Tell whether an event loop runs on this thread, so that it must not wait."""
    return running_loop() is not None


def look() -> None:
    """Do nothing: what interrupts a handler is raised where Python code runs."""


async def read(request: PyreRequest, size: int) -> bytes:
    """Return so many bytes of a body, fewer only at its end; all if ``size`` is below 0.

    If nothing was read before, all of it is what the request has for a body from then on.
    """
    if size < 0:
        while (whole := request._gather()) is False:
            await wait(request)
        if whole is not None:
            return whole
    pieces = []
    while size and (piece := await take(request, size)):
        pieces.append(piece)
        if size > 0:
            size -= len(piece)
    return b"".join(pieces)


async def take(request: PyreRequest, size: int) -> bytes:
    """Return what has come of a body, at most so many bytes; wait until there are some."""
    await pause()
    while (piece := request._take(size)) is None:
        await wait(request)
        # Of a body that is compressed much may come that stands for nothing.
        await pause()
    return piece


async def pause() -> None:
    """Let others have their turn, if one coroutine after the other has got pieces at once."""
    if turn.is_over():
        from asyncio import sleep

        await sleep(0)


async def wait(request: PyreRequest) -> None:
    """Wait until there is something to take."""
    from asyncio import get_running_loop, to_thread

    loop = get_running_loop()
    number = request._listen() if request.app.loop.is_own(loop) else None
    if number is None:
        # Nobody wakes this loop.
        await to_thread(request._wait)
        turn.count = 0
        return
    readers = waiters.setdefault(number, Waiting(loop))
    try:
        if await readers.wait_if(request._ask):
            turn.count = 0
    finally:
        if not readers.waiting and waiters.get(number) is readers:
            del waiters[number]
