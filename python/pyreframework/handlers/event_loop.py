"""The asyncio loop of an interpreter: opened, run for hooks, awaited from lanes, closed.

While the app is served, the engine drives the loop on a thread of its own; before and after that,
hooks run on it. Imported in every worker, so asyncio is imported when the first coroutine comes.
"""

from __future__ import annotations

import _thread
import sys
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task
    from collections.abc import Callable, Coroutine
    from typing import Any

    from pyreframework.handlers.generators import Threads

# How often a lane that waits for a coroutine looks whether it is to be interrupted, in seconds.
LOOK_SECONDS = 0.1

# What is left on the loop at the end has this long to end, once it was cancelled.
CANCELLED_SECONDS = 5.0


# Tasks are kept here until they end: their loop itself holds them weakly.
kept: set[object] = set()


def keep(task: Task[Any]) -> None:
    """Keep a task until it ends."""
    kept.add(task)
    task.add_done_callback(kept.discard)


def running_loop() -> AbstractEventLoop | None:
    """Return the event loop that runs on this thread, if one does; imports nothing."""
    events = sys.modules.get("asyncio.events")
    return None if events is None else events._get_running_loop()  # noqa: SLF001 - without raising


class Loop:
    """The event loop of one app in one interpreter, opened when it is needed."""

    __slots__ = ("_loop", "_opening", "_socket_threads", "_threads", "debug")

    def __init__(self) -> None:
        self._loop: AbstractEventLoop | None = None
        self._threads: Threads | None = None
        self._socket_threads: Threads | None = None
        # Lanes may come together: importing, and making threads, lets others run.
        self._opening = _thread.allocate_lock()
        self.debug = False

    def open(self) -> AbstractEventLoop:
        """Return the loop; make it first if nobody has needed it so far."""
        if self._loop is None:
            from asyncio import SelectorEventLoop

            # The stock loop, whatever policy the program has set: the engine knows this one.
            loop = SelectorEventLoop.__new__(SelectorEventLoop)
            try:
                loop.__init__()  # type: ignore[misc]
            except BaseException:
                # There is nothing to close, which its destructor would try and complain of.
                loop._closed = True  # type: ignore[attr-defined]  # noqa: SLF001
                raise
            self._loop = loop
            if self.debug:
                # If not, asyncio's own switches decide.
                self._loop.set_debug(True)
        return self._loop

    def is_own(self, loop: AbstractEventLoop) -> bool:
        """Tell whether this is the loop of the app, which the engine wakes."""
        return loop is self._loop

    def complete(self, result: Any) -> object:
        """Return what a hook returned, or what its coroutine comes to.

        Only before and after the app is served: meanwhile the loop belongs to the engine.

        Raises:
            RuntimeError: A handler that could not be ended still holds the loop.
        """
        if not is_coroutine(result):
            return result
        if self._is_held():
            result.close()
            raise RuntimeError("the event loop is held by a handler that did not end")
        return self.open().run_until_complete(result)

    def open_threads(self) -> Threads:
        """Return the threads beside the loop that run generators."""
        if self._threads is None:
            from pyreframework.handlers.generators import Threads

            with self._opening:
                self._threads = self._threads or Threads()
        return self._threads

    def open_socket_threads(self) -> Threads:
        """Return the threads beside the loop that run handlers of WebSockets.

        The engine bounds how many there are: none waits for another one.
        """
        if self._socket_threads is None:
            from pyreframework.handlers.generators import Threads

            with self._opening:
                self._socket_threads = self._socket_threads or Threads(
                    sys.maxsize, "pyre-websocket"
                )
        return self._socket_threads

    def start(self, coroutine: Callable[[], Coroutine[Any, Any, None]]) -> bool:
        """Have a coroutine run on the loop, beside this thread; tell whether the loop runs."""
        import asyncio

        loop = self._loop
        if loop is None or not loop.is_running():
            return False
        if running_loop() is loop:
            keep(loop.create_task(coroutine()))
        else:
            asyncio.run_coroutine_threadsafe(coroutine(), loop)
        return True

    def settle(self, coroutine: Coroutine[Any, Any, object]) -> object:
        """Run a coroutine on the loop and wait for what it comes to.

        Called by lanes, whose threads have no loop. If there is none that runs, the coroutine gets
        one of its own.
        """
        import asyncio

        if self._loop is None or not self._loop.is_running():
            return asyncio.run(coroutine)
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            # A thread that waits for a lock is not interrupted until it has it.
            while not future.done():
                try:
                    return future.result(LOOK_SECONDS)
                except TimeoutError:
                    pass  # Its own, or the coroutine's: then it is done.
            return future.result()
        except BaseException:
            # The one that waits was interrupted: nobody wants to know any more.
            future.cancel()
            raise

    def close(self, seconds: float = CANCELLED_SECONDS) -> bool:
        """Cancel what is left on the loop, let it end, and close it.

        Args:
            seconds: How long tasks have to end, and then threads of ``asyncio.to_thread``.

        Returns:
            Whether all tasks and threads of the loop have ended, so that nothing holds up the end
            of the interpreter.
        """
        kinds = (self._threads, self._socket_threads)
        self._threads = self._socket_threads = None
        threads_ended = True
        for threads in kinds:
            threads_ended &= threads is None or threads.close(seconds)
        if self._is_held():
            return False
        loop, self._loop = self._loop, None
        if loop is None:
            return threads_ended
        import asyncio

        try:
            tasks = asyncio.all_tasks(loop)
            streams = sys.modules.get("pyreframework.handlers.streams")
            cancelled = streams.cancelled if streams is not None else ()
            for task in tasks:
                if task not in cancelled:
                    task.cancel()
            if tasks:
                loop.run_until_complete(asyncio.wait(tasks, timeout=seconds))
            for task in tasks:
                if task.done() and not task.cancelled() and task.exception() is not None:
                    loop.call_exception_handler(
                        {
                            "message": "a task failed as the event loop closed",
                            "exception": task.exception(),
                            "task": task,
                        }
                    )
            loop.run_until_complete(loop.shutdown_asyncgens())
            threads_ended &= self._end_threads(loop, seconds)
            # A coroutine that will not be cancelled may not let itself be destroyed either.
            return threads_ended and all(task.done() for task in tasks)
        finally:
            loop.close()

    def _is_held(self) -> bool:
        """Tell whether the engine's thread has not let go of the loop."""
        return self._loop is not None and self._loop.is_running()

    def _end_threads(self, loop: AbstractEventLoop, seconds: float) -> bool:
        """End the threads of ``asyncio.to_thread``; tell whether they have ended in time."""
        executor = getattr(loop, "_default_executor", None)
        if executor is None:
            return True
        executor.shutdown(wait=False, cancel_futures=True)
        deadline = monotonic() + seconds
        for thread in list(executor._threads):  # noqa: SLF001 - asyncio itself only warns
            thread.join(max(deadline - monotonic(), 0.0))
        return not any(thread.is_alive() for thread in executor._threads)  # noqa: SLF001


def is_debugged() -> bool:
    """Tell whether asyncio itself was told to debug: by PYTHONASYNCIODEBUG, or ``-X dev``."""
    from os import environ

    asked = not sys.flags.ignore_environment and bool(environ.get("PYTHONASYNCIODEBUG"))
    return sys.flags.dev_mode or asked


def is_coroutine(result: object) -> bool:
    """Tell whether this is what calling an ``async def`` function gives."""
    return hasattr(result, "send") and hasattr(result, "throw") and hasattr(result, "cr_frame")
