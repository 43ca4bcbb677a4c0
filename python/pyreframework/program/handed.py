"""What hooks of the start have changed for a stand-in, and what they leave running.

What the names of the program hold is compared before the hooks and after them, as the main
interpreter runs its own later. A change counts if a statement of a hook that reaches a stand-in has
to do with it.

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

from pyreframework.handlers.absent import stood_in
from pyreframework.program import differences, expressions, flow, imports, quiet, sources
from pyreframework.program.anatomy import Bound, content, is_a, is_own, kind_of
from pyreframework.program.differences import DoubtGraph, Scope
from pyreframework.program.execution import function_of
from pyreframework.program.expressions import FUNCTIONS, resolve
from pyreframework.program.reach import ATOMS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType
    from typing import Any

    from pyreframework.program.apps import App


DEPTH_MAX = 8
# What ``co_flags`` says of coroutines.
COROUTINE = 0x80
PATHS = (_ast.Attribute, _ast.Subscript, _ast.Name)
HIDDEN = (*FUNCTIONS, _ast.Lambda)
LEAVING = (_ast.Return, _ast.Break, _ast.Continue)


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

    def change(self, target: _ast.Attribute | _ast.Subscript, module: str) -> None:
        """Count as taken what gets an item or an attribute, or has a method called."""
        owner = resolve(target.value, self.space)
        if is_a(owner, ModuleType) and stood_in(owner) is None:
            if not isinstance(target.ctx, _ast.Load):
                imports.tainted.setdefault((id(vars(owner)), target.attr), module)  # type: ignore[union-attr]
            return
        share_value(owner, module, is_changed=not isinstance(target.ctx, _ast.Load))
        if owner is None:
            # A variable of the function: what it has been made of.
            for one in self.givers(target):
                for node in part_of(one):
                    if isinstance(node, _ast.Name) and node.id not in self.local:
                        share_value(resolve(node, self.space), module)

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
            if any(base is not object and not is_own(base) for base in value.__mro__):
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


def find_changed(app: App) -> None:
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
                scan.change(node, module)
        elif isinstance(node, _ast.Call) and isinstance(node.func, _ast.Attribute):
            if node.func.attr in expressions.MUTATORS:
                scan.change(node.func, module)
        elif isinstance(node, _ast.Expr) and isinstance(node.value, _ast.Call):
            call = node.value
            if expressions.shows(call, scan.space):
                continue
            if isinstance(call.func, _ast.Attribute):
                scan.change(call.func, module)
            if not quiet.is_of_program(resolve(call.func, scan.space)):
                for argument in expressions.arguments(call):
                    share_read(argument, scan.space, module)


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
                held = [value for kind in one.__mro__ for value in vars(kind).values()]  # type: ignore[attr-defined]
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
        if node is not None and imports.is_program(function.__globals__):
            scan = Scan(function, node, owner)
            yield scan
            waiting += [(one, depth + 1) for one in scan.calls()]


def share_function(value: Any, module: str) -> None:
    """Count as taken what a function of the program changes or hands values to."""
    function = plain_function(value)
    space = function.__globals__
    if not imports.is_program(space):
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
            imports.tainted.setdefault((id(vars(owner)), node.attr), module)
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
        is_flat = type(held) in (list, tuple, set, type({}.values()))
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
