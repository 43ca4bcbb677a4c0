"""Whether a call leaves anything behind but its result, as far as the program's code shows.

Where it may, it cannot be told where a plain value out of a stand-in has gone. Imported in a worker
when a stand-in has given one.
"""

from __future__ import annotations

import _ast
from types import FunctionType, MethodType, ModuleType

from pyreframework.handlers.absent import stood_in
from pyreframework.program import imports, ownership, sources
from pyreframework.program.anatomy import Bound, is_own
from pyreframework.program.effects import PROCESS, effect
from pyreframework.program.expressions import (
    FUNCTIONS,
    MUTATORS,
    arguments,
    resolve,
    root_name,
    shows,
)
from pyreframework.program.unasked import dict_of, in_class, is_a, kind_of, module_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType
    from typing import Any

DEPTH_MAX = 8
DISPLAYS = (
    _ast.List, _ast.Dict, _ast.Set, _ast.ListComp, _ast.DictComp, _ast.SetComp, _ast.Constant,
    _ast.JoinedStr,
)  # fmt: skip
CONTAINERS = ("list", "dict", "set", "bytearray")


def is_quiet_call(callee: Any, module: str, depth: int = 0) -> bool:
    """Tell whether a call leaves nothing behind but its result.

    Libraries are taken to know nothing of the program.
    """
    if callee is None or stood_in(callee) is not None or depth > DEPTH_MAX:
        return depth <= DEPTH_MAX
    if is_a(callee, Bound):
        return is_quiet(callee.function.__code__, callee.function.__globals__, module, depth)
    if is_a(callee, MethodType):
        return is_quiet_call(callee.__func__, module, depth)
    if is_a(callee, FunctionType):
        if not ownership.is_program(callee.__globals__):
            inner = dict_of(callee).get("__wrapped__")
            return inner is None or is_quiet_call(inner, module, depth + 1)
        return is_quiet(callee.__code__, callee.__globals__, module, depth)
    if is_own(kind_of(callee)):
        names = ("__new__", "__init__", "__post_init__") if is_a(callee, type) else ("__call__",)
        for name in names:
            method = in_class(kind_of(callee), name)
            if is_a(method, FunctionType) and not is_quiet_call(method, module, depth + 1):
                return False
        return True
    is_wrapper = module_of(type(callee)) == "functools"
    inner = dict_of(callee).get("__wrapped__") if is_wrapper else None
    return inner is None or is_quiet_call(inner, module, depth + 1)


def is_quiet(code: CodeType, space: dict[str, Any], module: str, depth: int = 0) -> bool:
    """Tell whether a function of the program leaves nothing behind but its result.

    What a method does to its own object counts as a part of that: the object is marked. The globals
    that it declares count as stand-ins from here on.

    Args:
        code: The function's code.
        space: Its globals.
        module: The module that is missing.
        depth: How many calls deep it is.
    """
    function = sources.definition(code) if depth <= DEPTH_MAX else None
    if function is None:
        return False
    return Body(code, space, function, module, depth).is_quiet()


