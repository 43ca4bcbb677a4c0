"""What modules, classes and objects hold, read without asking them.

To ask one for an attribute may run anything: ``__getattribute__``, a property, the code of a module
that loads when it is used. ``isinstance`` asks an object for its ``__class__``, and to compare
classes asks their metaclasses. What that runs may raise, or have effects at a time when nobody
expects any.

Imported in every worker, so it imports nothing.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import GetSetDescriptorType, MappingProxyType, MemberDescriptorType
    from typing import Any

# How Python itself reads what classes have, whatever their metaclasses say.
BODY: GetSetDescriptorType = type.__dict__["__dict__"]
LINE: GetSetDescriptorType = type.__dict__["__mro__"]
BASES: GetSetDescriptorType = type.__dict__["__bases__"]
NAME: GetSetDescriptorType = type.__dict__["__qualname__"]
MODULE: GetSetDescriptorType = type.__dict__["__module__"]
# The class of most modules.
PLAIN = type(sys)
# What Python itself reads by, in place of a function of somebody.
READERS = (type(BODY), type(BODY.__get__(PLAIN)["__dict__"]))


def is_a(value: object, kind: type | tuple[type, ...]) -> bool:
    """Do what ``isinstance`` does, without asking the object: proxies may raise when asked."""
    return issubclass(type(value), kind)


def is_exactly(value: object, kinds: Iterable[type]) -> bool:
    """Tell whether an object is of one of these classes itself; ``in`` would ask a metaclass."""
    kind = type(value)
    return any(kind is one for one in kinds)


def kind_of(value: Any) -> type[Any]:
    """Return a class itself, and the class of anything else."""
    return value if is_a(value, type) else type(value)


def body_of(kind: type) -> MappingProxyType[str, Any]:
    """Return what is in the body of a class."""
    found: MappingProxyType[str, Any] = BODY.__get__(kind)
    return found


def line_of(kind: type) -> tuple[type, ...]:
    """Return a class and all it derives from."""
    found: tuple[type, ...] = LINE.__get__(kind)
    return found


def bases_of(kind: type) -> tuple[type, ...]:
    """Return what a class derives from at once."""
    found: tuple[type, ...] = BASES.__get__(kind)
    return found


def in_class(kind: type, name: str) -> object:
    """Return what a class, or one that it derives from, has under a name; None if nothing."""
    return next((body_of(one)[name] for one in line_of(kind) if name in body_of(one)), None)


def module_of(kind: type) -> str:
    """Return the name of the module of a class."""
    try:
        return text_of(MODULE.__get__(kind))
    except AttributeError:
        return ""  # It has been removed from the class.


def name_of(kind: type) -> str:
    """Return the name of a class, with those of what it is in."""
    return text_of(NAME.__get__(kind))


def dict_of(owner: object) -> dict[str, Any]:
    """Return what a module or an object itself holds, nothing if it has no place for that.

    A module that loads when it is used, as one of ``importlib.util.LazyLoader``, holds what it
    does before that. A ``__dict__`` that a class computes is left out.
    """
    for kind in line_of(type(owner)):
        reader = body_of(kind).get("__dict__")
        if is_exactly(reader, READERS):
            try:
                held = reader.__get__(owner)  # type: ignore[union-attr]
            except (AttributeError, TypeError):
                return {}
            if type(held) is dict:
                return held
            return dict(dict.items(held)) if is_a(held, dict) else {}
    return {}


def loads_late(module: object) -> bool:
    """Tell whether a module does something of its own when it is asked for what it holds."""
    kind = type(module)
    return kind is not PLAIN and any(
        in_class(kind, name) is not in_class(PLAIN, name)
        for name in ("__getattribute__", "__dict__")
    )


def slot_of(slot: MemberDescriptorType, owner: object) -> object:
    """Return what an object holds in a slot, None if nothing or if it is not of that class."""
    try:
        held: object = slot.__get__(owner)
    except (AttributeError, TypeError):
        return None
    return held


def text_of(value: Any) -> str:
    """Return a text as one of Python's own, also that of a subclass; empty if it is none."""
    if type(value) is str:
        return value
    return str.__str__(value) if is_a(value, str) else ""
