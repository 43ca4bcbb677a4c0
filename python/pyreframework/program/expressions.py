"""What expressions and statements of the program stand for, as far as that can be read.

Imported in a worker when a stand-in has given a plain value.
"""

from __future__ import annotations

import _ast
import builtins
import sys
from types import FunctionType, MappingProxyType, MemberDescriptorType, ModuleType

from pyreframework.handlers.absent import stood_in
from pyreframework.program import sources
from pyreframework.program.anatomy import unwrapped
from pyreframework.program.unasked import (
    dict_of,
    in_class,
    is_a,
    kind_of,
    module_of,
    slot_of,
    text_of,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FUNCTIONS = (_ast.FunctionDef, _ast.AsyncFunctionDef)
# The methods by which the containers that Python has built in change.
MUTATORS = {
    name
    for changing, fixed in (
        (list, tuple), (set, frozenset), (dict, MappingProxyType), (bytearray, bytes),
    )
    for name in vars(changing).keys() - vars(fixed).keys()
    if not name.startswith("_") and name not in ("copy", "fromkeys")
}  # fmt: skip
LOGGING = "logging"
STREAMS = ("stdout", "stderr", "__stdout__", "__stderr__")
# The methods of loggers that write a record.
SHOWING = frozenset((
    "critical", "debug", "error", "exception", "fatal", "info", "isEnabledFor", "log", "warn",
    "warning",
))  # fmt: skip


def resolve(node: _ast.AST | None, space: dict[str, Any]) -> Any:
    """Return what names with dots between them stand for, None if that cannot be read."""
    if isinstance(node, _ast.Name):
        return space.get(node.id, vars(builtins).get(node.id))
    if isinstance(node, _ast.Subscript):
        # What changes in a part of an object changes in it.
        return resolve(node.value, space)
    if isinstance(node, _ast.Call):
        # What an operation on a stand-in gives is one.
        made = resolve(node.func, space)
        return made if stood_in(made) is not None else None
    if not isinstance(node, _ast.Attribute):
        return None
    owner = resolve(node.value, space)
    if owner is None:
        return None
    if stood_in(owner) is not None:
        return owner
    if is_a(owner, ModuleType):
        held = dict_of(owner)
        if "pyre_parts" in held:
            held = {**dict_of(held["pyre_whole"]), **held["pyre_parts"]}
        return held.get(node.attr)
    return attribute(owner, node.attr)


def attribute(owner: Any, name: str) -> object:
    """Return what an object has under a name, a method with its owner, without asking it."""
    held = {} if is_a(owner, type) else dict_of(owner)
    if name in held:
        return held[name]
    value = in_class(kind_of(owner), name)
    if is_a(value, MemberDescriptorType):
        return slot_of(value, owner)  # type: ignore[arg-type]
    return next(unwrapped(value, owner), None)


def shows(node: _ast.expr, space: dict[str, Any]) -> bool:
    """Tell whether an expression is a call of ``print``, or of a logger's method."""
    if not isinstance(node, _ast.Call):
        return False
    if isinstance(node.func, _ast.Attribute):
        if node.func.attr not in SHOWING:
            return False  # As `basicConfig`, `setLevel`.
        maker = node.func.value
        if isinstance(maker, _ast.Call):
            # `logging.getLogger("name").info(...)`
            made_by = resolve(maker.func, space)
            return is_a(made_by, FunctionType) and made_by is in_logging("getLogger")
        owner = resolve(maker, space)
        is_module = is_a(owner, ModuleType)
        name = dict_of(owner).get("__name__") if is_module else module_of(type(owner))
        return text_of(name) == LOGGING
    streams = [sources.last_name(one.value) for one in node.keywords if one.arg == "file"]
    return resolve(node.func, space) is print and all(one in STREAMS for one in streams)


def in_logging(name: str) -> object:
    """Return what the module ``logging`` has under a name, None if it is not loaded."""
    return dict_of(sys.modules.get(LOGGING)).get(name)


def is_harmless(node: _ast.stmt, line: int, space: dict[str, Any]) -> bool:
    """Tell whether a statement leaves nothing behind: it shows something, or checks it."""
    if isinstance(node, (_ast.Assert, _ast.Raise)):
        return True
    if isinstance(node, _ast.If):
        return sources.covers(node.test, line) and not node.orelse and sources.gives_up(node.body)
    return isinstance(node, _ast.Expr) and shows(node.value, space)


def is_effect(node: _ast.AST) -> bool:
    """Tell whether a node is a call that is there for its effect."""
    return isinstance(node, _ast.Expr) and isinstance(node.value, _ast.Call)


def arguments(call: _ast.Call) -> list[_ast.expr]:
    """Return the arguments of a call."""
    return [*call.args, *(one.value for one in call.keywords)]


def root_name(node: _ast.AST | None) -> str:
    """Return the name that an expression begins with: ``a`` for ``a.b[0].c``, else nothing."""
    while isinstance(node, (_ast.Subscript, _ast.Attribute, _ast.Call)):
        node = node.func if isinstance(node, _ast.Call) else node.value
    return node.id if isinstance(node, _ast.Name) else ""
