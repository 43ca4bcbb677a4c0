"""Which stand-ins a handler is found to reach."""

from __future__ import annotations

import contextlib
import dis
import functools
import importlib
import inspect
import operator
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from pyreframework import Pyre
from pyreframework.program import anatomy, imports, moves
from pyreframework.program.reach import Graph
from pyreframework.program.standins import ModuleStandIn
from pyreframework.program.substitutes import PartialModule

np: Any = ModuleStandIn("numpy", "refused")
pd: Any = ModuleStandIn("pandas", "refused")
from_numpy = np.zeros
table = np.zeros(3)
rows = 0
helpers: Any = types.ModuleType("helpers")
library: Any = types.ModuleType("library")
pillow: Any = PartialModule(types.ModuleType("PIL"), {"Image": ModuleStandIn("PIL.Image", "no")})
app = Pyre()


class Item(np.BaseModel):
    pass


class Child(Item):
    pass


def uses(value: object) -> object:
    return np.asarray(value)


def plain(value: object) -> object:
    return [value]


class Service:
    factor = 2

    def __init__(self) -> None:
        self.weights = np.ones(3)
        self.name = "service"

    def predict(self) -> object:
        return self.helper()

    def helper(self) -> object:
        return np.zeros(self.factor)

    def held(self) -> object:
        return self.weights

    def index(self) -> str:
        return self.name

    @staticmethod
    def static() -> object:
        return np.a

    @classmethod
    def by_class(cls) -> object:
        return cls.static()

    @property
    def computed(self) -> object:
        return np.a

    @functools.cached_property
    def cached(self) -> object:
        return np.a

    def reads(self) -> object:
        return self.computed

    def reads_cached(self) -> object:
        return self.cached


class Caller:
    def __call__(self) -> object:
        return np.a


class Quiet:
    def __call__(self) -> object:
        return 1

    def other(self) -> object:
        return np.a


class Slotted:
    __slots__ = ("empty", "name", "weights")

    def __init__(self) -> None:
        self.weights = np.ones(3)
        self.name = "slotted"

    def held(self) -> object:
        return self.weights

    def index(self) -> object:
        return self.name, self.empty


class Linked:
    def __init__(self, to: object) -> None:
        self.to = to


class Proxy:
    """As those for what belongs to a request: outside of one it answers no question."""

    @property
    def __class__(self) -> type:
        raise RuntimeError("working outside of a request")

    def __getattr__(self, name: str) -> object:
        raise RuntimeError("working outside of a request")


class Point(NamedTuple):
    x: int
    y: object


service = Service()
slotted = Slotted()
proxy = Proxy()
registry = {"a": [plain, uses]}
points = [Point(1, 2), Point(3, table)]


def wrapped(function: Callable[..., object]) -> Callable[..., object]:
    @functools.wraps(function)
    def inner(*values: object) -> object:
        return function(*values)

    return inner


def closed(value: object) -> Callable[[], object]:
    return lambda: value


def nested() -> object:
    def deeper() -> object:
        return [np.a for _ in range(3)]

    return deeper()


def importing() -> object:
    import missing.part

    return missing.part


def importing_from() -> object:
    from missing import part

    return part


def importing_relative() -> object:
    from .missing_here import part  # type: ignore[import-not-found]

    return part


def importing_or_not() -> object:
    try:
        import missing
    except ImportError:
        missing = None
    return missing


def suppressing() -> object:
    with contextlib.suppress(ImportError):
        import missing

        return missing
    return None


def importing_strictly() -> object:
    try:
        import missing
    except ImportError as error:
        raise RuntimeError from error
    return missing


def recursive(count: int) -> object:
    return recursive(count - 1) if count else from_numpy


def apart(first: int) -> object:
    return second(first)


def second(first: int) -> object:
    return apart(first)


def whole_module() -> object:
    module = helpers
    return module.uses(1)


def many_globals() -> object:
    """More names than fit into one byte."""
    return eval("0"), np.a


