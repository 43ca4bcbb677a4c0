"""Where ``run()`` waits: signals and calls of ``stop()`` arrive as bytes on a socket pair.

The interpreter itself writes a byte for each signal as it hits (``signal.set_wakeup_fd``), and a
thread reads them, so neither depends on what the main thread is doing. What was there before -
handlers and wake-up descriptor - is put back at the end. A second stop signal ends the process
where it stands, unless it comes so soon that both mean the same.
"""

from __future__ import annotations

import atexit
import signal
import socket
import threading
import time
from enum import Enum
from queue import SimpleQueue

from pyreframework.serving.signals import forks, hold
from pyreframework.serving.signals.endings import ABANDONED, end_fork, exit_now
from pyreframework.serving.signals.hold import has_terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, TracebackType
    from typing import Any, NoReturn, Self

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
RENEW_SIGNAL = signal.SIGHUP
# Bytes that are no signal: a request to stop, one to be replaced, and the end of the thread.
REQUEST, RENEW, DETACH = 0, 255, 254
# A stop signal that comes sooner after the first is that one again: `timeout` of coreutils, and
# whoever else signals a process and its group, means to say it once.
SAME_SIGNAL_SECONDS = 0.2
# What an app that another thread serves has to come to its end in when the program ends, until its
# settings say how long that may take.
ELSEWHERE_SECONDS = 15.0


