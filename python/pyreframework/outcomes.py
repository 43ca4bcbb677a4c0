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
    from typing import Any, Never

# What ``co_flags`` says of functions that may await: coroutines of each kind.
AWAITS = 0x80 | 0x100 | 0x200


class Done:
    """What is there already, and may be awaited as well.

    It is a `Coroutine` for those who look, so that it may be made a task of.
    """

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, Any]:
        yield from ()  # So that it is a generator.
        return self

    def send(self, _: object) -> Never:
        """End at once."""
        raise StopIteration(self)

    def throw(self, error: BaseException) -> Never:
        """Let an exception through."""
        raise error

    def close(self) -> None:
        """Have nothing left to do."""


class Data(Done, bytes):
    """Bytes that may be awaited as well."""

    __slots__ = ()

    if TYPE_CHECKING:

        def __await__(self) -> Generator[Any, None, bytes]: ...


class Text(Done, str):
    """Text that may be awaited as well."""

    __slots__ = ()

    if TYPE_CHECKING:

        def __await__(self) -> Generator[Any, None, str]: ...


class Count(Done, int):
    """A number that may be awaited as well."""

    __slots__ = ()

    if TYPE_CHECKING:

        def __await__(self) -> Generator[Any, None, int]: ...


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
