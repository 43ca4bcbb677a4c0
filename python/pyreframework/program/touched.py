"""What hooks of the start change for a stand-in.

What the names of the program hold is compared before the hooks and after them, as the main
interpreter runs its own later. A change counts if a statement of a hook that reaches a stand-in has
to do with it.

Imported in the first of the workers that have stand-ins.
"""

from __future__ import annotations

import _ast
from types import ModuleType

from pyreframework.handlers.absent import stood_in
from pyreframework.program import differences, expressions, imports, quiet, sources
from pyreframework.program.anatomy import Bound
from pyreframework.program.differences import Scope
from pyreframework.program.expressions import resolve
from pyreframework.program.handed import share_read, share_value
from pyreframework.program.scans import (
    Inner,
    InnerGraph,
    Scan,
    part_of,
    plain_function,
    scans,
    stored_by,
)
from pyreframework.program.unasked import dict_of, is_a

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyreframework.program.apps import App

LEAVING = (_ast.Return, _ast.Break, _ast.Continue)


def find(app: App) -> None:
    """Count as taken out of stand-ins what statements of hooks change that reach these.

    A statement that does not run in a worker, as a stand-in has decided, changes nothing there: so
    what they would change counts as well as what has been changed.

    Args:
        app: The app, whose hooks for the start have run.
    """
    if not app.start_hooks():
        return
    changed = differences.changed_since(app)
    while True:
        known = len(imports.tainted) + len(imports.marked)
        graph = InnerGraph()
        affected = [one for scan in scans(app, 0) for one in affected_of(scan, graph)]
        if not affected:
            return
        for statement, scan, number, module in affected:
            space = scan.function.__globals__
            if expressions.is_harmless(statement, sources.first_line(statement), space):
                continue
            for name in stored_by(statement) & scan.declared:
                imports.tainted.setdefault((id(space), name), module)
            touch(part_of(statement), scan, module)
            for other in graph.ahead([number]):
                touch_function(graph.kept[other], module)
        scope = Scope(graph, [number for _, _, number, _ in affected])
        for entry in changed:
            if scope.covers(entry):
                differences.count(entry, affected[0][3])
        if len(imports.tainted) + len(imports.marked) == known:
            return


def affected_of(scan: Scan, graph: InnerGraph) -> list[tuple[_ast.stmt, Scan, int, str]]:
    """Return the statements of a hook that reach stand-ins, or run as one has decided.

    With each come its hook, its number in a graph, and the module that is missing.
    """
    statements = list(scan.statements())
    numbers = [graph.add(Inner(one, scan)) for one in statements]
    reached = graph.spread()
    modules = {
        id(one): min(reached[number])
        for one, number in zip(statements, numbers, strict=True)
        if number in reached
    }
    for one in statements:
        inside = [each for each in sources.inside(one) if isinstance(each, _ast.stmt)]
        first = [modules[id(each)] for each in inside if id(each) in modules]
        if id(one) in modules or (first and isinstance(one, (_ast.Try, _ast.TryStar))):
            for each in inside:
                modules.setdefault(id(each), first[0])
            if any(isinstance(each, LEAVING) for each in inside):
                # What comes behind it may not have run.
                for each in statements:
                    if sources.first_line(each) > sources.first_line(one):
                        modules.setdefault(id(each), first[0])
    return [
        (one, scan, number, modules[id(one)])
        for one, number in zip(statements, numbers, strict=True)
        if id(one) in modules
    ]


def touch_function(value: Any, module: str) -> None:
    """Count as taken what a function of the program changes that is called with a stand-in."""
    if not quiet.is_of_program(value):
        return
    function = plain_function(value)
    space = function.__globals__
    node = sources.definition(function.__code__)
    for name in sources.declared_global(function.__code__):
        imports.tainted.setdefault((id(space), name), module)
    if node is not None:
        owner = value.owner if is_a(value, Bound) else None
        touch(list(sources.inside(node)), Scan(function, node, owner), module)


def touch(nodes: list[_ast.AST], scan: Scan, module: str) -> None:
    """Count as taken the objects that code changes: items, attributes, calls for an effect."""
    for node in nodes:
        if isinstance(node, (_ast.Subscript, _ast.Attribute)):
            if not isinstance(node.ctx, _ast.Load):
                change(scan, node, module)
        elif isinstance(node, _ast.Call) and isinstance(node.func, _ast.Attribute):
            if node.func.attr in expressions.MUTATORS:
                change(scan, node.func, module)
        elif isinstance(node, _ast.Expr) and isinstance(node.value, _ast.Call):
            call = node.value
            if expressions.shows(call, scan.space):
                continue
            if isinstance(call.func, _ast.Attribute):
                change(scan, call.func, module)
            if not quiet.is_of_program(resolve(call.func, scan.space)):
                for argument in expressions.arguments(call):
                    share_read(argument, scan.space, module)


def change(scan: Scan, target: _ast.Attribute | _ast.Subscript, module: str) -> None:
    """Count as taken what gets an item or an attribute, or has a method called."""
    owner = resolve(target.value, scan.space)
    if is_a(owner, ModuleType) and stood_in(owner) is None:
        if not isinstance(target.ctx, _ast.Load):
            imports.tainted.setdefault((id(dict_of(owner)), target.attr), module)  # type: ignore[union-attr]
        return
    share_value(owner, module, is_changed=not isinstance(target.ctx, _ast.Load))
    if owner is None:
        # A variable of the function: what it has been made of.
        for one in scan.givers(target):
            for node in part_of(one):
                if isinstance(node, _ast.Name) and node.id not in scan.local:
                    share_value(resolve(node, scan.space), module)
