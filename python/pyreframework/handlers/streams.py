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
    from collections.abc import Callable, Generator
    from contextvars import Context
    from threading import Thread
    from typing import Any, Protocol

    from pyreframework.engine import PyreStream
    from pyreframework.handlers.background import Task
    from pyreframework.handlers.event_loop import Loop

    type Piece = str | bytes | bytearray | memoryview
    type Work = tuple[Context, Callable[[], object]]

    class Delivers(Protocol):
        """The app whose answer it is."""

        def run_tasks(self, tasks: list[Task]) -> None:
            """Run what is left to be done after an answer."""


# A thread that waits for room looks this often whether it is to be interrupted, in seconds.
LOOK_SECONDS = 0.1

# Threads for generators that are not ``async def``, in each interpreter; more of them wait.
THREADS_MAX = 256

# So long a stream may be sent to that no request has for its answer, once its buffer is full.
UNANSWERED_SECONDS = 30.0

# Pieces that an ``async def`` generator makes without waiting before others on its loop have a turn.
PIECES_PER_TURN = 64

# The log is told at most this often that generators wait, in seconds.
TELL_SECONDS = 60.0

# An event loop of its own looks this often whether the client has gone, in seconds.
WATCH_SECONDS = 0.5

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


class Later:
    """What ``send`` returns in a coroutine if there is no room: awaited, it sends the piece."""

    __slots__ = ("_data", "_is_awaited", "_stream", "_timeout")

    def __init__(self, stream: PyreStream, data: Piece, timeout: float | None) -> None:
        self._is_awaited = False
        self._stream = stream
        # Whoever sends it may write over it meanwhile.
        self._data = data if isinstance(data, (str, bytes)) else bytes(data)
        self._timeout = timeout

    def __await__(self) -> Generator[Any]:
        self._is_awaited = True
        return send_on_loop(self._stream, self._data, self._timeout).__await__()

    def __del__(self) -> None:
        if not self._is_awaited:
            from warnings import warn

            self._stream._break()
            warn(
                "a piece was not sent, as its client reads slower than this sends: `await` what "
                "send() returns; the answer is broken off",
                RuntimeWarning,
                stacklevel=2,
            )


def running_loop() -> AbstractEventLoop | None:
    """Return the event loop that runs on this thread, if one does."""
    events = sys.modules.get("asyncio.events")
    return None if events is None else events._get_running_loop()  # without raising


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
            "this stream is the answer to no request, so that nobody reads it: return it from a handler"
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
        if self.stream.is_disconnected and self.task is not None and self.task not in cancelled:
            cancelled.add(self.task)
            self.task.add_done_callback(cancelled.discard)
            self.task.cancel()
        rooms, self.rooms = self.rooms, []
        for room in rooms:
            if not room.done():
                room.set_result(None)


# Those of this interpreter, by the number of their stream.
senders: dict[int, Sender] = {}

