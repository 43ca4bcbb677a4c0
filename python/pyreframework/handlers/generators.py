"""The threads that run generators which are not ``async def``, made as they are needed."""

from __future__ import annotations

import _thread

from pyreframework.logs import records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context
    from threading import Thread

    type Work = tuple[Context, Callable[[], object]]


# Threads for generators that are not ``async def``, in each interpreter; more of them wait.
THREADS_MAX = 256

# A thread that has had no generator for so long ends, in seconds.
IDLE_SECONDS = 10.0

# The log is told at most this often that generators wait, in seconds.
TELL_SECONDS = 60.0


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

    def __init__(self, most: int = THREADS_MAX, name: str = "pyre-stream") -> None:
        self._most = most
        self._name = name
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
            if len(self._threads) >= self._most:
                self._wait(given, f"all {self._most} threads have one")
                return
            # The thread itself would keep what it is called with as long as it lives.
            own = Idle()
            own.work = given
            thread = Thread(target=self._serve, args=(own,), name=self._name)
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
