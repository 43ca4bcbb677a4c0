"""Measure bodies of a gigabyte in pieces, both ways, beside a native server.

Three questions: what an answer in pieces costs that is read as fast as it goes, and what an upload
costs, each in rounds that take turns, with every byte compared; and how far the server's memory
grows meanwhile, also when the reader takes 5 MB a second.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field

from perf.harness import machine
from perf.harness.contenders import Contender, Unavailable, ceiling, pyre
from perf.harness.exchange import BadAnswer
from perf.harness.others import Others
from perf.harness.peak import Peak, rss_kib
from perf.harness.processes import cpu
from perf.harness.progress import say
from perf.harness.server import Server, running
from perf.harness.table import markdown
from perf.harness.turns import TRIAL, beside, kept_off, middle, turned
from perf.load import bodies
from perf.load.bodies import Moved, WrongBody

CHECKED_BYTES = 16_000_001
"""Moved once each way before anything counts; no multiple of a piece."""


@dataclass
class Way:
    """One way to move a body, and what was measured of it."""

    name: str
    path: str
    is_native: bool = False
    rates: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    """Of the server, for each MB."""
    busy: list[float] = field(default_factory=list)
    """Share of the time that the one who reads or sends was busy."""
    grown_kib: int = 0


def replies() -> list[Way]:
    """Return the answers in pieces."""
    return [
        Way("native", "/reply", is_native=True),
        Way("generator", "/generator"),
        Way("async generator", "/async-generator"),
        Way("PyreStream, a thread sends", "/stream"),
    ]


def uploads() -> list[Way]:
    """Return the handlers that read a body in pieces."""
    return [
        Way("native", "/upload", is_native=True),
        Way("def", "/upload"),
        Way("async def", "/upload-async"),
    ]


def arguments() -> argparse.Namespace:
    """Read the command line."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(prog="perf.bodies", description=__doc__.splitlines()[0])
    parser.add_argument("--parts", default="reply,upload,slow", help="which of the three")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=1000, help="length of a body (1000)")
    parser.add_argument("--cores", default="0", help="cores of the server, comma-separated (0)")
    parser.add_argument("--slow-rate", type=float, default=5.0, help="MB a second read (5)")
    parser.add_argument(
        "--slow-seconds", type=float, default=60.0, help="cut a slow reader short; 0 for never (60)"
    )
    parser.add_argument("--trial", action="store_true", help="show in seconds that it works")
    chosen = parser.parse_args()
    if chosen.trial:
        chosen.rounds, chosen.megabytes, chosen.slow_seconds = 1, 50, 2.0
    return chosen


def contender(way: Way) -> Contender:
    """Return who serves it."""
    return ceiling() if way.is_native else pyre("bodies_app.py")


def moved(server: Server, way: Way, count: int) -> Moved:
    """Move one body."""
    if "upload" in way.path:
        return bodies.send(server.port, way.path, count)
    return bodies.read(server.port, f"{way.path}/{count}", count)


def check(server: Server, way: Way) -> None:
    """Move a body that is cut in no good place; the server must have seen every byte."""
    moved(server, way, CHECKED_BYTES)
    # The native server only counts, as no other work of a body would be the same in both.
    if "upload" in way.path and not way.is_native:
        bodies.send_to_check(server.port, way.path, CHECKED_BYTES)


def compare(ways: list[Way], chosen: argparse.Namespace, cores: set[int]) -> str:
    """Measure each way in each round; each has a server of its own, for its memory's sake.

    Returns:
        What others did meanwhile.
    """
    count = chosen.megabytes * 1_000_000
    with ExitStack() as stack:
        servers = [stack.enter_context(running(contender(way), cores=cores)) for way in ways]
        stands = [rss_kib(server.processes()) for server in servers]
        for way, server in zip(ways, servers, strict=True):
            check(server, way)
            server.pause()
        others = Others(servers)
        # The first round warms up.
        for number in range(chosen.rounds + 1):
            say(f"round {number} of {chosen.rounds}")
            for way, server, stand in turned(list(zip(ways, servers, stands, strict=True)), number):
                server.go_on()
                before = cpu(server.processes())
                with kept_off(cores), Peak(server) as peak:
                    found = moved(server, way, count)
                used = cpu(server.processes()) - before
                server.require_running()
                server.pause()
                way.grown_kib = max(way.grown_kib, peak.kib - stand)
                if number:
                    way.rates.append(found.rate)
                    way.cpu_us.append(used.total_s / count * 1e12)
                    way.busy.append(found.busy_s / found.seconds * 100)
        return others.line()


def table(ways: list[Way], who: str) -> str:
    """Return what was measured, with ratios to the native server."""
    native = ways[0]
    rows = [
        [
            way.name,
            beside(way.rates, native.rates),
            beside(way.cpu_us, native.cpu_us),
            middle(way.busy),
            f"{way.grown_kib / 1024:.1f}",
        ]
        for way in ways
    ]
    header = ["", "MB/s (x native)", "server's CPU us per MB (x native)", f"{who} busy %"]
    return markdown([*header, "RSS growth MiB"], rows)


def slow(ways: list[Way], chosen: argparse.Namespace) -> str:
    """Let each be read slowly, all at a time, from a server of its own."""
    count = chosen.megabytes * 1_000_000
    rate = chosen.slow_rate * 1e6

    def one(way: Way, server: Server, stand: int) -> list[str]:
        with Peak(server) as peak:
            path = f"{way.path}/{count}"
            found = bodies.read(server.port, path, count, rate=rate, seconds=chosen.slow_seconds)
        grown = f"{(peak.kib - stand) / 1024:.1f}"
        share = "whole" if found.is_whole else "cut short"
        megabytes = f"{found.body_bytes / 1e6:.0f}"
        return [way.name, f"{found.rate:.2f}", megabytes, share, grown]

    with ExitStack() as stack:
        servers = [stack.enter_context(running(contender(way))) for way in ways]
        stands = [rss_kib(server.processes()) for server in servers]
        with ThreadPoolExecutor(len(ways)) as pool:
            rows = list(pool.map(one, ways, servers, stands))
        for server in servers:
            server.require_running()
    return markdown(["", "MB/s", "MB read", "", "RSS growth MiB"], rows)


def main() -> int:
    """Measure and print tables."""
    chosen = arguments()
    cores = {int(core) for core in chosen.cores.split(",")}
    parts = chosen.parts.split(",")
    machine.show()
    if chosen.trial:
        print(f"- {TRIAL}")
    print(f"- bodies of {chosen.megabytes} MB in pieces of {len(bodies.PIECE)} bytes")
    print("- growth is over the memory that the server had before its first body")
    try:
        for part, ways, who in (("reply", replies(), "reader"), ("upload", uploads(), "sender")):
            if part in parts:
                others = compare(ways, chosen, cores)
                print(f"\n## {part}, as fast as it goes\n\n{table(ways, who)}\n{others}")
                sys.stdout.flush()
        if "slow" in parts:
            say(f"readers of {chosen.slow_rate} MB/s")
            print(f"\n## reply to a reader of {chosen.slow_rate:g} MB/s\n")
            print(slow(replies()[1:], chosen), flush=True)
    except (Unavailable, WrongBody, BadAnswer, OSError) as reason:
        print(reason, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
