"""From `logging` of one interpreter to the writer of the process: one handler on the root logger.

Records are formatted here, in their interpreter, and go as texts into a queue that never makes the
caller wait; a thread of the engine writes them to standard error. Imported together with `logging`,
so not before the program, or a first record, has imported that.
"""

from __future__ import annotations

import logging

from pyreframework import traces
from pyreframework.engine import flush_log, log_record
from pyreframework.logs import LEVELS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

# How long a flush may take: longer only if nobody reads standard error.
FLUSH_SECONDS = 5.0

# What every record has, and what the engine writes under these names itself.
STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
# What `pyreframework.context` gives each record, and what stands there for what is not known.
CORRELATION = ("request_id", "trace_id", "span_id")
NOTHING = "-"
TAKEN = frozenset({"time", "level", "logger", "exception", "file", "line"})


class Bridge(logging.Handler):
    """Hands records to the engine's writer.

    Args:
        json: Whether lines are JSON objects.
    """

    def __init__(self, json: bool) -> None:
        super().__init__()
        self.json = json
        self.users = 1
        self.level_before: int | None = None
        self._formatter = logging.Formatter()

    def emit(self, record: logging.LogRecord) -> None:
        """Format a record and put it into the queue."""
        try:
            log_record(
                self.json,
                record.created,
                record.levelname,
                record.name,
                record.getMessage() if self.json else identified(record),
                self._trace_of(record),
                record.threadName or "",
                (record.pathname, record.lineno),
                members(extra_of(record)) if self.json else "",
            )
        except RecursionError:
            raise
        except Exception:  # noqa: BLE001 - as handlers of the standard library do
            self.handleError(record)

    def flush(self) -> None:
        """Wait until what was logged is written, for a bounded time."""
        flush_log(FLUSH_SECONDS)

    def _trace_of(self, record: logging.LogRecord) -> str:
        """Return traceback and stack of a record."""
        parts = []
        if record.exc_info and record.exc_info[0] is not None:
            parts.append(traces.text(*record.exc_info))
        elif record.exc_text:
            parts.append(record.exc_text)
        if record.stack_info:
            parts.append(self._formatter.formatStack(record.stack_info))
        return "\n".join(parts)


def identified(record: logging.LogRecord) -> str:
    """Return the text of a record, with the request it belongs to if that has an id."""
    text = record.getMessage()
    parts = [text]
    for name in CORRELATION:
        value = getattr(record, name, NOTHING)
        if value != NOTHING:
            parts.append(f"{name}={value}")
    return " ".join(parts)


def extra_of(record: logging.LogRecord) -> dict[str, object]:
    """Return what the caller added to a record by ``extra=``."""
    given = vars(record)
    if len(given) <= len(STANDARD) and STANDARD.issuperset(given):
        return {}
    return {
        f"{name}_" if name in TAKEN else name: value
        for name, value in given.items()
        if name not in STANDARD and not (name in CORRELATION and value == NOTHING)
    }


def members(values: Mapping[str, object]) -> str:
    """Return the inside of a JSON object; what JSON does not know becomes its text.

    Example:
        >>> members({"user": 7, "size": 2.5})
        '"user": 7, "size": 2.5'
    """
    if not values:
        return ""
    from json import dumps

    try:
        return dumps(values, default=repr, allow_nan=False)[1:-1]
    except (ValueError, TypeError, RecursionError):
        return dumps({name: repr(value) for name, value in values.items()})[1:-1]


def installed() -> Bridge | None:
    """Return the handler of this interpreter, if it has been put in."""
    for handler in logging.root.handlers:
        if isinstance(handler, Bridge):
            return handler
    return None


def is_configured() -> bool:
    """Tell whether the program has given the root logger handlers of its own."""
    return any(not isinstance(handler, Bridge) for handler in logging.root.handlers)


def handles_access() -> bool:
    """Tell whether the program has handlers that records of ``pyre.access`` would reach."""
    names = ("pyre", "pyre.access")
    return is_configured() or any(logging.getLogger(name).handlers for name in names)


def install(level: str, json: bool) -> None:
    """Put the handler on the root logger, unless the program has put one of its own there.

    The level of the root logger is set as well, if it is still the one it has from the start.
    """
    if is_configured():
        return
    bridge = installed()
    if bridge is not None:
        bridge.users += 1
        return
    bridge = Bridge(json)
    logging.root.addHandler(bridge)
    if logging.root.level == logging.WARNING:
        bridge.level_before = logging.root.level
        logging.root.setLevel(LEVELS[level])


def uninstall() -> None:
    """Take the handler away again once its last user goes, and write what is left."""
    bridge = installed()
    if bridge is None:
        flush_log(FLUSH_SECONDS)
        return
    bridge.users -= 1
    if bridge.users == 0:
        logging.root.removeHandler(bridge)
        if bridge.level_before is not None:
            logging.root.setLevel(bridge.level_before)
    bridge.flush()


def record_of_access(time: float, level: int, text: str, fields: dict[str, Any]) -> None:
    """Give a record of the access log to the program's own handlers."""
    logger = logging.getLogger("pyre.access")
    if not logger.isEnabledFor(level):
        return
    record = logging.LogRecord("pyre.access", level, "", 0, text, None, None)
    record.created = time
    record.msecs = (time - int(time)) * 1000.0
    vars(record).update(fields)
    logger.handle(record)
