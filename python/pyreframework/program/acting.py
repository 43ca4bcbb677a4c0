"""Whether a plain value that a stand-in is asked for would go into something that acts.

That is read where the program's code is: from the place of the instruction at work, which is that
of a part of a statement, outwards. Imported in a worker when a stand-in has to give a plain value.
"""

from __future__ import annotations

import _ast
from itertools import islice
from types import FunctionType, MethodType

from pyreframework.program import ownership, sources
from pyreframework.program.anatomy import Bound
from pyreframework.program.apps import Enrolled
from pyreframework.program.effects import (
    DEFINITIONS,
    NOTHING,
    UNKNOWN,
    effect,
    effects,
    of_store,
    space_of,
    worst,
)
from pyreframework.program.expressions import is_harmless, resolve
from pyreframework.program.unasked import in_class, is_a, kind_of, line_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType
    from typing import Any

BRANCHES = (_ast.If, _ast.While, _ast.Match)
CHOICES = (_ast.BoolOp, _ast.IfExp)


def acts(frames: list[FrameType]) -> bool:
    """Tell whether a plain value, or what is computed from it, would go into what acts.

    Args:
        frames: The program's code on the way to the stand-in, the innermost first.
    """
    for index, frame in enumerate(frames):
        code, line = frame.f_code, frame.f_lineno
        statements = sources.enclosing(code, line)
        if not statements:
            continue
        statement = statements[-1]
        if isinstance(statement, DEFINITIONS):
            return False
        if is_harmless(statement, line, frame.f_globals):
            return False
        space: dict[str, Any] = frame.f_globals
        if code.co_name != "<module>":
            space = {**space, **frame.f_locals}
        unknown = not names_app(frames[-1])
        parts = path(statement, frame)
        if index and parts and isinstance(parts[-1], _ast.Call):
            parts.pop()  # It is what is at work in the frame before.
        if goes_into(parts, space, unknown):
            return True
        whole = statements if code.co_name == "<module>" else body_of(frame)
        if flows_on(parts, whole, space, unknown):
            return True
    return False


def names_app(frame: FrameType) -> bool:
    """Tell whether the statement at the top level has to do with an app."""
    statements = sources.enclosing(frame.f_code, frame.f_lineno)
    return bool(statements) and concerns_app(statements[0], frame.f_globals)


def concerns_app(statement: _ast.stmt, space: dict[str, Any]) -> bool:
    """Tell whether a statement names an app, or makes one, also by a function that it calls."""
    for body, here, _ in reached([statement], space, 0):
        for node in (one for part in body for one in sources.inside(part)):
            found = resolve(node, here) if isinstance(node, (_ast.Name, _ast.Attribute)) else None
            # What functions do with an app that has been made is no reason to keep a statement.
            if (is_a(found, type) or here is space) and is_of_app(found):
                return True
    return False


def is_of_app(found: object) -> bool:
    """Tell whether this is an app, or the class of one."""
    return any(one is Enrolled for one in line_of(kind_of(found)))


def body_of(frame: FrameType) -> list[_ast.stmt]:
    """Return the statements of the function that a frame runs."""
    node = sources.definition(frame.f_code)
    return [] if node is None else node.body


