"""What is asked while instructions are counted, from perf/budget.toml."""

from __future__ import annotations

import sys
import sysconfig
import tomllib
from dataclasses import dataclass

from perf.harness.answers import HANDLERS, ROUTES, Route
from perf.harness.places import PERF

BUDGET = PERF / "budget.toml"
EVERYBODYS = "pyre_app.py"
"""The app that has the routes that every contender serves."""


@dataclass(frozen=True)
class Scenario:
    """A route under a fixed load, and the most that one request may take.

    ``app`` is the program of perf/apps that is asked. ``instructions_max`` is that of the CPython
    that counts; ``allocations_max`` counts calls of the system's allocator. None leaves them open.
    """

    name: str
    app: str
    route: Route
    depth: int
    connections: int
    instructions_max: int | None
    allocations_max: float | None


def scenarios() -> list[Scenario]:
    """Read the budget file."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    # A debug build checks itself all the time.
    is_debug = bool(sysconfig.get_config_var("Py_DEBUG"))
    with BUDGET.open("rb") as file:
        listed = tomllib.load(file)["scenario"]
    return [
        Scenario(
            name=entry["name"],
            app=entry.get("app", EVERYBODYS),
            route=(ROUTES | HANDLERS)[entry["route"]],
            depth=entry["depth"],
            connections=entry["connections"],
            instructions_max=None if is_debug else entry["instructions_max"][version],
            allocations_max=entry.get("allocations_max"),
        )
        for entry in listed
    ]
