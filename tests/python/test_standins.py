"""Stand-ins: what a program may do with them while it is loaded, and not while serving."""

from __future__ import annotations

import abc
import copy
import dataclasses
import functools
import types
import typing
from collections.abc import Callable
from typing import Any

import pytest

from pyreframework import WorkerImportError
from pyreframework.handlers import absent
from pyreframework.program import imports, standins
from pyreframework.program.standins import ModuleStandIn, StandIn

REASON = "module numpy._core does not support loading in subinterpreters"


@pytest.fixture(autouse=True)
def nothing_stays_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "taken", {})


@pytest.fixture
def numpy() -> Any:
    return ModuleStandIn("numpy", REASON)


def is_stand_in(value: object) -> bool:
    return standins.of(value) == "numpy"


def test_it_is_a_module_that_names_itself(numpy: Any) -> None:
    assert isinstance(numpy, types.ModuleType)
    assert (numpy.__name__, numpy.__doc__) == ("numpy", REASON)
    assert repr(numpy) == f"<stand-in for module 'numpy': {REASON}>"
    assert repr(numpy.linalg.norm) == (
        "<stand-in for numpy.linalg.norm, as numpy does not load in workers>"
    )


@pytest.mark.parametrize(
    "use",
    [
        lambda np: np,
        lambda np: np.linalg.norm,
        lambda np: np.zeros(3),
        lambda np: np.zeros(3, dtype=np.float64).T[0],
        lambda np: np.pi * 2 + 1,
        lambda np: 2 - np.pi,
        lambda np: -np.pi,
        lambda np: np.a @ np.b,
        lambda np: np.a == np.b,
        lambda np: np.a < 3,
        lambda np: abs(np.a),
        lambda np: round(np.a, 2),
        lambda np: np.ndarray | None,
        lambda np: None | np.ndarray,
        lambda np: np.ndarray[int],
        lambda np: np.deco(lambda: 1),
        lambda np: np.deco(1)(len),
        lambda np: copy.deepcopy(np.a),
        lambda np: np.__version__,
        lambda np: np.a.__enter__(),
        lambda np: np.LinAlgError,
        lambda np: types.new_class("Item", (np.BaseModel,)),
        lambda np: types.new_class("Item", (np.BaseModel,)).model_rebuild(),
        lambda np: types.new_class("Item", (np.BaseModel,))(name=1),
        lambda np: types.new_class("Item", (np.BaseModel,))[int],
        lambda np: np.a["a":"b"],
    ],
)
def test_what_comes_of_it_is_a_stand_in(numpy: Any, use: Callable[[Any], object]) -> None:
    assert is_stand_in(use(numpy))


@pytest.mark.parametrize(
    "value", [1, "numpy", None, int, types, ValueError, [], object(), abc.ABC, typing.Any]
)
def test_what_is_real_is_none(value: object) -> None:
    assert standins.of(value) is None
    assert absent.stood_in(value) is None


def test_an_attribute_is_the_same_each_time(numpy: Any) -> None:
    assert numpy.ndarray is numpy.ndarray
    assert {numpy.ndarray: 1}[numpy.ndarray] == 1
    numpy.option = 5
    numpy.rc.size = 7
    numpy.rc["x"] = 1
    assert (numpy.option, numpy.rc.size) == (5, 7)
    del numpy.rc.size
    assert is_stand_in(numpy.rc.size)


@pytest.mark.parametrize("name", ["__wrapped__", "__array__", "__func__", "__code__", "__origin__"])
def test_names_of_python_are_not_there(numpy: Any, name: str) -> None:
    with pytest.raises(AttributeError, match=name):
        getattr(numpy.a, name)
    with pytest.raises(AttributeError, match=name):
        getattr(numpy, name)
    assert not getattr(numpy.a, "__annotations__", None)
    assert (numpy.zeros.__name__, numpy.zeros.__qualname__) == ("zeros", "zeros")


