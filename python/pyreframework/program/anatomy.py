"""What is inside of code and objects, read without asking them.

Code is read from its instructions, which change with the version of CPython; objects by what they
and their classes hold, as to ask for an attribute may run anything. Imported in the first worker,
and in those where a module was refused.
"""

from __future__ import annotations

import sys
from types import CodeType, FunctionType, MemberDescriptorType, ModuleType

from pyreframework.program import ownership
from pyreframework.program.unasked import body_of, dict_of, is_a, kind_of, line_of, slot_of, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from opcode import opmap
    from types import CellType, FrameType
    from typing import Any
else:
    # Where `opcode` has it from, without the tables that this makes of it.
    from _opcode_metadata import opmap

CACHE = opmap["CACHE"]
EXTENDED, GLOBAL, NAME = opmap["EXTENDED_ARG"], opmap["LOAD_GLOBAL"], opmap["LOAD_NAME"]
ATTR, DEREF, CONST = opmap["LOAD_ATTR"], opmap["LOAD_DEREF"], opmap["LOAD_CONST"]
IMPORT = opmap["IMPORT_NAME"]
# From 3.14 on small numbers have an instruction of their own.
SMALL = opmap.get("LOAD_SMALL_INT", -1)
SUPER_ATTR = opmap["LOAD_SUPER_ATTR"]
# What code does that asks a stand-in.
CONTAINS, CALL = "CONTAINS_OP", "CALL"
UNPACK_SEQUENCE, UNPACK_EX, EXTENDED_ARG = "UNPACK_SEQUENCE", "UNPACK_EX", "EXTENDED_ARG"


def import_shift() -> int:
    """Return how many bits of the argument of ``IMPORT_NAME`` are below the index of the name.

    From 3.15 on there are some, which say whether the import is lazy (PEP 810).
    """
    probe = compile("a = 1\nimport b", "", "exec")  # The name has index 1.
    raw = probe.co_code
    places = range(0, len(raw), 2)
    return next(raw[place + 1] for place in places if raw[place] == IMPORT).bit_length() - 1


IMPORT_SHIFT = import_shift()


class Lazy:
    """An import inside of a function."""

    __slots__ = ("items", "level", "line", "name")

    def __init__(self, name: str, level: int, items: list[str], line: int) -> None:
        self.name = name
        self.level = level
        self.items = items
        self.line = line


class Uses:
    """What a piece of code names: globals and closures with attributes behind them, and imports."""

    __slots__ = ("attributes", "cells", "chains", "imports")

    def __init__(self) -> None:
        self.chains: list[tuple[str, tuple[str, ...]]] = []
        self.cells: list[tuple[str, tuple[str, ...]]] = []
        self.attributes: set[str] = set()
        self.imports: list[Lazy] = []


def read(code: CodeType) -> Uses:
    """Read from its instructions what a piece of code names."""
    uses = Uses()
    steps = list(instructions(code))
    cells = tuple(name for name in code.co_cellvars if name not in code.co_varnames)
    places = code.co_varnames + cells + code.co_freevars
    lines = list(code.co_lines())
    index = 0
    while index < len(steps):
        place, operation, argument = steps[index]
        index += 1
        if operation == IMPORT:
            level, items = (constant(code, steps[index - back]) for back in (3, 2))
            line = next((line for first, last, line in lines if first <= place < last), None)
            uses.imports.append(
                Lazy(
                    code.co_names[argument >> IMPORT_SHIFT],
                    level if isinstance(level, int) else 0,
                    list(items) if isinstance(items, tuple) else [],
                    line or code.co_firstlineno,
                )
            )
        elif operation == ATTR:
            uses.attributes.add(code.co_names[argument >> 1])
        elif operation == SUPER_ATTR:
            uses.attributes.add(code.co_names[argument >> 2])
        elif operation in (GLOBAL, NAME, DEREF):
            first = index
            while index < len(steps) and steps[index][1] == ATTR:
                index += 1
            chain = tuple(code.co_names[step[2] >> 1] for step in steps[first:index])
            uses.attributes.update(chain)
            if operation == DEREF:
                uses.cells.append((places[argument], chain))
            else:
                name = code.co_names[argument >> 1 if operation == GLOBAL else argument]
                uses.chains.append((name, chain))
    return uses


def instructions(code: CodeType) -> Iterator[tuple[int, int, int]]:
    """Yield place, operation and whole argument of each instruction, without the caches."""
    raw = code.co_code
    high = 0
    for place in range(0, len(raw), 2):
        operation, argument = raw[place], raw[place + 1] | high
        if operation == EXTENDED:
            high = argument << 8
        elif operation != CACHE:
            high = 0
            yield place, operation, argument


