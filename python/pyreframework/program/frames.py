"""``sys._current_frames`` while there are workers: the threads of one interpreter, not of all.

CPython's own looks at the threads of all interpreters, while those run, and gives their frames to
the one that asks; frames and what hangs on them are then freed by the wrong interpreter, and the
process crashes. Profilers and dumps of threads ask often. Imported in every worker, so it imports
nothing but the engine.
"""

# ruff: noqa: SLF001 - these functions have no other names

from __future__ import annotations

import sys

from pyreframework.engine import current_frames

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

# How many servers with workers this interpreter has; a worker counts as one.
users = 0
# What stood in `sys` before.
_before: tuple[object, object] = (None, None)


def guard() -> None:
    """Put functions that are safe into `sys`, until `release` has been called as often."""
    global users, _before
    users += 1
    if users == 1:
        _before = (sys._current_frames, sys._current_exceptions)
        sys._current_frames = current_frames
        sys._current_exceptions = current_exceptions


def release() -> None:
    """Put back what was there, where nobody else has put anything meanwhile."""
    global users
    users -= 1
    if users == 0:
        frames, exceptions = _before
        if sys._current_frames is current_frames:
            sys._current_frames = frames  # type: ignore[assignment]
        if sys._current_exceptions is current_exceptions:
            sys._current_exceptions = exceptions  # type: ignore[assignment]


def current_exceptions() -> NoReturn:
    """Stand in for ``sys._current_exceptions``, which cannot be had for one interpreter.

    Raises:
        RuntimeError: Always.
    """
    raise RuntimeError(
        "sys._current_exceptions() cannot be used while workers run: CPython would hand out "
        "exceptions of other interpreters, which crashes the process, and does not tell those of "
        "one; sys._current_frames() and sys.exception() work"
    )
