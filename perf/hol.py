"""Measure how a slow route delays a fast one: head-of-line blocking.

Requests arrive at random over 64 connections; a share of them goes to a handler that sleeps (or
computes) for 50 ms. What counts is the p99 of the others. The generator's own floor is measured
in the same run, against the native ceiling, with nothing slow.
"""

from __future__ import annotations

import argparse
import sys

from perf.harness import machine
from perf.harness.contenders import Unavailable, ceiling, pyre
from perf.harness.progress import say
from perf.harness.server import Server, running
from perf.harness.spread import figure, percentile
from perf.harness.table import markdown
from perf.load import arrivals
from perf.load.arrivals import Sample

FAST = "/"


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="scripts/hol", description=__doc__.splitlines()[0])
    parser.add_argument("--rates", default="600", help="requests a second, comma-separated (600)")
    parser.add_argument(
        "--slow",
        choices=["/slow", "/slow-gil", "/slow-async", "/busy"],
        default="/slow",
        help="sleep in a def, on the main interpreter, or in a coroutine; or compute",
    )
    parser.add_argument("--share", type=float, default=0.05, help="share of slow requests (0.05)")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=8.0, help="length of one run (8)")
    parser.add_argument("--runs", type=int, default=2, help="runs per rate (2)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=4, help="lanes per worker (4)")
    parser.add_argument("--cores", help="comma-separated cores for the server; free if not given")
    parser.add_argument("--p99-max-ms", type=float, help="fail if a fast p99 is above this")
    return parser.parse_args()


def milliseconds(samples: list[Sample], path: str, percent: float) -> float | None:
    """Return a percentile of a path's times."""
    times = sorted(sample.seconds * 1e3 for sample in samples if sample.path == path)
    return percentile(times, percent) if times else None


def row(name: str, samples: list[Sample], slow: str) -> list[str]:
    """Return one line of the table."""
    figures = [
        milliseconds(samples, path, percent) for path in (FAST, slow) for percent in (50, 99)
    ]
    wrong: dict[int, int] = {}
    for sample in samples:
        if sample.status != 200:
            wrong[sample.status] = wrong.get(sample.status, 0) + 1
    failed = ", ".join(f"{count} x {status or 'no answer'}" for status, count in wrong.items())
    cells = ["-" if value is None else figure(value) for value in figures]
    return [name, str(len(samples)), *cells, failed or "none"]


def once(
    server: Server, chosen: argparse.Namespace, rate: float, share: float, seed: int
) -> list[Sample]:
    """Run the generator once."""
    shares = [(FAST, 1 - share), (chosen.slow, share)] if share else [(FAST, 1.0)]
    plan = arrivals.poisson(rate, chosen.seconds, shares, seed)
    return arrivals.run(server.port, plan, chosen.connections)


def main() -> int:
    """Measure and print a table; 1 if the fast route is slower than allowed."""
    chosen = arguments()
    cores = {int(core) for core in chosen.cores.split(",")} if chosen.cores else None
    rates = [float(rate) for rate in chosen.rates.split(",")]
    rows = []
    worst = 0.0
    say("the generator's floor, against the ceiling")
    with running(ceiling(), workers=chosen.workers, cores=cores) as server:
        for rate in rates:
            found = once(server, chosen, rate, 0.0, seed=1)
            rows.append(row(f"floor (native), {rate:.0f}/s", found, chosen.slow))
    lanes = {"PYRE_THREADS": str(chosen.threads), "PYRE_IO_WORKERS": str(chosen.workers)}
    try:
        with running(pyre("hol_app.py", lanes), workers=chosen.workers, cores=cores) as server:
            for rate in rates:
                for number in range(chosen.runs):
                    say(f"pyre, {rate:.0f} requests a second, run {number + 1} of {chosen.runs}")
                    found = once(server, chosen, rate, chosen.share, seed=number + 2)
                    rows.append(row(f"pyre, {rate:.0f}/s, run {number + 1}", found, chosen.slow))
                    worst = max(worst, milliseconds(found, FAST, 99) or 0.0)
    except Unavailable as reason:
        print(reason, file=sys.stderr)
        return 1
    machine.show()
    print(
        f"- {chosen.workers} workers with {chosen.threads} lanes each, {chosen.connections} "
        f"connections, {chosen.share:.0%} of the requests to {chosen.slow}; times in ms\n"
    )
    header = ["", "requests", "fast p50", "fast p99", "slow p50", "slow p99", "failed"]
    print(markdown(header, rows))
    if chosen.p99_max_ms is not None and worst > chosen.p99_max_ms:
        say(f"the fast route's p99 is {worst:.1f} ms, above {chosen.p99_max_ms} ms")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
