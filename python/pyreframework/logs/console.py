"""What Pyre itself says to the person who started it: messages, answers of commands, last words.

No such write fails, and none blocks: what is said is given to threads of the engine, which may
wait for a reader while nobody waits for them, and what cannot be written is lost. Only what a
command was asked for waits for its reader.
"""

from __future__ import annotations

import sys

from pyreframework.engine import flush_log, say
from pyreframework.logs.streams import ERROR, LAST_SECONDS, OUTPUT, encoded, put

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import TextIO


class OutputLost(Exception):
    """What a command was asked for could not be written.

    Args:
        error: Why.
    """

    def __init__(self, error: OSError) -> None:
        super().__init__(error.strerror or str(error))
        self.is_refused = isinstance(error, BrokenPipeError)


def tell(text: str, stream: TextIO | None = None) -> None:
    """Print what a command was asked for, to standard output, and wait for its reader.

    Raises:
        OutputLost: It could not be written.
    """
    stream = sys.stdout if stream is None else stream
    if stream is None:
        return
    name = stream.encoding or "utf-8"
    try:
        stream.write(encoded(stream, f"{text.rstrip()}\n").decode(name, "replace"))
        stream.flush()
    except OSError as error:
        raise OutputLost(error) from None


def complain(text: str, level: str = "ERROR") -> None:
    """Print a line for the person who started the program.

    Args:
        text: What to say; lines after the first may follow.
        level: What it is in a log of JSON.
    """
    put(sys.stderr, ERROR, "pyre: ", text, level)


def last_words(text: str) -> None:
    """Print the last line of a process, whatever the program has in place of standard error."""
    say("ERROR", "pyre: ", text.encode("utf-8", "backslashreplace").decode())
    flush_log(LAST_SECONDS)


def report(error: BaseException, trace: TracebackType | None) -> None:
    """Print an exception with a traceback, or without one."""
    from pyreframework.logs import traces

    put(sys.stderr, ERROR, "", traces.text(type(error), error, trace), "ERROR")


def show(text: str, stream: TextIO | None) -> None:
    """Print to standard output, or what stands there in its place."""
    put(stream, OUTPUT, "", text, "INFO")
