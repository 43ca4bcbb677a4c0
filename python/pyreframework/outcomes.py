"""What methods return that take time: at once, or to be awaited, as whoever calls them can take it.

A coroutine awaits, so that its event loop is not held up. A ``def`` function on the thread of that
loop cannot: for it the work is done at once, and what it gets may still be awaited by whoever it
hands it to. So nothing is left undone because nobody awaits it. Imported with the first file.
"""

from __future__ import annotations

import sys

from pyreframework.handlers.bodies import is_in_coroutine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

# What ``co_flags`` says of functions that may await: coroutines of each kind.
AWAITS = 0x80 | 0x100 | 0x200


class Data(bytes):
    """Bytes that may be awaited as well."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, bytes]:
        yield from ()  # So that it is a generator.
        return bytes(self)


class Text(str):
    """Text that may be awaited as well."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, str]:
        yield from ()
        return str(self)


class Count(int):
    """A number that may be awaited as well."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, int]:
        yield from ()
        return int(self)


KINDS: dict[type, type] = {bytes: Data, str: Text, int: Count}


def is_for_coroutine() -> bool:
    """Tell whether what calls the caller's caller is a coroutine, and its event loop runs."""
    if not is_in_coroutine():
        return False
    frame = sys._getframe(2).f_back  # noqa: SLF001 - there is no other name for it
    while frame is not None and frame.f_code.co_name == "<genexpr>":
        frame = frame.f_back  # What stands in a coroutine is gone through by it.
    return frame is not None and bool(frame.f_code.co_flags & AWAITS)


def done(value: Any) -> Any:
    """Return what has been done already, so that it may be awaited where an event loop runs."""
    return KINDS[type(value)](value) if is_in_coroutine() else value
