"""Imports inside of functions: what they give to a handler, and which of them are refused.

Such an import is made when its function is called. In the first worker, and for ``pyre doctor``, it
is tried before, to learn whether it is refused. Imported where something that a handler reaches has
one.
"""

from __future__ import annotations

import sys

from pyreframework.program import imports
from pyreframework.program.ownership import is_standard
from pyreframework.program.reach import SPACES
from pyreframework.program.unasked import dict_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType, ModuleType
    from typing import Any

    from pyreframework.program.anatomy import Lazy
    from pyreframework.program.reach import Graph

# What reads attributes by texts.
DYNAMIC = (*SPACES, "getattr", "vars", "attrgetter", "__dict__")


def imported(
    graph: Graph, number: int, lazy: Lazy, code: CodeType, space: dict[str, Any]
) -> Iterator[object]:
    """Yield what an import in a function gives, and note if it is refused."""
    try:
        name = imports.absolute(lazy.name, space, lazy.level)
    except (AttributeError, KeyError):
        return  # It fails when it is called, here as on the main interpreter.
    wanted = [name, *(f"{name}.{item}" for item in lazy.items)]
    if graph.eager and not is_standard(name) and not is_there(name, lazy.items):
        try_import(graph, lazy, code, space)
    missing = missing_of(wanted)
    if missing is not None:
        if not goes_on(code, lazy.line, missing, space):
            graph.missing(number, missing)
        return
    module = sys.modules.get(name)
    for item in lazy.items:
        yield from graph.along(number, module, (item,), graph.uses(code))
    if not lazy.items:
        if imports.without and module is not None:
            from pyreframework.program import lacks, sources

            for item in sources.asked_of(code, name) - dict_of(module).keys():
                lacks.note_loss(graph, number, module, item)
        # What the code asks it for is among the names there, if it does so by names.
        uses = graph.uses(code)
        whole = any(name in DYNAMIC for name, _ in uses.chains)
        yield from graph.along(number, module, (), uses, whole)


def try_import(graph: Graph, lazy: Lazy, code: CodeType, space: dict[str, Any]) -> None:
    """Import what a function imports, once, unless it is known to be missing."""
    key = (imports.absolute(lazy.name, space, lazy.level), tuple(lazy.items))
    if key in graph.tried or goes_on(code, lazy.line, lazy.name, space):
        return
    graph.tried.add(key)
    try:
        # A list would say that C code imports for itself.
        imports.import_name(lazy.name, space, None, tuple(lazy.items), lazy.level)
    except (Exception, SystemExit):  # noqa: BLE001 - it will raise again, where it is called
        return


def load(graph: Graph, number: int, module: ModuleType) -> None:
    """Load a module that does so when it is used, once, and note if it is refused."""
    if id(module) not in graph.loaded:
        from pyreframework.program import refusals

        graph.loaded[id(module)] = None
        seen = len(imports.refused)
        try:
            vars(module)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - it will raise again, where it is used
            extensions = imports.refused[seen:]
            reason = refusals.refusal(error, extensions)
            if reason is not None:
                missing = refusals.refused_module(extensions, error, reason)
                imports.reasons.setdefault(missing, reason)
                graph.loaded[id(module)] = missing
    without = graph.loaded[id(module)]
    if without is not None:
        graph.missing(number, without)


def note_refused(
    graph: Graph, number: int, lazy: Lazy, code: CodeType, space: dict[str, Any]
) -> None:
    """Note what an import in a function of a library is refused.

    One that depends on something is only tried if it is of an extension, as a library's own
    backend is: others may be for what nobody asks for.
    """
    try:
        name = imports.absolute(lazy.name, space, lazy.level)
    except (AttributeError, KeyError):
        return
    if is_standard(name) or is_there(name, lazy.items) or goes_on(code, lazy.line, name, space):
        return
    from pyreframework.program import refusals

    if is_conditional(code, lazy.line) and not refusals.is_extension(refusals.spec_of(name)):
        return
    if name not in graph.library:
        graph.library[name] = refusals.refused_import(name)
    missing = graph.library[name]
    if missing is not None:
        graph.missing(number, missing)


def missing_of(names: list[str]) -> str | None:
    """Return the first module that one of the names needs and that has a stand-in."""
    for name in names:
        for part in imports.parts(name):
            if part in imports.reasons and part not in sys.modules:
                return part
    return None


def goes_on(code: CodeType, line: int, module: str, space: dict[str, Any]) -> bool:
    """Tell whether code catches the error when a module is refused there."""
    from pyreframework.program import sources

    refused = ImportError(name=module)
    return sources.catches_in(code, line, refused, space)


def is_conditional(code: CodeType, line: int) -> bool:
    """Tell whether a line of a function is inside of anything but ``try`` and ``with``."""
    import _ast

    from pyreframework.program import sources

    plain = (_ast.Import, _ast.ImportFrom, _ast.Try, _ast.With, _ast.AsyncWith)
    return not all(isinstance(one, plain) for one in sources.enclosing(code, line))


def is_there(name: str, items: list[str]) -> bool:
    """Tell whether an import finds everything loaded."""
    module = sys.modules.get(name)
    return module is not None and all(item in dict_of(module) for item in items)
