"""Where plain values that were taken out of stand-ins go: which globals and objects count as ones.

A plain value (a length, a truth, a text) does not show that it is wrong. So each time that a
stand-in gives one, it is noted who asked. Once the program is loaded, the statements at the top
level of its modules are read: one during which a value was taken, or that reads what counts as a
stand-in, hands that on to the globals which it binds and the objects which it changes. That is
repeated until nothing is added.

Where it cannot be read what became of a value, as in a function that fills a table or registers
something, it counts as being everywhere, and every route moves.

Imported in a worker when a stand-in has given a plain value.
"""

from __future__ import annotations

import _ast
import builtins
import sys
from types import FunctionType, MethodType, ModuleType

from pyreframework.handlers.absent import stood_in
from pyreframework.program import imports, ownership, sources
from pyreframework.program.advice import described
from pyreframework.program.anatomy import Bound, is_own
from pyreframework.program.apps import Enrolled
from pyreframework.program.effects import (
    INTERPRETER,
    PROCESS,
    UNKNOWN,
    effect,
    module_at,
    of_store,
)
from pyreframework.program.execution import function_of
from pyreframework.program.expressions import (
    LOGGING,
    MUTATORS,
    arguments,
    is_effect,
    is_harmless,
    resolve,
    shows,
)
from pyreframework.program.losses import ANNOTATE
from pyreframework.program.quiet import (
    is_method,
    is_of_program,
    is_quiet,
    is_quiet_argument,
    is_quiet_call,
)
from pyreframework.program.reach import ATOMS, Graph
from pyreframework.program.statements import (
    OPTIMIZED,
    Statement,
    bound,
    program_statements,
    run_now,
)
from pyreframework.program.taints import Place
from pyreframework.program.unasked import dict_of, is_a, kind_of, module_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyreframework.program.apps import App

# What ``co_flags`` says of functions that yield.
YIELDS = 0x20 | 0x200


class TaintGraph(Graph):
    """What leads to globals and objects that got something of a plain value, not to stand-ins."""

    def missing(self, number: int, module: str) -> None:
        """Leave stand-ins out: what is made of one shows it."""

    def tainted(self, number: int, module: str) -> None:
        """Note that a node reads what got something of a plain value."""
        super().missing(number, module)

    def successors(self, number: int, value: Any) -> Iterator[object]:
        """Yield what a value leads to, or a statement."""
        if type(value) is not Statement:
            yield from super().successors(number, value)
            return
        for code in value.codes:
            uses = self.uses(code)
            for name, chain in uses.chains:
                held = value.space.get(name, vars(builtins).get(name))
                # What is registered with an app is called when requests are served.
                if value.names_app and is_a(held, (FunctionType, MethodType, type, Enrolled)):
                    continue
                self.check_taint(number, value.space, name)
                for found in self.along(number, held, chain, uses):
                    if not (value.names_app and is_a(found, Bound)):
                        yield found


def follow(app: App) -> None:
    """Find out what counts as a stand-in for the plain values that were taken.

    Args:
        app: The app, whose hooks for the start have run.
    """
    statements = list(program_statements())
    affected: dict[int, str] = {}
    for module, frames in imports.taken.values():
        seed(module, frames, statements, affected)
    handed: set[tuple[int, str]] = set()
    while True:
        for index, module in affected.items():
            if (index, module) not in handed:
                handed.add((index, module))
                hand_on(statements[index], module)
        take_over(statements)
        graph = TaintGraph(eager=False)
        numbers = [graph.add(statement) for statement in statements]
        hooks = [(hook, graph.add(hook)) for hook in app.start_hooks()]
        reached = graph.spread()
        known = len(imports.tainted)
        for hook, number in hooks:
            if number in reached:
                follow_hook(hook, min(reached[number]))
        for hook, _ in hooks:
            function = function_of(hook)
            code = None if function is None else function.__code__
            if id(code) in imports.failed_hooks:
                follow_hook(hook, imports.failed_hooks[id(code)])
        found = {
            index: min(reached[number])
            for index, number in enumerate(numbers)
            if number in reached and index not in affected
        }
        if not found and len(imports.tainted) == known:
            return
        affected.update(found)


def follow_hook(hook: object, module: str) -> None:
    """Hand on what a hook of the start has made of what counts as a stand-in."""
    function = function_of(hook)
    if function is None:
        return
    code, space = function.__code__, function.__globals__
    if id(code) in imports.failed_hooks:
        # What it would have called has not run, or not to its end.
        called = [space.get(name) for name in code.co_names]
        quiet = all(is_quiet_call(one, module) for one in called if is_of_program(one))
    else:
        quiet = not code.co_flags & YIELDS and is_quiet(code, space, module)
    if not quiet:
        lose(module, Place(code, code.co_firstlineno, space, None, True))


