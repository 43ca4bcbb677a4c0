"""Rounds whose order turns, and figures that are compared inside a round."""

from __future__ import annotations

import os
from collections.abc import Sequence

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


def beside(values: Sequence[float], base: Sequence[float]) -> str:
    """Return the median, and in brackets that of the ratios to the base of the same round."""
    if not values or len(values) != len(base):
        return middle(values)
    ratios = [value / other for value, other in zip(values, base, strict=True)]
    return f"{middle(values)} ({middle(ratios)})"


def keep_off(cores: set[int]) -> None:
    """Leave these cores to the server, if this process has others.

    For programs that send the load themselves; servers that are started later without cores of
    their own inherit it.
    """
    others = os.sched_getaffinity(0) - cores
    if others:
        os.sched_setaffinity(0, others)
