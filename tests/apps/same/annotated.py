"""Path parameters with every annotation, as an object, as a text, and as a text in a text."""
# ruff: noqa: F722, RUF036, UP045

import datetime
import functools
import typing as t
import uuid
from typing import TYPE_CHECKING, Annotated, Any, NewType, Optional, Union

import pyreframework as pf
from pyreframework import Pyre
from pyreframework import PyreRequest as Request

if TYPE_CHECKING:
    from somewhere import Unknown

    from pyreframework import PyreRequest

app = Pyre()
paths, refused, expected = [], {}, {}
UserId = NewType("UserId", int)
type Alias = int
type AliasOfText = "UserId"
VALUES = {"int": "5", "float": "2.5", "str": "a", "bool": "true", "UUID": str(uuid.UUID(int=1))}


def add(name, handler, kind=None):
    path = f"/{name}/{{id}}"
    try:
        app.get(path, handler)
    except (TypeError, ValueError) as error:
        refused[path] = f"{type(error).__name__}: {error}"
        return
    paths.extend(f"/{name}/{value}" for value in VALUES.values())
    if kind is not None:
        expected[f"/{name}/{VALUES[kind]}"] = kind


def kind_of(value):
    return type(value).__name__


def plain(req, id):
    return kind_of(id)


def as_int(req, id: int):
    return kind_of(id)


def as_text(req, id: "int"):
    return kind_of(id)


def as_text_in_text(req, id: "'int'"):
    return kind_of(id)


def as_str(req, id: str):
    return kind_of(id)


def as_float(req, id: "float"):
    return kind_of(id)


def as_bool(req, id: "bool"):
    return kind_of(id)


def as_uuid(req, id: uuid.UUID):
    return kind_of(id)


def as_uuid_text(req, id: "uuid.UUID"):
    return kind_of(id)


def optional(req, id: Optional[int] = None):
    return kind_of(id)


def optional_of_text(req, id: Optional["int"]):
    return kind_of(id)


def optional_in_text(req, id: "Optional['int']"):
    return kind_of(id)


def union(req, id: int | None):
    return kind_of(id)


def union_in_text(req, id: "int | None"):
    return kind_of(id)


def old_union(req, id: Union[None, "UserId"]):
    return kind_of(id)


def annotated(req, id: Annotated[int, "some"]):
    return kind_of(id)


def annotated_text(req, id: Annotated["int", "some"]):
    return kind_of(id)


def dotted(req, id: t.Annotated["t.Optional[UserId]", 1]):
    return kind_of(id)


def new_type(req, id: UserId):
    return kind_of(id)


def new_type_text(req, id: "UserId"):
    return kind_of(id)


def alias(req, id: Alias):
    return kind_of(id)


def alias_of_text(req, id: AliasOfText):
    return kind_of(id)


def anything(req, id: Any):
    return kind_of(id)


def dotted_anything(req, id: "t.Any"):
    return kind_of(id)


def an_object(req, id: object):
    return kind_of(id)


def generic[T](req, id: int, other: "T" = None):
    return kind_of(id)


def given_request(id: int, given: Request):
    return [kind_of(id), kind_of(given)]


def given_text(id: int, given: "Request"):
    return [kind_of(id), kind_of(given)]


def given_dotted(id: int, given: "pf.PyreRequest"):
    return [kind_of(id), kind_of(given)]


def given_optional(id: int, given: Optional["Request"] = None):
    return [kind_of(id), kind_of(given)]


def given_for_checkers(id: int, given: "PyreRequest"):
    return [kind_of(id), kind_of(given)]


def unknown_elsewhere(req: "Unknown", id: int, more: "Unknown" = 1) -> "Unknown":
    return kind_of(id)


def unknown(req, id: "Unknown"):
    return kind_of(id)


def a_date(req, id: datetime.date):
    return kind_of(id)


def a_list(req, id: "list[int]"):
    return kind_of(id)


def broken(req, id: "int["):
    return kind_of(id)


def later(req, id: "Later"):
    return kind_of(id)


def shadow():
    """Names are those of the module, not those that look the same."""
    space = {"kind_of": kind_of, "float": int, "__name__": __name__}
    exec('def shadowed(req, id: "float"): return kind_of(id)', space)
    return space["shadowed"]


def elsewhere(f):
    """A wrapper that was defined where the names of the annotations mean something else."""
    space = {"functools": functools, "int": str, "f": f, "__name__": "elsewhere"}
    exec("@functools.wraps(f)\ndef inner(req, id): return f(req, id)", space)
    return space["inner"]


KINDS = {
    plain: "str", as_int: "int", as_text: "int", as_text_in_text: "int", as_str: "str",
    as_float: "float", as_bool: "bool", as_uuid: "UUID", as_uuid_text: "UUID", optional: "int",
    optional_of_text: "int", optional_in_text: "int", union: "int", union_in_text: "int",
    old_union: "int", annotated: "int", annotated_text: "int", dotted: "int", new_type: "int",
    new_type_text: "int", alias: "int", alias_of_text: "int", anything: "str",
    dotted_anything: "str", an_object: "str", generic: "int", given_request: None,
    given_text: None, given_dotted: None, given_optional: None, given_for_checkers: None,
    unknown_elsewhere: "int", unknown: None, a_date: None, a_list: None, broken: None, later: None,
    shadow(): "int",
}  # fmt: skip
for handler, kind in KINDS.items():
    add(handler.__name__, handler, kind)
    if handler.__name__.startswith("given"):
        expected[f"/{handler.__name__}/5"] = ["int", "PyreRequest"]
for handler in (as_text, new_type_text, optional_in_text):
    add(f"elsewhere-{handler.__name__}", elsewhere(handler), "int")
Later = NewType("Later", int)


@app.get("/table")
def table():
    return {"paths": paths, "refused": refused, "expected": expected}


if __name__ == "__main__":
    app.run()
