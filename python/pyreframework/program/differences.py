"""Which names of a program hold something else in a worker for a stand-in.

What the main interpreter's names hold has come with the program, see `facts`. A name that differs
counts as a value taken out of a stand-in, by whatever way it was: `isinstance`, ``is``, an
exception that was caught, an attribute that is there or not. So `reach` moves what reads it, and
`flow` follows it on.

Names differ for other reasons too: the time, a process's number, what is random. Only those count
that a stand-in may have to do with: a statement at the top level that reaches one binds the name,
or reaches the object, or reaches a function that assigns the global. The same is asked of what the
hooks of the start change in the worker, as the main interpreter has not run them then.

Imported in workers that have stand-ins.
"""

from __future__ import annotations

import _ast
import sys
from types import FunctionType, ModuleType

from pyreframework.handlers.absent import stood_in
from pyreframework.program import expressions, facts, flow, imports, loading, ownership, sources
from pyreframework.program.anatomy import Bound, codes, is_own
from pyreframework.program.digest import UNKNOWN, Entry
from pyreframework.program.flow import TaintGraph
from pyreframework.program.statements import (
    Statement,
    bound,
    is_of_app,
    program_statements,
    run_now,
)
from pyreframework.program.unasked import dict_of, is_a

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from pyreframework.program.anatomy import Uses
    from pyreframework.program.apps import App

# Builtins that lead to the globals of the code that names them.
SPACES = ("eval", "exec", "globals", "locals", "vars")
DECORATED = (_ast.FunctionDef, _ast.AsyncFunctionDef)
# Where statements have what they decide by.
DECIDING = ("test", "iter", "subject")

# What the names held when the program had been loaded.
before: dict[str, Entry] = {}


class DoubtGraph(TaintGraph):
    """What leads to stand-ins and to what was taken out of them, also by way of whole modules."""

    def __init__(self) -> None:
        super().__init__(eager=False)
        # Modules that are reached other than by one name in them: the node, and the globals.
        self.wholes: list[tuple[int, int]] = []

    def missing(self, number: int, module: str) -> None:
        """Note that a node is, or uses, a stand-in for a module."""
        self.tainted(number, module)

    def along(
        self,
        number: int,
        value: Any,
        chain: tuple[str, ...],
        uses: Uses,
        whole: bool = True,
    ) -> Iterator[object]:
        """Yield what attributes in a row lead to, and note whether the names end at a module."""
        here = value
        for name in chain:
            if not is_a(here, ModuleType) or stood_in(here) is not None:
                break
            here = dict_of(here).get(name)
        if is_a(here, ModuleType) and stood_in(here) is None:
            self.wholes.append((number, id(dict_of(here))))
        yield from super().along(number, value, chain, uses, whole)

    def check_taint(self, number: int, space: dict[str, Any], name: str) -> None:
        """Note that a node reads a global; some give all of them."""
        if name in SPACES and name not in space:
            self.wholes.append((number, id(space)))
        super().check_taint(number, space, name)

    def successors(self, number: int, value: Any) -> Iterator[object]:
        """Yield what a value leads to; which modules are loaded depends on those that are not."""
        if value is sys.modules:
            self.missing(number, next(iter(imports.reasons)))
            return
        yield from super().successors(number, value)
        if type(value) is Statement and value.names_app:
            # A function that answers requests may be of any kind; what decides is run now.
            for name in tests_of(value.node):
                found = value.space.get(name)
                if not is_of_app(found):
                    yield found

    def ahead(self, starts: Iterable[int]) -> set[int]:
        """Return the nodes that can be reached from some."""
        forward: dict[int, list[int]] = {}
        for number, behind in enumerate(self.back):
            for one in behind:
                forward.setdefault(one, []).append(number)
        waiting = list(starts)
        found = set(waiting)
        while waiting:
            new = [one for one in forward.get(waiting.pop(), ()) if one not in found]
            found.update(new)
            waiting += new
        return found


def tests_of(node: _ast.stmt) -> set[str]:
    """Return the names by which a statement decides, or of which it makes what it gives an app."""
    parts: list[_ast.AST] = []
    for one in run_now(node):
        parts += [getattr(one, field) for field in DECIDING if hasattr(one, field)]
        if isinstance(one, (_ast.Try, _ast.TryStar)):
            parts += one.body
        if isinstance(one, DECORATED):
            # What a decorator makes of a function is registered.
            parts += one.decorator_list
        if isinstance(one, _ast.Call):
            parts += [
                each for each in expressions.arguments(one) if not isinstance(each, _ast.Name)
            ]
    return {one.id for part in parts for one in run_now(part) if isinstance(one, _ast.Name)}


