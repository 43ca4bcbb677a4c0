"""What a value holds, written down as a digest: equal ones are alike in every interpreter.

Nothing of the user's runs for it: only what Python itself has built in is read, by the methods of
these types; of objects of libraries no more than the class. Equal texts have equal hashes in all
interpreters of a process, so hashes are what travels.
"""

from __future__ import annotations

import gc
from collections import deque
from functools import partial
from types import (
    BuiltinFunctionType,
    FunctionType,
    MappingProxyType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
    SimpleNamespace,
)

from pyreframework.handlers.absent import stood_in
from pyreframework.program import ownership
from pyreframework.program.anatomy import (
    body_of,
    content,
    dict_of,
    is_a,
    is_own,
    line_of,
    slot_of,
    unwrap,
)
from pyreframework.program.apps import Enrolled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

# All values that are read, those of one container, and how deep: what is beyond is not compared.
VALUES_MAX = 50_000
ITEMS_MAX = 5_000
DEPTH_MAX = 12
MAIN_NAMES = ("__main__", "__mp_main__")
UNKNOWN = "?"
# The numbers of Python, and how to read those of subclasses.
PLAIN = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis), type(NotImplemented))
# Standard modules whose objects do not change, and show all they hold.
SHOWN = ("datetime", "decimal", "fractions", "ipaddress", "pathlib", "re", "uuid", "zoneinfo")


class ExhaustedError(Exception):
    """More values were found than are read."""


class Entry:
    """What one name of the program holds."""

    __slots__ = ("attribute", "digest", "holder", "inside", "name", "opaque", "stands", "value")

    @property
    def is_registered(self) -> bool:
        """Whether this is a handler or a hook, and not a global."""
        return not self.name.isidentifier()

    def __init__(self, holder: object, name: str, attribute: str, value: object) -> None:
        # The globals of a module, or the object or class that has the attribute.
        self.holder = holder
        self.name = name
        self.attribute = attribute
        self.value = value
        self.digest = UNKNOWN
        # The ids of all objects in it that may change.
        self.inside: set[int] = set()
        # Whether there is a stand-in in it, by which who reaches it moves anyway.
        self.stands = False
        # Whether it is of a library, and not read.
        self.opaque = False


class Reader:
    """Reads values, up to a number of them."""

    def __init__(self) -> None:
        self.left = VALUES_MAX
        self.parts: list[str] = []
        self.seen: dict[int, int] = {}
        self.kept: list[object] = []
        self.entry = Entry(None, "", "", None)

    def read(self, entry: Entry, values: list[object]) -> None:
        """Fill in what an entry holds."""
        self.entry, self.parts, self.seen = entry, [], {}
        try:
            for value in values:
                self.put(value, 0)
        except ExhaustedError:
            return
        entry.digest = f"{hash(''.join(self.parts)) & 0xFFFF_FFFF_FFFF_FFFF:x}"

    def put(self, value: Any, depth: int) -> None:
        """Write down a value."""
        self.left -= 1
        if self.left < 0:
            raise ExhaustedError
        kind = type(value)
        if kind in PLAIN:
            self.parts.append(plain(value))
            return
        if stood_in(value) is not None:
            self.entry.stands = True
            self.parts.append(UNKNOWN)
            return
        if id(value) in self.seen:
            self.parts.append(f"#{self.seen[id(value)]}")
            return
        self.seen[id(value)] = len(self.seen)
        self.kept.append(value)  # Alive, so that no other object gets its id.
        self.entry.inside.add(id(value))
        self.parts.append(f"{named(kind)}(")
        if depth > DEPTH_MAX:
            self.parts.append("...")
        else:
            self.put_inside(value, depth + 1)
        self.parts.append(")")

    def put_inside(self, value: Any, depth: int) -> None:
        """Write down what is in an object."""
        kind = type(value)
        if is_a(value, FunctionType):
            self.put_function(value, depth)
        elif is_a(value, MethodType):
            self.put_all((value.__func__, value.__self__), depth)
        elif is_a(value, BuiltinFunctionType):
            self.parts.append(value.__qualname__)
        elif is_a(value, ModuleType):
            self.parts.append(str(vars(value).get("__name__")))
        elif is_a(value, type):
            self.put_class(value, depth)
        elif is_a(value, (staticmethod, classmethod)):
            self.put(value.__func__, depth)
        elif is_a(value, property):
            self.put_all((value.fget, value.fset, value.fdel), depth)
        elif kind is partial:
            self.put_all((value.func, value.args, value.keywords), depth)
        elif kind is MappingProxyType:
            self.put_all(tuple(gc.get_referents(value)), depth)
        elif module_of(kind).partition(".")[0] in SHOWN and not is_own(kind):
            self.parts.append(repr(value))
        elif is_a(value, Enrolled):
            return
        else:
            self.put_object(value, depth)

    def put_function(self, value: FunctionType, depth: int) -> None:
        """Write down which function it is, and of one of the program what it has kept."""
        self.parts.append(value.__qualname__)
        if not ownership.is_program(value.__globals__):
            self.put(vars(value).get("__wrapped__"), depth)
            return
        code = value.__code__
        self.parts.append(f"{code.co_filename.rpartition('/')[2]}:{code.co_firstlineno}")
        cells = [content(cell) for cell in value.__closure__ or ()]
        self.put_all((value.__defaults__, value.__kwdefaults__, *cells, vars(value)), depth)

    def put_class(self, kind: type, depth: int) -> None:
        """Write down which class it is, and of one of the program what is in its body."""
        self.parts.append(named(kind))
        if is_own(kind):
            for name, value in members(kind):
                self.parts.append(f"{name}=")
                self.put(value, depth)

    def put_object(self, value: Any, depth: int) -> None:
        """Write down what a container holds, and what an object of the program does."""
        known = self.put_base(value, depth)
        kind = type(value)
        if is_own(kind) or kind is SimpleNamespace:
            for name, held in attributes(value):
                self.parts.append(f"{name}=")
                self.put(held, depth)
        elif not known:
            wrapped = dict_of(value).get("__wrapped__")
            if wrapped is not None:
                self.put(wrapped, depth)
            elif depth == 1:
                self.entry.opaque = True

    def put_base(self, value: Any, depth: int) -> bool:
        """Write down what an object holds as a container or a number that it derives from."""
        if is_a(value, dict):
            self.parts.append(f"{dict.__len__(value)}:")
            for index, (key, held) in enumerate(list(dict.items(value))):
                if index == ITEMS_MAX:
                    break
                self.put(key, depth)
                self.put(held, depth)
        elif is_a(value, (list, tuple, deque)):
            base = next(one for one in (list, tuple, deque) if is_a(value, one))
            self.parts.append(f"{base.__len__(value)}:")
            self.put_all(tuple(base.__iter__(value))[:ITEMS_MAX], depth)
        elif is_a(value, (set, frozenset)):
            self.put_set(value, depth)
        elif is_a(value, (str, bytes, bytearray, int, float, complex)):
            self.parts.append(plain(basic(value)))
        elif is_a(value, range):
            self.parts.append(repr(value))
        else:
            return False
        return True

    def put_set(self, value: Any, depth: int) -> None:
        """Write down what a set holds, in an order that is the same everywhere."""
        base = set if is_a(value, set) else frozenset
        items = list(base.__iter__(value))
        self.parts.append(f"{len(items)}:")
        if len(items) > ITEMS_MAX:
            return
        outer, seen = self.parts, dict(self.seen)
        found = []
        for item in items:
            self.parts, self.seen = [], dict(seen) if type(item) not in PLAIN else seen
            self.put(item, depth)
            found.append("".join(self.parts))
        self.parts, self.seen = outer, seen
        self.parts += sorted(found)

    def put_all(self, values: tuple[object, ...], depth: int) -> None:
        """Write down values in a row."""
        for value in values:
            self.put(value, depth)


