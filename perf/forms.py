"""Measure forms with a large file that is spooled to disk, beside Starlette with python-multipart.

CPU time of the server for each MB, in rounds that take turns, and how far its memory grows
meanwhile. Before that each has to name the CRC of a file that it was sent.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field

from perf.harness import machine
from perf.harness.contenders import Contender, Unavailable, contender, pyre, rival_names
from perf.harness.exchange import BadAnswer
from perf.harness.others import Others
from perf.harness.peak import Peak, rss_kib
from perf.harness.processes import cpu
from perf.harness.progress import say
from perf.harness.server import running
from perf.harness.table import markdown
from perf.harness.turns import TRIAL, beside, kept_off, turned
from perf.load import bodies
from perf.load.bodies import WrongBody

CHECKED_BYTES = 16_000_001
"""Sent once before anything counts; no multiple of a piece."""


@dataclass
class Way:
    """One way to take a form, and what was measured of it."""

    name: str
    path: str
    contender: Contender
    rates: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    """Of the server, for each MB."""
    grown_kib: int = 0


def ways(chosen: argparse.Namespace) -> list[Way]:
    """Return what is compared; the first one is what the others are compared with."""
    found = [Way(name, "/form-async", contender(name)) for name in rival_names_of(chosen)]
    ours = pyre("forms_app.py")
    found += [
        Way("def, req.files()", "/form", ours),
        Way("async def, req.files()", "/form-async", ours),
        Way("async def, req.parts()", "/parts", ours),
    ]
    return found


def rival_names_of(chosen: argparse.Namespace) -> list[str]:
    """Return the rivals, unless they are left out."""
    return [] if chosen.alone else rival_names(extra=False, serves="forms")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(prog="perf.forms", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=200, help="length of the file (200)")
    parser.add_argument("--cores", default="0", help="cores of the server, comma-separated (0)")
    parser.add_argument("--alone", action="store_true", help="without rivals")
    parser.add_argument("--grown-max-mib", type=float, default=10.0, help="what Pyre may grow (10)")
    parser.add_argument("--trial", action="store_true", help="show in seconds that it works")
    chosen = parser.parse_args()
    if chosen.trial:
        chosen.rounds, chosen.megabytes = 1, 20
    return chosen


def measure(found: list[Way], chosen: argparse.Namespace, cores: set[int]) -> str:
    """Measure each way in each round; each has a server of its own, for its memory's sake.

    Returns:
        What others did meanwhile.
    """
    count = chosen.megabytes * 1_000_000
    with ExitStack() as stack:
        servers = [stack.enter_context(running(way.contender, cores=cores)) for way in found]
        for way, server in zip(found, servers, strict=True):
            # What is imported with the first form, and what an allocator keeps, is there then.
            bodies.send_form_to_check(server.port, way.path, CHECKED_BYTES)
        stands = [rss_kib(server.processes()) for server in servers]
        for server in servers:
            server.pause()
        others = Others(servers)
        # The first round warms up.
        for number in range(chosen.rounds + 1):
            say(f"round {number} of {chosen.rounds}")
            for way, server, stand in turned(
                list(zip(found, servers, stands, strict=True)), number
            ):
                server.go_on()
                before = cpu(server.processes())
                with kept_off(cores), Peak(server) as peak:
                    moved = bodies.send_form(server.port, way.path, count)
                used = cpu(server.processes()) - before
                server.require_running()
                server.pause()
                way.grown_kib = max(way.grown_kib, peak.kib - stand)
                if number:
                    way.rates.append(moved.rate)
                    way.cpu_us.append(used.total_s / count * 1e12)
        return others.line()


def table(found: list[Way]) -> str:
    """Return what was measured, with ratios to the first."""
    first = found[0]
    rows = [
        [
            way.name,
            beside(way.rates, first.rates),
            beside(way.cpu_us, first.cpu_us),
            f"{way.grown_kib / 1024:.1f}",
        ]
        for way in found
    ]
    header = ["", f"MB/s (x {first.name})", "server's CPU us per MB (x)", "RSS growth MiB"]
    return markdown(header, rows)


def main() -> int:
    """Measure and print a table."""
    chosen = arguments()
    cores = {int(core) for core in chosen.cores.split(",")}
    machine.show()
    if chosen.trial:
        print(f"- {TRIAL}")
    print(f"- forms with a file of {chosen.megabytes} MB")
    print(f"- growth is over the memory after a file of {CHECKED_BYTES} bytes")
    try:
        found = ways(chosen)
        others = measure(found, chosen, cores)
    except (Unavailable, WrongBody, BadAnswer, OSError) as reason:
        print(reason, file=sys.stderr)
        return 1
    print(f"{others}\n\n{table(found)}", flush=True)
    grown = [way for way in found if way.contender.name == "pyre" and way.grown_kib > 0]
    too_far = [way.name for way in grown if way.grown_kib > chosen.grown_max_mib * 1024]
    if too_far:
        print(f"grew by more than {chosen.grown_max_mib} MiB: {', '.join(too_far)}")
    return 1 if too_far else 0


if __name__ == "__main__":
    sys.exit(main())
