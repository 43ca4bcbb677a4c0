"""Senders of answers in pieces: what `PyreStream.send` gives back, and who waits for room.

Imported with the first stream that needs it.
"""

from __future__ import annotations

from pyreframework.handlers.event_loop import running_loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future, Task
    from collections.abc import Callable, Coroutine, Generator
    from typing import Any, NoReturn

    from pyreframework.engine import PyreStream

    type Piece = str | bytes | bytearray | memoryview


# A thread that waits for room looks this often whether it is to be interrupted, in seconds.
LOOK_SECONDS = 0.1

# So long a stream may be sent to that no request has for its answer, once its buffer is full.
UNANSWERED_SECONDS = 30.0


class ClientGone(ConnectionError):
    """The client has gone before the end of the body that was being read."""


class Ready:
    """What has its result, to be awaited; a coroutine in all that counts for asyncio."""

    __slots__ = ("_result",)

    def __init__(self, result: object) -> None:
        self._result = result

    def __await__(self) -> Generator[Any, None, object]:
        return self._result
        yield  # type: ignore[unreachable]

    def send(self, value: object) -> NoReturn:
        """End, with the result."""
        raise StopIteration(self._result)

    def throw(self, error: BaseException) -> NoReturn:
        """End with an exception."""
        try:
            raise error
        finally:
            # Its traceback has this frame, and each would keep the other.
            del error

    def close(self) -> None:
        """Do nothing: there is nothing to end."""


# What ``send`` returns when there is nothing to wait for.
SENT = Ready(None)


class Later:
    """What ``send`` returns in a coroutine if there is no room: awaited, it sends the piece.

    It is a coroutine in all that counts for asyncio, so that a task can be made of it.
    """

    __slots__ = ("_data", "_is_awaited", "_sending", "_stream", "_timeout")

    def __init__(self, stream: PyreStream, data: Piece, timeout: float | None) -> None:
        self._is_awaited = False
        self._sending: Coroutine[Any, Any, None] | None = None
        self._stream = stream
        # Whoever sends it may write over it meanwhile.
        self._data = data if isinstance(data, (str, bytes)) else bytes(data)
        self._timeout = timeout

    def __await__(self) -> Generator[Any]:
        return self._begin().__await__()

    def send(self, value: object) -> object:
        """Go on until there is something to wait for."""
        return self._begin().send(value)

    def throw(self, error: BaseException) -> object:
        """Go on with an exception."""
        return self._begin().throw(error)

    def close(self) -> None:
        """End: nobody wants the piece to be sent any more."""
        self._begin().close()

    def _begin(self) -> Coroutine[Any, Any, None]:
        self._is_awaited = True
        if self._sending is None:
            self._sending = send_on_loop(self._stream, self._data, self._timeout)
        return self._sending

    def __del__(self) -> None:
        if not self._is_awaited:
            from warnings import warn

            self._stream._break()
            what, end = ("a piece", "the answer is broken off")
            if hasattr(self._stream, "recv"):
                what, end = ("a message", "the WebSocket is closed")
            warn(
                f"{what} was not sent, as its client reads slower than this sends: `await` what "
                f"send() returns; {end}",
                RuntimeWarning,
                stacklevel=2,
            )


def send_later(stream: PyreStream, data: Piece, timeout: float | None) -> Ready | Later:
    """Send a piece for which there is no room yet.

    Blocks a thread until there is. In a coroutine it returns at once what is to be awaited.

    Raises:
        TimeoutError: There was no room in time; the piece is not sent.
        ConnectionError: The client has gone.
        RuntimeError: The stream has not become the answer to a request.
    """
    from time import monotonic

    if running_loop() is not None:
        return Later(stream, data, timeout)
    since = monotonic()
    # Between two looks the handler may be interrupted.
    while True:
        waited = monotonic() - since
        left = LOOK_SECONDS if timeout is None else min(LOOK_SECONDS, timeout - waited)
        if left <= 0:
            raise TimeoutError(f"the client has taken nothing for {timeout} seconds")
        if stream._wait(left) and stream._push(data):
            return SENT
        check_is_answer(stream, waited)


