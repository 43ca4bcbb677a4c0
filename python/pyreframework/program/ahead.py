"""Leaves statements out before anything of them is done.

``with open(file, "w") as file: json.dump(len(data), file)`` asks the stand-in when the file has
been emptied already, and a plain value that a global holds does not show that it is wrong. So from
the first stand-in on each statement at the top level of the program's modules is looked at before
it runs.

Imported in a worker when it has its first stand-in.
"""

from __future__ import annotations

import _ast
import sys
from types import ModuleType

from pyreframework.handlers.absent import stood_in
from pyreframework.program import imports, ownership, sources
from pyreframework.program.acting import acting_with, bound_in, concerns_app, is_value, reached
from pyreframework.program.effects import (
    DEFINITIONS,
    DEPTH_MAX,
    NOTHING,
    known,
    of_store,
    overwrites,
)
from pyreframework.program.expressions import resolve
from pyreframework.program.statements import is_for_main
from pyreframework.program.taints import Withheld
from pyreframework.program.unasked import dict_of, is_a

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, FrameType
    from typing import Any

# Numbers of tools that nobody has a claim to, unlike debuggers and the like.
TOOLS = (3, 4)
tool: int | None = None
# The statements at the top level of files, by each line that they are on, and the ids of those that
# have been looked at.
lines: dict[str, dict[int, list[_ast.stmt]]] = {}
seen: set[int] = set()
# Globals made of those that hold a plain value out of a stand-in, as in `imports.tainted`.
doubtful: dict[tuple[int, str], str] = {}
# Where globals come from that have been imported by name: the module, and the name or a star.
borrowed: dict[tuple[int, str], tuple[str, str]] = {}


def watch(code: CodeType) -> None:
    """Look at the statements of a module's code before they run, from the next one on."""
    global tool
    monitoring = sys.monitoring
    if tool is None:
        tool = next((one for one in TOOLS if monitoring.get_tool(one) is None), None)
        if tool is None:
            return
        monitoring.use_tool_id(tool, ownership.PACKAGE)
        monitoring.register_callback(tool, monitoring.events.LINE, at_line)
    monitoring.set_local_events(tool, code, monitoring.events.LINE)


def watch_callers(frame: FrameType | None) -> None:
    """Look at the statements of all modules of the program that are being loaded."""
    while frame is not None:
        if frame.f_code.co_name == "<module>" and ownership.is_program(frame.f_globals):
            watch(frame.f_code)
        frame = frame.f_back


def end() -> None:
    """Look at no further statements."""
    global tool
    if tool is not None:
        sys.monitoring.register_callback(tool, sys.monitoring.events.LINE, None)
        sys.monitoring.free_tool_id(tool)
        tool = None
    lines.clear()
    seen.clear()
    known.clear()
    doubtful.clear()
    borrowed.clear()


def at_line(code: CodeType, line: int) -> object:
    """Look at the statement that begins on a line.

    Raises:
        Withheld: It is not to be run.
    """
    file, space = code.co_filename, sys._getframe(1).f_globals  # noqa: SLF001
    if file not in lines:
        lines[file] = {}
        whole = sources.tree(file)
        for node in () if whole is None else sources.inside(whole):
            # Also those that have run, or are at work: it is in them that stand-ins come.
            if isinstance(node, _ast.ImportFrom):
                borrow(node, space)
        for statement in getattr(whole, "body", ()):
            for number in range(sources.first_line(statement), (statement.end_lineno or 0) + 1):
                lines[file].setdefault(number, []).append(statement)
    for statement in lines[file].get(line, ()):
        if id(statement) not in seen:
            seen.add(id(statement))
            look_at(statement, space)
    return sys.monitoring.DISABLE


def look_at(statement: _ast.stmt, space: dict[str, Any]) -> None:
    """Raise if a statement would act with a plain value, and note what gets one.

    Raises:
        Withheld: It would.
    """
    if isinstance(statement, (*DEFINITIONS, _ast.Import, _ast.ImportFrom)):
        return
    if concerns_app(statement, space) or is_for_main(statement):
        return
    missing: set[str] = set()
    empties = False
    for body, here, owner in reached([statement], space, id(space)):
        names = doubted_in(body, here, owner)
        if names and acting_with(set(names), body, here) is not None:
            raise Withheld(min(names.values()))
        missing.update(names.values())
        for one in body:
            for node in sources.inside(one):
                if isinstance(node, _ast.Call):
                    empties = empties or overwrites(node, here)
                elif isinstance(node, _ast.Name):
                    module = stood_in(here.get(node.id))
                    missing.update(() if module is None else [module])
        if here is space and names:
            for name in bound_in(statement):
                doubtful[id(space), name] = min(names.values())
    if empties and missing:
        raise Withheld(min(missing))
    if isinstance(statement, _ast.Assign):
        # A library would hand it to whoever asks.
        given = resolve(statement.value, space)
        for target in statement.targets:
            if (
                is_value(given)
                and isinstance(target, (_ast.Attribute, _ast.Subscript))
                and of_store(target, space) != NOTHING
            ):
                raise Withheld(stood_in(given) or "")


def borrow(statement: _ast.ImportFrom, space: dict[str, Any]) -> None:
    """Note where ``from module import name`` has its names from."""
    try:
        full = imports.absolute(statement.module or "", space, statement.level).rstrip(".")
    except (AttributeError, KeyError):
        return
    for alias in statement.names:
        borrowed[id(space), alias.asname or alias.name] = (full, alias.name)


def doubted_in(body: list[_ast.stmt], space: dict[str, Any], owner: int) -> dict[str, str]:
    """Return the names in some statements that lead to plain values out of stand-ins, and of what.

    A name that a module of the program is known by counts where it is asked for such a value.

    Args:
        body: The statements.
        space: What the names in them stand for.
        owner: The id of the globals.
    """
    found: dict[str, str] = {}
    for node in (one for statement in body for one in sources.inside(statement)):
        name, module = "", None
        if isinstance(node, _ast.Name) and node.id in space:
            name, module = node.id, doubt(owner, node.id)
        elif isinstance(node, _ast.Attribute) and isinstance(node.value, _ast.Name):
            name, held = node.value.id, space.get(node.value.id)
            if is_a(held, ModuleType) and stood_in(held) is None:
                module = doubt(id(dict_of(held)), node.attr)
        if module is not None:
            found[name] = module
    return found


def doubt(owner: int, name: str) -> str | None:
    """Return the module that is missing to a global, None if it is none that got a plain value."""
    for _ in range(DEPTH_MAX):
        module = imports.tainted.get((owner, name)) or doubtful.get((owner, name))
        if module is not None:
            return module
        full, there = borrowed.get((owner, name)) or borrowed.get((owner, "*")) or ("", "")
        if not full:
            return None
        owner, name = id(dict_of(sys.modules.get(full))), name if there == "*" else there
    return None
