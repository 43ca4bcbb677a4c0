"""What hooks of the start leave running, and what is shared with that.

A task, a thread or a timer that a hook starts goes on while requests are served. If it reaches a
stand-in it fails in a worker, and whoever shares a queue or a table with it waits for ever, or
reads what is stale. So what such a function changes, or hands values to, counts as taken
out of the stand-in, and what uses it moves to where the function works.

Handed over is every function of the program that a hook, or a function it calls, names without
calling it there, and every coroutine that it does not await. Who gets it does not matter: a loop, a
thread, a scheduler of some library.

Imported in workers that have stand-ins.
"""

from __future__ import annotations

import _ast
from types import FunctionType, MethodType, ModuleType

from pyreframework.program import flow, imports, ownership, quiet, sources
from pyreframework.program.anatomy import Bound, is_own
from pyreframework.program.expressions import resolve
from pyreframework.program.reach import ATOMS
from pyreframework.program.scans import (
    PATHS,
    Inner,
    InnerGraph,
    Scan,
    code_of,
    named_in,
    part_of,
    plain_function,
    scans,
)
from pyreframework.program.unasked import body_of, dict_of, is_a, is_exactly, kind_of, line_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyreframework.program.apps import App


def note(app: App) -> None:
    """Note where the functions are defined that hooks of the start leave running.

    Args:
        app: The app, whose hooks for the start have run.
    """
    for scan in scans(app):
        file = scan.function.__code__.co_filename
        for one, _ in scan.handed():
            held = [one]
            if is_a(one, type):
                held = [value for kind in line_of(kind_of(one)) for value in body_of(kind).values()]
            for value in held:
                if type(value) is Inner:
                    imports.handed.add((file, sources.first_line(value.nodes[0])))
                elif quiet.is_of_program(value):
                    code = code_of(value)
                    imports.handed.add((code.co_filename, code.co_firstlineno))


def find(app: App) -> None:
    """Count as taken out of stand-ins what is shared with what hooks of the start leave running.

    Args:
        app: The app, whose hooks for the start have run.
    """
    found = [(one, statement, scan) for scan in scans(app) for one, statement in scan.handed()]
    if not found:
        return
    graph = InnerGraph()
    numbers = [graph.add(one) for one, _, _ in found]
    reached = graph.spread()
    for number, (one, statement, scan) in zip(numbers, found, strict=True):
        if number not in reached:
            continue
        module = min(reached[number])
        # Variables that are handed over with it may be known elsewhere by other names.
        local = named_in(part_of(statement)) & scan.local - scan.inner.keys()
        share(part_of(statement), scan.space, module)
        if type(one) is Inner:
            share(one.nodes, scan.space, module)
        for other in scan.statements() if local else ():
            if named_in(part_of(other)) & local:
                share(part_of(other), scan.space, module)
        for ahead in graph.ahead([number]):
            value: Any = graph.kept[ahead]
            if is_a(value, Bound) and is_own(kind_of(value.owner)):
                flow.mark(value.owner, module)
            if is_a(value, (Bound, FunctionType)):
                share_function(value, module)


def share_function(value: Any, module: str) -> None:
    """Count as taken what a function of the program changes or hands values to."""
    function = plain_function(value)
    space = function.__globals__
    if not ownership.is_program(space):
        return
    for name in sources.declared_global(function.__code__):
        imports.tainted.setdefault((id(space), name), module)
    node = sources.definition(function.__code__)
    if node is None:
        for name in function.__code__.co_names:
            share_value(space.get(name), module)
        return
    owner = value.owner if is_a(value, Bound) else None
    share(list(sources.inside(node)), Scan(function, node, owner).space, module)


def share(nodes: list[_ast.AST], space: dict[str, Any], module: str) -> None:
    """Count as taken the objects that code changes, calls methods of, or hands on."""
    inner = set[int]()
    for node in nodes:
        if not isinstance(node, PATHS) or id(node) in inner:
            continue
        step: Any = node
        while isinstance(step, (_ast.Attribute, _ast.Subscript)):
            step = step.value
            inner.add(id(step))
        owner = resolve(node.value, space) if not isinstance(node, _ast.Name) else None
        if isinstance(node.ctx, _ast.Load):
            share_read(node, space, module)
        elif isinstance(node, _ast.Attribute) and is_a(owner, ModuleType):
            imports.tainted.setdefault((id(dict_of(owner)), node.attr), module)
        else:
            share_value(owner, module, is_changed=True)


def share_read(node: _ast.AST, space: dict[str, Any], module: str) -> None:
    """Count as taken an object that code names to do something with it, or to hand it on.

    A plain value that is read, such as ``settings.interval`` or ``CONF["interval"]``, shares
    nothing.
    """
    if not isinstance(node, PATHS):
        return
    value = resolve(node, space)
    owner = None if isinstance(node, _ast.Name) else resolve(node.value, space)
    if is_a(owner, ModuleType):
        owner = None
    if isinstance(node, _ast.Subscript):
        held: Any = owner.values() if type(owner) is dict else owner
        is_flat = is_exactly(held, (list, tuple, set, type({}.values())))
        if not is_flat or not all(is_a(one, ATOMS) for one in held):
            share_value(owner, module)
    elif owner is None or is_a(value, ATOMS):
        share_value(value, module)
    else:
        share_value(owner, module)


def share_value(value: Any, module: str, is_changed: bool = False) -> None:
    """Count an object as taken, if it can carry values: no function, no class that is only read."""
    if is_a(value, (FunctionType, MethodType, Bound)) or (is_a(value, type) and not is_changed):
        return
    flow.mark(value, module)