@pytest.fixture(autouse=True)
def modules(monkeypatch: pytest.MonkeyPatch) -> None:
    vars(helpers).update(uses=uses, plain=plain, table=table, __file__=__file__, inner=helpers)
    vars(library).update(plain=plain, uses=uses)
    missing = types.ModuleType("missing_parent")
    monkeypatch.setitem(sys.modules, "missing_parent", missing)
    monkeypatch.setattr(imports, "reasons", {"missing": "refused"})


def found(root: object) -> list[str]:
    graph = Graph(eager=False)
    number = graph.add(root)
    return sorted(graph.spread().get(number, ()))


REACH: list[tuple[str, Callable[[], object]]] = [
    ("global module", lambda: np.zeros(3)),
    ("global name", lambda: from_numpy(3)),
    ("global value", lambda: table),
    ("model", lambda: Item()),
    ("derived model", lambda: Child.model_validate({})),
    ("helper", lambda: uses(1)),
    ("helper of a module", lambda: helpers.uses(1)),
    ("value of a module", lambda: helpers.table),
    ("two modules", lambda: helpers.inner.inner.uses(1)),
    ("module under another name", whole_module),
    ("nested", nested),
    ("recursive", recursive),
    ("default", lambda value=table: value),
    ("default by name", lambda *, value=table: value),
    ("closure", closed(table)),
    ("closure over a function", closed(uses)),
    ("wrapped", wrapped(uses)),
    ("wrapped twice", wrapped(wrapped(uses))),
    ("cached", functools.cache(uses)),
    ("partial", functools.partial(plain, table)),
    ("partial of", functools.partial(uses)),
    ("method caller", operator.methodcaller("x", table)),
    ("method", service.predict),
    ("attribute of self", service.held),
    ("slot", slotted.held),
    ("slot of a global", lambda: slotted.weights),
    ("slots as a whole", lambda: plain(slotted)),
    ("beside a proxy", lambda: (proxy.name, proxy, table)),
    ("property", service.reads),
    ("cached property", service.reads_cached),
    ("class method", Service.by_class),
    ("static method", Service.static),
    ("method of a global", lambda: service.predict()),
    ("object as a whole", lambda: plain(service)),
    ("class as a whole", lambda: plain(Service)),
    ("callable object", Caller()),
    ("dict of lists", lambda: registry["a"]),
    ("named tuples", lambda: points),
    ("part of a package", lambda: pillow.Image.open()),
    ("import", importing),
    ("import from", importing_from),
    ("import that raises otherwise", importing_strictly),
    ("the stand-in itself", np.handler),
    ("many globals", many_globals),
]


@pytest.mark.parametrize(("name", "root"), REACH, ids=[name for name, _ in REACH])
def test_what_is_reached(name: str, root: object) -> None:
    module = "PIL.Image" if name == "part of a package" else "numpy"
    assert found(root) == (["missing"] if "import" in name else [module])


APART: list[tuple[str, object]] = [
    ("nothing", lambda: 1),
    ("plain", plain),
    ("plain of the same module", lambda: helpers.plain(1)),
    ("other method", service.index),
    ("other method of a global", lambda: service.index()),
    ("other attribute of a global", lambda: service.name),
    ("callable with another method", Quiet()),
    ("other slot", slotted.index),
    ("proxy", lambda: (proxy, proxy.name)),
    ("cycle", apart),
    ("app", lambda: app.max_body_size),
    ("annotation inside", lambda value: plain(value)),
    ("other part of a package", lambda: pillow.__name__),
    ("code of a library", types.FunctionType(uses.__code__, vars(library) | {"np": np})),
    ("import that goes on", importing_or_not),
    ("import in suppress", suppressing),
    ("import of what is not there", importing_relative),
    ("builtin", len),
    ("class of the library", dict),
    ("standard library", functools.reduce),
]


@pytest.mark.parametrize(("name", "root"), APART, ids=[name for name, _ in APART])
def test_what_is_not_reached(name: str, root: object) -> None:
    assert found(root) == []