class Body:
    """The body of a function of the program."""

    def __init__(
        self,
        code: CodeType,
        space: dict[str, Any],
        function: _ast.FunctionDef | _ast.AsyncFunctionDef,
        module: str,
        depth: int,
    ) -> None:
        self.function = function
        self.module = module
        self.depth = depth
        self.owner = id(space)
        self.parameters = {one.arg for one in (*function.args.posonlyargs, *function.args.args)} | {
            one.arg for one in function.args.kwonlyargs
        }
        self.local = {*code.co_varnames, *code.co_cellvars, *code.co_freevars}
        self.space = {name: value for name, value in space.items() if name not in self.local}
        self.fresh = fresh_names(function) - self.parameters
        self.me = ""
        kind = space.get(code.co_qualname.rpartition(".")[0])
        if is_method(code):
            self.me = code.co_varnames[0]
            if is_a(kind, type):
                # By what it calls itself, its methods are found.
                self.space[self.me] = kind
        self.inner = {
            node.name: node
            for one in function.body
            for node in sources.inside(one)
            if isinstance(node, FUNCTIONS)
        }

    def is_quiet(self) -> bool:
        """Tell whether it leaves nothing behind but its result."""
        waiting: list[_ast.AST] = list(self.function.body)
        entered: set[str] = set()
        while waiting:
            node = waiting.pop()
            if not self.allows(node):
                return False
            if isinstance(node, FUNCTIONS):
                waiting += node.decorator_list
                continue
            if isinstance(node, _ast.Return) and isinstance(node.value, _ast.Name):
                continue  # A function that it gives away runs later.
            if isinstance(node, _ast.Name) and node.id in self.inner.keys() - entered:
                entered.add(node.id)
                waiting += self.inner[node.id].body
            waiting += sources.children(node)
        return True

    def allows(self, node: _ast.AST) -> bool:
        """Tell whether a node itself leaves nothing behind."""
        if isinstance(node, _ast.Nonlocal):
            return False
        if isinstance(node, _ast.Global):
            for name in node.names:
                imports.tainted.setdefault((self.owner, name), self.module)
            return True
        if isinstance(node, (_ast.Subscript, _ast.Attribute)):
            if isinstance(node.ctx, _ast.Load) or root_name(node.value) in self.fresh:
                return True
            is_mine = isinstance(node, _ast.Attribute) and isinstance(node.value, _ast.Name)
            return is_mine and root_name(node.value) == self.me
        if isinstance(node, _ast.AugAssign):
            return root_name(node.target) not in self.parameters - {self.me}
        if isinstance(node, _ast.Call):
            return shows(node, self.space) or self.allows_call(node)
        if isinstance(node, _ast.Expr) and isinstance(node.value, _ast.Call):
            return shows(node.value, self.space) or self.allows_effect(node.value)
        return True

    def allows_call(self, call: _ast.Call) -> bool:
        """Tell whether a call leaves nothing behind."""
        func, root = call.func, root_name(call.func)
        callee = resolve(func, self.space)
        if isinstance(func, _ast.Attribute) and func.attr in MUTATORS and root not in self.fresh:
            owner = resolve(func.value, self.space)
            if stood_in(owner) is None and not is_a(owner, ModuleType):
                return False
        if isinstance(func, _ast.Name) and root in self.local and root not in self.inner:
            return False  # A function that it was given.
        return is_quiet_call(callee, self.module, self.depth + 1) and all(
            is_quiet_argument(one, self.space, self.module, self.depth + 1)
            for one in arguments(call)
        )

    def allows_effect(self, call: _ast.Call) -> bool:
        """Tell whether a call that is there for its effect is known to have none that stays."""
        if root_name(call.func) in self.fresh or root_name(call.func) in self.inner:
            return True
        callee = resolve(call.func, self.space)
        if stood_in(callee) is not None or is_of_program(callee):
            return True  # The call itself is looked at.
        if effect(call, self.space) == PROCESS:
            return True  # The main interpreter has done it for all.
        return callee is not None and all(isinstance(one, _ast.Constant) for one in arguments(call))


def is_method(code: CodeType) -> bool:
    """Tell whether a function stands in the body of a class, and takes its object."""
    owner = code.co_qualname.rpartition(".")[0]
    return bool(owner and code.co_argcount) and not owner.endswith("<locals>")


def is_of_program(callee: object) -> bool:
    """Tell whether this is a function or method that the program defines."""
    if is_a(callee, (Bound, MethodType)):
        callee = getattr(callee, "function", None) or getattr(callee, "__func__", None)
    return is_a(callee, FunctionType) and ownership.is_program(callee.__globals__)  # type: ignore[attr-defined]


def is_quiet_argument(node: _ast.expr, space: dict[str, Any], module: str, depth: int = 0) -> bool:
    """Tell whether an argument is no function of the program that leaves something behind."""
    value = resolve(node, space) if isinstance(node, (_ast.Name, _ast.Attribute)) else None
    return not is_of_program(value) or is_quiet_call(value, module, depth)


def fresh_names(function: _ast.FunctionDef | _ast.AsyncFunctionDef) -> set[str]:
    """Return the names of a function that only ever hold what it has made itself."""
    made: set[str] = set()
    other: set[str] = set()
    for node in sources.inside(function):
        if isinstance(node, (_ast.Assign, _ast.AnnAssign)):
            targets = node.targets if isinstance(node, _ast.Assign) else [node.target]
            value = node.value
            is_new = isinstance(value, DISPLAYS) or (
                isinstance(value, _ast.Call)
                and isinstance(value.func, _ast.Name)
                and value.func.id in CONTAINERS
            )
            for target in targets:
                if isinstance(target, _ast.Name):
                    (made if is_new else other).add(target.id)
    declared = {
        name
        for node in sources.inside(function)
        if isinstance(node, (_ast.Global, _ast.Nonlocal))
        for name in node.names
    }
    return made - other - declared
