"""From `logging` of one interpreter to the writer of the process: one handler on the root logger.

Records are formatted here, in their interpreter, and go as texts into a queue that never makes the
caller wait; a thread of the engine writes them to standard error. Imported together with `logging`,
so not before the program, or a first record, has imported that.
"""

from __future__ import annotations

import logging
import sys

from pyreframework.engine import flush_log, log_record
from pyreframework.logs import traces
from pyreframework.logs.records import LEVELS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

# How long a flush may take: longer only if nobody reads standard error.
FLUSH_SECONDS = 5.0

# What every record has, and what the engine writes under these names itself.
STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
# What `pyreframework.logs.context` gives each record, and what stands there for what is not known.
CORRELATION = ("request_id", "trace_id", "span_id")
NOTHING = "-"
# Containers in each other, in an extra that `json` does not take as it is.
DEPTH_MAX = 20
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
        """Format a record and put it into the queue, whatever it holds."""
        try:
            message = text_of(record)
            log_record(
                self.json,
                record.created,
                as_text(record.levelname),
                as_text(record.name),
                message if self.json else identified(record, message),
                self._trace_of(record),
                as_text(record.threadName or ""),
                (as_text(record.pathname), record.lineno),
                members(extra_of(record)) if self.json else "",
            )
        except RecursionError:
            raise
        except Exception:  # noqa: BLE001 - as handlers of the standard library do
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Log that a record could not be, in place of the lines that `logging` would print."""
        if logging.raiseExceptions:
            text = f"a record of this logger could not be written:\n{raised_now()}"
            log_record(self.json, record.created, "ERROR", "pyre.server", text, "", "", None, "")

    def flush(self) -> None:
        """Wait until what was logged is written, for a bounded time."""
        flush_log(FLUSH_SECONDS)

    def _trace_of(self, record: logging.LogRecord) -> str:
        """Return traceback and stack of a record."""
        parts = []
        if record.exc_info and record.exc_info[0] is not None:
            try:
                parts.append(traces.text(*record.exc_info))
            except Exception:  # noqa: BLE001 - an exception of the program may do anything
                parts.append(f"{record.exc_info[0]!r}, whose traceback cannot be shown")
        elif record.exc_text:
            parts.append(as_text(record.exc_text))
        if record.stack_info:
            parts.append(as_text(record.stack_info))
        return "\n".join(parts)


def text_of(record: logging.LogRecord) -> str:
    """Return the message of a record; if it does not fit its arguments, both, and what is wrong."""
    try:
        return as_text(record.getMessage())
    except Exception as error:  # noqa: BLE001 - whatever the arguments' own methods raise
        what = type(error).__qualname__
        return (
            f"{as_text(record.msg)} (cannot be formatted with {shown(record.args)}: {what}: "
            f"{as_text(error)}, logged at {as_text(record.pathname)}:{record.lineno})"
        )


def identified(record: logging.LogRecord, text: str) -> str:
    """Return the text of a record, with the request it belongs to if that has an id."""
    parts = [text]
    for name in CORRELATION:
        value = getattr(record, name, NOTHING)
        if not is_nothing(value):
            parts.append(f"{name}={as_text(value)}")
    return " ".join(parts)


def is_nothing(value: object) -> bool:
    """Tell whether this stands for what is not known; of other types nothing is asked."""
    return type(value) is str and value == NOTHING


def as_text(value: object) -> str:
    """Return what is a text, or the text of something else, whatever its methods do."""
    if type(value) is str:
        return value
    try:
        text = str(value)
    except Exception as error:  # noqa: BLE001 - a method of the program
        return nameless(value, error)
    return text if type(text) is str else str.__str__(text)


def shown(value: object) -> str:
    """Return how a value shows itself, whatever its methods do."""
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001 - a method of the program
        return nameless(value, error)
    return text if type(text) is str else str.__str__(text)


def nameless(value: object, error: BaseException) -> str:
    """Return what can be said of a value that cannot be shown."""
    return f"<{type(value).__qualname__}, which cannot be shown: {type(error).__qualname__}>"


def raised_now() -> str:
    """Return the traceback of the exception that is being handled."""
    return traces.text(*sys.exc_info())


def extra_of(record: logging.LogRecord) -> dict[str, object]:
    """Return what the caller added to a record by ``extra=``."""
    given = vars(record)
    if len(given) <= len(STANDARD) and STANDARD.issuperset(given):
        return {}
    return {
        f"{name}_" if name in TAKEN else name: value
        for name, value in given.items()
        if name not in STANDARD and not (name in CORRELATION and is_nothing(value))
    }


def members(values: Mapping[str, object]) -> str:
    """Return the inside of a JSON object. What JSON has nothing for, and only that, is its text.

    Example:
        >>> members({"user": 7, "size": 2.5})
        '"user": 7, "size": 2.5'
        >>> members({"user": 7, "sizes": [2.5, float("nan")]})
        '"user": 7, "sizes": [2.5, "nan"]'
    """
    return encoded(values, ())[1:-1] if values else ""


def encoded(value: object, around: tuple[int, ...]) -> str:
    """Return a value as JSON, each part that JSON cannot have as its text.

    Args:
        value: Anything.
        around: The containers it is in, by identity.
    """
    from json import dumps

    try:
        return dumps(value, default=shown, allow_nan=False)
    except Exception:  # noqa: BLE001, S110 - also what methods of the program raise
        pass
    try:
        if id(value) not in around and len(around) < DEPTH_MAX:
            around = (*around, id(value))
            if isinstance(value, dict):
                pairs = [(dumps(key_of(key)), part) for key, part in list(value.items())]
                return f"{{{', '.join(f'{key}: {encoded(part, around)}' for key, part in pairs)}}}"
            if isinstance(value, (list, tuple)):
                return f"[{', '.join(encoded(part, around) for part in list(value))}]"
    except Exception:  # noqa: BLE001, S110 - as above; then it is shown as it shows itself
        pass
    return dumps(shown(value))


def key_of(key: object) -> str:
    """Return the name of a member, as `json` gives it where it can."""
    if isinstance(key, bool) or key is None:
        return {True: "true", False: "false", None: "null"}[key]
    return as_text(key)


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
