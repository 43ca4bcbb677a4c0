"""The end of a process: how long each part of it may take, and how it is ended."""

from __future__ import annotations

import atexit
import gc
import io
import os
import sys

from pyreframework.logs import console, streams
from pyreframework.serving.signals import forks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

# What the process ends with: all is well, requests were given up, wrong use, a start that failed.
GRACEFUL, ABANDONED, USAGE, START_FAILED = 0, 1, 2, 3
# What threads and interpreters have to end in once nothing runs any more.
THREADS_SECONDS = 5.0
# The same for the hooks of the main interpreter that come then, together.
HOOKS_SECONDS = 5.0
# The same when something does: coroutines are cancelled and may clean up.
GIVE_UP_SECONDS = 1.0
# Tell whether threads have ended that could not be ended in time, and are inside an interpreter.
left_behind: list[Callable[[], bool]] = []


def end_patience() -> float:
    """Return how many seconds the end of a process may take once no request runs any more."""
    # Workers, hooks, tasks of the event loop, and threads of it, one after the other.
    return HOOKS_SECONDS + 3 * THREADS_SECONDS


def leave_threads_behind() -> None:
    """End the process if a thread is still where Python would not survive it."""
    if not all(has_ended() for has_ended in left_behind):
        exit_now(ABANDONED, "a thread of the server could not be ended; leaving without it")


# Behind what others have registered, as it may be the last that is done.
atexit.register(leave_threads_behind)
# A child has none of them.
os.register_at_fork(after_in_child=left_behind.clear)


def end_fork(what: str, error: BaseException | None = None) -> None:
    """End this process if it is a child of the one that serves, in which ``what`` has ended.

    Nothing that follows is the child's to do: it would serve beside its parent, with nobody who
    connects, and end with what the parent needs.

    Args:
        what: What has ended although nobody goes on behind it.
        error: What it raised. A child that exits does so as it says.
    """
    if not forks.forked:
        return
    if isinstance(error, SystemExit):
        if not isinstance(error.code, int) and error.code is not None:
            console.complain(str(error.code))
        streams.settle()
        os._exit(code_of(error))
    if error is not None:
        console.report(error, error.__traceback__)
    reason = f"{what} returned in a process that it had forked; end it with os._exit()"
    # What is in the buffers of streams is the parent's to write.
    exit_now(ABANDONED, reason, flush=False)


def code_of(error: SystemExit) -> int:
    """Return the exit code that Python makes of what was raised."""
    if error.code is None:
        return 0
    return error.code & 0xFF if isinstance(error.code, int) else 1


def write_files() -> None:
    """Write what is in the buffers of files that the program has left open, as Python does at last.

    For a program that `exec` replaces. The standard streams are left out, which may have nobody who
    reads.
    """
    # What was kept out of the collections of garbage is not listed.
    gc.unfreeze()
    left_out: set[int] = set()
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        left_out |= {id(stream), id(getattr(stream, "buffer", None))}
    # By their types: an object may say anything of its class, and do anything to do so.
    files = [one for one in gc.get_objects() if issubclass(type(one), io.IOBase)]
    # What is in a wrapper goes to the file below it.
    files.sort(key=lambda one: not isinstance(one, io.TextIOBase))
    for file in files:
        if id(file) not in left_out:
            try:
                file.flush()
            except Exception:  # noqa: BLE001, S110 - it is closed, or full: nobody is told at the end
                pass


def exit_now(code: int, reason: str, flush: bool = True) -> NoReturn:
    """End the process without finalising interpreters, which a stuck thread would not survive."""
    if flush:
        streams.settle()
    console.last_words(reason)
    os._exit(code)
