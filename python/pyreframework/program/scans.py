"""Functions that run as a worker starts, read: what they name, call and hand over.

Those are the hooks of the start and what they call of the program. Imported in workers that have
stand-ins.
"""

from __future__ import annotations

import _ast
from types import FunctionType, MethodType

from pyreframework.handlers.absent import stood_in
from pyreframework.program import expressions, imports, ownership, quiet, sources
from pyreframework.program.anatomy import Bound, content, is_own
from pyreframework.program.differences import DoubtGraph
from pyreframework.program.execution import function_of
from pyreframework.program.expressions import FUNCTIONS, resolve
from pyreframework.program.unasked import is_a, line_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType
    from typing import Any

    from pyreframework.program.apps import App

DEPTH_MAX = 8
PATHS = (_ast.Attribute, _ast.Subscript, _ast.Name)
# What ``co_flags`` says of coroutines.
COROUTINE = 0x80
HIDDEN = (*FUNCTIONS, _ast.Lambda)


class Inner:
    """A part of a function: another one inside of it, or a statement without those inside of it."""

    __slots__ = ("nodes", "space")

    def __init__(self, node: _ast.AST, around: Scan) -> None:
        self.space = around.space
        # With what gives the variables that it shares with the function around it.
        self.nodes = [one for part in (node, *around.givers(node)) for one in part_of(part)]


class InnerGraph(DoubtGraph):
    """A graph that can begin at parts of functions."""

    def successors(self, number: int, value: Any) -> Iterator[object]:
        """Yield what a value leads to, or a part of a function."""
        if type(value) is not Inner:
            yield from super().successors(number, value)
            return
        for node in value.nodes:
            if isinstance(node, _ast.Name):
                self.check_taint(number, value.space, node.id)
            if isinstance(node, (_ast.Import, _ast.ImportFrom)):
                for name in imported(node):
                    if name in imports.reasons:
                        self.missing(number, name)
            if isinstance(node, PATHS):
                yield resolve(node, value.space)


class Scan:
    """A function that runs as a worker starts, read for what it hands over."""

    def __init__(self, function: FunctionType, node: _ast.AST, owner: object = None) -> None:
        code = function.__code__
        self.function = function
        self.node = node
        self.inner = {
            one.name: one
            for one in sources.inside(node)
            if isinstance(one, FUNCTIONS) and one is not node
        }
        local = {*code.co_varnames, *code.co_cellvars}
        self.local = local
        ends = [
            sources.first_line(one) for one in sources.inside(node) if isinstance(one, _ast.Yield)
        ]
        self.last = ends[0] if len(ends) == 1 else float("inf")
        self.space = {k: v for k, v in function.__globals__.items() if k not in local}
        self.declared = set(sources.declared_global(code))
        if owner is not None and code.co_argcount:
            self.space[code.co_varnames[0]] = owner
        cells = zip(code.co_freevars, function.__closure__ or (), strict=True)
        self.space.update((name, content(cell)) for name, cell in cells)

    def givers(self, node: _ast.AST) -> list[_ast.AST]:
        """Return the statements that give the local variables which a part of it names."""
        found: list[_ast.AST] = []
        waiting, seen = [node], set[str]()
        while waiting:
            part = part_of(waiting.pop())
            names = {one.id for one in part if isinstance(one, _ast.Name)} & self.local - seen
            seen |= names
            for one in self.statements() if names else ():
                if names & stored_by(one):
                    waiting.append(one)
                    found.append(one)
            for name in names & self.inner.keys():
                waiting.append(self.inner[name])
                found.append(self.inner[name])
        return found

    def handed(self) -> Iterator[tuple[object, _ast.AST]]:
        """Yield the functions that are named and not called, with the statement that does so."""
        for statement in self.statements():
            called = set[int]()
            awaited = set[int]()
            for node in part_of(statement):
                if isinstance(node, _ast.Await):
                    awaited.add(id(node.value))
                if isinstance(node, _ast.Call):
                    called.add(id(node.func))
                    if id(node) not in awaited:
                        yield from ((one, statement) for one in self.left(node.func))
                elif isinstance(node, _ast.Lambda):
                    yield Inner(node, self), statement
                elif isinstance(node, (_ast.Name, _ast.Attribute)) and id(node) not in called:
                    yield from ((one, statement) for one in self.named(node))

    def statements(self) -> Iterator[_ast.stmt]:
        """Yield the statements of the function and of those inside of it, but for their bodies.

        What is behind the ``yield`` of a lifespan runs as the worker ends.
        """
        for one in sources.inside(self.node):
            is_here = isinstance(one, _ast.stmt) and not isinstance(one, FUNCTIONS)
            if is_here and sources.first_line(one) <= self.last:
                yield one  # type: ignore[misc]

    def named(self, node: _ast.Name | _ast.Attribute) -> Iterator[object]:
        """Yield what a name stands for, if that can be called later."""
        if isinstance(node, _ast.Name) and node.id in self.inner:
            yield Inner(self.inner[node.id], self)
            return
        value = resolve(node, self.space)
        if is_a(value, (FunctionType, MethodType, Bound)) and quiet.is_of_program(value):
            yield value

    def left(self, func: _ast.expr) -> Iterator[object]:
        """Yield what a call leaves to run later: a coroutine, or the object of a thread's class."""
        if isinstance(func, _ast.Name) and func.id in self.inner:
            if isinstance(self.inner[func.id], _ast.AsyncFunctionDef):
                yield Inner(self.inner[func.id], self)
            return
        value = resolve(func, self.space)
        if stood_in(value) is not None:
            return
        if is_a(value, type) and is_own(value):
            if any(base is not object and not is_own(base) for base in line_of(value)):
                yield value
        elif quiet.is_of_program(value) and code_of(value).co_flags & COROUTINE:
            yield value

    def calls(self) -> Iterator[object]:
        """Yield the functions and methods of the program that it calls."""
        for node in sources.inside(self.node):
            if isinstance(node, _ast.Call):
                value = resolve(node.func, self.space)
                if stood_in(value) is not None:
                    continue
                if is_a(value, type) and is_own(value):
                    value = expressions.attribute(value, "__init__")
                if quiet.is_of_program(value):
                    yield value