def test_classes(numpy: Any) -> None:
    T = typing.TypeVar("T")

    class Mixin(abc.ABC):
        @abc.abstractmethod
        def run(self) -> None: ...

    class Base(numpy.BaseModel, frozen=True):
        name: str
        tags: list[numpy.Tag] | None = None
        config = numpy.Config(a=1)

        @numpy.validator("name")
        @classmethod
        def strip(cls, value: str) -> str:
            return value.strip()

    class Page(Base, typing.Generic[T]):
        items: list[T]

    class Both(Mixin, Base):
        def run(self) -> None:
            return None

    class Wrong(numpy.LinAlgError):
        pass

    for kind in (Base, Page, Both, Wrong):
        assert isinstance(kind, type)
        assert is_stand_in(kind)
        assert not isinstance(3, kind)
    assert issubclass(Page, Base) and not issubclass(int, Base)
    assert issubclass(Wrong, Exception)
    assert Base.__annotations__.keys() == {"name", "tags"}
    assert is_stand_in(Base(name=1).name)


def test_a_base_with_a_metaclass_of_its_own(numpy: Any) -> None:
    class Meta(type):
        pass

    class Plain(metaclass=Meta):
        pass

    class Both(Plain, numpy.Base):
        pass

    assert isinstance(Both, Meta) and is_stand_in(Both)


def test_the_standard_library_takes_it(numpy: Any) -> None:
    @dataclasses.dataclass
    class Point:
        array: numpy.ndarray
        other: numpy.ndarray | None = None
        more: Any = dataclasses.field(default_factory=numpy.zeros)

    assert Point(1).array == 1
    assert typing.Union[int, numpy.ndarray]  # noqa: UP007 - goes another way than `|`
    assert typing.Annotated[int, numpy.Field(gt=0)]
    hints = typing.get_type_hints(Point, localns={"numpy": numpy, "Any": Any})
    assert hints["array"] is numpy.ndarray

    @functools.wraps(numpy.zeros)
    def zeros() -> None:
        return None

    assert zeros.__name__ == "zeros"
    with numpy.errstate(all="ignore") as state:
        assert is_stand_in(state)
    try:
        raise ValueError
    except (numpy.LinAlgError, ValueError):
        pass


def test_unpacking(numpy: Any) -> None:
    a, b = numpy.split()
    (c, d), e = numpy.split()
    first, *middle, last = numpy.split()
    assert all(is_stand_in(one) for one in (a, b, c, d, e, first, last))
    assert middle == []
    assert list(numpy.arange(3)) == []
    assert [one for one in numpy.arange(3) if one] == []


USES: list[Callable[[Any], object]] = [
    lambda value: value(),
    lambda value: value[0],
    lambda value: value + 1,
    lambda value: 1 + value,
    lambda value: value < 1,
    lambda value: value == 1,
    lambda value: bool(value),
    lambda value: len(value),
    lambda value: list(value),
    lambda value: int(value),
    lambda value: float(value),
    lambda value: complex(value),
    lambda value: bytes(value),
    lambda value: range(value),
    lambda value: 1 in value,
    lambda value: value.__setitem__(0, 1),
    lambda value: setattr(value, "a", 1),
    lambda value: delattr(value, "a"),
    lambda value: value.__enter__(),
    lambda value: value.model_dump(mode="json"),
    lambda value: types.new_class("Item", (value,)),
]