class Scope:
    """What may have been changed by code that reaches stand-ins."""

    def __init__(self, graph: DoubtGraph, starts: list[int]) -> None:
        numbers = graph.ahead(starts)
        self.objects: set[int] = set()
        self.globals: dict[tuple[int, str], str] = {}
        self.spaces = {space for number, space in graph.wholes if number in numbers}
        for number in numbers:
            value: Any = graph.kept[number]
            if is_a(value, Bound):
                self.objects.add(id(value.owner))
                value = value.function
            self.objects.add(id(value))
            if is_a(value, FunctionType):
                for code in codes(value.__code__):
                    for name in sources.declared_global(code):
                        self.globals.setdefault((id(value.__globals__), name), "")

    def covers(self, entry: Entry) -> bool:
        """Tell whether what an entry holds may have been changed by that code."""
        holder = id(entry.holder)
        return (
            holder in self.spaces
            or holder in self.objects
            or (holder, entry.name) in self.globals
            or not self.objects.isdisjoint(entry.inside)
        )


def note_loaded(app: App) -> None:
    """Note what the names hold before the hooks of the start run.

    Args:
        app: The app of the program, which has been loaded.
    """
    before.update(facts.collect(app, ownership.own_packages))


def find() -> None:
    """Count as taken out of stand-ins what differs from the main interpreter for them."""
    differing = differing_from_main() if loading.facts else []
    if not differing:
        return
    statements = list(program_statements())
    graph = DoubtGraph()
    numbers = [graph.add(statement) for statement in statements]
    reached = graph.spread()
    affected = {
        number: statement
        for number, statement in zip(numbers, statements, strict=True)
        if number in reached
    }
    if not affected:
        return
    module = min(min(reached[number]) for number in affected)
    names = bound_by(affected, reached)
    scope = Scope(graph, list(affected))
    registers = registering(affected, reached)
    for entry in differing:
        if entry.is_registered:
            found = registers
        elif is_a(entry.holder, dict) and not entry.attribute:
            found = names.get((id(entry.holder), entry.name))
        else:
            found = names_of(entry, names)
        if found is not None or scope.covers(entry):
            count(entry, found or module)


def differing_from_main() -> list[Entry]:
    """Return what names hold after loading that hold something else on the main interpreter."""
    there = facts.digests(loading.facts)
    known = {key.partition(facts.SEPARATOR)[0] for key in there}
    found = [
        entry
        for key, entry in before.items()
        if key.partition(facts.SEPARATOR)[0] in known
        and (key in there or not entry.is_registered)
        and not entry.stands
        and UNKNOWN not in (entry.digest, there.get(key))
        and entry.digest != there.get(key)
    ]
    # A name that only the main interpreter has: who reads it fails in a worker.
    places = dict(facts.spaces(ownership.own_packages))
    for key in there.keys() - before.keys():
        where, name, attribute = key.split(facts.SEPARATOR, 2)
        space = places.get(where)
        if space is None:
            continue
        if not attribute and name not in space:
            found.append(Entry(space, name, "", None))
        elif attribute and is_own_object(space.get(name)):
            found.append(Entry(space[name], name, attribute, None))
    return found


def is_own_object(value: Any) -> bool:
    """Tell whether this is a class of the program, or an object of one."""
    return stood_in(value) is None and is_own(value if is_a(value, type) else type(value))


def changed_since(app: App) -> list[Entry]:
    """Return what names hold that have been changed since the program was loaded.

    What has become an object of a library shows nothing plain.
    """
    now = facts.collect(app, ownership.own_packages) if before else {}
    return [
        entry
        for key, entry in now.items()
        if not entry.stands
        and not entry.opaque
        and (key not in before or before[key].digest != entry.digest)
        and UNKNOWN not in (entry.digest, before[key].digest if key in before else "")
    ]


def bound_by(
    statements: dict[int, Statement], reached: dict[int, set[str]]
) -> dict[tuple[int, str], str]:
    """Return the globals that statements bind, or the objects of which they change, and why."""
    found: dict[tuple[int, str], str] = {}
    for number, statement in statements.items():
        for name in {*bound(statement.node), *sources.assigned(statement.node)}:
            found.setdefault((id(statement.space), name), min(reached[number]))
    return found


def names_of(entry: Entry, names: dict[tuple[int, str], str]) -> str | None:
    """Return the module for which a global differs that has the object of an entry, if one does."""
    for (space, name), module in names.items():
        if name == entry.name and spaces_by_id().get(space, {}).get(name) is entry.holder:
            return module
    return None


def spaces_by_id() -> dict[int, dict[str, Any]]:
    """Return the globals of the program's modules by their ids."""
    return {id(space): space for _, space in facts.spaces(ownership.own_packages)}


def registering(statements: dict[int, Statement], reached: dict[int, set[str]]) -> str | None:
    """Return the module for which a statement that names the app is in doubt, if there is one."""
    found = [min(reached[number]) for number, one in statements.items() if one.names_app]
    return found[0] if found else None


def count(entry: Entry, module: str) -> None:
    """Count what an entry holds as a value taken out of a stand-in."""
    if entry.holder is not None and not entry.attribute:
        imports.tainted.setdefault((id(entry.holder), entry.name), module)
    elif entry.attribute:
        imports.tainted.setdefault((id(entry.holder), entry.attribute), module)
        imports.partly.setdefault(id(entry.holder), (entry.holder, module))
    flow.mark(entry.value, module)