# Tasks that end as their client has gone: a second cancellation would hit them as they clean up.
cancelled: set[LoopTask[Any]] = set()


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
        RuntimeError: The stream has not become the answer to a request.
    """
    from asyncio import get_running_loop, sleep

    loop = get_running_loop()
    since = loop.time()
    while not stream._wait(0):
        number = stream._listen()
        sender = senders.get(number) if number is not None else None
        if number is not None and sender is None:
            sender = senders[number] = Sender(stream, loop, None)
        if number is None or sender is None or sender.loop is not loop:
            # The answer is not on its way yet, or nobody could wake this loop.
            await sleep(LOOK_SECONDS)
            check_is_answer(stream, loop.time() - since)
            continue
        try:
            await sender.wait()
        finally:
            if not sender.rooms and sender.task is None and senders.get(number) is sender:
                del senders[number]


class Delivery:
    """An answer that a generator makes, from its begin to what is to be done behind it.

    The generator runs in one task, or on one thread, from its first line to its last. Up to its
    first piece it is a part of the request: whoever waits for that gets what it raises.
    """

    __slots__ = (
        "_app", "_error", "_generator", "_has_begun", "_id", "_is_followed", "_is_over", "_lock",
        "_route", "_stream", "_tasks", "_tell",
    )  # fmt: skip

    def __init__(
        self,
        app: Delivers,
        stream: PyreStream,
        generator: Any,
        waits: bool,
        place: tuple[str, str],
    ) -> None:
        self._app = app
        self._stream = stream
        self._generator: Any = generator
        self._route, self._id = place
        self._tasks: list[Task] | None = None
        self._lock = _thread.allocate_lock()
        # Whether nobody waits for the first piece any more.
        self._has_begun = not waits
        self._error: BaseException | None = None
        # Wakes who does.
        self._tell: Callable[[], object] | None = None
        self._is_over = False
        self._is_followed = False

    def begin(self, is_async: bool, home: Loop) -> None:
        """Have the generator begin, beside this thread.

        Args:
            is_async: It is an ``async def`` generator.
            home: The event loop of the app, and its threads.
        """
        try:
            if not is_async:
                home.open_threads().run(self.on_thread)
            elif not home.start(self.on_loop):
                home.open_threads().run(self.on_own_loop)
        except BaseException as error:  # noqa: BLE001 - without a thread nothing can be sent
            self.end(error)

    async def first(self) -> None:
        """Wait for the first piece, or the end, on the event loop of the request."""
        from asyncio import get_running_loop

        loop = get_running_loop()
        there = loop.create_future()

        def is_there() -> None:
            if not there.done():
                there.set_result(None)

        def tell() -> None:
            if running_loop() is loop:
                is_there()
            else:
                loop.call_soon_threadsafe(is_there)

        if self._wait_by(tell):
            try:
                await there
            except BaseException:
                self._wait_no_more()
                raise
        self._raise_error()

    def wait_for_first(self) -> None:
        """Wait for the first piece, or the end, on a thread without an event loop."""
        there = _thread.allocate_lock()
        there.acquire()
        if self._wait_by(there.release):
            try:
                # Between two looks the handler may be interrupted.
                while not there.acquire(timeout=LOOK_SECONDS):
                    pass
            except BaseException:
                self._wait_no_more()
                raise
        self._raise_error()

    def _wait_by(self, tell: Callable[[], object]) -> bool:
        """Have this called once there is a first piece, or the end; False if there is."""
        with self._lock:
            if not self._has_begun:
                self._tell = tell
            return not self._has_begun

    def _wait_no_more(self) -> None:
        """Nobody waits any more: what is raised from here on is for the log."""
        with self._lock:
            self._has_begun = True
            self._tell = None

    def _raise_error(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _reach(self, error: BaseException | None = None) -> bool:
        """The first piece is there, or the end; tell whether somebody waits for that."""
        with self._lock:
            if self._has_begun:
                return False
            self._has_begun = True
            self._error = error
            tell, self._tell = self._tell, None
        if tell is not None:
            tell()
        return True

    def on_thread(self) -> None:
        """Send what the generator makes, on this thread, until its end."""
        stream, generator = self._stream, self._generator
        error: BaseException | None = None
        try:
            if stream.is_disconnected:
                # Its client has gone while it waited for a thread: it does not begin.
                raise ConnectionError("the client has gone")
            for piece in generator:
                stream.send(piece)
                if not self._has_begun:
                    self._reach()
        except BaseException as raised:  # noqa: BLE001 - what the program raises ends its answer
            error = raised
        try:
            generator.close()
        except BaseException as raised:  # noqa: BLE001 - as above
            error = self._graver(error, raised)
        del generator
        self.end(error)

    def on_own_loop(self) -> None:
        """Send what an ``async def`` generator makes, on an event loop of this thread."""
        from asyncio import current_task, run, sleep

        async def cancel_if_gone(task: LoopTask[Any]) -> None:
            # Reactors wake the loop of the app alone.
            while not self._stream.is_disconnected:
                await sleep(WATCH_SECONDS)
            task.cancel()

        async def send() -> None:
            from asyncio import create_task

            own = current_task()
            assert own is not None
            watching = create_task(cancel_if_gone(own))
            try:
                await self.on_loop()
            finally:
                watching.cancel()

        run(send())

    async def on_loop(self) -> None:
        """Send what an ``async def`` generator makes, until its end."""
        from asyncio import current_task, get_running_loop, sleep

        stream, generator = self._stream, self._generator
        loop = get_running_loop()
        number = stream._listen()
        if number is not None:
            senders[number] = Sender(stream, loop, current_task())
        error: BaseException | None = None
        made = 0
        try:
            async for piece in generator:
                if not stream._push(piece):
                    await send_on_loop(stream, piece, None)
                made += 1
                if not self._has_begun:
                    self._reach()
                if not made % PIECES_PER_TURN:
                    await sleep(0)
        except BaseException as raised:  # noqa: BLE001 - what the program raises ends its answer
            error = raised
        finally:
            if number is not None:
                del senders[number]
        try:
            await generator.aclose()
        except BaseException as raised:  # noqa: BLE001 - as above
            error = self._graver(error, raised)
        del generator
        self.end(error)

    def _graver(self, error: BaseException | None, later: BaseException) -> BaseException:
        """Return which of two exceptions counts: not the one by which it learns of its client."""
        if error is None or self._stream.is_disconnected and is_of_client(error):
            return later
        return error

    def end(self, error: BaseException | None) -> None:
        """End the answer; an exception breaks it off, and is for the log.

        Not so if the client has gone: then it has been raised for that, or nobody was to have what
        it has kept from being made.
        """
        self._generator = None
        stream = self._stream
        try:
            if error is None:
                try:
                    stream.close()
                except ValueError as short:
                    records.raised(self._route, self._id, short)
                self._reach()
            elif self._reach(error):
                pass  # That is what the request comes to.
            elif not (stream.is_disconnected and is_of_client(error)):
                stream._break()
                records.raised(self._route, self._id, error)
        finally:
            with self._lock:
                self._is_over = True
                is_followed = self._is_followed
            if is_followed:
                self._behind()

    def follow(self, tasks: list[Task] | None) -> None:
        """Do this behind the answer, whose head is on its way."""
        self._tasks = tasks
        with self._lock:
            self._is_followed = True
            is_over = self._is_over
        if is_over:
            self._behind()

    def _behind(self) -> None:
        if self._tasks:
            self._app.run_tasks(self._tasks)


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
        # When the log was last told that generators wait.
        self._told = float("-inf")

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
                self._wait(given, f"all {THREADS_MAX} threads have one")
                return
            # The thread itself would keep what it is called with as long as it lives.
            own = Idle()
            own.work = given
            thread = Thread(target=self._serve, args=(own,), name="pyre-stream")
            self._threads.add(thread)
        try:
            thread.start()
        except RuntimeError as error:
            with self._lock:
                self._threads.discard(thread)
                if not self._threads:
                    raise
                self._wait(given, str(error))

    def _wait(self, given: Work, reason: str) -> None:
        """Let a generator wait for a thread that has another one; the lock is held."""
        from time import monotonic

        self._waiting.append(given)
        now = monotonic()
        if now - self._told >= TELL_SECONDS:
            self._told = now
            records.logger("app").warning(
                "generators wait for a thread before they begin: %s", reason
            )

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
        """Count this thread no more: it ends, and has looked for work. The lock is held."""
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
