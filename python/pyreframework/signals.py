"""Where ``run()`` waits: signals and calls of ``stop()`` arrive as bytes on a socket pair.

The interpreter itself writes a byte for each signal as it hits (``signal.set_wakeup_fd``), and a
thread reads them, so neither depends on what the main thread is doing. What was there before -
handlers and wake-up descriptor - is put back at the end. A second stop signal ends the process
where it stands.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from enum import Enum
from queue import SimpleQueue

from pyreframework import console

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, TracebackType
    from typing import Any, NoReturn, Self

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
RENEW_SIGNAL = signal.SIGHUP
# Bytes that are no signal: a request to stop, one to be replaced, and the end of the thread.
REQUEST, RENEW, DETACH = 0, 255, 254
ABANDONED = 1


class News(Enum):
    """What ``run()`` may hear while it waits."""

    STOP = "finish what runs, then end"
    RENEW = "start a process that takes over"
    SPENT = "as many requests have come as one process is to have"
    LEAVE = "another process has taken over"
    HEIR_SERVES = "the process that was started serves"
    HEIR_FAILED = "the process that was started has ended"
    DRAINED = "nothing runs any more"
    HANDLED = "a signal that the program has a use of its own for"


class Stop:
    """Requests from signals and threads, as a context in which they are caught.

    `request` may be called from any thread. Signals are caught only if the context is entered on
    the main thread, as Python allows it there alone.

    Args:
        renewable: Also catch SIGHUP, as a request to be replaced.
    """

    def __init__(self, renewable: bool = False) -> None:
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._listen, name="pyre-stop", daemon=True)
        self._handlers: dict[signal.Signals, Any] = {}
        self._wakeup: int | None = None
        self._renewable = renewable
        self.had_terminal = renewable and has_terminal()
        self.news: SimpleQueue[News] = SimpleQueue()
        # Called before a second signal ends the process.
        self.before_end: Callable[[], None] | None = None

    @property
    def fd(self) -> int:
        """A descriptor that takes a zero byte as a request to stop; open until the context ends."""
        return self._writer.fileno()

    def request(self) -> None:
        """Ask for a stop; does nothing once the context has ended."""
        with self._lock:
            if self._writer.fileno() >= 0:
                try:
                    self._writer.send(bytes([REQUEST]))
                except BlockingIOError:
                    pass  # The pair is full of requests already.

    def wait(self) -> News:
        """Wait until something is asked for, and return what."""
        # A signal that hits just before the wait does not end it: the news of it does, and the
        # program's handler runs between two waits.
        while (news := self.news.get()) is News.HANDLED:
            pass
        return news

    def at_once(self) -> NoReturn:
        """End the process where it stands, as a second signal does."""
        if self.before_end is not None:
            self.before_end()
        # Standard output is not flushed: whoever should read it may be what is stuck.
        exit_now(ABANDONED, "stopped at once by a second signal", flush=False)

    def detach(self) -> int:
        """Stop listening and return a descriptor with what comes from now on, one byte a signal."""
        self._writer.setblocking(True)
        self._writer.send(bytes([DETACH]))
        self._thread.join()
        return self._reader.fileno()

    def __enter__(self) -> Self:
        self._thread.start()
        if threading.current_thread() is threading.main_thread():
            for number in STOP_SIGNALS:
                before = signal.getsignal(number)
                # A shell starts background jobs with SIGINT ignored: leave it so.
                if before is not signal.SIG_IGN:
                    self._handlers[number] = before
                    signal.signal(number, nothing)
            # nohup ignores it, and a program may have a use of its own for it.
            if self._renewable and signal.getsignal(RENEW_SIGNAL) is signal.SIG_DFL:
                self._handlers[RENEW_SIGNAL] = signal.SIG_DFL
                signal.signal(RENEW_SIGNAL, nothing)
            self._wakeup = signal.set_wakeup_fd(self.fd, warn_on_full_buffer=False)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._wakeup is not None:
            signal.set_wakeup_fd(self._wakeup)
        for number, before in self._handlers.items():
            # None: it was not set from Python, and Python cannot set it again.
            signal.signal(number, signal.SIG_DFL if before is None else before)
        with self._lock:
            self._writer.close()
        self._thread.join()
        self._reader.close()

    def _listen(self) -> None:
        """Turn bytes into news until the other end is closed."""
        signals = 0
        while received := self._reader.recv(64):
            closed = False
            # Every signal that has a handler leaves a byte here, others than ours too.
            caught = sum(byte in self._handlers and byte in STOP_SIGNALS for byte in received)
            renew = False
            if RENEW_SIGNAL in self._handlers and RENEW_SIGNAL in received:
                # A terminal that closes sends the same signal as someone who wants a restart.
                closed = self.had_terminal and not has_terminal()
                renew = not closed
            signals += caught
            if signals > 1:
                self.at_once()
            if caught or closed or REQUEST in received:
                self.news.put(News.STOP)
            elif renew:
                self.news.put(News.RENEW)
            elif RENEW in received:
                # Said again while it is not heeded, if that takes long.
                if self.news.empty():
                    self.news.put(News.SPENT)
            elif DETACH not in received and self.news.empty():
                self.news.put(News.HANDLED)
            if DETACH in received:
                return


def nothing(number: int, frame: FrameType | None) -> None:
    """Handle a signal by letting the interpreter write its byte, and no more."""


def has_terminal() -> bool:
    """Tell whether this process has a terminal that controls it."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def exit_now(code: int, reason: str, flush: bool = True) -> NoReturn:
    """End the process without finalising interpreters, which a stuck thread would not survive."""
    if flush:
        console.settle()
    console.last_words(reason)
    os._exit(code)
