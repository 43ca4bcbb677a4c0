"""Stand-ins: what a worker's program gets in place of a module that does not load in workers.

While the program is loaded a stand-in goes along with everything: it can be a base class, a
decorator, an annotation, a factory, a number. What comes of it is a stand-in again, so it can be
told later which handlers reach one. Once requests are served every use raises `WorkerImportError`.

Where a stand-in has to become a plain value (a truth, a length, a text) the names that the
statement at work assigns are noted in `imports.tainted`: nothing else would show what they depend
on.

State of one interpreter. Imported in a worker when the first module is refused, so that all others
do without it.
"""

from __future__ import annotations

from abc import ABCMeta
from sys import _getframe
from types import ModuleType

from pyreframework.handlers import absent
from pyreframework.handlers.absent import WorkerImportError
from pyreframework.program.anatomy import looks_up, unpacked
from pyreframework.program.ownership import is_program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType, FrameType
    from typing import Any

# Whether requests are served: from then on every use raises.
serving = False
# Whether none is served any more: hooks close what others have made, which may be stand-ins, but
# what else they use does nothing, and that is said; of which it has been.
ending = False
idle: set[str] = set()
# The stand-ins for modules by name: `numpy`, `PIL.Image`.
modules: dict[str, object] = {}
# The routes that a piece of code answers, for messages.
routes: dict[CodeType, list[str]] = {}

ERROR_NAMES = ("Error", "Exception", "Warning")


class StandIn:
    """Something of a module that does not load in workers."""

    __slots__ = (
        "__weakref__", "pyre_base", "pyre_children", "pyre_is_named", "pyre_module", "pyre_name",
    )  # fmt: skip

    if TYPE_CHECKING:  # Annotations of the class would be found on every stand-in.
        pyre_base: type | None
        pyre_children: dict[str, object]
        pyre_is_named: bool
        pyre_module: str
        pyre_name: str

    def __init__(self, module: str, name: str, is_named: bool = False) -> None:
        put = object.__setattr__
        # Whether the module has it under that name, and it is not what an operation has given.
        put(self, "pyre_is_named", is_named)
        put(self, "pyre_module", module)
        put(self, "pyre_name", name)
        put(self, "pyre_children", {})
        put(self, "pyre_base", None)

    def __getattr__(self, name: str) -> object:
        if name in ("__name__", "__qualname__"):
            return self.pyre_name.rpartition(".")[2]
        return child(self, self, name)

    def __setattr__(self, name: str, value: object) -> None:
        use(self, name)
        self.pyre_children[name] = value

    def __delattr__(self, name: str) -> None:
        use(self, name)
        self.pyre_children.pop(name, None)

    def __repr__(self) -> str:
        # Libraries show what they are given in their errors.
        if not serving and is_program(_getframe(1).f_globals):
            taint(self, _getframe(1))
        return shown(self)

    def __hash__(self) -> int:
        if not serving and looks_up(_getframe(1)):
            taint(self, _getframe(1))
        return id(self) >> 4

    def __copy__(self) -> StandIn:
        return self

    def __deepcopy__(self, memo: object) -> StandIn:
        return self

    def __mro_entries__(self, bases: tuple[object, ...]) -> tuple[type]:
        use(self)
        return (base_class(self, bases),)

    def __instancecheck__(self, instance: object) -> bool:
        # What a module makes that is not here cannot be here either; of a stand-in nobody knows.
        if not serving and of(instance) is not None:
            taint(self, _getframe(1))
        return False

    def __subclasscheck__(self, subclass: type) -> bool:
        return False

    def model_dump(self, **_options: object) -> StandIn:
        """Raise when the encoder asks for a result that is a stand-in."""
        return derived(self)

    def __enter__(self) -> StandIn:  # noqa: PYI034 - what it gives is another one
        return derived(self)

    def __exit__(self, *raised: object) -> None:
        use(self)

    def __iter__(self) -> Iterator[object]:
        use(self)
        count = unpacked(_getframe(1))
        if count is None:
            taint(self, _getframe(1))
            return iter(())
        return iter([StandIn(self.pyre_module, self.pyre_name) for _ in range(count)])

    def __bool__(self) -> bool:
        use(self)
        return taint(self, _getframe(1))

    def __contains__(self, item: object) -> bool:
        use(self)
        return taint(self, _getframe(1))

    def __len__(self) -> int:
        use(self)
        return int(taint(self, _getframe(1), truth=False))

    def __int__(self) -> int:
        use(self)
        return int(taint(self, _getframe(1), truth=False))

    __index__ = __int__

    def __float__(self) -> float:
        use(self)
        return float(taint(self, _getframe(1), truth=False))

    def __complex__(self) -> complex:
        use(self)
        return complex(taint(self, _getframe(1), truth=False))

    def __bytes__(self) -> bytes:
        use(self)
        taint(self, _getframe(1))
        return b""

    def __str__(self) -> str:
        # Log lines and tracebacks show stand-ins at any time, so this never raises.
        if not serving:
            taint(self, _getframe(1))
        return shown(self)

    def __format__(self, spec: str) -> str:
        if not serving:
            taint(self, _getframe(1))
        return shown(self)


