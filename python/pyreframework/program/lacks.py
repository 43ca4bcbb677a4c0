"""What a handler uses of libraries that go on without an extension, and that is not there.

The library has lost it, see `losses`, or is to find its extension by a name that the handler gives
it. Imported in a worker when a library has caught a refusal.
"""

from __future__ import annotations

import builtins
import sys
from types import FunctionType, ModuleType

from pyreframework.program import imports, losses, ownership, refusals
from pyreframework.program.anatomy import codes, package_of, words
from pyreframework.program.unasked import body_of, dict_of, is_a, is_exactly, kind_of, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyreframework.program.reach import Graph


def missing_to(graph: Graph, value: Any) -> str | None:
    """Return what is missing to something of a library that the program itself holds.

    Its module has something that only raises in place of what it lost. What is deeper inside of
    a library may never be called.
    """
    if id(value) in imports.hollow:
        return imports.hollow[id(value)]
    if is_exactly(value, (dict, list, tuple)):
        held = value.values() if type(value) is dict else value
        return next(filter(None, (missing_to_module(graph, one) for one in held)), None)
    return missing_to_module(graph, value)


def missing_to_module(graph: Graph, value: Any) -> str | None:
    """Return what is missing to the module that defines a function, a class or an object's."""
    if is_a(value, FunctionType):
        space = value.__globals__
    else:
        name = text_of(body_of(kind_of(value)).get("__module__"))
        space = dict_of(sys.modules.get(name, builtins))
    if id(space) not in graph.hollow:
        held = (imports.hollow.get(id(one)) for one in space.values())
        found = None if ownership.is_program(space) else next(filter(None, held), None)
        graph.hollow[id(space)] = found
    return graph.hollow[id(space)]


def note_texts(graph: Graph, number: int, function: FunctionType, found: list[object]) -> None:
    """Note what a function names to a library that goes on without it.

    As in ``BeautifulSoup(page, "lxml")``.
    """
    wanted = {
        name.partition(".")[0]
        for package in {package_of(value) for value in found}
        for name in imports.without.get(package, ())
        if name.partition(".")[0] != package
    }
    if wanted:
        defaults = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
        constants = (one for code in codes(function.__code__) for one in code.co_consts)
        named = words((*constants, *defaults, *found), function.__doc__)
        for module in wanted & named:
            imports.reasons.setdefault(module, refusals.reason_of(module))
            graph.missing(number, module)


def note_loss(graph: Graph, number: int, module: ModuleType, name: str) -> None:
    """Note that a node asks a library for a name that it has lost with a refused extension."""
    space = dict_of(module)
    reason = losses.reason_for(text_of(space.get("__name__")))
    if reason is None or ("__getattr__" in space and not graph.eager):
        return
    try:
        # Asked as the handler will: the module may make the attribute only then.
        getattr(module, name)
    except AttributeError:
        full = f"{space['__name__']}.{name}"
        imports.reasons.setdefault(full, reason)
        graph.missing(number, full)
    except (Exception, SystemExit):  # noqa: BLE001 - it will raise again, where it is asked
        return
