"""The threads that run handlers, as `threading` shows them to these."""

from __future__ import annotations

import sys


def introduce(name: str) -> None:
    """Give the calling thread its name, and let threads that handlers start be no daemons.

    A thread that Python has not made is a daemon to `threading` on the main interpreter, and so
    would be those that it starts: what they do would be cut off when the process ends.
    """
    threading = sys.modules.get("threading")
    if threading is None:
        # Whoever imports it has a name for the thread at once.
        return
    thread = threading.current_thread()
    if isinstance(thread, threading._DummyThread):  # noqa: SLF001 - nothing public tells
        thread.name = name
        thread._daemonic = False  # noqa: SLF001 - may be set before a thread starts only
