"""Start and stop a program that imports much, over and over: how long it takes, and what breaks."""

from __future__ import annotations

import argparse
import json
import statistics
import sys

from perf.harness import machine
from perf.harness.contenders import Unavailable, pyre
from perf.harness.exchange import BadAnswer, Client
from perf.harness.progress import say
from perf.harness.server import Server, end
from perf.harness.table import markdown

_REQUESTS = 20
_START_TIMEOUT_S = 120.0


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="perf.starts", description=__doc__.splitlines()[0])
    parser.add_argument("--workers", default="1,8,16", help="numbers of workers (1,8,16)")
    parser.add_argument("--times", type=int, default=5, help="starts with each number (5)")
    parser.add_argument("--app", default="starts_app.py", help="program in perf/apps")
    parser.add_argument("--imports", default="", help="further modules that starts_app imports")
    parser.add_argument("--order", choices=("together", "in-turn"), help="whatever is sound here")
    return parser.parse_args()


def check(server: Server, app: str) -> list[str]:
    """Ask a server over several connections; return what is wrong."""
    found = []
    clients = [Client(server.port, timeout_s=60.0) for _ in range(_REQUESTS)]
    for client in clients:
        body = client.ask("GET", "/").body
        if app == "starts_app.py":
            found += [f"types that share a version: {names}" for names in json.loads(body)["twice"]]
            client.ask("GET", "/used")
        client.close()
    return found


def start(workers: int, chosen: argparse.Namespace) -> tuple[float, list[str]]:
    """Start, ask and stop once; return seconds until it served, and what went wrong."""
    environment = {"STARTS_IMPORT": chosen.imports}
    if chosen.order is not None:
        environment["STARTS_TOGETHER"] = "1" if chosen.order == "together" else "0"
    try:
        server = Server(
            pyre(chosen.app, environment), workers=workers, start_timeout_s=_START_TIMEOUT_S
        )
    except Unavailable as reason:
        return 0.0, [str(reason)]
    try:
        wrong = check(server, chosen.app)
        code = server.stop(60.0)
        if code != 0:
            wrong.append(f"ended with {code}: {server.log()[-1000:]}")
    except BadAnswer as reason:
        wrong = [str(reason)]
    finally:
        end(server)
    return server.start_s, wrong


def main() -> int:
    """Measure and print."""
    chosen = arguments()
    machine.show()
    print(flush=True)
    rows, failed = [], 0
    for workers in map(int, chosen.workers.split(",")):
        say(f"{chosen.times} starts with {workers} workers")
        times, broken = [], 0
        for _ in range(chosen.times):
            seconds, wrong = start(workers, chosen)
            broken += bool(wrong)
            for line in wrong:
                print(line, file=sys.stderr, flush=True)
            times.append(seconds)
        failed += broken
        cells = [f"{seconds:.2f}" for seconds in (min(times), statistics.median(times), max(times))]
        rows.append([str(workers), str(chosen.times), *cells, str(broken)])
    print(markdown(["workers", "starts", "least s", "median s", "most s", "went wrong"], rows))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