def seed(
    module: str,
    frames: list[Place],
    statements: list[Statement],
    affected: dict[int, str],
) -> None:
    """Note which statement has taken a value, or that its ways cannot be read.

    Args:
        module: The module that is missing.
        frames: The program's code on the way to the stand-in, the innermost first.
        statements: All statements of the program.
        affected: Those with a plain value in them.
    """
    innermost = frames[0]
    if innermost.code.co_name == ANNOTATE:
        return  # It gives annotations, and those of a route are followed by themselves.
    outermost = frames[-1].code
    if (outermost.co_filename, outermost.co_firstlineno) in imports.handed:
        return
    inner = sources.enclosing(innermost.code, innermost.line)
    if inner and is_harmless(inner[-1], innermost.line, innermost.space):
        return
    for place in frames:
        code = place.code
        if not code.co_flags & OPTIMIZED:
            if code.co_name != "<module>":
                continue  # The body of a class: part of a statement.
            index = next(
                (
                    index
                    for index, one in enumerate(statements)
                    if one.space is place.space and sources.covers(one.node, place.line)
                ),
                None,
            )
            if index is None:
                lose(module, innermost)
            else:
                affected.setdefault(index, module)
            return
        if code.co_name.startswith("<"):
            continue
        if not is_quiet(code, place.space, module):
            lose(module, innermost)
            return
        if is_method(code) and is_own(kind_of(place.owner)):
            mark(place.owner, module)
    # No statement is at work: a hook, of which nobody takes a result, or a thread, or a factory.
    if not frames[-1].in_hook or frames[-1].code.co_flags & YIELDS:
        lose(module, innermost)


def lose(module: str, place: Place) -> None:
    """Note that a value cannot be followed from a place."""
    imports.unfollowed.setdefault(described(place), module)


def hand_on(statement: Statement, module: str) -> None:
    """Count as stand-ins what a statement binds and changes."""
    node, space = statement.node, statement.space
    line = getattr(getattr(node, "test", node), "lineno", 0)
    if is_harmless(node, line, space):
        return
    place = Place(statement.codes[0], sources.first_line(node), space, None, False)
    for name in bound(node):
        imports.tainted.setdefault((id(space), name), module)
        mark(space.get(name), module)
    decorators = getattr(node, "decorator_list", [])
    for decorator in decorators:
        target = decorator.func if isinstance(decorator, _ast.Call) else decorator
        owner = resolve(getattr(target, "value", target), space)
        # What the app got is what the name is bound to, if nothing wraps that again.
        if is_a(owner, Enrolled):
            if decorator is not decorators[0]:
                lose(module, place)
        elif not is_quiet_call(resolve(target, space), module):
            lose(module, place)
    for one in run_now(node):
        if isinstance(one, (_ast.Subscript, _ast.Attribute)) and isinstance(one.ctx, _ast.Store):
            change(one, space, module, place)
        elif is_effect(one) and not shows(one.value, space):  # type: ignore[attr-defined]
            affect(one.value, space, module, place)  # type: ignore[attr-defined]
        if isinstance(one, _ast.Call) and one not in decorators and not shows(one, space):
            if isinstance(one.func, _ast.Attribute) and one.func.attr in MUTATORS:
                mark(resolve(one.func.value, space), module)
            quiet = is_quiet_call(resolve(one.func, space), module)
            if not statement.names_app:
                quiet = quiet and all(
                    is_quiet_argument(each, space, module) for each in arguments(one)
                )
            if not quiet:
                lose(module, place)


def change(
    target: _ast.Subscript | _ast.Attribute,
    space: dict[str, Any],
    module: str,
    place: Place,
) -> None:
    """Count as a stand-in what gets an item or an attribute."""
    owner = resolve(target.value, space)
    done = of_store(target, space)
    if done == PROCESS:
        return  # The main interpreter has done it for all.
    if done == INTERPRETER:
        lose(module, place)
    elif is_a(owner, ModuleType) and isinstance(target, _ast.Attribute):
        imports.tainted.setdefault((id(dict_of(owner)), target.attr), module)
    elif owner is None:
        lose(module, place)
    else:
        mark(owner, module)


def affect(call: _ast.Call, space: dict[str, Any], module: str, place: Place) -> None:
    """Count as stand-ins what a call may change that is there for its effect."""
    done = effect(call, space)
    if done == PROCESS:
        return  # The main interpreter has done it for all.
    is_told = any(not isinstance(one, _ast.Constant) for one in arguments(call))
    is_library = is_told and module_at(call.func, space) is not None
    if done == INTERPRETER or (done == UNKNOWN and is_library):
        lose(module, place)
    if isinstance(call.func, _ast.Attribute):
        owner = resolve(call.func.value, space)
        if owner is None or is_a(owner, Enrolled):
            lose(module, place)
        else:
            mark(owner, module)
    for argument in arguments(call):
        mark(resolve(argument, space), module)


def take_over(statements: list[Statement]) -> None:
    """Let ``from module import name`` hand on what counts as a stand-in there."""
    for statement in statements:
        space = statement.space
        for node in run_now(statement.node):
            if not isinstance(node, _ast.ImportFrom):
                continue
            try:
                full = imports.absolute(node.module or "", space, node.level)
            except (AttributeError, KeyError):
                continue
            source = sys.modules.get(full.rstrip("."))
            held = dict_of(source) if is_a(source, ModuleType) else {}
            for alias in node.names:
                names = list(held) if alias.name == "*" else [alias.name]
                for name in names:
                    module = imports.tainted.get((id(held), name))
                    if module is not None:
                        here = alias.asname or name
                        imports.tainted.setdefault((id(space), here), module)


def mark(value: object, module: str) -> None:
    """Count an object as a stand-in, by whatever name it is reached; not what libraries share."""
    if is_a(value, (*ATOMS, ModuleType, tuple, frozenset)) or stood_in(value) is not None:
        return
    if is_a(value, MethodType):
        return
    if is_a(value, FunctionType):
        function: Any = value
        shared = not ownership.is_program(function.__globals__)
        if shared and "<locals>" not in function.__qualname__:
            return
    elif is_a(value, type):
        if not is_own(value):  # type: ignore[arg-type]
            return
    elif module_of(type(value)) == LOGGING:
        return
    imports.marked.setdefault(id(value), (value, module))