def test_plain_values_out_of_a_stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    tainted = {(id(globals()), "rows"): "pandas", (id(vars(helpers)), "plain"): "numpy"}
    monkeypatch.setattr(imports, "tainted", tainted)
    assert found(lambda: rows) == ["pandas"]
    assert found(lambda: helpers.plain) == ["numpy"]
    assert found(lambda: table if rows else np) == ["numpy", "pandas"]


def test_it_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyreframework.program.reach.NODES_MAX", 10)
    many = [[number] for number in range(100)]
    assert found(lambda: many) == []


def nest(value: object, depth: int) -> object:
    for _ in range(depth):
        value = [value]
    return value


def test_containers_are_followed_so_far_and_objects_of_the_program_all_the_way() -> None:
    near = nest(table, 5)
    far = nest(near, 5)
    assert found(lambda: near) == ["numpy"]
    assert found(lambda: far) == []
    # What was too far on one way is followed on a shorter one.
    assert found(lambda: (far, near)) == ["numpy"]

    chain: object = Service()
    for _ in range(30):
        chain = Linked(chain)
    assert found(lambda: plain(chain)) == ["numpy"]


def test_more_names_than_a_byte_counts() -> None:
    names = [f"name_{number}" for number in range(400)]
    text = f"def f():\n    return {', '.join(names)}, np.zeros, helpers.table\n"
    space = {"__name__": "__main__", "np": 1, "helpers": helpers} | dict.fromkeys(names)
    exec(text, space)
    assert found(space["f"]) == ["numpy"]


def test_moves() -> None:
    app = Pyre()
    app.get("/plain", lambda req: 1)
    app.get("/numpy", lambda req: table)
    app.get("/both", lambda req: (table, pd.DataFrame))
    app.get("/gil", lambda req: table, gil=True)
    app.route(["put", "patch"], "/two", lambda req: table)
    app.exception_handler(pd.ParserError, lambda req, error: table)
    app.exception_handler(pd.Timeout, lambda req, error: table)

    @app.get("/argument/{id}")
    def argument(req: Any, id: str) -> Item:
        raise NotImplementedError

    words = "it uses numpy, which does not load in workers"
    both = "it uses numpy and pandas, which do not load in workers"
    expected = [(1, words), (2, both), (4, words), (5, words), (6, words)]
    assert moves.find(app, first=False) == expected
    app.fallback(uses)
    assert moves.find(app, first=False) == [*expected, (-1, words)]
    app.before_request(uses)
    reason = "the before_request hook uses uses numpy, which does not load in workers"
    assert moves.find(app, first=False) == [(n, reason) for n in (0, 1, 2, 4, 5, 6, -1)]


def test_nothing_was_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "reasons", {})
    app = Pyre()
    app.get("/numpy", lambda req: table)
    assert moves.find(app, first=False) == []


def functions_of(module: types.ModuleType) -> Iterator[types.CodeType]:
    """Yield the code of everything in the source of a module."""
    source = inspect.getsource(module)
    yield from anatomy.codes(compile(source, module.__name__, "exec"))


@pytest.mark.parametrize(
    "name", ["argparse", "asyncio.base_events", "dataclasses", "inspect", "subprocess", "typing"]
)
def test_names_are_read_from_code_as_the_disassembler_reads_them(name: str) -> None:
    count = 0
    for code in functions_of(importlib.import_module(name)):
        uses = anatomy.read(code)
        steps = list(dis.get_instructions(code))

        def named(*operations: str, steps: list[dis.Instruction] = steps) -> list[str]:
            return [step.argval for step in steps if step.opname in operations]

        assert [lazy.name for lazy in uses.imports] == named("IMPORT_NAME")
        assert uses.attributes == set(named("LOAD_ATTR", "LOAD_SUPER_ATTR"))
        assert [name for name, _ in uses.chains] == named("LOAD_GLOBAL", "LOAD_NAME")
        assert [name for name, _ in uses.cells] == named("LOAD_DEREF")
        count += len(steps)
    assert count > 1000