def path(statement: _ast.stmt, frame: FrameType) -> list[_ast.AST]:
    """Return the parts of a statement around the instruction at work, the outermost first."""
    place = next(islice(frame.f_code.co_positions(), frame.f_lasti // 2, None), None)
    if place is None or None in place:
        # Without places every part counts.
        return list(sources.inside(statement))
    first, last, begin, end = place
    found: list[_ast.AST] = [statement]
    waiting = list(sources.children(statement))
    while waiting:
        node = waiting.pop()
        if not hasattr(node, "lineno"):
            waiting += sources.children(node)  # As an item of a `with`.
        elif (node.lineno, node.col_offset) <= (first, begin) and (  # type: ignore[attr-defined]
            node.end_lineno,  # type: ignore[attr-defined]
            node.end_col_offset,  # type: ignore[attr-defined]
        ) >= (last, end):
            found.append(node)
            waiting = list(sources.children(node))
    return found


def goes_into(parts: list[_ast.AST], space: dict[str, Any], unknown: bool) -> bool:
    """Tell whether one of the calls and assignments around a value acts.

    Args:
        parts: What the value is in.
        space: What the names there stand for.
        unknown: Whether what is not known counts.
    """
    for part in parts:
        done = NOTHING
        if isinstance(part, _ast.Call):
            done = effect(part, space)
        elif isinstance(part, CHOICES):
            # `debug or os.umask(0)`
            done = worst(found for found, _ in effects(part, space))
        elif isinstance(part, (_ast.Assign, _ast.AugAssign, _ast.AnnAssign)):
            targets = part.targets if isinstance(part, _ast.Assign) else [part.target]
            stores = (one for target in targets for one in sources.inside(target))
            done = next(
                (
                    found
                    for one in stores
                    if isinstance(one, (_ast.Attribute, _ast.Subscript))
                    and isinstance(one.ctx, _ast.Store)
                    and (found := of_store(one, space)) != NOTHING
                ),
                NOTHING,
            )
        if done != NOTHING and (unknown or done != UNKNOWN):
            return True
    return False


def flows_on(
    parts: list[_ast.AST], whole: list[_ast.stmt], space: dict[str, Any], unknown: bool
) -> bool:
    """Tell whether what a value is given to in a function, or decides there, acts.

    Args:
        parts: What the value is in, the statement first.
        whole: The statements among which the names it is given to are read.
        space: What the names there stand for.
        unknown: Whether what is not known counts.
    """
    statement = parts[0]
    if isinstance(statement, BRANCHES):
        return decides(statement, whole, space, unknown)
    names = bound_in(statement)
    if not names:
        return False
    return bool(acting_with(names, whole, space, unknown))


def bound_in(statement: _ast.AST) -> set[str]:
    """Return the names that an assignment binds."""
    if not isinstance(statement, (_ast.Assign, _ast.AnnAssign, _ast.AugAssign, _ast.NamedExpr)):
        return set()
    return {
        node.id
        for node in sources.inside(statement)
        if isinstance(node, _ast.Name) and isinstance(node.ctx, _ast.Store)
    }


def acting_with(
    names: set[str], whole: list[_ast.stmt], space: dict[str, Any], unknown: bool = True
) -> _ast.AST | None:
    """Return a call or an assignment that acts with one of some names, or what is made of one."""
    names = set(names)
    nodes = [node for one in whole for node in sources.inside(one)]
    while True:
        count = len(names)
        for node in nodes:
            if bound_in(node) and reads(node, names):
                names |= bound_in(node)
        if len(names) == count:
            break
    for one in whole:
        for done, node in effects(one, space):
            if done == UNKNOWN and not unknown:
                continue
            if reads(node, names) if isinstance(node, _ast.Call) else stores(node, nodes, names):
                return node
    for node in nodes:
        if not isinstance(node, BRANCHES):
            continue
        if reads(deciding(node), names) and decides(node, whole, space, unknown):
            return node
    return None


def deciding(branch: _ast.If | _ast.While | _ast.Match) -> _ast.expr:
    """Return what a statement decides by."""
    return branch.subject if isinstance(branch, _ast.Match) else branch.test


def decides(
    branch: _ast.If | _ast.While | _ast.Match,
    whole: list[_ast.stmt],
    space: dict[str, Any],
    unknown: bool,
) -> bool:
    """Tell whether anything acts that runs or not as a statement decides.

    Args:
        branch: The statement.
        whole: Those among which it is; if it may return, it decides over all of them.
        space: What the names there stand for.
        unknown: Whether what is not known counts.
    """
    parts: list[_ast.stmt] = []
    if isinstance(branch, _ast.Match):
        parts = [one for case in branch.cases for one in case.body]
    else:
        parts = [*branch.body, *branch.orelse]
    if any(isinstance(one, _ast.Return) for part in parts for one in sources.inside(part)):
        parts = whole
    return any(done != UNKNOWN or unknown for one in parts for done, _ in effects(one, space))


def reads(node: _ast.AST, names: set[str]) -> bool:
    """Tell whether one of some names is read in a part of a statement."""
    return any(
        isinstance(one, _ast.Name) and isinstance(one.ctx, _ast.Load) and one.id in names
        for one in sources.inside(node)
    )


def stores(target: _ast.AST, nodes: list[_ast.AST], names: set[str]) -> bool:
    """Tell whether what an assignment gives a target reads one of some names."""
    return any(
        isinstance(node, (_ast.Assign, _ast.AnnAssign, _ast.AugAssign))
        and target in sources.inside(node)
        and reads(node, names)
        for node in nodes
    )


def is_value(found: object) -> bool:
    """Tell whether this stands for a value, and not for what a module has under a name."""
    from pyreframework.program.standins import StandIn

    return type(found) is StandIn and not found.pyre_is_named


def reached(
    body: list[_ast.stmt], space: dict[str, Any], owner: int
) -> Iterator[tuple[list[_ast.stmt], dict[str, Any], int]]:
    """Yield statements and those of the functions of the program that they call.

    Args:
        body: The statements.
        space: What the names in them stand for.
        owner: The id of the globals.
    """
    waiting = [(body, space, owner)]
    known: set[int] = set()
    while waiting:
        body, space, owner = waiting.pop()
        yield body, space, owner
        for node in (one for statement in body for one in sources.inside(statement)):
            called = resolve(node.func, space) if isinstance(node, _ast.Call) else None
            for function in functions_of(called):
                definition = sources.definition(function.__code__)
                if id(function) not in known and definition is not None:
                    known.add(id(function))
                    held = function.__globals__
                    waiting.append((definition.body, space_of(function), id(held)))


def functions_of(called: Any) -> Iterator[Any]:
    """Yield the functions of the program that run where something is called."""
    if is_a(called, (Bound, MethodType)):
        called = called.function if is_a(called, Bound) else called.__func__
    found: list[Any] = [called]
    if is_a(called, type):
        found = [in_class(called, name) for name in ("__init__", "__post_init__")]
    for one in found:
        if is_a(one, FunctionType) and ownership.is_program(one.__globals__):
            yield one
