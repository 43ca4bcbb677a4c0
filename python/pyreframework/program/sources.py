"""Answers from the source of code: whether a ``try`` catches, what a statement assigns.

Only asked when a module is refused or a stand-in has to become a plain value, so that most workers
never import this. Reads the program's files again; of code without a file nothing is known. Uses
the parser of the interpreter itself, as the module ``ast`` would cost a worker memory.
"""

from __future__ import annotations

import _ast
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType, FrameType

ONLY_AST = _ast.PyCF_ONLY_AST
EXITS = ("exit", "quit", "_exit", "abort")

trees: dict[str, _ast.AST | None] = {}
# The functions that are defined in a file, by their names and the lines where they begin.
definitions: dict[str, dict[tuple[str, int], _ast.FunctionDef | _ast.AsyncFunctionDef]] = {}


def tree(file: str) -> _ast.AST | None:
    """Return the parsed source of a file, or None if there is none."""
    if file not in trees:
        try:
            with open(file, "rb") as source:
                trees[file] = compile(source.read(), file, "exec", ONLY_AST, dont_inherit=True)
        except (OSError, SyntaxError, ValueError):
            trees[file] = None
    return trees[file]


def forget() -> None:
    """Let go of what was read."""
    definitions.clear()
    trees.clear()


def children(node: _ast.AST) -> Iterator[_ast.AST]:
    """Yield the nodes directly inside of a node."""
    for field in node._fields:
        value = getattr(node, field, None)
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, _ast.AST):
                yield one


