"""What the names of a program hold, as another interpreter can compare it."""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import fractions
import functools
import ipaddress
import re
import sys
import types
import uuid
import zoneinfo
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from workshop import LAZILY

from pyreframework import Pyre
from pyreframework.program import description, facts, ownership, statements
from pyreframework.program.changes import program_files
from pyreframework.program.digest import ITEMS_MAX, UNKNOWN, Entry, Reader

Collect = Callable[[str], dict[str, Entry]]


@pytest.fixture
def collect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Collect:
    """Run a text as the only module of a program, and return what its names hold."""
    own = f"{tmp_path}/"
    monkeypatch.setattr(ownership, "is_program_file", lambda file: file.startswith(own))
    monkeypatch.setattr(ownership, "program_files", {})

    def collect(text: str) -> dict[str, Entry]:
        module = types.ModuleType("facts_program")
        module.__file__ = f"{own}facts_program.py"
        monkeypatch.setitem(sys.modules, "facts_program", module)
        monkeypatch.setitem(sys.modules, "__main__", types.ModuleType("__main__"))
        exec(compile(text, module.__file__, "exec"), vars(module))
        app = vars(module).get("app") or Pyre()
        entries = facts.collect(app, set())
        return {
            ".".join(key.split(facts.SEPARATOR)[1:]).strip("."): one for key, one in entries.items()
        }

    return collect


def digest(*values: object) -> str:
    entry = Entry(None, "", "", None)
    Reader().read(entry, list(values))
    return entry.digest


class Color(enum.IntEnum):
    RED = 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 2), (-1, -2), (1, True), (1, 1.0), (0.0, -0.0), ("a", "b"), ("a", b"a"), ((), []),
        ([1, 2], [2, 1]), ([[1], 2], [[1, 2]]), ({1}, {2}), ({1}, frozenset({1})),
        ({"a": 1}, {"a": 2}), ({"a": 1}, {"b": 1}), ([None], [()]), (int, str), (len, min),
        (datetime.date(2024, 1, 1), datetime.date(2024, 1, 2)),
        (decimal.Decimal("1.0"), decimal.Decimal("1.00")), (Path("a"), Path("b")),
        (functools.partial(print, 1), functools.partial(print, 2)),
        (types.SimpleNamespace(a=1), types.SimpleNamespace(a=2)),
        (collections.deque([1]), collections.deque([2])), (bytearray(b"a"), bytearray(b"b")),
        (collections.Counter("a"), collections.Counter("b")), (range(2), range(3)),
        (types.MappingProxyType({"a": 1}), types.MappingProxyType({"a": 2})), (Color.RED, 1),
    ],
)  # fmt: skip
def test_what_differs_has_another_digest(one: object, other: object) -> None:
    assert digest(one) != digest(other)


def test_what_is_equal_has_the_same_digest() -> None:
    words = [f"word {number}" for number in range(99)]
    assert digest(set(words)) == digest({*words[50:], *words[:50]})
    assert digest("__main__") == digest("__mp_main__")
    assert digest(object()) == digest(object())
    assert digest(10**5000) == digest(10**5000)
    same = [1]
    assert digest([same, same]) == digest([same, same])


def test_nothing_of_the_users_runs(collect: Collect) -> None:
    found = collect(
        """
ran = []

class Meta(type):
    def __getattribute__(cls, name):
        ran.append(name)
        return super().__getattribute__(name)
    def __instancecheck__(cls, value):
        ran.append("instancecheck")
        return True

class Thing(metaclass=Meta):
    __slots__ = ("__dict__", "slot")
    def __getattribute__(self, name):
        ran.append(name)
        return object.__getattribute__(self, name)
    def __eq__(self, other):
        ran.append("eq")
        return True
    def __hash__(self):
        ran.append("hash")
        return 1
    def __repr__(self):
        ran.append("repr")
        return ""
    def __len__(self):
        ran.append("len")
        return 0
    def __iter__(self):
        ran.append("iter")
        return iter(())
    @property
    def computed(self):
        ran.append("computed")

class Numbers(list):
    def __iter__(self):
        ran.append("iter")
        return iter(())

class Text(str):
    def __str__(self):
        ran.append("str")
        return "x"

thing = Thing()
held = {thing: [thing], "set": {thing}}
numbers = Numbers([1, 2])
text = Text("a")
ran.clear()
"""
    )
    assert found["ran"].value == []
    assert found["text"].digest != UNKNOWN
    assert (
        found["numbers"].digest
        != collect("class Numbers(list):\n    pass\nnumbers = Numbers([1])")["numbers"].digest
    )