def plain(value: Any) -> str:
    """Return a text for a plain value, which equal ones have in every interpreter."""
    kind = type(value)
    if kind is str:
        # The program itself has two names.
        return "s" + ("__main__" if value in MAIN_NAMES else f"{len(value)}:{hash(value):x}") + ";"
    if kind is bytes:
        return f"b{len(value)}:{hash(value):x};"
    if kind is int:
        return f"i{value:x};"  # As decimals long ones would be refused.
    return f"{kind.__name__} {value!r};"


def basic(value: Any) -> object:
    """Return the plain value that an object of a subclass is, without asking it."""
    if is_a(value, str):
        return str.__str__(value)
    if is_a(value, (bytes, bytearray)):
        base = bytes if is_a(value, bytes) else bytearray
        return bytes(base.__getitem__(value, slice(None)))
    if is_a(value, int):
        return int.__int__(value)
    return float.__float__(value) if is_a(value, float) else complex.__complex__(value)


def module_of(kind: type) -> str:
    """Return the name of the module of a class, without asking its metaclass."""
    module = type.__dict__["__module__"].__get__(kind)
    return module if type(module) is str else ""


def named(kind: type) -> str:
    """Return by what a class is known in every interpreter."""
    module = module_of(kind)
    name: str = type.__dict__["__qualname__"].__get__(kind)
    return name if module in MAIN_NAMES else f"{module}.{name}"


def members(kind: type) -> Iterator[tuple[str, object]]:
    """Yield what is in the body of a class, but for what Python itself puts there."""
    for name, value in list(body_of(kind).items()):
        is_dunder = name.startswith("__") and name.endswith("__")
        if is_a(value, MemberDescriptorType) or type(name) is not str:
            continue
        if not is_dunder or (is_a(unwrap(value), FunctionType) and not name.startswith("__annot")):
            yield name, value


def attributes(owner: Any) -> Iterator[tuple[str, object]]:
    """Yield what an object holds by itself, in its dict and in its slots."""
    yield from [one for one in list(dict_of(owner).items()) if type(one[0]) is str]
    for base in line_of(type(owner)):
        for name, slot in list(body_of(base).items()):
            if is_a(slot, MemberDescriptorType) and is_own(base):
                yield name, slot_of(slot, owner)
