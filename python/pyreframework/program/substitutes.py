"""What an import in the program's code gives in place of a module that is missing.

A stand-in, or a view of a module in which some parts are stand-ins. Imported in a worker when the
first module is refused.
"""

from __future__ import annotations

import builtins
import sys
from types import ModuleType

from pyreframework.program import imports, loop_setters, standins
from pyreframework.program.standins import is_dunder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

partials: dict[str, Any] = {}


class PartialModule(ModuleType):
    """A module that loads, seen by the program together with stand-ins for parts that do not.

    The module itself is left as it is, so that libraries find it without those parts.
    """

    def __init__(self, module: ModuleType, parts: dict[str, object]) -> None:
        super().__init__(module.__name__, module.__doc__)
        self.__dict__["pyre_whole"] = module
        self.__dict__["pyre_parts"] = parts

    def __getattr__(self, name: str) -> object:
        parts = self.__dict__["pyre_parts"]
        return parts[name] if name in parts else getattr(self.__dict__["pyre_whole"], name)

    def __setattr__(self, name: str, value: object) -> None:
        if is_dunder(name):
            super().__setattr__(name, value)
        else:
            setattr(self.__dict__["pyre_whole"], name, value)


def substitute(wanted: imports.Import) -> Any:
    """Return what an import gives in place of the module."""
    from pyreframework.program import ahead

    ahead.watch_callers(wanted.frame)
    names = list(imports.parts(wanted.name))
    missing = next(
        (part for part in names if part in imports.reasons and part not in sys.modules), ""
    )
    whole: Any
    if not missing:
        found = {item: stand_in(f"{wanted.name}.{item}") for item in wanted.items}
        return partial(wanted.name, {item: one for item, one in found.items() if one is not None})
    whole = stand_in(missing)
    if not wanted.leaf:
        for name in reversed(names[: names.index(missing)]):
            # `import a.b.c` gives a; the way from there leads to the stand-in.
            whole = partial(name, {missing[len(name) + 1 :].partition(".")[0]: whole})
        return whole
    for name in wanted.name[len(missing) :].split(".")[1:]:
        whole = getattr(whole, name)
    if wanted.items == ("*",):
        names = unknown_names(wanted.frame)
        whole = PartialModule(whole, {name: getattr(whole, name) for name in names})
        whole.__all__ = names
    return whole


def stand_in(name: str) -> Any:
    """Return the stand-in for a module that is missing, or None if it is not."""
    if name not in imports.reasons:
        return None
    if name not in standins.modules:
        made = standins.ModuleStandIn(name, imports.reasons[name])
        standins.modules[name] = standins.of_name(name) if name in imports.lost else made
        loop_setters.keep()
    return standins.modules[name]


def partial(name: str, missing: dict[str, Any]) -> Any:
    """Return a view of a module in which some parts are stand-ins."""
    if name not in partials:
        partials[name] = PartialModule(sys.modules[name], {})
    partials[name].pyre_parts.update(missing)
    return partials[name]


def unknown_names(frame: FrameType) -> list[str]:
    """Return the names that a module uses and nobody has defined so far."""
    names: dict[str, None] = {}
    waiting = [frame.f_code]
    while waiting:
        code = waiting.pop()
        names.update(dict.fromkeys(code.co_names))
        waiting += [one for one in code.co_consts if isinstance(one, type(code))]
    known = (frame.f_globals, vars(builtins))
    return [
        name
        for name in names
        if not name.startswith("_") and not any(name in space for space in known)
    ]
