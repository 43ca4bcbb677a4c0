"""The request that is being handled here, for records of the log: its id, and its trace.

A context variable, so tasks and threads that take over the context know it too. Imported only by
apps that have switched request ids on.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar

from pyreframework.bridge import NOTHING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextvars import Token
    from typing import Any

    from pyreframework.engine import PyreRequest

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
