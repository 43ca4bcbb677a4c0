"""What a value holds, written down as a digest: equal ones are alike in every interpreter.

Nothing of the user's runs for it: only what Python itself has built in is read, by the methods of
these types; of objects of libraries no more than the class. Equal texts have equal hashes in all
interpreters of a process, so hashes are what travels.
"""

from __future__ import annotations

import gc
import sys
from collections import deque
from functools import partial
from itertools import islice
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
from pyreframework.program.anatomy import accessors, content, is_own, unwrap
from pyreframework.program.apps import Enrolled
from pyreframework.program.unasked import (
    body_of,
    dict_of,
    is_a,
    is_exactly,
    kind_of,
    line_of,
    module_of,
    name_of,
    slot_of,
    text_of,
)

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
# The ids of Python's own plain types: to look for a class itself would ask its metaclass.
PLAIN = {
    id(kind)
    for kind in (
        bool, int, float, complex, str, bytes, type(None), type(Ellipsis), type(NotImplemented),
    )
}  # fmt: skip
# Standard modules whose objects do not change, and show all they hold.
SHOWN = ("datetime", "decimal", "fractions", "ipaddress", "pathlib", "re", "uuid", "zoneinfo")
# What some of them are made of: to show these would ask somebody else's object for a text, or fail
# for long numbers, or shorten it.
PARTS = {
    "decimal.Context": ("prec", "rounding", "Emin", "Emax", "capitals", "clamp"),
    "fractions.Fraction": ("_numerator", "_denominator"),
    "re.Pattern": ("pattern", "flags"),
    "zoneinfo.ZoneInfo": ("key",),
}
HOLDING = (tuple, list, dict, set, frozenset)
TIMES = ("datetime.datetime", "datetime.time")
# How deep objects of standard modules are looked into for somebody else's.
SHOWN_DEPTH_MAX = 4


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
        if id(kind) in PLAIN:
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
            # Its full name would ask the class of its owner.
            self.parts.append(f"{value.__name__} {named(kind_of(value.__self__))}")
        elif is_a(value, ModuleType):
            self.parts.append(text_of(dict_of(value).get("__name__")))
        elif is_a(value, type):
            self.put_class(value, depth)
        elif is_a(value, (staticmethod, classmethod)):
            self.put(unwrap(value), depth)
        elif is_a(value, property):
            self.put_all(accessors(value), depth)
        elif kind is partial:
            self.put_all((value.func, value.args, value.keywords), depth)
        elif kind is MappingProxyType:
            self.put_all(tuple(gc.get_referents(value)), depth)
        elif is_shown(kind):
            self.put_shown(value, depth)
        elif is_a(value, Enrolled):
            return
        else:
            self.put_object(value, depth)

    def put_shown(self, value: Any, depth: int) -> None:
        """Write down what an object of a standard module shows, if it asks no other one for it."""
        name = named(type(value))
        if name in PARTS:
            self.put_all(tuple(getattr(value, part) for part in PARTS[name]), depth)
            return
        if name == "datetime.timezone":
            self.put(value.__getinitargs__(), depth)
            return
        if name in TIMES:
            self.put(value.tzinfo, depth)
            value = value.replace(tzinfo=None)
        self.parts.append(repr(value) if is_bare(value) else UNKNOWN)

    def put_function(self, value: FunctionType, depth: int) -> None:
        """Write down which function it is, and of one of the program what it has kept."""
        self.parts.append(text_of(value.__qualname__))
        if not ownership.is_program(value.__globals__):
            self.put(dict_of(value).get("__wrapped__"), depth)
            return
        code = value.__code__
        self.parts.append(f"{code.co_filename.rpartition('/')[2]}:{code.co_firstlineno}")
        cells = [content(cell) for cell in value.__closure__ or ()]
        self.put_all((value.__defaults__, value.__kwdefaults__, *cells, dict_of(value)), depth)

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
            for key, held in tuple(islice(dict.items(value), ITEMS_MAX)):
                self.put(key, depth)
                self.put(held, depth)
        elif is_a(value, (list, tuple, deque)):
            base = next(one for one in (list, tuple, deque) if is_a(value, one))
            self.parts.append(f"{base.__len__(value)}:")
            self.put_all(tuple(islice(base.__iter__(value), ITEMS_MAX)), depth)
        elif is_a(value, (set, frozenset)):
            self.put_set(value, depth)
        elif is_a(value, (str, bytes, bytearray, int, float, complex)):
            self.parts.append(plain(basic(value)))
        elif is_a(value, range):
            self.put_all((value.start, value.stop, value.step), depth)
        else:
            return False
        return True

    def put_set(self, value: Any, depth: int) -> None:
        """Write down what a set holds, in an order that is the same everywhere."""
        base = set if is_a(value, set) else frozenset
        size = base.__len__(value)
        self.parts.append(f"{size}:")
        if size > ITEMS_MAX:
            return
        items = tuple(base.__iter__(value))
        outer, seen = self.parts, dict(self.seen)
        found = []
        for item in items:
            self.parts, self.seen = [], dict(seen) if id(type(item)) not in PLAIN else seen
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


def named(kind: type) -> str:
    """Return by what a class is known in every interpreter."""
    module, name = module_of(kind), name_of(kind)
    return name if module in MAIN_NAMES else f"{module}.{name}"


def is_shown(kind: type) -> bool:
    """Tell whether a class is one of a standard module, of which objects show all they hold."""
    module = module_of(kind)
    if module.partition(".")[0] not in SHOWN:
        return False
    return dict_of(sys.modules.get(module)).get(name_of(kind)) is kind


def is_bare(value: object, depth: int = SHOWN_DEPTH_MAX) -> bool:
    """Tell whether only Python's own objects are in an object: then to show it asks no other."""
    for one in gc.get_referents(value):
        if id(type(one)) in PLAIN or is_a(one, (type, FunctionType, MethodType)):
            continue
        is_known = is_exactly(one, HOLDING) or is_shown(type(one))
        if not is_known or depth == 0 or not is_bare(one, depth - 1):
            return False
    return True


def members(kind: type) -> Iterator[tuple[str, object]]:
    """Yield what is in the body of a class, but for what Python itself puts there."""
    for name, value in list(body_of(kind).items()):
        if is_a(value, MemberDescriptorType) or type(name) is not str:
            continue
        is_dunder = name.startswith("__") and name.endswith("__")
        if not is_dunder or (is_a(unwrap(value), FunctionType) and not name.startswith("__annot")):
            yield name, value


def attributes(owner: Any) -> Iterator[tuple[str, object]]:
    """Yield what an object holds by itself, in its dict and in its slots."""
    yield from [one for one in list(dict_of(owner).items()) if type(one[0]) is str]
    for base in line_of(type(owner)):
        for name, slot in list(body_of(base).items()):
            if is_a(slot, MemberDescriptorType) and type(name) is str and is_own(base):
                yield name, slot_of(slot, owner)
