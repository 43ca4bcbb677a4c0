"""Send millions of requests and see what stays behind: memory and file descriptors."""

from __future__ import annotations

import argparse
import sys
import time

from perf.harness import answers, load, machine, processes
from perf.harness.answers import ROUTES
from perf.harness.contenders import Unavailable, contender
from perf.harness.load import Load
from perf.harness.progress import say
from perf.harness.server import Server, running
from perf.harness.spread import count

_SETTLE_S = 5.0


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__.splitlines()[0])
    parser.add_argument("--millions", type=float, default=20.0, help="requests after warm-up (20)")
    parser.add_argument("--warm-millions", type=float, default=2.0, help="requests before (2)")
    parser.add_argument("--contender", default="pyre")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--routes", default="/,/json,/user/{id},/echo,/compute")
    parser.add_argument("--depth", type=int, default=16)
    parser.add_argument("--seconds", type=int, default=2, help="length of one run of wrk (2)")
    parser.add_argument("--growth-max-kib", type=int, default=1024, help="fail above this (1024)")
    return parser.parse_args()


def settled(server: Server, files: int | None) -> tuple[int, int]:
    """Return RSS in KiB and open files once connections are gone, or after a while."""
    deadline = time.monotonic() + _SETTLE_S
    while True:
        members = server.processes()
        found = processes.open_files(members)
        if (files is not None and found <= files) or time.monotonic() > deadline:
            return processes.memory(members).rss_kib, found
        time.sleep(0.1)


def send(server: Server, chosen: argparse.Namespace, millions: float) -> dict[str, int]:
    """Send at least that many requests, each route in its turn; return errors by kind."""
    routes = [ROUTES[name] for name in chosen.routes.split(",")]
    sent = 0
    errors: dict[str, int] = {}
    turn = 0
    # A whole turn at least: what one route takes for good belongs to the warm-up.
    while sent < millions * 1e6 or turn < len(routes):
        route = routes[turn % len(routes)]
        turn += 1
        kind = Load(chosen.depth, 64)
        outcome = load.run(server.port, route, kind, seconds=chosen.seconds, core=None)
        server.require_running()
        sent += outcome.requests
        for name, number in outcome.errors.items():
            errors[name] = errors.get(name, 0) + number
        memory = processes.memory(server.processes())
        say(f"{count(sent)} requests, last {route.name}, RSS {memory.rss_kib} KiB")
    return errors


def main() -> int:
    """Soak; 1 if memory grew, files stayed open, or a request failed."""
    chosen = arguments()
    try:
        what = contender(chosen.contender)
        with running(what, workers=chosen.workers) as server:
            routes = [ROUTES[name] for name in chosen.routes.split(",")]
            answers.check(server.port, routes, parses_json=what.parses_json)
            _, files_before = settled(server, None)
            say(f"warming up with {chosen.warm_millions} million requests")
            send(server, chosen, chosen.warm_millions)
            rss_before, _ = settled(server, files_before)
            say(f"soaking with {chosen.millions} million requests")
            errors = send(server, chosen, chosen.millions)
            rss_after, files_after = settled(server, files_before)
    except (Unavailable, answers.WrongAnswer, load.NoLoad) as reason:
        print(reason, file=sys.stderr)
        return 1
    machine.show()
    growth = rss_after - rss_before
    print(f"- RSS after warm-up {rss_before} KiB, after the soak {rss_after} KiB: {growth:+} KiB")
    print(f"- open files before {files_before}, after {files_after}")
    print(f"- errors: {errors or 'none'}")
    failed = growth > chosen.growth_max_kib or files_after > files_before or bool(errors)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
