"""Plain values taken out of stand-ins: who asked, and which globals got something of them.

Imported in a worker when a stand-in has to give one, or the program has failed.
"""

from __future__ import annotations

import _ast

from pyreframework.program import apps, imports, ownership, sources
from pyreframework.program.expressions import is_harmless

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, FrameType


class Withheld(Exception):
    """Ends a statement that would act with a plain value out of a stand-in.

    Args:
        module: The module that is missing.
    """

    def __init__(self, module: str) -> None:
        super().__init__(
            f"{module} does not load in workers, and nothing is done with what stands for a value "
            "of it"
        )
        self.module = module


class Place:
    """Where code of the program was when it asked for a plain value."""

    __slots__ = ("code", "in_hook", "line", "owner", "space")

    def __init__(
        self, code: CodeType, line: int, space: dict[str, object], owner: object, in_hook: bool
    ) -> None:
        self.code = code
        self.line = line
        self.space = space
        # The object whose method this is.
        self.owner = owner
        # Whether the program has been loaded, and only its hooks run.
        self.in_hook = in_hook


def taint(module: str, frame: FrameType, truth: bool | None) -> bool:
    """Note the globals that get something out of a plain value which stands for a missing one.

    Those are the names that the statement at work assigns or changes at the top level of a module,
    in whichever frame on the way, and the names that functions on the way declare ``global``.

    Args:
        module: The module that is missing.
        frame: Where the value was asked for.
        truth: The truth wanted, or None to choose the one with which the program goes on.

    Returns:
        The truth to give.

    Raises:
        Withheld: The program would act with the value.
    """
    in_hook = apps.loading is None
    places: list[Place] = []
    frames: list[FrameType] = []
    answer = truth
    walk: FrameType | None = frame
    while walk is not None and not ownership.is_ours(walk.f_globals):
        if ownership.is_program(walk.f_globals):
            frames.append(walk)
            code, line = walk.f_code, walk.f_lineno
            owner = walk.f_locals.get(code.co_varnames[0]) if code.co_argcount else None
            places.append(Place(code, line, walk.f_globals, owner, in_hook))
            statements = sources.enclosing(code, line)
            if statements and answer is None:
                answer = wanted(statements, line)
            names: list[str] = []
            if code.co_name == "<module>" and statements:
                if is_harmless(statements[0], line, walk.f_globals):
                    break
                names = sources.assigned(statements[0])
            elif code.co_name != "<module>":
                names = sources.declared_global(code)
            for name in names:
                if not ownership.is_standard_module(walk.f_globals.get(name)):
                    imports.tainted[id(walk.f_globals), name] = module
        walk = walk.f_back
    if places:
        key = tuple((id(place.code), place.line, id(place.owner)) for place in places)
        imports.taken.setdefault((module, *key), (module, places))
        from pyreframework.program import acting

        if acting.acts(frames):
            raise Withheld(module)
    return bool(answer)


def tainted_by(statement: _ast.stmt, space: dict[str, object]) -> str | None:
    """Return the module that is missing to a global which a statement names."""
    found = (imports.tainted.get((id(space), name)) for name in sources.named(statement))
    return next((module for module in found if module is not None), None)


def wanted(statements: list[_ast.stmt], line: int) -> bool:
    """Return the truth with which a program goes on.

    That is the one with which ``assert`` holds, an ``if`` that raises does not, an ``if`` that
    breaks does, and loops end. False for everything else.
    """
    for statement in reversed(statements):
        if isinstance(statement, _ast.Assert):
            return not sources.is_negated(statement.test)
        if isinstance(statement, (_ast.If, _ast.While)) and sources.covers(statement.test, line):
            enters = isinstance(statement, _ast.If) and isinstance(statement.body[-1], _ast.Break)
            ends = isinstance(statement, _ast.While) or sources.gives_up(statement.body)
            return (
                not sources.is_negated(statement.test)
                if enters
                else ends and sources.is_negated(statement.test)
            )
        if isinstance(statement, _ast.For) and isinstance(statement.iter, _ast.Call):
            # `for piece in iter(read, b"")` ends with the piece that equals the second argument.
            call = statement.iter
            return (
                sources.last_name(call.func) == "iter"
                and len(call.args) > 1
                and sources.covers(call, line)
            )
    return False
