"""Send four times what the server can take, and see whether it sheds the rest in order.

Requests arrive at random moments, whatever the server does, to a handler that takes 5 ms. What it
can take is measured first. Then: nothing but 200 and 503, the p99 of accepted requests within
twice the time that full queues take, memory that stays where it is, and within a second after the
load has gone back to half of what it can take no refusals and no queue any more.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Self

from perf.harness import machine, processes
from perf.harness.contenders import Unavailable, pyre
from perf.harness.progress import say
from perf.harness.server import Server, running
from perf.harness.spread import figure, percentile
from perf.harness.table import markdown
from perf.load import arrivals
from perf.load.arrivals import Arrival, Sample

CALM_S = 3.0
"""Length of the load after the overload."""
RECOVERY_MAX_S = 1.0
GROWTH_MAX_KIB = 2048
LOOK_S = 0.25


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="perf.overload", description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=float, default=4.0, help="of what it can take (4)")
    parser.add_argument("--seconds", type=float, default=30.0, help="length of the overload (30)")
    parser.add_argument("--path", choices=["/wait", "/compute"], default="/wait")
    parser.add_argument("--connections", type=int, default=512)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2, help="lanes per worker (2)")
    parser.add_argument("--io-workers", type=int, default=2)
    parser.add_argument("--queue-depth", type=int, default=64, help="for each worker (64)")
    return parser.parse_args()


class Memory:
    """Looks at the server's memory now and then, as a context."""

    def __init__(self, server: Server) -> None:
        self.kib: list[int] = []
        self._server = server
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        while not self._over.wait(LOOK_S):
            self.kib.append(processes.memory(self._server.processes()).rss_kib)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def growth_kib(self) -> int:
        """Return how much more the last quarter had than the second: the first one warms up."""
        quarter = max(1, len(self.kib) // 4)
        early, late = self.kib[quarter : 2 * quarter] or self.kib, self.kib[-quarter:]
        return round(statistics.median(late) - statistics.median(early))


def plan(path: str, phases: Sequence[tuple[float, float]]) -> list[Arrival]:
    """Return arrivals at one rate after the other; each path says when it is due."""
    found: list[Arrival] = []
    start = 0.0
    for number, (rate, seconds) in enumerate(phases):
        for arrival in arrivals.poisson(rate, seconds, [(path, 1.0)], seed=number):
            due_s = start + arrival.due_s
            found.append(Arrival(due_s, f"{path}?{due_s:.6f}"))
        start += seconds
    return found


def due(sample: Sample) -> float:
    """Return when a sample's request was due."""
    return float(sample.path.partition("?")[2])


def capacity(server: Server, path: str, connections: int) -> float:
    """Return how many requests a second the server can take, from what it takes of too many."""
    seconds = 3.0
    found = arrivals.run(server.port, plan(path, [(4000.0, seconds)]), connections)
    taken = [sample for sample in found if sample.status == 200 and due(sample) > 1.0]
    return len(taken) / (seconds - 1.0)


def recovery_s(samples: Sequence[Sample], end_s: float, slow_ms: float) -> float:
    """Return how long after the overload a request still was refused, lost or slow."""
    bad = [
        due(sample) - end_s
        for sample in samples
        if due(sample) >= end_s and (sample.status != 200 or sample.seconds * 1e3 > slow_ms)
    ]
    return max(bad, default=0.0)


def main() -> int:
    """Overload a server and print a table; 1 if something is not as it should be."""
    chosen = arguments()
    settings = {
        "PYRE_THREADS": str(chosen.threads),
        "PYRE_QUEUE_DEPTH": str(chosen.queue_depth),
        "PYRE_IO_WORKERS": str(chosen.io_workers),
    }
    try:
        with running(pyre("life_app.py", settings), workers=chosen.workers) as server:
            rate = capacity(server, chosen.path, chosen.connections)
            say(f"it takes {rate:.0f} requests a second; now {chosen.times * rate:.0f}")
            phases = [(chosen.times * rate, chosen.seconds), (0.5 * rate, CALM_S)]
            with Memory(server) as memory:
                found = arrivals.run(server.port, plan(chosen.path, phases), chosen.connections)
            server.require_running()
            code = server.stop()
    except Unavailable as reason:
        print(reason, file=sys.stderr)
        return 1
    loaded = [sample for sample in found if due(sample) < chosen.seconds]
    accepted = sorted(sample.seconds * 1e3 for sample in loaded if sample.status == 200)
    refused = sorted(sample.seconds * 1e3 for sample in loaded if sample.status == 503)
    statuses = Counter(sample.status for sample in found)
    bound_ms = 2e3 * (chosen.workers * chosen.queue_depth) / rate
    # Slow is what waits half as long as under overload.
    recovered_s = recovery_s(found, chosen.seconds, percentile(accepted, 50) / 2)
    p99_ms = percentile(accepted, 99)
    rows = [
        [
            "requests a second",
            f"{len(loaded) / chosen.seconds:.0f}",
            f"{chosen.times:g} x {rate:.0f}",
        ],
        ["answered 200 a second", f"{len(accepted) / chosen.seconds:.0f}", f"about {rate:.0f}"],
        ["other than 200 and 503", str(len(found) - statuses[200] - statuses[503]), "0"],
        ["p50 of accepted, ms", figure(percentile(accepted, 50)), ""],
        ["p99 of accepted, ms", figure(p99_ms), f"below {bound_ms:.0f}"],
        ["p99 of refused, ms", figure(percentile(refused, 99)) if refused else "-", ""],
        ["growth of memory, KiB", f"{memory.growth_kib():+}", f"below {GROWTH_MAX_KIB}"],
        ["recovered after, s", figure(recovered_s), f"below {RECOVERY_MAX_S:g}"],
        ["exit code", str(code), "0"],
    ]
    machine.show()
    print(
        f"- {chosen.workers} workers with {chosen.threads} lanes each, queues of "
        f"{chosen.queue_depth}, {chosen.connections} connections, {chosen.path}, "
        f"{chosen.seconds:g} s\n"
    )
    print(markdown(["", "seen", "expected"], rows))
    good = (
        set(statuses) <= {200, 503}
        and p99_ms < bound_ms
        and memory.growth_kib() < GROWTH_MAX_KIB
        and recovered_s < RECOVERY_MAX_S
        and code == 0
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
