"""Tracebacks of threads, and warnings: in a log of JSON they are records, not lines among objects.

Python writes both to standard error by itself. Where the program has hooks of its own, those stay.
Imported only where the format of the log is JSON; in text both are left as Python writes them.
"""

from __future__ import annotations

import _thread
import sys
import warnings

from pyreframework.logs import records
from pyreframework.logs.streams import ERROR, put

TYPE_CHECKING = False
if TYPE_CHECKING:
    from threading import ExceptHookArgs
    from typing import Any, TextIO

# Servers of this interpreter that have asked for it.
users = 0

_in_thread = _thread._excepthook  # noqa: SLF001 - `threading` takes it from there
_show_warning = warnings.showwarning


def catch() -> None:
    """Put the hooks in where there are none of the program, until `release` has been called."""
    global users, _show_warning
    users += 1
    if users > 1:
        return
    threading: Any = sys.modules.get("threading")
    if threading is None:
        # It takes its hook from here as it is imported, which a worker may never do.
        _thread._excepthook = thread_raised  # noqa: SLF001 - as above
    elif threading.excepthook is _in_thread:
        threading.excepthook = thread_raised
    # Python tells its own from others by identity, under another name in each version.
    if warnings.showwarning.__module__ in ("warnings", "_py_warnings"):
        _show_warning = warnings.showwarning
        warnings.showwarning = warned


def release() -> None:
    """Take the hooks out again, where they are still ours."""
    global users
    users -= 1
    if users:
        return
    threading: Any = sys.modules.get("threading")
    if threading is not None and threading.excepthook is thread_raised:
        threading.excepthook = _in_thread
    if warnings.showwarning is warned:
        warnings.showwarning = _show_warning


def thread_raised(args: ExceptHookArgs) -> None:
    """Log the exception that has ended a thread, as ``threading.excepthook``."""
    kind, error, trace = args.exc_type, args.exc_value, args.exc_traceback
    if kind is SystemExit:
        return
    name = args.thread.name if args.thread is not None else str(_thread.get_ident())
    logger = records.logger("app")
    if logger.hasHandlers():
        found = None if error is None else (kind, error, trace)
        logger.error("the thread %s ended with %s", name, kind.__qualname__, exc_info=found)
        return
    from pyreframework.logs import traces

    put(
        sys.stderr,
        ERROR,
        "",
        f"Exception in thread {name}:\n{traces.text(kind, error, trace)}",
        "ERROR",
    )


def warned(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Log a warning as ``logging.captureWarnings`` does, as ``warnings.showwarning``."""
    if file is not None:
        _show_warning(message, category, filename, lineno, file, line)
        return
    text = warnings.formatwarning(message, category, filename, lineno, line)
    from logging import WARNING, getLogger

    logger = getLogger("py.warnings")
    if logger.hasHandlers():
        # Of the place of the warning, not of this function.
        record = logger.makeRecord(
            logger.name, WARNING, filename, lineno, "%s", (text.rstrip("\n"),), None
        )
        if logger.isEnabledFor(WARNING):
            logger.handle(record)
    else:
        put(sys.stderr, ERROR, "", text, "WARNING")