def test_what_goes_in_circles_ends(collect: Collect) -> None:
    text = "a = []\na.append(a)\nclass C:\n    pass\nc = C()\nc.me = c\nC.one = c\n"
    text += "def f():\n    pass\nf.f = f\n"
    one, other = collect(text), collect(text)
    assert {key: entry.digest for key, entry in one.items()} == {
        key: entry.digest for key, entry in other.items()
    }
    assert {"a", "c", "c.me", "C", "C.one", "f"} <= one.keys()


def test_bounds(collect: Collect, monkeypatch: pytest.MonkeyPatch) -> None:
    many = list(range(ITEMS_MAX + 1))
    assert digest(many) == digest([*many[:-1], None])
    assert digest(many) != digest(many[:-1])
    deep: Any = None
    for _ in range(10_000):
        deep = [deep]
    assert digest(deep) != UNKNOWN
    monkeypatch.setattr("pyreframework.program.digest.VALUES_MAX", 10)
    found = collect("few = [1, 2]\nmany = list(range(20))\nlast = 1")
    assert found["few"].digest != UNKNOWN
    assert found["many"].digest == found["last"].digest == UNKNOWN


def test_what_functions_and_handlers_keep(collect: Collect) -> None:
    text = """
from pyreframework import Pyre
app = Pyre()
def make(value):
    def inner(req, more={0}):
        return value
    return inner
made = make({0})
class Views:
    def __init__(self):
        self.flag = {0}
    def get(self, req):
        return 1
app.get("/made", make({0}))
app.get("/bound", Views().get)
app.before_request(make({0}))
"""
    one, other = collect(text.replace("{0}", "1")), collect(text.replace("{0}", "2"))
    names = {key for key in one if one[key].digest != other[key].digest}
    assert {"made", "handler 0", "handler 1.self.flag"} <= names
    assert any(name.startswith("hook") for name in names)
    assert "handler 1" not in names
    assert "Views.get" not in names
    assert facts.digests(facts.written(one)) == {key: entry.digest for key, entry in one.items()}


def test_attributes_of_any_name(collect: Collect) -> None:
    """Such as those of the columns of a table; what travels keeps each apart."""
    found = collect("""
class Columns:
    pass
columns = Columns()
for place, name in enumerate(["price\\n(EUR)", "a\\x1fb", "\\\\n", "\\udc80", "é", "", "\\r"]):
    setattr(columns, name, place)
""")
    assert "columns.price\n(EUR)" in found
    text = facts.written(found)
    assert text.encode()
    assert facts.digests(text) == {key: entry.digest for key, entry in found.items()}


def test_what_a_worker_cannot_be_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Only(dict[str, types.ModuleType]):
        pass

    loaded = {name: sys.modules[name] for name in ("sys", "os", "json", "pyreframework")}
    monkeypatch.setattr(sys, "modules", Only(loaded))
    assert not description.is_foreign()
    curses = types.ModuleType("curses")
    monkeypatch.setattr(sys, "modules", Only(loaded | {"curses": curses}))
    assert description.is_foreign()
    library = types.ModuleType("library")
    library.__file__ = "/usr/lib/python3/site-packages/library.py"
    monkeypatch.setattr(sys, "modules", Only(loaded | {"library": library}))
    assert description.is_foreign()