@pytest.mark.parametrize("use", USES)
def test_every_use_raises_while_serving(
    numpy: Any, use: Callable[[Any], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    value = numpy.linalg.norm
    monkeypatch.setattr(standins, "serving", True)
    with pytest.raises(WorkerImportError) as caught:
        use(value)
    assert caught.value.name == "numpy"
    assert str(caught.value).startswith("a handler uses numpy.linalg.norm")
    assert str(caught.value).endswith(
        "on a worker, and numpy does not load in workers: register the route with gil=True"
    )
    assert isinstance(caught.value, ImportError)


def test_a_model_cannot_be_made_while_serving(numpy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Item(numpy.BaseModel):
        pass

    monkeypatch.setattr(standins, "serving", True)
    for use in (Item, lambda: Item.model_validate({})):
        with pytest.raises(WorkerImportError, match="numpy does not load"):
            use()


def test_questions_have_answers_while_serving(numpy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Item(numpy.BaseModel):
        pass

    monkeypatch.setattr(standins, "serving", True)
    assert not isinstance(3, (numpy.ndarray, Item, numpy.LinAlgError))
    assert not issubclass(int, numpy.ndarray)
    assert "stand-in" in str(numpy.a) and "stand-in" in f"{numpy.a:>9}" and "stand" in repr(numpy)
    assert isinstance(hash(numpy.a), int)
    assert numpy.a is not None
    assert callable(numpy.a)


def test_the_error_names_the_route(numpy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def helper() -> None:
        numpy.zeros(3)

    def handler() -> None:
        helper()

    value = {handler.__code__: ["GET /a", "POST /a"], helper.__code__: ["GET /helper"]}
    monkeypatch.setattr(standins, "routes", value)
    monkeypatch.setattr(standins, "serving", True)
    with pytest.raises(WorkerImportError, match=r"^GET /a or POST /a uses numpy.zeros on a worker"):
        handler()
    with pytest.raises(WorkerImportError, match=r"^GET /helper uses numpy.zeros on a worker"):
        helper()


TAINTED = 0
COUNT: object = None
TABLE: dict[str, object] = {}


def count_globally(value: StandIn) -> None:
    global COUNT
    COUNT = len(value)


def test_plain_values_are_noted(numpy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "tainted", {})
    count_globally(numpy.arange(3))
    assert imports.tainted == {(id(globals()), "COUNT"): "numpy"}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("A = len(np.a)", ["A"]),
        ("A = B = float(np.pi)", ["A", "B"]),
        ("A: int = int(np.a)", ["A"]),
        ("A = 1\nA += int(np.a)", ["A"]),
        ("(A, B), C = (int(np.a), 1), 2", ["A", "B", "C"]),
        ("A = {}\nA['x'] = list(np.a)", ["A"]),
        ("class S: pass\nS.a = str(np.a)", ["S"]),
        ("A = []\nA.append(float(np.a))", ["A"]),
        ("A = B = 0\nif np.cuda.is_available():\n  A = 1\nelse:\n  B = 1", ["A", "B"]),
        ("for x in np.a:\n  A = 1", ["A", "x"]),
        ("A = [int(x) for x in (np.a, np.b)]", ["A", "x"]),
        ("def f():\n  return float(np.a)\nA = f()", ["A"]),
        ("class C:\n  x = int(np.a)", ["C"]),
        ("print(np.a)", []),
        ("A = np.a", []),
        ("assert np.__version__ >= '2'", []),
        ("assert not np.bad", []),
        ("if not np.good:\n  raise ValueError", []),
        ("if np.bad:\n  raise ValueError", []),
        ("if not np.good:\n  import sys\n  sys.exit(1)", []),
        ("A = 1 if 3 in np.a else 2", ["A"]),
        ("while np.busy():\n  A = 1", ["A"]),
        ("while not np.ready():\n  A = 1", ["A"]),
        ("while True:\n  if np.ready():\n    break", []),
        ("while True:\n  if not np.busy():\n    break", []),
        ("for x in iter(np.read, b''):\n  A = 1", ["A", "x"]),
        ("def f():\n  while not np.ready():\n    pass\nf()", []),
    ],
)
def test_what_a_statement_assigns(
    text: str, names: list[str], numpy: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "tainted", {})
    file = tmp_path / "program.py"
    file.write_text(text)
    space = {"np": numpy, "__name__": "__main__"}
    exec(compile(text, str(file), "exec"), space)
    found = sorted(name for owner, name in imports.tainted if owner == id(space))
    assert found == sorted(names)
