"""Libraries that catch the refusal of an extension: what they lose, and if they still work.

Most have another way, and leave a mark of which one it is: a name bound to something else,
``None``, a flag. A module that leaves none cannot tell later that it lacks anything. If its
functions use names that the failed import would have bound, and nothing else has, they raise
``NameError`` whatever happens. Such a module fails with the refusal instead, so that who imports it
can do without or gets a stand-in. What has been put in place of a lost function and only raises
counts as missing for the libraries that hold it.

A name that a library has on the main interpreter and not in a worker, such as ``yaml.CSafeLoader``,
counts as a module that does not load: nobody asks for it who has not found it there before.

Imported in a worker when a library has caught a refusal.
"""

from __future__ import annotations

import _ast
import builtins
from types import FunctionType, ModuleType

from pyreframework.program import imports, refusals, sources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from importlib.machinery import SourceFileLoader
    from types import CodeType
    from typing import Any

# What ``co_flags`` says of functions. The body of a class has run once its module has.
OPTIMIZED = 1
# From 3.14 on this function evaluates annotations, if somebody asks for them.
ANNOTATE = "__annotate__"
STAR = "*"
SCOPES = (_ast.FunctionDef, _ast.AsyncFunctionDef, _ast.ClassDef, _ast.Lambda)
# What is raised where something is not there.
ABSENCES = (ImportError, NameError, AttributeError, NotImplementedError)
NAMED_MAX = 2
DEPTH_MAX = 4


def settle(loader: SourceFileLoader, module: ModuleType, here: imports.Running) -> None:
    """Note what a module of a library goes on without, if it can.

    Raises:
        ImportError: It cannot: its functions use names that nothing has bound.
    """
    lost: set[str] = set()
    for places in here.places:
        statement = catching(module, places)
        if statement is not None:
            lost |= unbound(module, *statement)
            note_hollow(module, statement[0], here.failed)
    if lost:
        code = loader.get_code(module.__name__)
        assert code is not None, "it has just run"
        used = used_of(lost, code, vars(module))
        if used:
            reason = next(iter(here.failed.values()))
            raise ImportError(f"{reason}, and {module.__name__} has no {listed(used)} without it")
    package = module.__name__.partition(".")[0]
    imports.without.setdefault(package, {}).update(here.failed)


def catching(
    module: ModuleType, places: Iterable[tuple[CodeType, int]]
) -> tuple[_ast.stmt, int] | None:
    """Return the statement of a module that has caught an error, and on which line of its body.

    Args:
        module: The module, whose code has run.
        places: Where its code was when the import failed, the innermost function first.
    """
    for code, line in places:
        statement = sources.catching(code, line, ImportError(), vars(module))
        if statement is not None:
            return statement, line
    return None


def unbound(module: ModuleType, statement: _ast.stmt, line: int) -> set[str]:
    """Return the names that a statement has left without a value as it caught an error on a line.

    Empty if there is a mark by which the module can tell; a `STAR` stands for names not known.
    """
    body: list[_ast.stmt] = statement.body  # type: ignore[attr-defined]
    rest: list[_ast.AST] = [one for one in body if sources.first_line(one) > line]
    for field in ("orelse", "finalbody", "handlers"):
        rest += getattr(statement, field, ())
    marks = {name for node in rest for name in bound(node, items=True)}
    if any(name in vars(module) for name in marks):
        return set()
    return {name for node in body for name in bound(node)}


def note_hollow(module: ModuleType, statement: _ast.stmt, failed: dict[str, str]) -> None:
    """Note the functions and classes that a module has in place of lost ones, and that only raise.

    As ``def spawn(): raise ValueError("install greenlet")``.
    """
    missing = next(iter(failed)).partition(".")[0]
    for name in bound(statement):
        value = vars(module).get(name)
        function = getattr(value, "__init__", None) if isinstance(value, type) else value
        if isinstance(function, FunctionType) and only_raises(function):
            imports.hollow[id(value)] = missing


def only_raises(function: FunctionType, depth: int = 0) -> bool:
    """Tell whether a function never returns, as far as its statements show."""
    node = sources.definition(function.__code__) if depth <= DEPTH_MAX else None
    return node is not None and ends(node.body, function.__globals__, depth) is True


def ends(body: list[_ast.stmt], space: dict[str, Any], depth: int) -> bool | None:
    """Tell how statements end: True by raising, False perhaps by returning, None by neither."""
    for statement in body:
        called = getattr(getattr(statement, "value", None), "func", None)
        callee = space.get(called.id) if isinstance(called, _ast.Name) else None
        if isinstance(statement, _ast.Raise):
            return True
        if isinstance(callee, FunctionType) and only_raises(callee, depth + 1):
            return True
        if isinstance(statement, _ast.If):
            truth = truth_of(statement.test, space)
            branches = {ends(statement.body, space, depth), ends(statement.orelse, space, depth)}
            if truth is not None:
                taken = statement.body if truth else statement.orelse
                branches = {ends(taken, space, depth)}
            if branches != {None}:
                return branches == {True}
        elif any(isinstance(node, _ast.Return) for node in sources.inside(statement)):
            return False
    return None