def test_modules_that_load_when_they_are_used_stay_as_they_are(
    collect: Collect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "facts_lazy.py").write_text("raise RuntimeError('not configured')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "facts_lazy", types.ModuleType("facts_lazy"))
    del sys.modules["facts_lazy"]
    found = collect(f"{LAZILY}\nbroken = lazily('facts_lazy')\nKind = type('Kind', (), dict(a=1))\n"
                    "Kind.__module__ = 'facts_lazy'\nthing = Kind()")  # fmt: skip
    assert found["thing"].digest != UNKNOWN
    assert list(statements.program_statements())
    assert program_files()
    assert type(sys.modules["facts_lazy"]) is not types.ModuleType


def test_the_text_of_a_time_zone_is_not_asked_for(collect: Collect) -> None:
    text = """
import datetime
class Zone(datetime.tzinfo):
    def __init__(self, hours):
        self.hours = hours
    def __repr__(self):
        raise RuntimeError
    def utcoffset(self, when):
        raise RuntimeError
class Name(str):
    def __repr__(self):
        raise RuntimeError
when = datetime.datetime(2026, 1, 1, tzinfo=Zone({0}))
at = datetime.time(1, tzinfo=Zone({0}))
fixed = datetime.timezone(datetime.timedelta(hours={0}), Name("here"))
"""
    one, same, other = (collect(text.replace("{0}", hours)) for hours in "112")
    for name in ("when", "at", "fixed"):
        assert one[name].digest == same[name].digest != other[name].digest, name
        assert one[name].digest != UNKNOWN


@pytest.mark.parametrize(
    "text",
    [
        "Path(Text('a'))", "re.compile(Text('a'))", "re.match('a', Text('a'))",
        "ipaddress.IPv4Address(Number(1))", "Fraction(10**5000, 3)", "range(10**5000)",

        "Shown()", "Thing()", "[Thing()]", "{1: Thing()}", "Items([1]).append", "Proxy()",
        "Property(lambda self: 1)", "type('Odd', (), {Text('a'): 1})",
    ],
)  # fmt: skip
def test_nothing_of_the_users_runs_for(collect: Collect, text: str) -> None:
    """Nor of what is inside of Python's own values."""
    program = f"""
import ipaddress, re
from fractions import Fraction
from pathlib import Path
ran = []
def run(*values, **named):
    ran.append(1)
    raise RuntimeError
class Meta(type):
    __eq__ = __getattribute__ = run
    def __hash__(cls):
        ran.append(1)
        return hash(int)
class Thing(metaclass=Meta):
    __repr__ = __str__ = __eq__ = __getattr__ = __call__ = run
    __class__ = property(run)
class Text(str):
    __repr__ = __str__ = __format__ = __eq__ = startswith = run
    __hash__ = str.__hash__
class Number(int):
    __repr__ = __index__ = to_bytes = run
class Items(list, metaclass=Meta):
    pass
class Proxy:
    __dict__ = property(run)
    __class__ = property(run)
class Property(property):
    fget = fset = property(run)
class Shown:
    __module__ = "decimal"
    __repr__ = run
try:
    value = {text}
except (RuntimeError, ValueError, TypeError):
    value = None  # This Python does not make one of it.
ran.clear()
"""
    found = collect(program)
    assert found["ran"].value == []
    assert found["value"].digest != UNKNOWN


def test_what_standard_modules_show_is_whole(collect: Collect) -> None:
    long = "a" * 300
    assert digest(re.compile(f"{long}b")) != digest(re.compile(f"{long}c"))
    assert digest(fractions.Fraction(1, 2)) != digest(fractions.Fraction(1, 3))
    for make in (ipaddress.ip_network, ipaddress.ip_interface):
        assert digest(make("10.0.0.1/32")) != digest(make("10.0.0.2/32"))
    assert digest(uuid.UUID(int=1)) != digest(uuid.UUID(int=2))
    assert digest(zoneinfo.ZoneInfo("UTC")) == digest(zoneinfo.ZoneInfo("UTC"))
    assert digest(decimal.Context(prec=3)) != digest(decimal.Context(prec=4))
    noon, utc = datetime.datetime(2026, 1, 1, 12), datetime.UTC
    assert digest(noon) != digest(noon.replace(tzinfo=utc)) != digest(noon.replace(fold=1))
