"""Answers in pieces: what generators make goes on its way, and whoever sends too fast waits.

The head of an answer is written by the lane that has served the request. A generator then goes on
beside the lane: an ``async def`` one as a task of the event loop, another one on a thread of its
own kind, so that neither a slow client nor a slow generator holds a lane. Imported with the first
stream.
"""

from __future__ import annotations

import _thread
import sys

from pyreframework.logs import records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future
    from asyncio import Task as LoopTask
    from collections.abc import AsyncGenerator, Callable, Generator
    from contextvars import Context
    from threading import Thread
    from typing import Any, Protocol

    from pyreframework.engine import AppTable, PyreStream
    from pyreframework.handlers.background import Task
    from pyreframework.handlers.event_loop import Loop

    type Piece = str | bytes | bytearray | memoryview
    type Work = tuple[Context, Callable[[], object]]

    class Delivers(Protocol):
        """The app whose answer it is."""

        native: AppTable

        def run_tasks(self, tasks: list[Task]) -> None:
            """Run what is left to be done after an answer."""


# A thread that waits for room looks this often whether it is to be interrupted, in seconds.
LOOK_SECONDS = 0.1

# Threads for generators that are not ``async def``, in each interpreter; more of them wait.
THREADS_MAX = 256

# A thread that has had no generator for so long ends, in seconds.
IDLE_SECONDS = 10.0


class Ready:
    """An awaitable that has its result."""

    __slots__ = ("_result",)

    def __init__(self, result: object) -> None:
        self._result = result

    def __await__(self) -> Generator[Any, None, object]:
        return self._result
        yield  # type: ignore[unreachable]


# What ``send`` returns when there is nothing to wait for.
SENT = Ready(None)


class Room:
    """What ``send`` returns in a coroutine once no more should be sent: to be awaited."""

    __slots__ = ("_stream",)

    def __init__(self, stream: PyreStream) -> None:
        self._stream = stream

    def __await__(self) -> Generator[Any]:
        return wait_on_loop(self._stream).__await__()


def running_loop() -> AbstractEventLoop | None:
    """Return the event loop that runs on this thread, if one does."""
    events = sys.modules.get("asyncio.events")
    return None if events is None else events._get_running_loop()  # without raising


def filled(stream: PyreStream) -> Ready | Room:
    """Return what ``send`` returns when the buffer is full now: a coroutine is to wait."""
    return SENT if running_loop() is None else Room(stream)


def send_later(stream: PyreStream, data: Piece, timeout: float | None) -> Ready | Room:
    """Send a piece for which there is no room yet.

    Blocks a thread until there is. In a coroutine it returns at once, as far as another buffer is
    not full as well.

    Raises:
        TimeoutError: There was no room in time; the piece is not sent.
        BufferError: A coroutine goes on sending without awaiting what ``send`` returns.
        ConnectionError: The client has gone.
    """
    from time import monotonic

    if running_loop() is not None:
        if stream._push(data, True) == 2:
            raise BufferError(
                "the client reads slower than this sends: `await` what send() returns, so that the "
                "coroutine waits for it"
            )
        return Room(stream)
    until = None if timeout is None else monotonic() + timeout
    # Between two looks the handler may be interrupted.
    while True:
        left = LOOK_SECONDS if until is None else min(LOOK_SECONDS, until - monotonic())
        if left <= 0:
            raise TimeoutError(f"the client has taken nothing for {timeout} seconds")
        if stream._wait(left) and stream._push(data) != 2:
            return SENT


class Sender:
    """Who sends on an event loop, as reactors wake it."""

    __slots__ = ("loop", "rooms", "stream", "task")

    def __init__(
        self, stream: PyreStream, loop: AbstractEventLoop, task: LoopTask[Any] | None
    ) -> None:
        self.stream = stream
        self.loop = loop
        self.task = task
        # Those that wait for room.
        self.rooms: list[Future[None]] = []

    async def wait(self) -> None:
        """Wait for room, unless there is some."""
        if self.stream._ask_for_room():
            room = self.loop.create_future()
            self.rooms.append(room)
            try:
                await room
            finally:
                # Whoever is cancelled meanwhile waits no more.
                if room in self.rooms:
                    self.rooms.remove(room)

    def go_on(self) -> None:
        """Go on: there is room, or the client has gone."""
        if self.stream.is_disconnected and self.task is not None:
            self.task.cancel()
        rooms, self.rooms = self.rooms, []
        for room in rooms:
            if not room.done():
                room.set_result(None)


