"""Rounds whose order turns, and figures that are compared inside a round."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence

from perf.harness.spread import figure, spread

TRIAL = "a trial: no figure means anything, it only shows that the program works"
"""What a program says under its facts if it was asked for a trial."""


def turned[Item](items: Sequence[Item], number: int) -> list[Item]:
    """Return the items as their turns come in a round: each goes first equally often."""
    first = number % len(items)
    return [*items[first:], *items[:first]]


def middle(values: Sequence[float]) -> str:
    """Return the median as it stands in a table."""
    found = spread(values)
    return figure(found.median) if found else "-"


def ratio(values: Sequence[float], base: Sequence[float]) -> str:
    """Return the median of the ratios to the base of the same round."""
    if len(values) != len(base):
        return "-"
    return middle([value / other for value, other in zip(values, base, strict=True)])


def beside(values: Sequence[float], base: Sequence[float]) -> str:
    """Return the median, and in brackets that of the ratios to the base of the same round."""
    return f"{middle(values)} ({ratio(values, base)})"


@contextlib.contextmanager
def kept_off(cores: set[int] | None) -> Iterator[None]:
    """Leave these cores to the server meanwhile, if this process has others.

    For programs that send the load themselves. Nothing is started inside, as it would inherit that.
    """
    before = os.sched_getaffinity(0)
    others = before - (cores or set())
    os.sched_setaffinity(0, others or before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
