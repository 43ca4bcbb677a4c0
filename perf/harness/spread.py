"""Medians and quartiles: what a noisy machine lets us say."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """The middle of some values and the half of them around it."""

    median: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        return f"{figure(self.median)} [{figure(self.low)}..{figure(self.high)}]"


def spread(values: Sequence[float]) -> Spread | None:
    """Return median and quartiles; None without values."""
    if not values:
        return None
    if len(values) == 1:
        return Spread(values[0], values[0], values[0], 1)
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, low, high, len(values))


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value that ``percent`` of the sorted ``values`` do not exceed."""
    rank = max(0, -(-len(values) * percent // 100) - 1)
    return values[int(rank)]


def figure(value: float) -> str:
    """Return three significant digits without an exponent."""
    if value == 0:
        return "0"
    digits = 2
    size = abs(value)
    while size >= 10 and digits > 0:
        size /= 10
        digits -= 1
    return f"{value:.{digits if abs(value) >= 1 else 3}f}"


def count(value: float) -> str:
    """Return a large number as 950, 81k or 1.30M."""
    if value >= 999_500:
        return f"{value / 1e6:.2f}M"
    return f"{value / 1e3:.0f}k" if value >= 9_950 else f"{value:.0f}"
