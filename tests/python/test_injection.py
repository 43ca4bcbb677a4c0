"""Plans: what goes into each position of a handler's call."""

from __future__ import annotations

import functools
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, NewType, Optional

import pytest

import pyreframework
from pyreframework import PyreRequest
from pyreframework.handlers.injection import path_names, plan_for, require_callable

if TYPE_CHECKING:
    from somewhere import Unknown

UserId = NewType("UserId", int)
type Alias = int


def plan(handler: Any, *names: str) -> Any:
    return plan_for(handler, names, "GET /x")[1]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("/", []),
        ("/a/{b}", ["b"]),
        ("/{a:int}/x/{b}", ["a", "b"]),
        ("/{*rest}", ["rest"]),
        ("/file-{name}.txt", ["name"]),
        ("/{open", ["open"]),
    ],
)
def test_path_names(pattern: str, names: list[str]) -> None:
    assert path_names(pattern) == names


def positional_only(req, a, /): ...


@pytest.mark.parametrize(
    ("handler", "names", "expected"),
    [
        (lambda req: 1, (), None),
        (lambda anything: 1, (), None),
        (lambda _: 1, ("id",), None),
        (lambda: 1, ("id",), ()),
        (lambda id: 1, ("id",), (("id", ""),)),
        (lambda req, id: 1, ("id",), (None, ("id", ""))),
        (lambda id, req: 1, ("id",), (("id", ""), None)),
        (lambda req, b, a: 1, ("a", "b"), (None, ("b", ""), ("a", ""))),
        (lambda req, a=1: 1, ("a",), (None, ("a", ""))),
        (lambda req, other=1: 1, ("a",), None),
        (lambda a=1: 1, (), ()),
        (lambda req=None: 1, (), None),
        (lambda req: 1, ("req",), None),
        (lambda r, req: 1, ("req",), (None, ("req", ""))),
        (lambda r, request: 1, (), (None, None)),
        (positional_only, ("a",), (None, ("a", ""))),
        (print, ("a",), None),
        (functools.partial(lambda x, req, a: 1, 1), ("a",), (None, ("a", ""))),
    ],
)
def test_plans(handler: Any, names: tuple[str, ...], expected: Any) -> None:
    assert plan(handler, *names) == expected
    call, _ = plan_for(handler, names, "GET /x")
    assert call is handler


def test_annotations() -> None:
    def handler(
        req,
        a: int,
        b: str,
        c: float,
        d: bool,
        e: uuid.UUID,
        f: int | None,
        g: Optional[float],  # noqa: UP045 - as people write it
        h: Annotated[int, "id"],
        i: UserId,
        j: Alias,
        k: Any,
        l: object,
        m,
    ): ...

    converters = ["int", "str", "float", "bool", "uuid", "int", "float", "int", "int", "int"]
    names = "abcdefghijklm"
    expected = (None, *zip(names, [*converters, "", "", ""], strict=True))
    assert plan(handler, *names) == expected
    evaluated = {name: eval(text, globals()) for name, text in handler.__annotations__.items()}
    handler.__annotations__ = evaluated
    assert plan(handler, *names) == expected


def test_request_by_annotation() -> None:
    def written(a, given: PyreRequest): ...

    def dotted(a, given: pyreframework.PyreRequest): ...

    for handler in (written, dotted):
        assert plan(handler, "a") == (("a", ""), None)
        handler.__annotations__ = {"given": PyreRequest}
        assert plan(handler, "a") == (("a", ""), None)


def test_annotations_of_the_others_are_not_evaluated() -> None:
    def handler(req: Unknown, a: int, b: Unknown = 1): ...

    assert plan(handler, "a") == (None, ("a", "int"))


def test_by_name() -> None:
    def keyword_only(req, a, *, b: int):
        return ("keyword only", req, a, b)

    def behind_a_default(req, unused=5, *, b=0, a=0):
        return ("behind", req, unused, a, b)

    def gap(req, unused=5, a=0):
        return ("gap", req, unused, a)

    call, found = plan_for(keyword_only, ("a", "b"), "")
    assert found == (None, ("a", ""), ("b", "int"))
    assert call("r", 1, 2) == ("keyword only", "r", 1, 2)
    call, found = plan_for(behind_a_default, ("a", "b"), "")
    assert found == (None, ("b", ""), ("a", ""))
    assert call("r", "b", "a") == ("behind", "r", 5, "a", "b")
    call, found = plan_for(gap, ("a",), "")
    assert found == (None, ("a", ""))
    assert call("r", "a") == ("gap", "r", 5, "a")
    call, found = plan_for(functools.partial(gap, unused=6), ("a",), "")
    assert call("r", "a") == ("gap", "r", 6, "a")


def test_refusals() -> None:
    def missing(req, other): ...

    def keyword(req, *, other): ...

    def unusual(req, a: Decimal): ...

    def unknown(req, a: Unknown): ...

    def behind(req, unused=1, a=2, /): ...

    for handler, word in (
        (missing, "'other'"),
        (keyword, "'other'"),
        (unusual, "Decimal"),
        (unknown, "Unknown"),
        (behind, "position only"),
    ):
        with pytest.raises(ValueError, match=f"^GET /x: .*{handler.__name__}.*{word}"):
            plan(handler, "a")


def test_require_callable() -> None:
    async def handler() -> None: ...

    require_callable(handler, "GET /")
    require_callable(print, "GET /")
    with pytest.raises(TypeError, match="GET / needs a function, not int"):
        require_callable(5, "GET /")
