"""What is asked while instructions are counted, from perf/budget.toml."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass

from perf.harness.answers import ROUTES, Route
from perf.harness.places import PERF

BUDGET = PERF / "budget.toml"


@dataclass(frozen=True)
class Scenario:
    """A route under a fixed load, and the most instructions one request may take."""

    name: str
    route: Route
    depth: int
    connections: int
    instructions_max: int


def scenarios() -> list[Scenario]:
    """Read the budget file."""
    with BUDGET.open("rb") as file:
        listed = tomllib.load(file)["scenario"]
    return [
        Scenario(
            name=entry["name"],
            route=ROUTES[entry["route"]],
            depth=entry["depth"],
            connections=entry["connections"],
            instructions_max=entry["instructions_max"],
        )
        for entry in listed
    ]
