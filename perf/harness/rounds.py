"""One server, loaded once: what it took for each request."""

from __future__ import annotations

from dataclasses import dataclass

from perf.harness import load, processes
from perf.harness.answers import Route
from perf.harness.contenders import Unavailable
from perf.harness.load import Load, Outcome
from perf.harness.server import Server


@dataclass(frozen=True)
class Measure:
    """One server in one round; ``cpu_us`` and ``switches`` are for each request.

    ``switches`` counts switches of context, of all its threads that still live.
    """

    cpu_us: float
    outcome: Outcome
    switches: float = 0.0


def measure(
    server: Server, route: Route, kind: Load, *, seconds: int, core: int | None, threads: int = 1
) -> Measure:
    """Load one server, which is paused before and after it, and count what it used.

    Args:
        server: What to load.
        route: What to ask.
        kind: Depth and connections.
        seconds: Length of the round.
        core: The core wrk is pinned to; None leaves it free.
        threads: wrk's threads.

    Raises:
        Unavailable: It has ended, or answered nothing.
        NoLoad: wrk failed.
    """
    server.go_on()
    members = server.processes()
    before, switched = processes.cpu(members), processes.switches(members)
    outcome = load.run(server.port, route, kind, seconds=seconds, core=core, threads=threads)
    used = processes.cpu(members) - before
    switches = processes.switches(members) - switched
    server.require_running()
    server.pause()
    if outcome.requests == 0:
        raise Unavailable(f"{server.name} answered nothing to {route.name} under {kind.name}")
    return Measure(used.total_s / outcome.requests * 1e6, outcome, switches / outcome.requests)
