"""Measure token streams: how late events are, and what one costs, beside Starlette on uvicorn.

Each client gets so many events a second, at set times, from an ``async def`` generator. Servers
take turns; one process reads all streams, so its own queue counts as lateness, too.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field

from perf.harness import machine
from perf.harness.contenders import Contender, Unavailable, contender, pyre, rival_names
from perf.harness.others import Others
from perf.harness.places import APPS, pyre_python
from perf.harness.processes import cpu
from perf.harness.progress import say
from perf.harness.server import Server, running
from perf.harness.spread import percentile
from perf.harness.table import markdown
from perf.harness.turns import TRIAL, kept_off, middle, ratio, turned
from perf.load import events

LATE_MS = 50.0
BUSY_MAX = 80.0
"""Above this share of its time the reader adds to what it measures."""


@dataclass
class Case:
    """A server, and what was measured of it under one load."""

    name: str
    server: Server
    cores: set[int] | None = None
    """Those of the server, which leaves the others to the reader."""
    first_ms: list[float] = field(default_factory=list)
    """The p99 of the time until a stream has begun."""
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    longest_ms: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    """Share of events that were late."""
    cpu_us: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    missing: int = 0


def arguments() -> argparse.Namespace:
    """Read the command line."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(prog="perf.tokens", description=__doc__.splitlines()[0])
    parser.add_argument("--clients", default="1000,200", help="loads, comma-separated (1000,200)")
    parser.add_argument("--per-second", type=int, default=50, help="events of each client (50)")
    parser.add_argument("--seconds", type=int, default=20, help="length of each stream (20)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", help="of pyre, pyre-2 (two workers) and the rivals")
    parser.add_argument("--core", type=int, default=0, help="core of the servers of one worker (0)")
    parser.add_argument("--trial", action="store_true", help="show in seconds that it works")
    chosen = parser.parse_args()
    if chosen.trial:
        chosen.clients, chosen.seconds, chosen.rounds = "100", 2, 1
    return chosen


def contenders(only: str | None) -> list[tuple[str, Contender, int]]:
    """Return names, what to start, and with how many workers; Pyre comes first."""
    found: list[tuple[str, Contender, int]] = []
    rivals = rival_names(extra=True, serves="events")
    for name in only.split(",") if only else ["pyre", *rivals, "pyre-2"]:
        try:
            if name in ("pyre", "pyre-2"):
                found.append((name, pyre("tokens_app.py"), 2 if name == "pyre-2" else 1))
            else:
                found.append((name, contender(name), 1))
        except Unavailable as reason:
            say(f"{name} is left out: {reason}")
            print(f"- {name} is left out: {reason}")
    return found


def measure(case: Case, clients: int, chosen: argparse.Namespace) -> None:
    """Load one server; the others stand still."""
    server = case.server
    server.go_on()
    before = cpu(server.processes())
    with kept_off(case.cores):
        heard = events.run(
            server.port,
            clients=clients,
            count=chosen.seconds * chosen.per_second,
            per_second=chosen.per_second,
            patience_s=chosen.seconds + 5.0,
        )
    used = cpu(server.processes()) - before
    server.require_running()
    server.pause()
    if not heard.late_ns:
        raise Unavailable(f"{case.name}: no event has come: {heard.wrong[:1]}")
    late_ms = sorted(late / 1e6 for late in heard.late_ns)
    case.first_ms.append(percentile(sorted(heard.first_ns), 99) / 1e6)
    case.p50_ms.append(percentile(late_ms, 50))
    case.p99_ms.append(percentile(late_ms, 99))
    case.longest_ms.append(late_ms[-1])
    case.late.append(sum(late > LATE_MS for late in late_ms) / len(late_ms) * 100)
    case.cpu_us.append(used.total_s / len(late_ms) * 1e6)
    case.busy.append(heard.busy_s / heard.seconds * 100)
    case.wrong += heard.wrong
    case.missing += clients * chosen.seconds * chosen.per_second - len(late_ms)


def alone(clients: int, chosen: argparse.Namespace) -> float:
    """Return the processor time of an event that nobody sends: what no server can be below."""
    numbers = (clients, min(chosen.seconds, 5) * chosen.per_second, chosen.per_second)
    program = [str(pyre_python()), str(APPS / "tokens_alone.py"), *map(str, numbers)]
    command = ["taskset", "--cpu-list", str(chosen.core), *program]
    return float(subprocess.run(command, check=True, capture_output=True, timeout=120).stdout)


def table(cases: list[Case]) -> str:
    """Return what was measured: medians over the rounds, and the worst of the longest."""
    base = cases[0]
    header = ["", "CPU us per event", f"x {base.name}", "first event p99 ms"]
    header += ["late p50 ms", "p99 ms", "max ms"]
    header += [f"late by > {LATE_MS:g} ms %", "reader busy %", "missing", "faults"]
    rows = []
    for case in cases:
        cells = [middle(case.cpu_us), ratio(case.cpu_us, base.cpu_us)]
        cells += [
            middle(case.first_ms),
            middle(case.p50_ms),
            middle(case.p99_ms),
            middle([max(case.longest_ms)]),
        ]
        cells += [middle(case.late), middle(case.busy), str(case.missing), str(len(case.wrong))]
        rows.append([case.name, *cells])
    notes = [f"- {case.name}: {text}" for case in cases for text in case.wrong[:3]]
    if any(max(case.busy) > BUSY_MAX for case in cases):
        notes.append(f"- a reader that is busy for more than {BUSY_MAX:g} % adds to the lateness")
    return "\n".join([markdown(header, rows), *notes])


def main() -> int:
    """Measure and print tables; 1 if Pyre has lost an event or sent a wrong one."""
    chosen = arguments()
    loads = [int(clients) for clients in chosen.clients.split(",")]
    machine.show()
    if chosen.trial:
        print(f"- {TRIAL}")
    print(f"- {chosen.per_second} events a second for {chosen.seconds} s for each client")
    print("- one worker: server and reader have a core each; pyre-2: nothing is pinned", flush=True)
    has_failed = False
    try:
        with ExitStack() as stack:
            servers = []
            for name, what, workers in contenders(chosen.only):
                cores = {chosen.core} if workers == 1 else None
                server = stack.enter_context(running(what, workers=workers, cores=cores))
                server.pause()
                servers.append((name, server, cores))
            for clients in loads:
                cases = [Case(*which) for which in servers]
                others = Others([case.server for case in cases])
                for number in range(chosen.rounds):
                    for case in turned(cases, number):
                        say(f"{clients} clients, round {number + 1}: {case.name}")
                        measure(case, clients, chosen)
                print(f"\n## {clients} clients\n\n{table(cases)}")
                print(others.line())
                floor = alone(clients, chosen)
                print(f"- asyncio and the generators without a server: {floor:.1f} us per event")
                sys.stdout.flush()
                own = [case for case in cases if case.name.startswith("pyre")]
                has_failed |= any(case.wrong or case.missing for case in own)
    except (Unavailable, OSError) as reason:
        print(reason, file=sys.stderr)
        return 1
    return 1 if has_failed else 0


if __name__ == "__main__":
    sys.exit(main())