# Those of this interpreter, by the number of their stream.
senders: dict[int, Sender] = {}


def wake(number: int) -> None:
    """Let a sender go on. Called on the thread of the app's event loop."""
    sender = senders.get(number)
    if sender is None:
        return
    if sender.loop is running_loop():
        sender.go_on()
    elif not sender.loop.is_closed():
        sender.loop.call_soon_threadsafe(sender.go_on)


async def wait_on_loop(stream: PyreStream) -> None:
    """Wait in a coroutine until there is room.

    Raises:
        ConnectionError: The client has gone.
    """
    from asyncio import get_running_loop, to_thread

    loop = get_running_loop()
    while not stream._wait(0):
        number = stream._listen()
        if number is None:
            # The answer is not on its way yet, or nobody could wake this loop.
            await to_thread(stream._wait, LOOK_SECONDS)
            continue
        sender = senders.get(number)
        if sender is None:
            sender = senders[number] = Sender(stream, loop, None)
        if sender.loop is not loop:
            await to_thread(stream._wait, LOOK_SECONDS)
            continue
        try:
            await sender.wait()
        finally:
            if not sender.rooms and sender.task is None and senders.get(number) is sender:
                del senders[number]


async def first(stream: PyreStream, generator: Any, is_async: bool) -> None:
    """Have a generator make its first piece, on the event loop of the request."""
    if is_async:
        await first_of(stream, generator)
        return
    from asyncio import to_thread

    await to_thread(pull, stream, generator)


async def first_of(stream: PyreStream, generator: AsyncGenerator[Piece]) -> None:
    """Have an ``async def`` generator make its first piece."""
    try:
        piece = await anext(generator)
    except StopAsyncIteration:
        stream.close()
        return
    try:
        stream._push(piece, True)
    except BaseException:
        # Nobody asks it for another one.
        await generator.aclose()
        raise


def pull(stream: PyreStream, generator: Generator[Piece, None, object]) -> None:
    """Have a generator make its first piece, on this thread."""
    try:
        piece = next(generator)
    except StopIteration:
        stream.close()
        return
    try:
        stream._push(piece, True)
    except BaseException:
        # Nobody asks it for another one.
        generator.close()
        raise


class Delivery:
    """The rest of an answer: a generator, where its pieces go, and what is to be done behind."""

    __slots__ = ("_app", "_generator", "_id", "_route", "_stream", "_tasks")

    def __init__(
        self,
        app: Delivers,
        stream: PyreStream,
        generator: Any,
        place: tuple[str, str],
        tasks: list[Task] | None,
    ) -> None:
        self._app = app
        self._stream = stream
        self._generator: Any = generator
        self._route, self._id = place
        self._tasks = tasks

    def on_thread(self) -> None:
        """Send what the generator makes, on this thread, until its end."""
        stream, generator = self._stream, self._generator
        error: BaseException | None = None
        try:
            for piece in generator:
                stream.send(piece)
        except BaseException as raised:  # noqa: BLE001 - what the program raises ends its answer
            error = raised
        try:
            generator.close()
        except BaseException as raised:  # noqa: BLE001 - as above
            error = error or raised
        self.end(error)

    async def on_loop(self) -> None:
        """Send what an ``async def`` generator makes, until its end."""
        from asyncio import current_task, get_running_loop

        stream, generator = self._stream, self._generator
        sender = Sender(stream, get_running_loop(), current_task())
        number = stream._listen()
        if number is not None:
            senders[number] = sender
        error: BaseException | None = None
        try:
            async for piece in generator:
                if stream._push(piece, True):
                    await (sender.wait() if number is not None else wait_on_loop(stream))
        except BaseException as raised:  # noqa: BLE001 - what the program raises ends its answer
            error = raised
        finally:
            if number is not None:
                del senders[number]
        try:
            await generator.aclose()
        except BaseException as raised:  # noqa: BLE001 - as above
            error = error or raised
        self.end(error)

    def end(self, error: BaseException | None) -> None:
        """End the answer; an exception breaks it off, and is for the log.

        Not so if the client has gone: then it has been raised for that, or nobody was to have what
        it has kept from being made.
        """
        self._generator = None
        stream, app = self._stream, self._app
        try:
            if error is None:
                try:
                    stream.close()
                except ValueError as short:
                    records.raised(self._route, self._id, short)
            elif not (stream.is_disconnected and is_of_client(error)):
                stream._break()
                records.raised(self._route, self._id, error)
        finally:
            app.native.end_task()
            if self._tasks:
                app.run_tasks(self._tasks)


