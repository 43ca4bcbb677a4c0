"""Refusals: how they are told from other errors, and what is said of one."""

from __future__ import annotations

import pytest

from pyreframework import WorkerImportError
from pyreframework.program import refusals


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ImportError("module x does not support loading in subinterpreters"), True),
        (ImportError("PyO3 modules do not yet support subinterpreters, see ..."), True),
        (ImportError("PyO3 modules may only be initialized once per interpreter process"), True),
        (
            ImportError("this module can only be loaded into one interpreter per process."),
            True,
        ),
        (ImportError("cannot import name 'x' from 'y'"), False),
        (ModuleNotFoundError("No module named 'x'"), False),
        (RuntimeError("does not support loading in subinterpreters"), False),
    ],
)
def test_what_counts_as_a_refusal(error: Exception, expected: bool) -> None:
    assert refusals.refuses(error) is expected


def test_errors_of_handlers_are_completed() -> None:
    error = WorkerImportError("numpy", "numpy.zeros")
    assert str(error).startswith("a handler uses numpy.zeros on a worker")
    wrapper = ValueError("no result")
    wrapper.__cause__ = error
    refusals.explain(wrapper, "GET /a")
    assert str(error).startswith("GET /a uses numpy.zeros on a worker")

    refused = ImportError("module x does not support loading in subinterpreters")
    refusals.explain(refused, "GET /a")
    assert refused.__notes__ == ["GET /a runs on a worker: register the route with gil=True"]
    refusals.explain(other := ImportError("No module named 'x'"), "GET /a")
    assert not hasattr(other, "__notes__")
    circle = ValueError()
    circle.__context__ = second = ValueError()
    second.__context__ = circle
    refusals.explain(circle, "GET /a")
