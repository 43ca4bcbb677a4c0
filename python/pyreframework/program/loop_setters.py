"""What sets an event loop takes a stand-in, and does nothing about it.

Imported in a worker when the first module is refused.
"""

from __future__ import annotations

import sys

from pyreframework.program.standins import of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# What makes asyncio take another event loop. Here it has its own, whatever the program says.
LOOP_SETTERS = ("set_event_loop", "set_event_loop_policy", "_set_event_loop_policy")
# Where such a function was put in the place of asyncio's.
kept: list[tuple[dict[str, Any], str, Any, Any]] = []


def keep() -> None:
    """Let asyncio take a stand-in for an event loop or a policy, and do nothing about it.

    ``asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())`` is a line of many programs, and has
    no effect here: it must not end the start, nor count as a use of what is missing.
    """
    for name in ("asyncio", "asyncio.events"):
        space = vars(sys.modules[name]) if name in sys.modules else {}
        for setter in LOOP_SETTERS:
            plain = space.get(setter)
            if plain is not None and all(plain is not one for _, _, _, one in kept):
                lenient = unless_stand_in(plain)
                kept.append((space, setter, plain, lenient))
                space[setter] = lenient


def unless_stand_in(plain: Any) -> Any:
    """Return a function that does what another one does, unless it is given a stand-in."""

    def lenient(*values: object, **named: object) -> object:
        if any(of(value) is not None for value in (*values, *named.values())):
            return None
        return plain(*values, **named)

    return lenient


def give_back() -> None:
    """Let asyncio have its own functions again, where the program has put nothing over ours."""
    while kept:
        space, setter, plain, lenient = kept.pop()
        if space.get(setter) is lenient:
            space[setter] = plain
