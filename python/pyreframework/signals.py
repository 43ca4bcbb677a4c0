"""Where ``run()`` waits: stop signals and calls of ``stop()`` arrive as bytes on a socket pair.

The interpreter itself writes a byte for each signal as it hits (``signal.set_wakeup_fd``), and a
thread reads them, so neither depends on what the main thread is doing. What was there before -
handlers and wake-up descriptor - is put back at the end. A second stop signal ends the process
where it stands.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, TracebackType
    from typing import Any, NoReturn, Self

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
REQUEST = 0
ABANDONED = 1


class Stop:
    """Stop requests from signals and threads, as a context in which they are caught.

    `request` may be called from any thread. Signals are caught only if the context is entered on
    the main thread, as Python allows it there alone.
    """

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._lock = threading.Lock()
        self._asked = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="pyre-stop", daemon=True)
        self._handlers: dict[signal.Signals, Any] = {}
        self._wakeup: int | None = None

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

    def wait(self) -> None:
        """Wait until a stop is asked for."""
        self._asked.wait()

    def __enter__(self) -> Self:
        self._thread.start()
        if threading.current_thread() is threading.main_thread():
            for number in STOP_SIGNALS:
                before = signal.getsignal(number)
                # A shell starts background jobs with SIGINT ignored: leave it so.
                if before is not signal.SIG_IGN:
                    self._handlers[number] = before
                    signal.signal(number, nothing)
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
        """Turn bytes into requests until the other end is closed."""
        signals = 0
        while received := self._reader.recv(64):
            # Every signal that has a handler leaves a byte here, others than ours too.
            caught = sum(byte in self._handlers for byte in received)
            signals += caught
            if signals > 1:
                # Standard output is not flushed: whoever should read it may be what is stuck.
                exit_now(ABANDONED, "stopped at once by a second signal", flush=False)
            if caught or REQUEST in received:
                self._asked.set()


def nothing(number: int, frame: FrameType | None) -> None:
    """Handle a signal by letting the interpreter write its byte, and no more."""


def exit_now(code: int, reason: str, flush: bool = True) -> NoReturn:
    """End the process without finalising interpreters, which a stuck thread would not survive."""
    for stream in (sys.stdout, sys.stderr) if flush else ():
        if stream is not None:
            try:
                stream.flush()
            except (OSError, ValueError):
                pass  # Nobody reads it any more.
    try:
        os.write(2, f"pyre: {reason}\n".encode())
    except OSError:
        pass
    os._exit(code)
