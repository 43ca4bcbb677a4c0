"""Measure what each kind of handler costs, what waiting costs, and what a second worker brings.

Three questions, each answered in one run with interleaved rounds: the CPU time of `async def` and
`gil=True` handlers that return at once, beside the same `def`; that of a handler that awaits 10 ms,
beside rivals; and the rate of a handler that computes for 5 ms, with one worker and with two.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from perf.harness import load, machine, processes
from perf.harness.answers import Route
from perf.harness.contenders import PYRE, Contender, Unavailable, contender, pyre
from perf.harness.load import Load, Outcome
from perf.harness.progress import say
from perf.harness.server import Server, end
from perf.harness.spread import count, figure, spread
from perf.harness.table import markdown

KINDS = ("/", "/async", "/gil", "/gil-async")
LOADS = (Load(16, 64), Load(1, 64))
WAITING = Load(1, 256)
COMPUTING = Load(1, 16)
RIVALS = ("granian-rsgi", "pyreframework")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="perf.handlers", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="rounds, the first not counted (7)")
    parser.add_argument("--seconds", type=int, default=1, help="length of a round (1)")
    parser.add_argument("--only", default="kinds,waiting,computing")
    parser.add_argument("--rivals", default=",".join(RIVALS), help="for waiting; may be empty")
    return parser.parse_args()


class Series:
    """One route of one server under one load, round after round."""

    def __init__(self, title: str, server: Server, path: str, kind: Load, core: int | None) -> None:
        self.title = title
        self.server = server
        self.route = Route(path, "GET", path, "text/plain")
        self.kind = kind
        self.core = core
        self.cpu_us: list[float] = []
        self.rates: list[float] = []
        self.p99_ms: list[float] = []
        self.errors = 0

    def measure(self, seconds: int) -> None:
        """Add one round."""
        self.server.go_on()
        members = self.server.processes()
        before = processes.cpu(members)
        outcome: Outcome = load.run(
            self.server.port, self.route, self.kind, seconds=seconds, core=self.core
        )
        used = processes.cpu(members) - before
        self.server.require_running()
        self.server.pause()
        if outcome.requests == 0:
            raise Unavailable(f"{self.title} answered nothing")
        self.cpu_us.append(used.total_s / outcome.requests * 1e6)
        self.rates.append(outcome.per_second)
        self.errors += sum(outcome.errors.values())
        if outcome.p99_us is not None:
            self.p99_ms.append(outcome.p99_us / 1e3)


def compare(all_series: Sequence[Series], rounds: int, seconds: int) -> str:
    """Measure round after round; return a table with ratios to the first series."""
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        for series in all_series:
            series.measure(seconds)
    rows = []
    first = all_series[0]
    for series in all_series:
        cpu = [own / other for own, other in zip(series.cpu_us, first.cpu_us, strict=True)][1:]
        rate = [own / other for own, other in zip(series.rates, first.rates, strict=True)][1:]
        rates, p99 = spread(series.rates[1:]), spread(series.p99_ms[1:])
        rows.append(
            [
                series.title,
                str(spread(series.cpu_us[1:])),
                str(spread(cpu)),
                count(rates.median) if rates else "-",
                str(spread(rate)),
                figure(p99.median) if p99 else "-",
                str(series.errors),
            ]
        )
    header = ["", "us per request", "x first", "req/s", "x first", "p99 ms", "errors"]
    return markdown(header, rows)


def kinds(chosen: argparse.Namespace) -> None:
    """Compare handlers that return at once."""
    server = Server(pyre("handlers_app.py"), cores={0})
    try:
        for kind in LOADS:
            print(f"\nHandlers that return at once, {kind.name}, one worker, one core\n")
            series = [Series(path, server, path, kind, 1) for path in KINDS]
            print(compare(series, chosen.rounds, chosen.seconds), flush=True)
    finally:
        end(server)


def waiting(chosen: argparse.Namespace) -> None:
    """Compare handlers that await 10 ms."""
    contenders: list[Contender] = [pyre("handlers_app.py")]
    for name in filter(None, chosen.rivals.split(",")):
        try:
            contenders.append(contender(name))
        except Unavailable as reason:
            say(str(reason))
    servers: list[Server] = []
    try:
        for one in contenders:
            servers.append(Server(one, cores={0}))
            servers[-1].pause()
        print(f"\nA handler that awaits 10 ms, {WAITING.name}, one worker, one core\n")
        series = [Series(server.name, server, "/io", WAITING, 1) for server in servers]
        print(compare(series, chosen.rounds, chosen.seconds), flush=True)
    finally:
        for server in servers:
            end(server)


def computing(chosen: argparse.Namespace) -> None:
    """Compare one worker with two where handlers compute."""
    servers: list[Server] = []
    try:
        for workers in (1, 2):
            lanes = {"PYRE_IO_WORKERS": "1"}
            servers.append(Server(pyre("handlers_app.py", lanes), workers=workers))
            servers[-1].pause()
        print(f"\nA handler that computes for 5 ms, {COMPUTING.name}, nothing pinned\n")
        series = [
            Series(f"{workers} of {PYRE}'s workers", server, "/loop", COMPUTING, None)
            for workers, server in zip((1, 2), servers, strict=True)
        ]
        print(compare(series, chosen.rounds, chosen.seconds), flush=True)
    finally:
        for server in servers:
            end(server)


def main() -> int:
    """Measure and print."""
    chosen = arguments()
    questions = {"kinds": kinds, "waiting": waiting, "computing": computing}
    machine.show()
    try:
        for name in chosen.only.split(","):
            questions[name](chosen)
    except (Unavailable, load.NoLoad) as reason:
        print(reason, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
