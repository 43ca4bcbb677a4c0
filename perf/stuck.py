"""Stick every lane of every worker in a handler that never ends; see what the server still does.

Each round sends as many requests to a handler of `while True: pass` as there are lanes, and
meanwhile asks for health and for another route at a steady rate. Then: each stuck request is
answered 504 at `request_timeout`, health stays 200 all along, the other route is answered 200, 503
or 504 and nothing else, and 200 again once the handlers have been interrupted. `--stubborn` takes a
handler that goes on whatever is raised in it, so that its lane has to be replaced.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from perf.harness import machine, processes
from perf.harness.contenders import Unavailable, pyre
from perf.harness.exchange import BadAnswer, Client
from perf.harness.progress import say
from perf.harness.server import Server, running
from perf.harness.spread import figure, percentile
from perf.harness.table import markdown

PROBES_PER_S = 50.0
LATE_S = 1.0
"""How long after `request_timeout` a stuck request may be answered, all cores being busy."""
AGAIN_S = 1.0
"""How long after the last 504 the other route may still be refused."""


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="perf.stuck", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="times to stick all lanes (3)")
    parser.add_argument("--timeout", type=float, default=1.0, help="request_timeout in s (1)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=4, help="lanes per worker (4)")
    parser.add_argument("--stubborn", action="store_true", help="a handler that cannot be ended")
    return parser.parse_args()


@dataclass
class Asked:
    """What became of requests to one path."""

    times: list[tuple[float, int, float]] = field(default_factory=list)
    """When each was sent, its status (0: none), and the seconds to its answer."""

    def statuses(self) -> Counter[int]:
        return Counter(status for _, status, _ in self.times)

    def p99_ms(self) -> float:
        return percentile(sorted(seconds * 1e3 for _, _, seconds in self.times), 99)


def ask(port: int, path: str, asked: Asked, timeout_s: float) -> None:
    """Send one request on a connection of its own and note what came."""
    began = time.monotonic()
    try:
        with Client(port, timeout_s=timeout_s) as client:
            status = client.ask("GET", path).status
    except (OSError, BadAnswer):
        status = 0
    asked.times.append((began, status, time.monotonic() - began))


def probing(port: int, path: str, asked: Asked, over: threading.Event) -> Callable[[], None]:
    """Return a function that asks for a path at a steady rate until it is over."""

    def probe() -> None:
        while not over.wait(1 / PROBES_PER_S):
            ask(port, path, asked, 30.0)

    return probe


def stick(server: Server, path: str, count: int, timeout_s: float) -> tuple[Asked, Asked, Asked]:
    """Stick all lanes once; return what became of stuck requests, health and the other route."""
    stuck, health, other = Asked(), Asked(), Asked()
    over = threading.Event()
    probes = [
        threading.Thread(target=probing(server.port, "/livez", health, over)),
        threading.Thread(target=probing(server.port, "/", other, over)),
    ]
    requests = [
        threading.Thread(target=ask, args=(server.port, path, stuck, timeout_s + 30))
        for _ in range(count)
    ]
    for thread in [*requests, *probes]:
        thread.start()
    for thread in requests:
        thread.join()
    # The other route has this long to recover.
    over.wait(AGAIN_S)
    ask(server.port, "/", other, 30.0)
    over.set()
    for thread in probes:
        thread.join()
    return stuck, health, other


def again_s(stuck: Asked, other: Asked) -> float:
    """Return how long after the last stuck request ended another one still was refused."""
    freed = max(began + seconds for began, _, seconds in stuck.times)
    refused = [began + seconds - freed for began, status, seconds in other.times if status != 200]
    return max([*refused, 0.0])


def counted(statuses: Counter[int]) -> str:
    """Return statuses with their numbers."""
    return ", ".join(
        f"{number} x {status or 'none'}" for status, number in sorted(statuses.items())
    )


def wrong(stuck: Asked, health: Asked, other: Asked, timeout_s: float) -> list[str]:
    """Return what is not as it should be."""
    found = []
    if set(stuck.statuses()) != {504}:
        found.append("stuck requests not 504")
    if max(seconds for _, _, seconds in stuck.times) > timeout_s + LATE_S:
        found.append("504 too late")
    if set(health.statuses()) != {200}:
        found.append("health not 200")
    if not set(other.statuses()) <= {200, 503, 504}:
        found.append("other statuses")
    if other.times[-1][1] != 200:
        found.append("no recovery")
    return found


def rounds(server: Server, chosen: argparse.Namespace) -> tuple[list[list[str]], bool]:
    """Stick the server as often as asked for; return a line for each, and whether all was well."""
    lines, good = [], True
    path = "/stubborn" if chosen.stubborn else "/spin"
    for number in range(chosen.rounds):
        stuck, health, other = stick(server, path, chosen.workers * chosen.threads, chosen.timeout)
        server.require_running()
        problems = wrong(stuck, health, other, chosen.timeout)
        good = good and not problems
        say(f"round {number + 1} of {chosen.rounds}: {'; '.join(problems) or 'as it should be'}")
        ended = [seconds for _, _, seconds in stuck.times]
        lines.append(
            [
                str(number + 1),
                counted(stuck.statuses()),
                f"{figure(min(ended))}..{figure(max(ended))}",
                counted(health.statuses()),
                figure(health.p99_ms()),
                counted(other.statuses()),
                figure(again_s(stuck, other)),
                str(processes.threads(server.processes())),
                "; ".join(problems) or "-",
            ]
        )
    return lines, good


def main() -> int:
    """Stick a server and print a table; 1 if something is not as it should be."""
    chosen = arguments()
    with tempfile.TemporaryDirectory() as folder:
        released = Path(folder) / "released"
        settings = {
            "PYRE_THREADS": str(chosen.threads),
            "PYRE_IO_WORKERS": str(chosen.workers),
            "PYRE_REQUEST_TIMEOUT": str(chosen.timeout),
            "PERF_RELEASE": os.fspath(released),
        }
        try:
            with running(pyre("life_app.py", settings), workers=chosen.workers) as server:
                lines, good = rounds(server, chosen)
                released.touch()
                code = server.stop()
        except Unavailable as reason:
            print(reason, file=sys.stderr)
            return 1
    machine.show()
    print(
        f"- {chosen.workers} workers with {chosen.threads} lanes each, request_timeout "
        f"{chosen.timeout:g} s, {PROBES_PER_S:g} probes a second; exit code {code}\n"
    )
    header: Sequence[str] = [
        "round", "stuck", "after s", "health", "p99 ms", "other route", "again after s", "threads",
        "wrong",
    ]  # fmt: skip
    print(markdown(header, lines))
    return 0 if good and code == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
