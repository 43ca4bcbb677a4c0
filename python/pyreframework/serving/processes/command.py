"""What starts this program again, and whether anything does."""

from __future__ import annotations

import os
import sys
import threading
from functools import cache

from pyreframework.program import apps


@cache
def command() -> list[str] | None:
    """Return the command line that starts this program again, or None if nothing does.

    A program read from a terminal or a pipe is not there any more to be started. Decided once, when
    the program begins to serve: a file may be absent for a moment while it is replaced.
    """
    arguments = sys.orig_argv[1:]
    if not sys.executable or not sys.orig_argv:
        return None
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    is_named = getattr(main, "__spec__", None) is not None or "-c" in arguments
    if not is_named and (file is None or not os.path.exists(file)):
        return None
    return [sys.executable, *arguments]


@cache
def program_file() -> str | None:
    """Return the file that `command` runs, as it is named there; None if that is no file."""
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    if file is None or getattr(main, "__spec__", None) is not None:
        return None
    folder = apps.started_in or ""
    plain = os.path.normpath(os.path.join(folder, file))
    for argument in sys.orig_argv[1:]:
        if os.path.normpath(os.path.join(folder, argument)) == plain:
            return argument
    return None


def can_renew() -> bool:
    """Tell whether this process can be replaced: by the main thread, from the same command."""
    return threading.current_thread() is threading.main_thread() and command() is not None
