"""The text of an exception, as Python prints it, with a bound on its lines.

From CPython 3.14 on an error deep inside of nested data carries a note for each level: what
``json.dumps`` raises for a list that nests too deep would be a hundred thousand lines in the log.
"""

from __future__ import annotations

from traceback import format_exception

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

# Of a longer text the lines between these are left out. Frames that repeat are counted by Python,
# so it takes something else than a recursion to get there.
FIRST_LINES = 300
LAST_LINES = 100


def text(
    kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
) -> str:
    """Return the traceback of an exception, without the newline at its end.

    Args:
        kind: What ``sys.exc_info`` has first.
        error: What it has second.
        trace: What it has third.

    Example:
        >>> text(KeyError, KeyError("apple"), None)
        "KeyError: 'apple'"
    """
    lines = "".join(format_exception(kind, error, trace)).rstrip("\n").split("\n")
    left_out = len(lines) - FIRST_LINES - LAST_LINES
    if left_out > 0:
        lines[FIRST_LINES:-LAST_LINES] = [f"[{left_out} lines are left out here]"]
    return "\n".join(lines)


def text_of(error: BaseException) -> str:
    """Return the traceback of an exception that holds its own, without the newline at its end."""
    return text(type(error), error, error.__traceback__)