OPERATIONS = (
    "call", "getitem", "lt", "le", "eq", "ne", "gt", "ge", "add", "sub", "mul", "matmul", "truediv",
    "floordiv", "mod", "divmod", "pow", "lshift", "rshift", "and", "or", "xor", "radd", "rsub",
    "rmul", "rmatmul", "rtruediv", "rfloordiv", "rmod", "rdivmod", "rpow", "rlshift", "rrshift",
    "rand", "ror", "rxor", "neg", "pos", "abs", "invert", "round", "trunc", "floor", "ceil",
    "reversed", "next", "await", "aiter", "anext", "aenter", "aexit",
)  # fmt: skip


def install_operations() -> None:
    """Let every operation on a stand-in give another one."""

    def operation(self: StandIn, *_values: object, **_named: object) -> StandIn:
        return derived(self)

    def change(self: StandIn, *_values: object) -> None:
        use(self)

    for name in OPERATIONS:
        setattr(StandIn, f"__{name}__", operation)
    for name in ("setitem", "delitem"):
        setattr(StandIn, f"__{name}__", change)


install_operations()


class ModuleStandIn(ModuleType):
    """In place of a module that does not load in workers."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)
        # Not in the module's dict, where they would be found without a word while serving.
        self.__dict__["pyre_stand_in"] = StandIn(name, name, is_named=True)

    def __getattr__(self, name: str) -> object:
        stand_in: StandIn = self.__dict__["pyre_stand_in"]
        return child(stand_in, self, name)

    def __setattr__(self, name: str, value: object) -> None:
        if is_dunder(name):
            super().__setattr__(name, value)
        else:
            setattr(self.__dict__["pyre_stand_in"], name, value)

    def __repr__(self) -> str:
        return f"<stand-in for module {self.__name__!r}: {self.__doc__}>"


class StandInClass(ABCMeta):
    """The metaclass of classes that derive from a stand-in; none of them can be used in a worker.

    It derives from ``ABCMeta`` so that such classes can have abstract bases as well.
    """

    if TYPE_CHECKING:
        pyre_stand_in: StandIn

    def __getattr__(cls, name: str) -> object:
        return child(cls.pyre_stand_in, cls, name)

    def __call__(cls, *_values: object, **_named: object) -> StandIn:  # noqa: D102
        use(cls.pyre_stand_in, cls.__qualname__)
        return StandIn(cls.pyre_stand_in.pyre_module, cls.__qualname__)

    def __getitem__(cls, _parameters: object) -> StandIn:
        return StandIn(cls.pyre_stand_in.pyre_module, cls.__qualname__)

    def __instancecheck__(cls, instance: object) -> bool:
        return False

    def __subclasscheck__(cls, subclass: type) -> bool:
        return type.__subclasscheck__(cls, subclass)

    def __setattr__(cls, name: str, value: object) -> None:
        type.__setattr__(cls, name, value)


def take_any(_cls: type, /, **_options: object) -> None:
    """Accept any option behind the bases of a class: ``class Item(BaseModel, frozen=True)``."""


def base_class(stand_in: StandIn, bases: tuple[object, ...]) -> type:
    """Return the class to derive from in place of a stand-in, made with the first that asks."""
    if stand_in.pyre_base is None:
        kinds = tuple(
            dict.fromkeys(
                type(base)
                for base in bases
                if isinstance(base, type) and not issubclass(StandInClass, type(base))
            )
        )
        kinds = tuple(kind for kind in kinds if not issubclass(kind, StandInClass))
        # Bases with a metaclass of their own need one that derives from both.
        metaclass = type("StandInClass", (StandInClass, *kinds), {}) if kinds else StandInClass
        base = new_class(metaclass, stand_in, ())
        object.__setattr__(stand_in, "pyre_base", base)
    made = stand_in.pyre_base
    assert made is not None, "set above"
    return made


def new_class(metaclass: type, stand_in: StandIn, bases: tuple[type, ...]) -> type:
    """Make a class that stands in for one of a module that is missing."""
    name = stand_in.pyre_name.rpartition(".")[2]
    space = {
        "__module__": stand_in.pyre_module,
        "__init_subclass__": classmethod(take_any),
        "pyre_stand_in": stand_in,
    }
    made: type = type.__call__(metaclass, name, bases, space)
    return made


def of_name(name: str) -> object:
    """Return a stand-in for what a module has under a name: ``yaml.CSafeLoader``."""
    module, _, last = name.rpartition(".")
    parent = StandIn(name, module, is_named=True)
    return child(parent, parent, last)


def child(stand_in: StandIn, owner: object, name: str) -> object:
    """Return the attribute ``name`` of a stand-in: the same one each time.

    That is no use yet: ``isinstance(value, numpy.ndarray)`` has an answer without numpy.

    Raises:
        AttributeError: It is a name by which Python asks what an object can do.
    """
    if name.startswith("pyre_") or (is_dunder(name) and name != "__version__"):
        raise AttributeError(f"{owner!r} has no attribute {name!r}", name=name, obj=owner)
    if name in stand_in.pyre_children:
        return stand_in.pyre_children[name]
    full = f"{stand_in.pyre_name}.{name}"
    made: object = StandIn(stand_in.pyre_module, full, stand_in.pyre_is_named)
    if name.endswith(ERROR_NAMES):
        # What is caught has to be a class of exceptions.
        made = new_class(StandInClass, made, (Exception,))  # type: ignore[arg-type]
    stand_in.pyre_children[name] = made
    return made


def is_dunder(name: str) -> bool:
    """Tell whether a name is one of Python's own."""
    return name.startswith("__") and name.endswith("__")


