"""Which stand-ins a handler reaches: the functions, classes and objects it can get at, followed.

From the code of a function its globals are read, with the attributes it names: ``helpers.predict``
leads to that function alone, not to all of ``helpers``. Methods lead to the attributes of their
object that they name. Code of libraries is not followed, as stand-ins are in the program's code
only; what libraries hold of the program (wrapped functions, callbacks, closures) is.

The graph of what leads where is made once for all handlers and walked backwards from the stand-ins.
It has bounds: beyond them nothing is followed, and a use that was not seen raises when it happens.
"""

from __future__ import annotations

import builtins
import gc
import importlib
import sys
import types
from types import (
    BuiltinFunctionType,
    CodeType,
    FrameType,
    FunctionType,
    MethodType,
    ModuleType,
)

from pyreframework.engine import AppTable
from pyreframework.handlers.absent import stood_in
from pyreframework.program import imports, ownership
from pyreframework.program.anatomy import (
    Bound,
    Uses,
    attributes,
    codes,
    content,
    is_own,
    read,
    unwrap,
    unwrapped,
)
from pyreframework.program.apps import Enrolled
from pyreframework.program.unasked import (
    bases_of,
    body_of,
    dict_of,
    in_class,
    is_a,
    kind_of,
    line_of,
    loads_late,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

# All that is followed, and how far through objects of libraries and containers.
NODES_MAX = 200_000
DEPTH_MAX = 8
# How far from the program a function of a library is that it calls, or that a wrapper of it calls.
WRAPPED_DEPTH = 1
ATOMS = (
    str, bytes, int, float, complex, bool, type(None), type(Ellipsis), range, CodeType, FrameType,
    BuiltinFunctionType, Enrolled, AppTable,
)  # fmt: skip

# Builtins that give all globals of the code that names them.
SPACES = ("eval", "exec", "globals")
# What a global is before a lazy import is used (PEP 810); from 3.15 on.
LAZY: type | None = getattr(types, "LazyImportType", None)
# What leads on by its code, however far it is from the handler.
CODED = (Bound, FunctionType, MethodType, type)


class Graph:
    """What leads where, from the roots that `add` was given to the stand-ins.

    Args:
        eager: Import what functions import, to learn whether it is refused.
    """

    def __init__(self, eager: bool) -> None:
        self.eager = eager
        self.numbers: dict[object, int] = {}
        self.kept: list[object] = []
        self.depths: list[int] = []
        self.back: list[list[int]] = []
        self.reasons: dict[int, set[str]] = {}
        self.waiting: list[int] = []
        self.codes: dict[CodeType, Uses] = {}
        self.tried: set[tuple[str, tuple[str, ...]]] = set()
        self.hollow: dict[int, str | None] = {}
        self.loaded: dict[int, str | None] = {}
        self.library: dict[str, str | None] = {}

    def add(self, root: object) -> int:
        """Return the number of something that is called, followed to its end."""
        call: Any = unwrap(in_class(type(root), "__call__"))
        if is_a(call, FunctionType) and is_own(type(root)) and not stood_in(root):
            # Of an object only what calling it leads to, and not all it can do.
            root = Bound(call, root)
        number = self.node(root, 0)
        while self.waiting:
            here = self.waiting.pop()
            value, depth = self.kept[here], self.depths[here]
            if depth > DEPTH_MAX:
                continue
            below = 0 if is_a(value, CODED) else 1 if is_own(type(value)) else depth + 1
            for found in self.successors(here, value):
                if len(self.kept) > NODES_MAX:
                    self.waiting.clear()
                    break
                self.back[self.node(found, below)].append(here)
        return number

    def node(self, value: Any, depth: int) -> int:
        """Return the number of a value, which is followed if it is new, or nearer than before."""
        if is_a(value, Bound):
            key: object = (id(value.function), id(value.owner))
        else:
            key = id(value)
        number = self.numbers.get(key)
        if number is None:
            number = self.numbers[key] = len(self.kept)
            self.kept.append(value)  # Alive, so that no other object gets its id.
            self.depths.append(depth)
            self.back.append([])
            self.waiting.append(number)
        elif depth < self.depths[number]:
            self.depths[number] = depth
            self.waiting.append(number)
        return number

    def spread(self) -> dict[int, set[str]]:
        """Return the modules missing to each node that reaches a stand-in."""
        reached: dict[int, set[str]] = {}
        for start, modules in self.reasons.items():
            waiting, seen = [start], {start}
            while waiting:
                number = waiting.pop()
                reached.setdefault(number, set()).update(modules)
                new = [one for one in self.back[number] if one not in seen]
                seen.update(new)
                waiting += new
        return reached

    def missing(self, number: int, module: str) -> None:
        """Note that a node is, or uses, a stand-in for a module."""
        self.reasons.setdefault(number, set()).add(module)

    def tainted(self, number: int, module: str) -> None:
        """Note that a node reads what got a value in place of a stand-in."""
        self.missing(number, module)

    def successors(self, number: int, value: Any) -> Iterator[object]:
        """Yield what a value leads to."""
        if imports.marked:
            self.check_marked(number, value)
        if id(value) in imports.partly:
            self.tainted(number, imports.partly[id(value)][1])
        if imports.tainted and self.depths[number] <= WRAPPED_DEPTH and gives_modules(value):
            for taken in set(imports.tainted.values()):
                self.tainted(number, taken)
        module = stood_in(value)
        if module is None and imports.hollow and not self.depths[number]:
            from pyreframework.program import lacks, refusals

            module = lacks.missing_to(self, value)
            if module is not None:
                imports.reasons.setdefault(module, refusals.reason_of(module))
        if module is not None:
            self.missing(number, module)
        elif is_a(value, ATOMS):
            return
        elif is_a(value, Bound):
            yield from self.of_function(number, value.function, value.owner)
        elif is_a(value, FunctionType):
            yield from self.of_function(number, value, None)
        elif is_a(value, MethodType):
            if is_a(value.__func__, FunctionType):
                yield Bound(value.__func__, value.__self__)
            else:
                yield from (value.__func__, value.__self__)
        elif is_a(value, ModuleType):
            return
        elif is_a(value, type):
            yield from self.of_class(value)
        else:
            yield from self.of_object(value)

    def of_function(self, number: int, function: FunctionType, owner: object) -> Iterator[object]:
        """Yield what a function leads to: its defaults, what it wraps, and what its code names."""
        yield from function.__defaults__ or ()
        yield from (function.__kwdefaults__ or {}).values()
        yield from dict_of(function).values()
        cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        space = function.__globals__
        if not ownership.is_program(space):
            if self.depths[number] <= WRAPPED_DEPTH:
                self.check_imports(number, function)
            # A wrapper of a library has what it wraps in its closure; a method of a base class may
            # call any other of the object.
            yield from (content(cell) for cell in cells.values())
            if owner is not None:
                yield owner
            return
        names: set[str] = set()
        found: list[object] = []
        for code in codes(function.__code__):
            uses = self.uses(code)
            names |= uses.attributes
            for name, chain in uses.chains:
                self.check_taint(number, space, name)
                if name in SPACES and name not in space:
                    self.check_module(number, space)
                value = self.real(space, name, vars(builtins).get(name))
                found += self.along(number, value, chain, uses)
            for name, chain in uses.cells:
                if name in cells:
                    found += self.along(number, content(cells[name]), chain, uses)
            if uses.imports:
                from pyreframework.program import deferred

                for lazy in uses.imports:
                    found += deferred.imported(self, number, lazy, code, space)
        if "__globals__" in names:
            self.check_module(number, space)
        if owner is not None:
            self.check_attributes(number, owner, names)
            found += attributes(owner, names)
        if imports.without:
            from pyreframework.program import lacks

            lacks.note_texts(self, number, function, found)
        if self.eager:
            for value in found:
                self.check_methods(number, value, names)
        yield from found

    def along(
        self,
        number: int,
        value: Any,
        chain: tuple[str, ...],
        uses: Uses,
        whole: bool = True,
    ) -> Iterator[object]:
        """Yield what attributes in a row lead to: through modules, to a method, or all of it.

        Args:
            number: The node that names them.
            value: What they begin with.
            chain: The names of the attributes.
            uses: What else the code there names.
            whole: A module at the end may be asked for anything, as by `getattr`.
        """
        names = list(chain)
        while is_a(value, ModuleType) and stood_in(value) is None:
            space = self.globals_of(number, value)
            if "pyre_parts" in space:
                missing = space["pyre_parts"]
                if not names:
                    yield from missing.values()
                    return
                if names[0] not in missing:
                    value = space["pyre_whole"]
                    continue
                space = missing
            elif not names or names[0] in ("__dict__", "__getattribute__"):
                if whole:
                    self.check_module(number, space)
                # It goes on under another name: whatever the code names may be meant.
                if ownership.is_program(space):
                    for name in uses.attributes & space.keys():
                        self.check_taint(number, space, name)
                        yield space[name]
                return
            name = names.pop(0)
            self.check_taint(number, space, name)
            if imports.without and name not in space:
                from pyreframework.program import lacks

                lacks.note_loss(self, number, value, name)
            value = self.real(space, name)
        if names and stood_in(value) is None and is_own(kind_of(value)):
            if imports.marked:
                self.check_marked(number, value)
            self.check_attributes(number, value, {names[0]})
            yield from attributes(value, {names[0]})
        else:
            yield value

    def globals_of(self, number: int, module: ModuleType) -> dict[str, Any]:
        """Return the globals of a module; of one that loads when it is used, those it then has.

        Every worker loads it now, as an import that is refused later gets no stand-in.
        """
        if loads_late(module):
            from pyreframework.program import deferred

            deferred.load(self, number, module)
        return dict_of(module)

    def of_class(self, kind: type) -> Iterator[object]:
        """Yield what is in the body of a class of the program, and its bases."""
        if is_own(kind):
            yield from bases_of(kind)
            for value in list(body_of(kind).values()):
                yield from unwrapped(value, kind)

    def of_object(self, value: Any) -> Iterator[object]:
        """Yield what an object holds, and its class."""
        yield type(value)
        if is_a(value, dict) and dict.__contains__(value, "__builtins__"):
            return  # The globals of a module: who names them is followed.
        yield from gc.get_referents(value)

    def real(self, space: dict[str, Any], name: str, otherwise: object = None) -> object:
        """Return a global; of a lazy import what it gives, if that is to be tried."""
        value = space.get(name, otherwise)
        if LAZY is None or type(value) is not LAZY:
            return value
        if not self.eager:
            return None
        shown = repr(value)  # <lazy_import 'package.module'>
        try:
            # The module itself uses the name, which puts what is imported in its place.
            return eval(name, space)  # noqa: S307 - a name
        except (Exception, SystemExit):  # noqa: BLE001 - it will raise again, where it is used
            from pyreframework.program import deferred, substitutes

            missing = deferred.missing_of(shown.split("'")[1:2])
            if missing is None:
                return None
            return substitutes.stand_in(missing)

    def check_taint(self, number: int, space: dict[str, Any], name: str) -> None:
        """Note that a node reads a global which got a value in place of a stand-in."""
        module = imports.tainted.get((id(space), name))
        if module is not None:
            self.tainted(number, module)

    def check_attributes(self, number: int, owner: Any, names: set[str]) -> None:
        """Note that a node reads attributes which got a value in place of a stand-in."""
        if imports.partly:
            for one in (owner, *line_of(kind_of(owner))):
                for name in names if id(one) in imports.partly else ():
                    module = imports.tainted.get((id(one), name))
                    if module is not None:
                        self.tainted(number, module)

    def check_module(self, number: int, space: dict[str, Any]) -> None:
        """Note that a node may read any global of a module, by names that cannot be seen."""
        for (owner, _), module in list(imports.tainted.items()):
            if owner == id(space):
                self.tainted(number, module)
        for value in list(space.values()) if imports.marked or imports.partly else ():
            for held in (imports.marked, imports.partly):
                if id(value) in held:
                    self.tainted(number, held[id(value)][1])

    def check_marked(self, number: int, value: Any) -> None:
        """Note that a node is, or has, an object that got something of such a value."""
        found = [value.function, value.owner] if is_a(value, Bound) else [value]
        found += line_of(kind_of(found[-1]))
        for one in found:
            module = imports.marked.get(id(one))
            if module is not None and module[0] is one:
                self.tainted(number, module[1])

    def check_methods(self, number: int, value: Any, names: set[str]) -> None:
        """Note what a class or object of a library imports in methods, and is refused: `cffi.FFI`.

        Args:
            number: The node that uses it.
            value: What it uses.
            names: All attributes that the code there names, which may be methods.
        """
        if is_a(value, (*ATOMS, FunctionType, ModuleType)) or stood_in(value) is not None:
            return
        if is_a(value, type):
            names = names | {"__init__", "__new__"}
        for name in names:
            method = unwrap(in_class(kind_of(value), name))
            if is_a(method, FunctionType):
                self.check_imports(number, method)

    def check_imports(self, number: int, function: Any) -> None:
        """Note what a function of a library imports when it is called, and is refused.

        Only of what the program calls itself: what a library may call at some time is nearly all of
        it.
        """
        space = function.__globals__
        if self.eager and not ownership.is_program(space) and not ownership.is_ours(space):
            code = function.__code__
            found = self.uses(code).imports
            if found:
                from pyreframework.program import deferred

                for lazy in found:
                    deferred.note_refused(self, number, lazy, code, space)

    def uses(self, code: CodeType) -> Uses:
        """Return what a piece of code names, read once."""
        found = self.codes.get(code)
        if found is None:
            found = self.codes[code] = read(code)
        return found


def gives_modules(value: object) -> bool:
    """Tell whether this gives any module by its name, as a text."""
    return (
        value is sys.modules
        or value is builtins.__import__
        or value is importlib.import_module
        or value is imports.plain_import
        or value is imports.plain_import_module
    )
