"""What a server counts of itself, from its page of metrics."""

from __future__ import annotations

import re
from collections.abc import Mapping

from perf.harness.exchange import Client

REQUESTS = "pyre_requests_total"
INLINE = "pyre_inline_requests_total"
TAKEN_BACK = "pyre_take_backs_total"
REFUSED = "pyre_refused_suspicions_total"

type Counters = Mapping[str, float]

_SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{.*\})? (\S+)$", re.MULTILINE)


def read(port: int) -> Counters:
    """Return each metric, summed over its labels; nothing if the server has no such page.

    Raises:
        BadAnswer: The server gave no answer at all.
    """
    with Client(port) as client:
        answer = client.ask("GET", "/metrics")
    return parse(answer.body.decode()) if answer.status == 200 else {}


def parse(page: str) -> Counters:
    """Return each metric of a page in the text format of Prometheus, summed over its labels."""
    found: dict[str, float] = {}
    for name, value in _SAMPLE.findall(page):
        found[name] = found.get(name, 0.0) + float(value)
    return found


def between(before: Counters, after: Counters) -> Counters:
    """Return what was counted from one look to the next."""
    return {name: value - before.get(name, 0.0) for name, value in after.items()}


def share(part: str, whole: str, counted: Counters) -> str:
    """Return a share as a percentage; ``-`` if the server does not count it."""
    if part not in counted or not counted.get(whole):
        return "-"
    return f"{counted[part] / counted[whole]:.1%}"


def total(name: str, counted: Counters) -> str:
    """Return a count; ``-`` if the server does not count it."""
    return f"{counted[name]:.0f}" if name in counted else "-"
