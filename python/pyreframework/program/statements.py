"""The statements at the top level of the program's modules, and what each runs and binds.

Imported in a worker when a stand-in has given a plain value, or the names of its program differ
from what they hold on the main interpreter.
"""

from __future__ import annotations
import __future__

import _ast
import sys
from types import FunctionType, MethodType, ModuleType

from pyreframework.program import ownership, sources
from pyreframework.program.apps import Enrolled
from pyreframework.program.expressions import FUNCTIONS, resolve
from pyreframework.program.unasked import dict_of, is_a, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType
    from typing import Any

# What ``co_flags`` says of functions.
OPTIMIZED = 1


def program_statements() -> Iterator[Statement]:
    """Yield the statements at the top level of all modules of the program."""
    seen: set[int] = set()
    for module in list(sys.modules.values()):
        space = dict_of(module) if is_a(module, ModuleType) else {}
        if id(space) in seen or not ownership.is_program(space):
            continue
        seen.add(id(space))
        file = text_of(space.get("__file__"))
        whole = sources.tree(file)
        waiting: list[Any] = list(reversed(getattr(whole, "body", ())))
        while waiting:
            node = waiting.pop()
            if is_for_main(node) and space.get("__name__") != "__main__":
                waiting += reversed(node.orelse)
            elif not is_future(node) and not is_run(node, space):
                yield Statement(node, space, file)


def is_for_main(node: _ast.stmt) -> bool:
    """Tell whether this is ``if __name__ == "__main__":``, which no worker enters."""
    test = getattr(node, "test", None)
    if not isinstance(node, _ast.If) or not isinstance(test, _ast.Compare):
        return False
    sides = (test.left, *test.comparators)
    return (
        isinstance(test.ops[0], _ast.Eq)
        and any(sources.last_name(one) == "__name__" for one in sides)
        and any(isinstance(one, _ast.Constant) and one.value == "__main__" for one in sides)
    )


def is_future(node: _ast.stmt) -> bool:
    """Tell whether this is ``from __future__ import ...``."""
    return isinstance(node, _ast.ImportFrom) and node.module == "__future__"


def is_run(node: _ast.stmt, space: dict[str, Any]) -> bool:
    """Tell whether this is ``app.run(...)``, where the program ends in a worker."""
    func = getattr(getattr(node, "value", None), "func", None)
    return (
        isinstance(node, _ast.Expr)
        and isinstance(func, _ast.Attribute)
        and func.attr == "run"
        and is_a(resolve(func.value, space), Enrolled)
    )


class Statement:
    """One statement at the top level of a module of the program."""

    __slots__ = ("codes", "names_app", "node", "space")

    def __init__(self, node: _ast.stmt, space: dict[str, Any], file: str) -> None:
        self.node = node
        self.space = space
        self.names_app = any(is_of_app(space.get(name)) for name in sources.named(node))
        # As texts, annotations name nothing.
        flags = __future__.annotations.compiler_flag
        whole = compile(sources.module_of([node]), file, "exec", flags, dont_inherit=True)
        self.codes = list(self.run_now(whole))

    def run_now(self, code: CodeType) -> Iterator[CodeType]:
        """Yield the code that runs with the statement: not that of functions which it defines."""
        yield code
        for one in code.co_consts:
            if not is_a(one, type(code)):
                continue
            is_function = one.co_flags & OPTIMIZED and not one.co_name.startswith("<")
            if not is_function and not (one.co_name == "<lambda>" and self.names_app):
                yield from self.run_now(one)


def is_of_app(value: Any) -> bool:
    """Tell whether this is an app, or one of the ways to register something with it."""
    if is_a(value, FunctionType):
        return ownership.is_ours(value.__globals__)
    return is_a(value, Enrolled) or (is_a(value, MethodType) and is_a(value.__self__, Enrolled))


def bound(node: _ast.stmt) -> set[str]:
    """Return the names that a statement binds, those of imports too."""
    names = sources.stored(node)
    for one in run_now(node):
        if isinstance(one, (_ast.Import, _ast.ImportFrom)):
            names.update(alias.asname or alias.name.partition(".")[0] for alias in one.names)
    return names


def run_now(node: _ast.AST) -> Iterator[_ast.AST]:
    """Yield what is inside of a node, but for the bodies of functions."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        yield one
        if isinstance(one, FUNCTIONS):
            waiting += [*one.decorator_list, *one.args.defaults]
            waiting += [default for default in one.args.kw_defaults if default is not None]
        elif not isinstance(one, _ast.Lambda):
            waiting += sources.children(one)