def check_is_answer(stream: PyreStream, waited: float) -> None:
    """See that somebody may make room some day.

    Raises:
        RuntimeError: The stream has not become the answer to a request in so many seconds.
    """
    if waited > UNANSWERED_SECONDS and not stream._is_answer:
        raise RuntimeError(
            "this stream is the answer to no request and so has no reader: return it from a handler"
        )


async def send_on_loop(stream: PyreStream, data: Piece, timeout: float | None) -> None:
    """Send a piece as soon as there is room.

    Raises:
        TimeoutError: There was no room in time; the piece is not sent.
        ConnectionError: The client has gone.
    """
    from asyncio import timeout as limit

    async with limit(timeout):
        while not stream._push(data):
            await wait_on_loop(stream)


class Waiting:
    """Coroutines of one event loop that wait to be woken by a reactor."""

    __slots__ = ("loop", "waiting")

    def __init__(self, loop: AbstractEventLoop) -> None:
        self.loop = loop
        self.waiting: list[Future[None]] = []

    async def wait_if(self, is_worth_it: Callable[[], bool]) -> bool:
        """Wait, unless what is waited for has come: then this says no, and else asks to be told.

        Returns:
            Whether others had their turn meanwhile.
        """
        if not is_worth_it():
            return False
        woken = self.loop.create_future()
        self.waiting.append(woken)
        try:
            await woken
        finally:
            # Whoever is cancelled meanwhile waits no more.
            if woken in self.waiting:
                self.waiting.remove(woken)
        return True

    def go_on(self) -> None:
        """Go on: what was waited for has come, or never will."""
        waiting, self.waiting = self.waiting, []
        for one in waiting:
            if not one.done():
                one.set_result(None)


class Sender(Waiting):
    """Who sends on an event loop, and waits for room."""

    __slots__ = ("stream", "task")

    def __init__(self, stream: PyreStream, loop: AbstractEventLoop, task: Task[Any] | None) -> None:
        super().__init__(loop)
        self.stream = stream
        self.task = task

    def go_on(self) -> None:
        """Go on: there is room, or the client has gone."""
        if self.stream.is_disconnected and self.task is not None and self.task not in cancelled:
            cancelled.add(self.task)
            self.task.add_done_callback(cancelled.discard)
            self.task.cancel()
        super().go_on()


# Those of this interpreter, by the number that reactors know them by.
waiters: dict[int, Waiting] = {}

# Tasks that end as their client has gone: a second cancellation would hit them as they clean up.
cancelled: set[Task[Any]] = set()


def wake(number: int) -> None:
    """Let those of this number go on. Called on the thread of the app's event loop."""
    known = waiters.get(number)
    if known is None:
        return
    if known.loop is running_loop():
        known.go_on()
    elif not known.loop.is_closed():
        known.loop.call_soon_threadsafe(known.go_on)


async def wait_on_loop(stream: PyreStream) -> None:
    """Wait in a coroutine until there is room.

    Raises:
        ConnectionError: The client has gone.
        RuntimeError: The stream has not become the answer to a request.
    """
    from asyncio import get_running_loop, sleep

    loop = get_running_loop()
    since = loop.time()
    while not stream._wait(0):
        number = stream._listen()
        sender = waiters.get(number) if number is not None else None
        if number is not None and sender is None:
            sender = waiters[number] = Sender(stream, loop, None)
        if number is None or not isinstance(sender, Sender) or sender.loop is not loop:
            # The answer is not on its way yet, or nobody could wake this loop.
            await sleep(LOOK_SECONDS)
            check_is_answer(stream, loop.time() - since)
            continue
        try:
            await sender.wait_if(stream._ask_for_room)
        finally:
            if not sender.waiting and sender.task is None and waiters.get(number) is sender:
                del waiters[number]
