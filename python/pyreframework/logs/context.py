"""The request that is being handled here, for records of the log: its id, and its trace.

A context variable, so tasks and threads that take over the context know it too. Imported only by
apps that have switched request ids on.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar

from pyreframework.logs.bridge import CORRELATION, NOTHING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextvars import Token
    from typing import Any

    from pyreframework.engine import PyreRequest

# Where `logging` gives the extra to `Logger.makeRecord`, the logger not counted.
EXTRA_AT = 8

current: ContextVar[tuple[str, str | None]] = ContextVar("pyreframework.request")


def enter(req: PyreRequest) -> None:
    """Note the request; the first of all before hooks."""
    current.set((req.id, req.traceparent))


def enter_again(request_id: object) -> Token[tuple[str, str | None]] | None:
    """Note the request where its context has been left; returns what takes that back."""
    known = current.get((NOTHING, None))[0]
    if request_id is None or request_id == known:
        return None
    return current.set((str(request_id), None))


def identify_records() -> None:
    """Give each record of `logging` here ``request_id``, ``trace_id`` and ``span_id``."""
    make = logging.getLogRecordFactory()
    if getattr(make, "identifies", False):
        return

    def identified(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        request_id, trace = current.get((NOTHING, None))
        record.request_id = request_id
        record.trace_id = NOTHING if trace is None else trace[3:35]
        record.span_id = NOTHING if trace is None else trace[36:52]
        return record

    identified.identifies = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(identified)
    let_extra_win()


def let_extra_win() -> None:
    """Let ``extra=`` say what we would: `logging` refuses what overwrites anything of a record."""
    make = logging.Logger.makeRecord

    def made(self: logging.Logger, *args: Any, **kwargs: Any) -> logging.LogRecord:
        extra = kwargs.get("extra") if len(args) <= EXTRA_AT else args[EXTRA_AT]
        ours = [name for name in CORRELATION if name in extra] if extra else []
        if extra is None or not ours:
            return make(self, *args, **kwargs)
        rest = {name: value for name, value in extra.items() if name not in ours}
        if len(args) > EXTRA_AT:
            args = (*args[:EXTRA_AT], rest, *args[EXTRA_AT + 1 :])
        else:
            kwargs["extra"] = rest
        record = make(self, *args, **kwargs)
        vars(record).update({name: extra[name] for name in ours})
        return record

    logging.Logger.makeRecord = made  # type: ignore[method-assign]