class News(Enum):
    """What ``run()`` may hear while it waits."""

    STOP = "finish what runs, then end"
    RENEW = "start a process that takes over"
    SPENT = "as many requests have come as one process is to have"
    LEAVE = "another process has taken over"
    SUCCESSOR_SERVES = "the process that was started serves"
    SUCCESSOR_FAILED = "the process that was started has ended"
    DRAINED = "nothing runs any more"
    DECIDED = "it is known whether another process takes over"
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
        # Whether a signal, or the supervisor, has asked for a stop.
        self.is_asked = False
        # A supervisor says when the process is to end at once: signals may come from it and from
        # whoever signals all processes of a group.
        self.is_supervised = False
        # How long the end may take once it was asked for, if the program ends before.
        self.patience = ELSEWHERE_SECONDS
        self.ended = threading.Event()
        self.thread = 0
        self._is_forgotten = False
        # What a child that is forked lets go of.
        self.in_child: list[Callable[[], None]] = []

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

    def ask(self) -> None:
        """Ask for a stop as a signal does, which breaks off a start as well."""
        self.is_asked = True
        self.request()

    def wait(self) -> News:
        """Wait until something is asked for, and return what."""
        # A signal that hits just before the wait does not end it: the news of it does, and the
        # program's handler runs between two waits.
        while (news := self.news.get()) is News.HANDLED:
            end_fork("a signal handler")
        return news

    def at_once(self) -> NoReturn:
        """End the process where it stands, as a second signal does."""
        try:
            if self.before_end is not None:
                self.before_end()
        finally:
            end_at_once()

    def detach(self) -> int:
        """Stop listening and return a descriptor with what comes from now on, one byte a signal."""
        self._writer.setblocking(True)
        self._writer.send(bytes([DETACH]))
        self._thread.join()
        return self._reader.fileno()

    def __enter__(self) -> Self:
        self._thread.start()
        forks.attach(self.forget)
        if threading.current_thread() is not threading.main_thread():
            self.thread = threading.get_ident()
            elsewhere.add(self)
            if is_over_elsewhere.is_set():
                self.ask()
            # Before whatever was registered so far, such as the last flush of the streams.
            atexit.unregister(end_all)
            atexit.register(end_all)
        else:
            # Before the handlers, which do nothing: a signal that comes in between would be lost.
            self._wakeup = signal.set_wakeup_fd(self.fd, warn_on_full_buffer=False)
            for number in STOP_SIGNALS:
                before = signal.getsignal(number)
                # A shell starts background jobs with SIGINT ignored: leave it so.
                if before is not signal.SIG_IGN:
                    self._handlers[number] = before
                    signal.signal(number, nothing)
            # nohup ignores it, and a program may have a use of its own for it.
            if self._renewable and signal.getsignal(RENEW_SIGNAL) in (signal.SIG_DFL, hold.note):
                self._handlers[RENEW_SIGNAL] = signal.SIG_DFL
                signal.signal(RENEW_SIGNAL, nothing)
            if RENEW_SIGNAL not in self._handlers:
                hold.give_up()
            elif hold.take():
                # It came while the program was imported.
                self.news.put(News.RENEW)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._is_forgotten:
            return
        forks.detach(self.forget)
        self._put_back()
        with self._lock:
            # The end of the pair would not be enough: a process that was forked may have a copy.
            self._writer.setblocking(True)
            self._writer.send(bytes([DETACH]))
            self._thread.join()
            self._writer.close()
        self._reader.close()
        elsewhere.discard(self)
        # They lead to all that was served.
        self.in_child.clear()
        self.ended.set()

    def forget(self) -> None:
        """Let go of everything, in a child that was forked: the parent serves, and is not told."""
        self._is_forgotten = True
        for forget in self.in_child:
            forget()
        self._put_back()
        # The one before may be held by a thread that is not here.
        self._lock = threading.Lock()
        self._writer.close()
        self._reader.close()
        elsewhere.discard(self)
        # A handler of the program may have forked while this waits, where nobody says anything now.
        self.news.put(News.HANDLED)

    def _put_back(self) -> None:
        """Handle signals as before."""
        for number, before in self._handlers.items():
            # None: it was not set from Python, and Python cannot set it again.
            signal.signal(number, signal.SIG_DFL if before is None else before)
        if self._wakeup is not None:
            signal.set_wakeup_fd(self._wakeup)

    def _listen(self) -> None:
        """Turn bytes into news until the other end is closed."""
        # When the first stop signal came.
        first: float | None = None
        while received := self._reader.recv(64):
            closed = False
            # Every signal that has a handler leaves a byte here, others than ours too.
            caught = any(byte in self._handlers and byte in STOP_SIGNALS for byte in received)
            renew = False
            if RENEW_SIGNAL in self._handlers and RENEW_SIGNAL in received:
                # A terminal that closes sends the same signal as someone who wants a restart.
                closed = self.had_terminal and not has_terminal()
                renew = not closed
            if caught:
                now = time.monotonic()
                if first is None:
                    first = now
                elif now - first >= SAME_SIGNAL_SECONDS and not self.is_supervised:
                    self.at_once()
            self.is_asked = self.is_asked or caught or closed
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


def end_at_once() -> NoReturn:
    """End the process, and say why."""
    # Standard output is not flushed: whoever should read it may be what is stuck.
    exit_now(ABANDONED, "stopped at once by a second signal", flush=False)


def nothing(number: int, frame: FrameType | None) -> None:
    """Handle a signal by letting the interpreter write its byte, and no more."""


# Those entered on other threads than the main one, which may come to the end of the program first.
elsewhere: set[Stop] = set()
# Whether those that are still to be entered are to stop as well.
is_over_elsewhere = threading.Event()


def stop_elsewhere() -> None:
    """Ask what other threads serve to stop, and what they begin to serve from now on."""
    is_over_elsewhere.set()
    for stop in list(elsewhere):
        stop.ask()


def end_all() -> None:
    """Stop what other threads still serve at the end of the program, and wait for it.

    CPython would abort the process: it ends the interpreters of workers, with threads in them.
    """
    stops = [stop for stop in elsewhere if stop.thread != threading.get_ident()]
    now = time.monotonic()
    try:
        for stop in stops:
            stop.request()
        ended = [stop.ended.wait(now + stop.patience - time.monotonic()) for stop in stops]
    except KeyboardInterrupt:
        end_at_once()
    if not all(ended):
        exit_now(ABANDONED, "what a thread serves did not end with the program; leaving without it")
