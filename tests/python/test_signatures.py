"""What callables take, compared with `inspect` wherever the two should agree."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import pytest

from pyreframework.handlers.signatures import is_async, name_of, parameters


def plain(a, b=1, /, c=2, *, d, e=3): ...


def wrapping(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


class Handlers:
    def method(self, a, b): ...

    @classmethod
    def of_class(cls, a): ...

    @staticmethod
    def static(a): ...

    @wrapping
    def wrapped(self, a, b=2): ...

    @functools.cache  # noqa: B019 - never called
    def cached(self, a): ...

    def __call__(self, a, *, b): ...


class Made:
    def __init__(self, a, b=1): ...


class WrappedCall:
    @wrapping
    def __call__(self, a): ...


@pytest.mark.parametrize(
    "call",
    [
        plain,
        lambda: 1,
        lambda a, b=1: a,
        Handlers().method,
        Handlers.of_class,
        Handlers().static,
        Handlers().wrapped,
        Handlers().cached,
        Handlers(),
        Made,
        WrappedCall(),
        wrapping(plain),
        wrapping(wrapping(plain)),
        functools.partial(plain, 1),
        functools.partial(plain, 1, d=5),
        functools.partial(lambda a, b, c: a, b=2),
        functools.partial(functools.partial(lambda a, b, c: a, 1), 2),
        functools.partial(Handlers().method, b=1),
        functools.cache(lambda a: a),
        functools.partial(wrapping(lambda a, b, c: 1), 1),
    ],
)
def test_agrees_with_inspect(call: Callable[..., Any]) -> None:
    expected = []
    bound = call.keywords if isinstance(call, functools.partial) else {}
    for parameter in inspect.signature(call).parameters.values():
        if parameter.name in bound:
            continue  # inspect keeps what a partial has given by name, as a default.
        by_position = parameter.kind in (
            inspect.Parameter.POSITIONAL_ONLY,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
        )
        by_keyword = parameter.kind is not inspect.Parameter.POSITIONAL_ONLY
        optional = parameter.default is not inspect.Parameter.empty
        expected.append((parameter.name, optional, by_position, by_keyword))
    found = parameters(call)
    assert found is not None
    assert [(p.name, p.optional, p.by_position, p.by_keyword) for p in found] == expected


@pytest.mark.parametrize("call", [print, str, len, lambda *args: args, object(), type("X", (), {})])
def test_unknown(call: Any) -> None:
    assert parameters(call) is None


def test_wrapper_with_a_signature_of_its_own() -> None:
    def inner(req, database): ...

    @functools.wraps(inner)
    def outer(req):
        return inner(req, 1)

    found = parameters(outer)
    assert found is not None
    assert [p.name for p in found] == ["req"]


def test_wrapper_that_passes_on_by_name() -> None:
    def inner(req, id): ...

    @functools.wraps(inner)
    def outer(req, **others):
        return inner(req, **others)

    found = parameters(outer)
    assert found is not None
    assert [(p.name, p.by_position) for p in found] == [("req", True), ("id", False)]


def test_endless_wrapping_ends() -> None:
    def turn(*args): ...

    turn.__wrapped__ = turn
    assert parameters(turn) is None


def test_async() -> None:
    async def coroutine(req): ...

    async def generator(req):
        yield 1

    class Call:
        async def __call__(self, req): ...

        async def method(self, req): ...

    for call in (coroutine, generator, Call(), Call().method, functools.partial(coroutine, 1)):
        assert is_async(call), call

    @functools.wraps(coroutine)
    def run_to_end(req): ...

    for call in (run_to_end, print, Call, len, lambda: coroutine, Handlers()):
        assert not is_async(call), call


def test_names() -> None:
    assert name_of(plain) == "plain"
    assert name_of(Handlers().method) == "Handlers.method"
    assert name_of(functools.partial(plain)) == "partial of plain"
    assert name_of(Handlers()) == "Handlers"
