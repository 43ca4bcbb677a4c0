"""Asks the user's readiness check again and again, in a thread of the main interpreter.

The reactors answer probes from what was found last, and for how long that counts, so no probe ever
waits for Python. Imported by the serving side only.
"""

from __future__ import annotations

import threading

from pyreframework.logs import records
from pyreframework.serving.signals.endings import end_fork

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyreframework.engine import Server
    from pyreframework.serving.app import Readiness


class Checking:
    """A thread that asks a check until it is stopped.

    Args:
        readiness: The check and its times.
        server: Who is told.
    """

    def __init__(self, readiness: Readiness, server: Server) -> None:
        self._readiness = readiness
        self._server = server
        self._stopped = threading.Event()
        self._was_ready: bool | None = None
        # A check that hangs must not hold up the end of the process.
        self._thread = threading.Thread(target=self._run, name="pyre-readiness", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask no more. A check that is running is not waited for."""
        self._stopped.set()

    def _run(self) -> None:
        counts = self._readiness.interval + self._readiness.timeout
        while not self._stopped.is_set():
            self._server.set_ready(self._ask(), counts)
            self._stopped.wait(self._readiness.interval)

    def _ask(self) -> bool:
        """Return what the check says, and log when that changes."""
        error: BaseException | None = None
        try:
            is_ready = bool(outcome(self._readiness.check()))
        except BaseException as raised:  # noqa: BLE001 - it means no, whatever it is
            is_ready, error = False, raised
        end_fork("the readiness check", error)
        if is_ready != self._was_ready and not self._stopped.is_set():
            records.readiness(is_ready, error)
        self._was_ready = is_ready
        return is_ready


def outcome(found: Any) -> object:
    """Return what a check returned, or what it comes to if that has to be awaited."""
    if not hasattr(found, "__await__"):
        return found
    from asyncio import run

    async def awaited() -> object:
        return await found

    return run(awaited())
