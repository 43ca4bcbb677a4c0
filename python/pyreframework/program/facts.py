"""What the modules of a program hold once it is loaded, in texts that another interpreter compares.

Every worker loads the program that the main interpreter has loaded before, with the real modules
where the worker has stand-ins. What a name holds in both can be compared, by whatever way a value
came there. For that each global of the program's modules, each attribute of its classes and of
their objects, and each handler is written down as a `digest`.

Imported on the main interpreter if the program has loaded anything but Python's own modules, and in
workers that have stand-ins.
"""

from __future__ import annotations

import sys
from types import (
    MethodType,
    ModuleType,
)

from pyreframework.handlers.absent import stood_in
from pyreframework.program import ownership
from pyreframework.program.anatomy import is_own
from pyreframework.program.apps import Enrolled
from pyreframework.program.digest import MAIN_NAMES, Entry, Reader, attributes, members, named
from pyreframework.program.unasked import dict_of, is_a, line_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyreframework.program.apps import App

SEPARATOR = "\x1f"


def spaces(own: set[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the globals of the program's modules, and by what these are known everywhere.

    Args:
        own: Packages that are the program's own wherever they are installed.
    """
    seen: set[int] = set()
    for name, module in list(sys.modules.items()):
        space = dict_of(module) if is_a(module, ModuleType) else {}
        if id(space) in seen or not (
            ownership.is_program(space) or (name.partition(".")[0] in own and "__file__" in space)
        ):
            continue
        seen.add(id(space))
        file = space.get("__file__")
        is_whole = type(file) is str and file.startswith("/")
        yield str(file) if is_whole else "__main__" if name in MAIN_NAMES else name, space


def collect(app: App, own: set[str]) -> dict[str, Entry]:
    """Return what the names of the program hold, by what these are known in every interpreter."""
    found: dict[str, Entry] = {}
    reader = Reader()

    def take(where: str, holder: object, name: str, value: Any) -> None:
        if is_a(value, (ModuleType, Enrolled)) or stood_in(value) is not None:
            return
        first: list[object] = [value]
        kind = value if is_a(value, type) else type(value)
        if is_own(kind):
            pairs = members(value) if kind is value else attributes(value)
            for attribute, held in pairs:
                entry = found[SEPARATOR.join((where, name, attribute))] = Entry(
                    value, name, attribute, held
                )
                reader.read(entry, [held])
            first = [named(kind), *map(named, line_of(kind)[1:])]
            if is_a(value, (dict, list, set, tuple, str, int, float)):
                first.append(value)
        entry = found[SEPARATOR.join((where, name, ""))] = Entry(holder, name, "", value)
        reader.read(entry, first)

    for where, space in spaces(own):
        for name, value in list(space.items()):
            if type(name) is str and name.isidentifier() and not name.startswith("__"):
                take(where, space, name, value)
    calls: list[tuple[str, Any]] = [
        (f"handler {number}", call) for number, call, _ in app.handlers()
    ]
    calls += [(f"hook {number}", call) for number, (_, _, call) in enumerate(app.registered)]
    for name, call in calls:
        is_bound = is_a(call, MethodType)
        if is_bound:
            take("", None, f"{name}.self", call.__self__)
        take("", None, name, call.__func__ if is_bound else call)
    return found


def written(entries: dict[str, Entry]) -> str:
    """Return entries as a text that can travel to another interpreter."""
    return "\n".join(f"{escaped(key)}{SEPARATOR}{entry.digest}" for key, entry in entries.items())


def digests(text: str) -> dict[str, str]:
    """Return what `written` has written: the digests by what the names are known as."""
    pairs = (line.rpartition(SEPARATOR) for line in text.split("\n") if line)
    return {plain(key): digest for key, _, digest in pairs}


def escaped(key: str) -> str:
    r"""Return a key without line breaks: an attribute may have any name.

    Example:
        >>> escaped("price\n(EUR)"), plain(escaped("price\n(EUR)")) == "price\n(EUR)"
        ('price\\n(EUR)', True)
    """
    return key.encode("unicode_escape").decode("ascii")


def plain(text: str) -> str:
    """Return the key that `escaped` has made this of."""
    return text.encode("ascii").decode("unicode_escape") if "\\" in text else text