def truth_of(test: _ast.expr, space: dict[str, Any]) -> bool | None:
    """Return the truth of a global that is a flag or None, and of ``not`` one; None if unknown."""
    if sources.is_negated(test):
        truth = truth_of(test.operand, space)  # type: ignore[attr-defined]
        return None if truth is None else not truth
    value = space.get(test.id, ...) if isinstance(test, _ast.Name) else ...
    return bool(value) if value is None or isinstance(value, bool) else None


def bound(node: _ast.AST, items: bool = False) -> Iterator[str]:
    """Yield the names that code binds where it stands, not those of functions inside of it.

    Args:
        node: The code.
        items: Also yield the names of what gets an item or an attribute, as in ``FLAGS["c"] = 0``.
    """
    if isinstance(node, (_ast.Import, _ast.ImportFrom)):
        # `import a.b` binds a.
        yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names)
    elif isinstance(node, SCOPES):
        if not isinstance(node, _ast.Lambda):
            yield node.name
        return
    elif isinstance(node, _ast.Name) and isinstance(node.ctx, _ast.Store):
        yield node.id
    elif (
        items
        and isinstance(node, (_ast.Subscript, _ast.Attribute))
        and isinstance(node.ctx, _ast.Store)
        and isinstance(node.value, _ast.Name)
    ):
        yield node.value.id
    for child in sources.children(node):
        yield from bound(child, items)


def used_of(lost: set[str], code: CodeType, space: dict[str, Any]) -> set[str]:
    """Return which names the functions of a module use although nothing has bound them.

    Args:
        lost: The names to look for; with `STAR` every name that the module itself never binds.
        code: The module's code.
        space: Its globals.
    """
    from pyreframework.program.anatomy import codes, read

    known = {"__class__", *space, *vars(builtins)}
    if STAR in lost:
        tree = sources.tree(code.co_filename)
        known.update(() if tree is None else bound(tree))
    used = set()
    for one in codes(code):
        # One that asks for the error, or for the name as a text, knows that it may be missing.
        if not one.co_flags & OPTIMIZED or one.co_name == ANNOTATE or "NameError" in one.co_names:
            continue
        names = {name for name, _ in read(one).chains} - known - set(one.co_consts)
        used |= names if STAR in lost else names & lost
    return used


def listed(names: Iterable[str]) -> str:
    """Return names in words, the first of them if they are many.

    Example:
        >>> listed({"b", "a"}), listed({"a", "b", "c", "d", "e"})
        ('a and b', 'a, b and 3 more')
    """
    words = sorted(names)
    if len(words) > NAMED_MAX:
        words[NAMED_MAX:] = [f"{len(words) - NAMED_MAX} more"]
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def lost_name(error: BaseException) -> tuple[str, str] | None:
    """Return the name that an error misses in a library that goes on without an extension, and why.

    As ``yaml.CSafeLoader``; None for any other error.
    """
    if isinstance(error, ImportError):
        module, name = error.name, error.name_from
    elif isinstance(error, AttributeError) and isinstance(error.obj, ModuleType):
        module, name = error.obj.__name__, error.name
    else:
        return None
    reason = reason_for(module) if module and name else None
    return None if reason is None else (f"{module}.{name}", reason)


def reason_for(module: str) -> str | None:
    """Return why a package goes on without an extension, or None if it does not."""
    left = imports.without.get(module.partition(".")[0])
    return None if not left else next(iter(left.values()))


def explain(error: BaseException, route: str | None) -> None:
    """Add to an exception in a worker what a library goes on without, if that may be why."""
    link: BaseException | None = error
    for _ in range(refusals.CHAIN_MAX):
        package = None if link is None else blamed(link)
        if package is not None:
            left = imports.without[package]
            do = "does" if len(left) == 1 else "do"
            remedy = f": if that is why, register {route} with gil=True" if route else ""
            error.add_note(
                f"in a worker {package} goes on without {listed(left)}, which {do} not load there"
                f"{remedy}"
            )
            return
        link = None if link is None else link.__cause__ or link.__context__


def blamed(error: BaseException) -> str | None:
    """Return the package that goes on without an extension and has probably failed for that.

    That is the one which was asked for what it lost, or which raised, if it says that something is
    not there, or names the extension.
    """
    found = lost_name(error)
    if found is not None:
        return found[0].partition(".")[0]
    trace = error.__traceback__
    if trace is None:
        return None
    while trace.tb_next is not None:
        trace = trace.tb_next
    package = str(trace.tb_frame.f_globals.get("__name__")).partition(".")[0]
    left = imports.without.get(package, ())
    text = str(error)
    named = any(name.partition(".")[0] != package and in_text(name, text) for name in left)
    return package if left and (named or isinstance(error, ABSENCES)) else None


def in_text(module: str, text: str) -> bool:
    """Tell whether a text names the package of a module."""
    return module.partition(".")[0].strip("_").lower() in text.lower()
