"""Answers that generators make, each beside the lane of its request, which waits for a first piece.

An ``async def`` generator is a task of the event loop, another one runs on a thread of its own, so
that neither a slow client nor a slow generator holds a lane. Imported with the first of them.
"""

from __future__ import annotations

import _thread
import sys

from pyreframework.handlers.event_loop import running_loop
from pyreframework.handlers.faults import status_of
from pyreframework.handlers.streams import (
    LOOK_SECONDS,
    Sender,
    send_on_loop,
    waiters,
)
from pyreframework.logs import records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import Task as LoopTask
    from collections.abc import Callable
    from typing import Any, Protocol

    from pyreframework.engine import PyreStream
    from pyreframework.handlers.background import Task
    from pyreframework.handlers.event_loop import Loop

    class Delivers(Protocol):
        """The app whose answer it is."""

        def run_tasks(self, tasks: list[Task]) -> None:
            """Run what is left to be done after an answer."""


# After so many pieces an ``async def`` generator lets others on its loop have a turn.
PIECES_PER_TURN = 64

# An event loop of its own looks this often whether the client has gone, in seconds.
WATCH_SECONDS = 0.5


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
            try:
                raise error
            finally:
                # Its traceback has this frame, and each would keep the other.
                del error

    def _reach(self, error: BaseException | None = None) -> bool:
        """Note that the first piece is there, or the end; tell whether somebody waits for it."""
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
        try:
            self.end(error)
        finally:
            # Its traceback has this frame, and each would keep the other.
            del error

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
        sender: Sender | None = None
        if number is not None:
            sender = waiters[number] = Sender(stream, loop, current_task())
        error: BaseException | None = None
        made = 0
        try:
            async for piece in generator:
                while not stream._push(piece):
                    if sender is None:
                        await send_on_loop(stream, piece, None)
                        break
                    await sender.wait_if(stream._ask_for_room)
                made += 1
                if not self._has_begun:
                    self._reach()
                if not made % PIECES_PER_TURN:
                    await sleep(0)
        except BaseException as raised:  # noqa: BLE001 - what the program raises ends its answer
            error = raised
        finally:
            if number is not None:
                del waiters[number]
        try:
            await generator.aclose()
        except BaseException as raised:  # noqa: BLE001 - as above
            error = self._graver(error, raised)
        del generator
        try:
            self.end(error)
        finally:
            # Its traceback has this frame, and each would keep the other.
            del error

    def _graver(self, error: BaseException | None, later: BaseException) -> BaseException:
        """Return which of two exceptions counts: not the one by which it learns of its client."""
        if error is None or (self._stream.is_disconnected and is_of_client(error)):
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
                if status_of(error, self._id) is None:
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