def constant(code: CodeType, step: tuple[int, int, int]) -> object:
    """Return the constant that an instruction loads, or None."""
    _, operation, argument = step
    if operation == CONST:
        return code.co_consts[argument]
    return argument if operation == SMALL else None


def codes(code: CodeType) -> Iterator[CodeType]:
    """Yield a piece of code and those inside of it: functions, comprehensions, class bodies."""
    yield code
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield from codes(one)


def words(values: tuple[object, ...], but: str | None) -> set[str]:
    """Return the words in the texts among some values, and in tuples of them.

    Args:
        values: What to read.
        but: A text that is not meant, as it only explains.
    """
    found = set()
    for value in values:
        if is_a(value, tuple):
            found |= words(value, but)  # type: ignore[arg-type]
        elif type(value) is str and value != but:
            text = "".join(one if one.isalnum() or one == "_" else " " for one in value)
            found.update(text.split())
    return found


class Bound:
    """A function as the method of an object or class."""

    __slots__ = ("function", "owner")

    def __init__(self, function: FunctionType, owner: object) -> None:
        self.function = function
        self.owner = owner


def is_own(kind: type) -> bool:
    """Tell whether a class is defined by the program."""
    return ownership.is_program(dict_of(sys.modules.get(text_of(body_of(kind).get("__module__")))))


def attributes(owner: object, names: set[str]) -> Iterator[object]:
    """Yield what an object or class has under some names, methods with their owner."""
    kind = kind_of(owner)
    held = {} if owner is kind else dict_of(owner)
    for name in names | {"__getattr__", "__getattribute__"}:
        if name in held:
            yield held[name]
            continue
        base = next((base for base in line_of(kind) if name in body_of(base)), object)
        value: Any = body_of(base).get(name)
        if is_a(value, MemberDescriptorType) and owner is not kind:
            value = slot_of(value, owner)
        if base is not object:
            yield from unwrapped(value, owner)


def unwrapped(value: Any, owner: object) -> Iterator[object]:
    """Yield the functions behind what stands in the body of a class."""
    value = unwrap(value)
    if is_a(value, property):
        for function in accessors(value):
            yield bound(function, owner)
    else:
        yield bound(value, owner)


def unwrap(value: Any) -> object:
    """Return the function that a static or class method is made of, anything else as it is."""
    for kind in (staticmethod, classmethod):
        if is_a(value, kind):
            return body_of(kind)["__func__"].__get__(value)
    return value


def accessors(value: property) -> tuple[object, ...]:
    """Return the functions that a property is made of."""
    return tuple(body_of(property)[name].__get__(value) for name in ("fget", "fset", "fdel"))


def package_of(value: Any) -> str:
    """Return the package that defines a function, a class, the class of an object, or a module."""
    if is_a(value, FunctionType):
        name = value.__globals__.get("__name__")
    elif is_a(value, ModuleType):
        name = dict_of(value).get("__name__")
    else:
        name = body_of(kind_of(value)).get("__module__")
    return text_of(name).partition(".")[0]


def bound(function: Any, owner: object) -> object:
    """Return a function as the method of its owner, and anything else as it is."""
    return Bound(function, owner) if is_a(function, FunctionType) else function


def content(cell: CellType) -> object:
    """Return what a closure holds, None if nothing yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


def looks_up(frame: FrameType) -> bool:
    """Tell whether the program asks, where a frame is, if a set or a table has something.

    A set finds no stand-in among numbers, and says so without asking for more than its hash.
    """
    from opcode import opname

    if not ownership.is_program(frame.f_globals):
        return False
    operation = opname[frame.f_code.co_code[frame.f_lasti]]
    return operation == CONTAINS or (
        operation.startswith(CALL) and frame.f_code.co_name == "<module>"
    )


def unpacked(frame: FrameType) -> int | None:
    """Return how many values the frame wants, if it is unpacking: ``a, b = stand_in``."""
    from opcode import opname

    code, place = frame.f_code.co_code, frame.f_lasti
    operation, count = opname[code[place]], code[place + 1]
    if operation == UNPACK_SEQUENCE:
        return count
    if operation == UNPACK_EX:
        # `a, *b, c`: how many come before the star, and in the byte before how many behind it.
        behind = code[place - 1] if opname[code[place - 2]] == EXTENDED_ARG else 0
        return count + behind
    return None