def is_of_client(error: BaseException) -> bool:
    """Tell whether this is how a sender learns that its client has gone."""
    if isinstance(error, ConnectionError):
        return True
    exceptions = sys.modules.get("asyncio.exceptions")
    return exceptions is not None and isinstance(error, exceptions.CancelledError)


class Idle:
    """A thread that has nothing to do, and how it is given something."""

    __slots__ = ("wake", "work")

    def __init__(self) -> None:
        self.wake = _thread.allocate_lock()
        self.wake.acquire()
        self.work: Work | None = None

    def take(self) -> Work | None:
        """Return what it is given, which is not kept here."""
        work, self.work = self.work, None
        return work


class Threads:
    """The threads of one app that run generators, made as they are needed.

    A generator has its thread until it ends, be it that it waits for the client or for something of
    its own; so no other one waits for it unless all threads have one.
    """

    def __init__(self) -> None:
        self._lock = _thread.allocate_lock()
        self._idle: list[Idle] = []
        self._waiting: list[Work] = []
        self._threads: set[Thread] = set()
        self._is_over = False

    def run(self, work: Callable[[], object]) -> None:
        """Run this on a thread, in a copy of the context that runs.

        Raises:
            RuntimeError: The system has no more threads.
        """
        from contextvars import copy_context
        from threading import Thread

        given = (copy_context(), work)
        with self._lock:
            if self._idle:
                idle = self._idle.pop()
                idle.work = given
                idle.wake.release()
                return
            if len(self._threads) >= THREADS_MAX:
                self._waiting.append(given)
                return
            # The thread itself would keep what it is called with as long as it lives.
            own = Idle()
            own.work = given
            thread = Thread(target=self._serve, args=(own,), name="pyre-stream")
            self._threads.add(thread)
        try:
            thread.start()
        except BaseException:
            with self._lock:
                self._threads.discard(thread)
            raise

    def _serve(self, own: Idle) -> None:
        given = own.take()
        while given is not None:
            context, work = given
            # No longer than the generator lasts.
            given = None
            context.run(work)
            del context, work
            given = self._next(own)

    def _next(self, own: Idle) -> Work | None:
        """Wait for something to do; None: there is nothing more."""
        with self._lock:
            if self._waiting:
                return self._waiting.pop(0)
            if self._is_over:
                self._forget_this()
                return None
            self._idle.append(own)
        if not own.wake.acquire(timeout=IDLE_SECONDS):
            with self._lock:
                if own in self._idle:
                    self._idle.remove(own)
                    self._forget_this()
                    return None
            # It has just been given something.
            own.wake.acquire()
        if (work := own.take()) is None:
            with self._lock:
                self._forget_this()
        return work

    def _forget_this(self) -> None:
        """Count this thread no more: it ends, and has looked for the last time. The lock is held."""
        from threading import current_thread

        self._threads.discard(current_thread())

    def close(self, seconds: float) -> bool:
        """Let the threads end; tell whether they have, in so many seconds."""
        from time import monotonic

        with self._lock:
            self._is_over = True
            idle, self._idle = self._idle, []
            threads = list(self._threads)
        for one in idle:
            one.wake.release()
        until = monotonic() + seconds
        for thread in threads:
            thread.join(max(until - monotonic(), 0.0))
        return not any(thread.is_alive() for thread in threads)


def begin(delivery: Delivery, is_async: bool, home: Loop) -> None:
    """Have the rest of an answer sent, beside this thread.

    Args:
        delivery: What is sent.
        is_async: Its generator is ``async def``.
        home: The event loop of the app, and its threads.
    """
    loop = running_loop()
    try:
        if not is_async:
            home.open_threads().run(delivery.on_thread)
        elif loop is None:
            home.open_threads().run(lambda: home.settle(delivery.on_loop()))
        else:
            from asyncio import Task

            # It begins at once, so that nothing can cancel it before. It is kept by what it waits
            # for: its reactor, by way of `senders`.
            Task(delivery.on_loop(), loop=loop, eager_start=True)
    except BaseException as error:  # noqa: BLE001 - without a thread there is no rest
        delivery.end(error)
