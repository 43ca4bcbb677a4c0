"""What to say where a stand-in may be why a program does not start: the place, and the remedy.

Imported in a worker when a stand-in has given a plain value, or the start has failed.
"""

from __future__ import annotations

from pyreframework.program import imports, sources
from pyreframework.program.statements import OPTIMIZED, program_statements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyreframework.program.statements import Statement
    from pyreframework.program.taints import Place


def described(place: Place) -> str:
    """Return where a place is, in words: ``load() at app.py:5``."""
    code = place.code
    where = f"{code.co_filename.rpartition('/')[2]}:{place.line}"
    if code.co_flags & OPTIMIZED and not code.co_name.startswith("<"):
        where = f"{code.co_name}() at {where}"
    return where


def advice() -> str:
    """Return what to say of a start that fails after plain values were taken."""
    module, places = next(reversed(imports.taken.values()))
    return advice_for(module, described(places[0]))


def advice_for(module: str, where: str) -> str:
    """Return what to say of a start that fails after a place has used a stand-in for a module."""
    return (
        f"in a worker {module} does not load, and {where} got a value that only stands for its "
        "own: if that is why, do this in the handlers that need it, catch the "
        'ImportError, or use run(mode="default")'
    )


def doubt() -> str:
    """Return what to say where it cannot be told whether a stand-in has to do with a difference."""
    if imports.taken:
        return advice()
    modules = " and ".join(sorted(imports.reasons))
    verb = "does" if len(imports.reasons) == 1 else "do"
    return (
        f"{modules} {verb} not load in workers: if that is why, see that what is registered does "
        'not depend on it, or use run(mode="default")'
    )


def blame(difference: str) -> str | None:
    """Return what to say of a program that registers something else here, if a stand-in may be why.

    That is which statement has to do with the app and reaches a stand-in.

    Args:
        difference: What differs, with the places of functions in it, as ``(app.py:7)``.
    """
    from pyreframework.program.differences import DoubtGraph

    graph = DoubtGraph()
    statements = [one for one in program_statements() if one.names_app]
    numbers = [graph.add(statement) for statement in statements]
    reached = graph.spread()
    found = [
        (not covers_place(statement, difference), module, place_of(statement))
        for number, statement in zip(numbers, statements, strict=True)
        for module in sorted(reached.get(number, ()))[:1]
    ]
    if not found:
        return None
    _, module, place = min(found, key=lambda one: one[0])
    return advice_for(module, place)


def place_of(statement: Statement) -> str:
    """Return where a statement is: ``app.py:7``."""
    file = statement.codes[0].co_filename.rpartition("/")[2]
    return f"{file}:{sources.first_line(statement.node)}"


def covers_place(statement: Statement, text: str) -> bool:
    """Tell whether a text names a place that is inside of a statement."""
    file = statement.codes[0].co_filename.rpartition("/")[2]
    last = getattr(statement.node, "end_lineno", 0)
    lines = range(sources.first_line(statement.node), last + 1)
    return any(f"({file}:{line})" in text for line in lines)