def derived(stand_in: StandIn) -> StandIn:
    """Return what an operation on a stand-in gives: a stand-in of the same module."""
    use(stand_in)
    return StandIn(stand_in.pyre_module, stand_in.pyre_name)


def of(value: Any) -> str | None:
    """Return the module a value stands in for, or None for anything real."""
    kind = type(value)
    if kind is StandIn:
        module: str = value.pyre_module
        return module
    if kind is ModuleStandIn:
        return module_name(value)
    if issubclass(kind, StandInClass):
        return of(value.pyre_stand_in)
    if issubclass(kind, type) or not issubclass(type(kind), StandInClass):
        return None
    return of(kind)


absent.teller = of


def module_name(module: ModuleType) -> str:
    """Return the name of a module, for a stand-in too."""
    name: str = module.__name__
    return name


def use(stand_in: StandIn, name: str = "") -> None:
    """Note that a stand-in is used.

    Raises:
        WorkerImportError: Requests are served.
    """
    if serving:
        what = f"{stand_in.pyre_name}.{name}" if name else stand_in.pyre_name
        raise WorkerImportError(stand_in.pyre_module, what, route_of(_getframe(1)))
    if ending and stand_in.pyre_is_named:
        what = f"{stand_in.pyre_name}.{name}" if name else stand_in.pyre_name
        if what not in idle:
            idle.add(what)
            from pyreframework.logs import records

            records.used_at_end(what, stand_in.pyre_module)


def route_of(frame: FrameType | None) -> str | None:
    """Return the route whose handler is at work in the callers of a frame."""
    found = None
    while frame is not None:
        # The outermost one is the handler; a helper may be a handler too.
        found = routes.get(frame.f_code, found)
        frame = frame.f_back
    return " or ".join(found) if found else None


def taint(stand_in: StandIn, frame: FrameType, truth: bool | None = None) -> bool:
    """Note who gets a plain value in place of a stand-in, and return the truth it should be."""
    from pyreframework.program import taints

    return taints.taint(stand_in.pyre_module, frame, truth)


def shown(stand_in: StandIn) -> str:
    """Return what is printed in place of a stand-in."""
    name, module = stand_in.pyre_name, stand_in.pyre_module
    return f"<stand-in for {name}, as {module} does not load in workers>"
