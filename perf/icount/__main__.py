"""Count instructions per request in user space and compare them with the budget."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from perf.harness import machine
from perf.harness.contenders import PYRE, Contender, Unavailable, contender, pyre
from perf.harness.exchange import BadAnswer
from perf.harness.progress import say
from perf.harness.table import markdown
from perf.icount.counted import CountedServer, PerRequest
from perf.icount.scenario import BUDGET, EVERYBODYS, Scenario, scenarios

_FUNCTIONS_SHOWN = 40
_RECOUNTS = 2
_RUST_HASH = re.compile(r"::h[0-9a-f]{16}$")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    names = [scenario.name for scenario in scenarios()]
    parser = argparse.ArgumentParser(prog="scripts/icount", description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if a count is over its budget")
    parser.add_argument("--contender", default=PYRE, help="pyre, ceiling or a rival (pyre)")
    parser.add_argument("--only", help=f"comma-separated, of: {', '.join(names)}")
    parser.add_argument("--annotate", action="store_true", help="also show the costliest functions")
    parser.add_argument("--keep", type=Path, help="leave callgrind's dumps in this folder")
    chosen = parser.parse_args()
    for name in filter(None, (chosen.only or "").split(",")):
        if name not in names:
            parser.error(f"{name!r} is no scenario; there are {', '.join(names)}")
    return chosen


def by_app(name: str, wanted: set[str] | None) -> list[tuple[str, list[Scenario]]]:
    """Return the apps, each with the scenarios to count; some apps are of Pyre alone."""
    apps: dict[str, list[Scenario]] = {}
    for scenario in scenarios():
        if (wanted is None or scenario.name in wanted) and (
            name == PYRE or scenario.app == EVERYBODYS
        ):
            apps.setdefault(scenario.app, []).append(scenario)
    return list(apps.items())


def served(name: str, app: str) -> Contender:
    """Return the contender that serves an app."""
    return pyre(app) if name == PYRE else contender(name)


def lowest(counted: CountedServer, scenario: Scenario) -> PerRequest:
    """Count once, and again if that is over budget.

    A busy machine makes batches smaller, which adds wake-ups and never takes any away: the lowest
    count is the right one.
    """
    found = counted.count(scenario)
    for _ in range(_RECOUNTS):
        if not exceeded(scenario, found):
            break
        found = min(found, counted.count(scenario), key=lambda one: one.instructions)
    return found


def costliest(scenario: Scenario, found: PerRequest) -> str:
    """Return the functions that take most instructions themselves."""
    rows = [
        [f"{cost:.0f}", f"{cost / found.instructions:.1%}", _RUST_HASH.sub("", name)[:100]]
        for name, cost in list(found.by_function.items())[:_FUNCTIONS_SHOWN]
    ]
    return f"{scenario.name}\n\n{markdown(['instructions', 'share', 'function'], rows)}"


def exceeded(scenario: Scenario, found: PerRequest) -> list[str]:
    """Return a line for each budget that is not kept."""
    limits: list[tuple[str, float, float | None]] = [
        ("instructions", found.instructions, scenario.instructions_max),
        ("allocations", found.allocations, scenario.allocations_max),
    ]
    return [
        f"{scenario.name}: {counted:.2f} {what}, {allowed} allowed"
        for what, counted, allowed in limits
        if allowed is not None and counted > allowed
    ]


def row(scenario: Scenario, found: PerRequest) -> list[str]:
    """Return one line of the table."""
    budget, allowed = scenario.instructions_max, scenario.allocations_max
    return [
        scenario.name,
        f"{found.instructions:.0f}",
        "-" if budget is None else str(budget),
        "-" if budget is None else f"{found.instructions / budget:.0%}",
        f"{found.allocations:.3f}",
        "-" if allowed is None else f"{allowed:g}",
    ]


def main() -> int:
    """Count; 1 if the server cannot be counted or, with --check, a budget is not kept."""
    chosen = arguments()
    wanted = set(chosen.only.split(",")) if chosen.only else None
    rows = []
    over = []
    try:
        for app, asked in by_app(chosen.contender, wanted):
            say(f"starting {chosen.contender} under callgrind")
            folder = chosen.keep and chosen.keep / Path(app).stem
            counted = CountedServer(served(chosen.contender, app), folder)
            try:
                for scenario in asked:
                    found = lowest(counted, scenario)
                    say(f"{scenario.name}: {found.instructions:.0f} instructions per request")
                    over += exceeded(scenario, found)
                    rows.append(row(scenario, found))
                    if chosen.annotate:
                        print(costliest(scenario, found))
            finally:
                counted.close()
    except (Unavailable, BadAnswer, TimeoutError) as reason:
        print(f"icount: {reason}", file=sys.stderr)
        return 1
    print(f"\n{chosen.contender} at {machine.commit()}\n")
    header = ["scenario", "instructions", "budget", "of it", "allocations", "allowed"]
    print(markdown(header, rows))
    if chosen.check and over:
        for line in over:
            print(f"over the budget of {BUDGET.name}: {line}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