def inside(node: _ast.AST) -> Iterator[_ast.AST]:
    """Yield a node and all nodes inside of it."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += children(node)


def covers(node: _ast.AST, line: int) -> bool:
    """Tell whether a node stands on a line."""
    last = getattr(node, "end_lineno", None)
    return last is not None and first_line(node) <= line <= last


def enclosing(code: CodeType, line: int) -> list[_ast.stmt]:
    """Return the statements of a piece of code that a line is in, the outermost first.

    Those of functions and classes around the code itself are not among them.
    """
    found: list[_ast.stmt] = []
    node = tree(code.co_filename)
    while node is not None:
        inner = next((one for one in children(node) if covers(one, line)), None)
        if inner is None:
            # A handler of exceptions, a case: no statement, and without lines of its own.
            inner = next(
                (deep for one in children(node) for deep in children(one) if covers(deep, line)),
                None,
            )
        if isinstance(inner, _ast.stmt):
            found.append(inner)
        node = inner
    for index in reversed(range(len(found))):
        # What the code is made from begins behind its own `def` or `class`.
        name = getattr(found[index], "name", None)
        if name == code.co_name and first_line(found[index]) == code.co_firstlineno:
            return found[index + 1 :]
    return found


def definition(code: CodeType) -> _ast.FunctionDef | _ast.AsyncFunctionDef | None:
    """Return the definition of a function, None if it is not found or has no name."""
    file = code.co_filename
    if file not in definitions:
        whole = tree(file)
        definitions[file] = {}
        for node in () if whole is None else inside(whole):
            if isinstance(node, (_ast.FunctionDef, _ast.AsyncFunctionDef)):
                definitions[file].setdefault((node.name, first_line(node)), node)
    return definitions[file].get((code.co_name, code.co_firstlineno))


def asked_of(code: CodeType, module: str) -> set[str]:
    """Return the attributes that a function asks a module for which it imports itself."""
    whole = definition(code)
    nodes = [] if whole is None else list(inside(whole))
    names = {
        alias.asname or alias.name
        for node in nodes
        if isinstance(node, _ast.Import)
        for alias in node.names
        if alias.name == module
    }
    return {
        node.attr
        for node in nodes
        if isinstance(node, _ast.Attribute)
        and isinstance(node.value, _ast.Name)
        and node.value.id in names
    }


def first_line(node: _ast.AST) -> int:
    """Return the line where a node begins; a definition does with its decorators."""
    first: int = node.lineno  # type: ignore[attr-defined]
    for decorator in getattr(node, "decorator_list", ()):
        first = min(first, decorator.lineno)
    return first


def catches(frame: FrameType, line: int, error: BaseException) -> bool:
    """Tell whether a ``try`` or ``suppress`` in the code of a frame goes on after an error.

    One that raises again, or ends the program, is no way to go on.
    """
    return catches_in(frame.f_code, line, error, frame.f_globals, frame.f_locals)


def catches_in(code: CodeType, line: int, error: BaseException, *spaces: dict[str, object]) -> bool:
    """As `catches`, for code that does not run, whose names are looked up in ``spaces``."""
    return catching(code, line, error, *spaces) is not None


def catching(
    code: CodeType, line: int, error: BaseException, *spaces: dict[str, object]
) -> _ast.stmt | None:
    """Return the statement that goes on after an error on a line, the innermost if there are more.

    It is a ``try``, or a ``with`` that suppresses the error.
    """
    for statement in reversed(enclosing(code, line)):
        if isinstance(statement, (_ast.Try, _ast.TryStar)):
            if not any(covers(one, line) for one in statement.body):
                continue
            for handler in statement.handlers:
                if fits(handler.type, error, spaces):
                    if gives_up(handler.body):
                        break
                    return statement
        elif isinstance(statement, (_ast.With, _ast.AsyncWith)):
            for item in statement.items:
                call = item.context_expr
                if (
                    isinstance(call, _ast.Call)
                    and last_name(call.func) == "suppress"
                    and any(fits(kind, error, spaces) for kind in call.args)
                ):
                    return statement
    return None


def fits(
    kind: _ast.expr | None, error: BaseException, spaces: tuple[dict[str, object], ...]
) -> bool:
    """Tell whether ``except kind:`` catches an error."""
    if kind is None:
        return True
    if isinstance(kind, _ast.Tuple):
        return any(fits(one, error, spaces) for one in kind.elts)
    found = look_up(kind, spaces)
    return isinstance(found, type) and issubclass(type(error), found)


def look_up(name: _ast.expr, spaces: tuple[dict[str, object], ...]) -> object:
    """Return what ``name`` or ``module.name`` is, or None."""
    if isinstance(name, _ast.Attribute):
        owner = look_up(name.value, spaces)
        return getattr(owner, "__dict__", {}).get(name.attr)
    if isinstance(name, _ast.Name):
        for space in (*reversed(spaces), vars(sys.modules["builtins"])):
            if name.id in space:
                return space[name.id]
    return None


def gives_up(body: list[_ast.stmt]) -> bool:
    """Tell whether statements end by raising, or by ending the program."""
    last = body[-1]
    if isinstance(last, _ast.Expr) and isinstance(last.value, _ast.Call):
        return last_name(last.value.func) in EXITS
    return isinstance(last, _ast.Raise)


def is_check(statement: _ast.stmt, line: int) -> bool:
    """Tell whether a statement does nothing but raise on a line: ``assert``, ``if bad: raise``."""
    if isinstance(statement, _ast.Assert):
        return True
    return (
        isinstance(statement, _ast.If)
        and not statement.orelse
        and gives_up(statement.body)
        and line <= (statement.end_lineno or line)
    )


def last_name(node: _ast.expr) -> str:
    """Return ``exit`` for ``exit`` and for ``sys.exit``."""
    if isinstance(node, _ast.Attribute):
        return node.attr
    return node.id if isinstance(node, _ast.Name) else ""


def assigned(statement: _ast.stmt) -> list[str]:
    """Return the names that a statement binds, or whose objects it changes."""
    if isinstance(statement, (_ast.FunctionDef, _ast.AsyncFunctionDef, _ast.ClassDef)):
        return [statement.name]
    names: list[str] = []
    for node in inside(statement):
        target: _ast.AST | None = None
        if isinstance(node, (_ast.FunctionDef, _ast.AsyncFunctionDef, _ast.ClassDef)):
            names.append(node.name)
        elif isinstance(node, _ast.Name) and isinstance(node.ctx, _ast.Store):
            target = node
        elif isinstance(node, (_ast.Subscript, _ast.Attribute)) and isinstance(
            node.ctx, _ast.Store
        ):
            target = node.value
        elif isinstance(node, _ast.Expr) and isinstance(node.value, _ast.Call):
            # `table.append(...)` for its effect.
            target = getattr(node.value.func, "value", None)
        while isinstance(target, (_ast.Subscript, _ast.Attribute)):
            target = target.value
        if isinstance(target, _ast.Name):
            names.append(target.id)
    return names


def stored(statement: _ast.stmt) -> set[str]:
    """Return the names that a statement itself binds."""
    if isinstance(statement, (_ast.FunctionDef, _ast.AsyncFunctionDef, _ast.ClassDef)):
        return {statement.name}
    names: set[str] = set()
    for node in inside(statement):
        if isinstance(node, _ast.Name) and isinstance(node.ctx, _ast.Store):
            names.add(node.id)
        elif isinstance(node, (_ast.FunctionDef, _ast.AsyncFunctionDef, _ast.ClassDef)):
            names.add(node.name)
    return names


def named(statement: _ast.stmt) -> set[str]:
    """Return every name that stands in a statement."""
    return {node.id for node in inside(statement) if isinstance(node, _ast.Name)}


def module_of(body: list[_ast.stmt]) -> _ast.Module:
    """Return a module of these statements."""
    return _ast.Module(body=body, type_ignores=[])


def declared_global(code: CodeType) -> list[str]:
    """Return the globals that a function assigns."""
    from opcode import opmap

    store = opmap["STORE_GLOBAL"]
    raw = code.co_code
    return [code.co_names[raw[at + 1]] for at in range(0, len(raw), 2) if raw[at] == store]


def is_negated(test: _ast.expr) -> bool:
    """Tell whether a test is ``not`` something."""
    return isinstance(test, _ast.UnaryOp) and isinstance(test.op, _ast.Not)
