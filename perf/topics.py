"""Measure how late many subscribers hear an event, and what each costs that is idle."""

from __future__ import annotations

import argparse
import resource
import sys
import time

from perf.harness import machine, processes
from perf.harness.contenders import Unavailable, pyre
from perf.harness.exchange import Client
from perf.harness.progress import say
from perf.harness.server import Server, running
from perf.harness.spread import figure, percentile
from perf.harness.table import markdown
from perf.load.listeners import KINDS, Listeners, Missed

_SETTLE_S = 1.0
# What else is open in a process that has many connections.
_OTHER_DESCRIPTORS = 200


def arguments() -> argparse.Namespace:
    """Read the command line."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(prog="perf.topics", description=__doc__.splitlines()[0])
    parser.add_argument("--subscribers", type=int, default=10_000, help="of each kind (10000)")
    parser.add_argument("--publications", type=int, default=20, help="one after the other (20)")
    parser.add_argument("--bytes", type=int, default=100, help="how long each is (100)")
    parser.add_argument("--reactors", type=int, default=2, help="io threads, and workers (2)")
    parser.add_argument("--clients", type=int, default=2, help="processes that listen (2)")
    parser.add_argument("--kinds", default=",".join(KINDS), help="which of the two")
    parser.add_argument("--p99-max-ms", type=float, default=250.0, help="fail beyond that (250)")
    parser.add_argument("--trial", action="store_true", help="only see that it works, in seconds")
    chosen = parser.parse_args()
    if chosen.trial:
        chosen.subscribers, chosen.publications, chosen.p99_max_ms = 200, 3, float("inf")
    return chosen


def rss_kib(server: Server) -> int:
    """Return the memory of the server once it is quiet."""
    time.sleep(_SETTLE_S)
    return processes.memory(server.processes()).rss_kib


def measure(chosen: argparse.Namespace, kind: str) -> tuple[list[str], float]:
    """Return a row of the table, and the 99th percentile in ms."""
    reactors = str(chosen.reactors)
    what = pyre("topics_app.py", {"PYRE_IO_WORKERS": reactors})
    with (
        running(what, workers=chosen.reactors) as server,
        Client(server.port, timeout_s=60.0) as publisher,
    ):
        publisher.ask("GET", "/")
        # The first ones bring what is there once for all.
        with Listeners(server.port, kind, connections=20, clients=1) as listeners:
            publisher.ask("POST", f"/publish/0/{chosen.bytes}")
            listeners.heard(0)
        before = rss_kib(server)
        say(f"{kind}: {chosen.subscribers} subscribers")
        options = {"connections": chosen.subscribers, "clients": chosen.clients}
        with Listeners(server.port, kind, **options) as listeners:
            each = (rss_kib(server) - before) / chosen.subscribers
            late: list[float] = []
            used = processes.cpu(server.processes())
            for number in range(1, chosen.publications + 1):
                publisher.ask("POST", f"/publish/{number}/{chosen.bytes}")
                late += listeners.heard(number)
            used = processes.cpu(server.processes()) - used
            after = (rss_kib(server) - before) / chosen.subscribers
    late.sort()
    p50, p99 = (percentile(late, percent) * 1e3 for percent in (50, 99))
    cells = [kind, figure(p50), figure(p99), figure(late[-1] * 1e3)]
    cells += [figure(used.total_s / len(late) * 1e6), f"{each:.2f}", f"{after:.2f}"]
    return cells, p99


def main() -> int:
    """Measure and print a table; 1 if they hear it too late."""
    chosen = arguments()
    needed = chosen.subscribers + _OTHER_DESCRIPTORS
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < needed:
        print(f"{needed} descriptors are needed, and {most} may be had", file=sys.stderr)
        return 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    kinds = [kind for kind in KINDS if kind in chosen.kinds.split(",")]
    try:
        measured = [measure(chosen, kind) for kind in kinds]
    except (Unavailable, Missed) as reason:
        print(reason, file=sys.stderr)
        return 1
    machine.show()
    print(
        f"- {chosen.subscribers} subscribers on {chosen.reactors} reactors, "
        f"{chosen.publications} publications of {chosen.bytes} bytes, one after the other; "
        f"{chosen.clients} processes listen, and what they take to read counts\n"
    )
    header = [
        "subscribers",
        "p50 ms",
        "p99 ms",
        "last ms",
        "server's CPU, us each",
        "RSS, KiB each",
        "after publications",
    ]
    print(markdown(header, [row for row, _ in measured]))
    return int(any(p99 > chosen.p99_max_ms for _, p99 in measured))


if __name__ == "__main__":
    sys.exit(main())
