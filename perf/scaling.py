"""Measure what a second core brings: two reactors and two workers against one and one.

All variants run in one go, interleaved. "Free" means that neither server nor load is pinned, so
both variants share the machine with wrk in the same way; "pinned" is the layout of scripts/bench.
"""

from __future__ import annotations

import argparse
import sys

from perf.harness import answers, load, machine, rounds
from perf.harness.answers import ROUTES
from perf.harness.contenders import CEILING, PYRE, Unavailable, contender
from perf.harness.load import Load
from perf.harness.places import PERF
from perf.harness.progress import say
from perf.harness.server import Server, end
from perf.harness.spread import count, spread
from perf.harness.table import markdown

LOADS = {"d1c64": Load(1, 64), "d16c64": Load(16, 64)}


class Variant:
    """A server with so many reactors and workers, pinned or free."""

    def __init__(self, name: str, width: int, *, pinned: bool) -> None:
        self.title = f"{name}, {width} + {width}, {'pinned' if pinned else 'free'}"
        self.pinned = pinned
        self.server = Server(
            contender(name),
            workers=width,
            cores={0} if pinned else None,
            environment={"PYRE_IO_WORKERS": str(width)},
        )
        self.server.pause()
        self.cpu_us: list[float] = []
        self.rates: list[float] = []

    def measure(self, route: answers.Route, kind: Load, seconds: int) -> None:
        """Add one round."""
        found = rounds.measure(
            self.server,
            route,
            kind,
            seconds=seconds,
            core=1 if self.pinned else None,
            threads=1 if self.pinned else 2,
        )
        self.cpu_us.append(found.cpu_us)
        self.rates.append(found.outcome.per_second)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="perf.scaling", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=int, default=1)
    parser.add_argument("--only", default=f"{PYRE},{CEILING}")
    parser.add_argument("--routes", default="/,/json")
    parser.add_argument("--loads", default=",".join(LOADS))
    return parser.parse_args()


def compare(variants: list[Variant], chosen: argparse.Namespace) -> None:
    """Run the rounds of every route and load, and print a table for each."""
    for route_name in chosen.routes.split(","):
        for load_name in chosen.loads.split(","):
            route, kind = ROUTES[route_name], LOADS[load_name]
            say(f"{route.name} {kind.name}")
            for variant in variants:
                variant.cpu_us, variant.rates = [], []
            for number in range(chosen.rounds + 1):
                turn = number % len(variants)
                for variant in variants[turn:] + variants[:turn]:
                    variant.measure(route, kind, chosen.seconds)
            print(f"## {route.method} {route.name} {kind.name}\n")
            print(_table(variants), flush=True)


def _table(variants: list[Variant]) -> str:
    rows = []
    for variant in variants:
        # The first round warms up. Each variant is compared with the first of its contender.
        name = variant.server.name
        base = next(other for other in variants if other.server.name == name)
        own, others = variant.cpu_us[1:], base.cpu_us[1:]
        ratio = spread([one / other for one, other in zip(own, others, strict=True)])
        free = next(
            other for other in variants if other.server.name == name and not other.pinned
        ).cpu_us[1:]
        to_free = spread([one / other for one, other in zip(own, free, strict=True)])
        rate = spread(variant.rates[1:])
        rows.append(
            [
                variant.title,
                str(spread(own)),
                count(rate.median) if rate else "-",
                str(ratio),
                str(to_free),
            ]
        )
    header = ["", "us per request", "req/s", "x 1 + 1 pinned", "x 1 + 1 free"]
    return markdown(header, rows)


def main() -> int:
    """Measure and print."""
    chosen = arguments()
    variants: list[Variant] = []
    machine.show()
    print(f"- applications: {PERF / 'apps'}\n", flush=True)
    try:
        for name in chosen.only.split(","):
            for width, pinned in ((1, True), (1, False), (2, False)):
                variants.append(Variant(name, width, pinned=pinned))
        compare(variants, chosen)
    except (Unavailable, load.NoLoad) as reason:
        print(reason, file=sys.stderr)
        return 1
    finally:
        for variant in variants:
            end(variant.server)
    return 0


if __name__ == "__main__":
    sys.exit(main())