def scans(app: App, depth_max: int = DEPTH_MAX) -> Iterator[Scan]:
    """Yield the hooks of the start, and the functions of the program that they call."""
    seen: set[CodeType] = set()
    waiting: list[tuple[Any, int]] = [(hook, 0) for hook in app.start_hooks()]
    while waiting:
        hook, depth = waiting.pop()
        owner = None
        if is_a(hook, (Bound, MethodType)):
            owner = hook.owner if is_a(hook, Bound) else hook.__self__
            hook = plain_function(hook)
        function = function_of(hook)
        if function is None or function.__code__ in seen or depth > depth_max:
            continue
        seen.add(function.__code__)
        node = sources.definition(function.__code__)
        if node is not None and ownership.is_program(function.__globals__):
            scan = Scan(function, node, owner)
            yield scan
            waiting += [(one, depth + 1) for one in scan.calls()]


def part_of(node: _ast.AST) -> list[_ast.AST]:
    """Return the nodes of a function, or of a statement without statements and functions in it."""
    if isinstance(node, HIDDEN):
        return list(sources.inside(node))
    found: list[_ast.AST] = [node]
    for one in found:
        if not isinstance(one, HIDDEN):
            found += [each for each in sources.children(one) if not isinstance(each, _ast.stmt)]
    return found


def named_in(nodes: list[_ast.AST]) -> set[str]:
    """Return the names among some nodes."""
    return {one.id for one in nodes if isinstance(one, _ast.Name)}


def stored_by(statement: _ast.stmt) -> set[str]:
    """Return the names that a statement binds, but for those of statements inside of it."""
    found: set[str] = set()
    for one in part_of(statement):
        if isinstance(one, _ast.Name) and not isinstance(one.ctx, _ast.Load):
            found.add(one.id)
        elif isinstance(one, (_ast.Import, _ast.ImportFrom)):
            found |= {alias.asname or alias.name.partition(".")[0] for alias in one.names}
    return found


def imported(node: _ast.Import | _ast.ImportFrom) -> Iterator[str]:
    """Yield the names of the modules that an import may ask for, with those of packages."""
    names = [alias.name for alias in node.names]
    if isinstance(node, _ast.ImportFrom):
        names = [node.module or "", *(f"{node.module}.{name}" for name in names)]
    for name in names:
        yield from imports.parts(name)


def plain_function(value: Any) -> FunctionType:
    """Return the function that a method is made of, or the function itself."""
    if is_a(value, Bound):
        value = value.function
    function: FunctionType = value.__func__ if is_a(value, MethodType) else value
    return function


def code_of(value: Any) -> CodeType:
    """Return the code of a function or method of the program."""
    return plain_function(value).__code__
