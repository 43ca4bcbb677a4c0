"""Measure what each kind of handler costs, what waiting costs, and what a second worker brings.

Four questions, each answered in one run with interleaved rounds: the CPU time of `async def` and
`gil=True` handlers that return at once, beside the same `def`; that of a handler that reads a path
parameter from the dict of all, beside the native ceiling; that of a handler that awaits 10 ms,
beside rivals; and the rate of a handler that computes for 5 ms, with one worker and with two.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from perf.harness import load, machine, series
from perf.harness.answers import HANDLERS, ROUTES, Route
from perf.harness.contenders import CEILING, PYRE, Contender, Unavailable, contender, pyre
from perf.harness.load import Load
from perf.harness.progress import say
from perf.harness.series import Series
from perf.harness.server import Server, end

KINDS = ("/", "/async", "/gil", "/gil-async")
LOADS = (Load(16, 64), Load(1, 64))
WAITING = Load(1, 256)
COMPUTING = Load(1, 16)
RIVALS = ("granian-rsgi", "pyreframework")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="perf.handlers", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=6, help="rounds (6)")
    parser.add_argument("--seconds", type=int, default=1, help="length of a round (1)")
    parser.add_argument("--only", default="kinds,params,waiting,computing")
    parser.add_argument("--rivals", default=",".join(RIVALS), help="for waiting; may be empty")
    return parser.parse_args()


def asked(path: str) -> Route:
    """Return a route of the program."""
    return Route(path, "GET", path, "text/plain")


def compared(all_series: Sequence[Series], chosen: argparse.Namespace) -> str:
    """Measure round after round; return a table with ratios to the first series."""
    series.compare(all_series, chosen.rounds, chosen.seconds)
    return series.table(all_series, [all_series[0]])


def kinds(chosen: argparse.Namespace) -> None:
    """Compare handlers that return at once."""
    server = Server(pyre("handlers_app.py"), cores={0})
    try:
        for kind in LOADS:
            print(f"\nHandlers that return at once, {kind.name}, one worker, one core\n")
            paths = [Series(path, server, asked(path), kind, 1) for path in KINDS]
            print(compared(paths, chosen), flush=True)
    finally:
        end(server)


def params(chosen: argparse.Namespace) -> None:
    """Compare a handler that reads ``req.params["id"]`` with the ceiling's."""
    servers: list[Server] = []
    try:
        for one in (contender(CEILING), pyre("handlers_app.py")):
            servers.append(Server(one, cores={0}))
            servers[-1].pause()
        for kind in LOADS:
            print(f"\nA path parameter, {kind.name}, one worker, one core\n")
            routes = (ROUTES["/user/{id}"], HANDLERS["/params/{id}"])
            names = [
                Series(server.name, server, route, kind, 1)
                for server, route in zip(servers, routes, strict=True)
            ]
            print(compared(names, chosen), flush=True)
    finally:
        for server in servers:
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
        names = [Series(server.name, server, asked("/io"), WAITING, 1) for server in servers]
        print(compared(names, chosen), flush=True)
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
        numbers = [
            Series(f"{workers} of {PYRE}'s workers", server, asked("/loop"), COMPUTING, None)
            for workers, server in zip((1, 2), servers, strict=True)
        ]
        print(compared(numbers, chosen), flush=True)
    finally:
        for server in servers:
            end(server)


def main() -> int:
    """Measure and print."""
    chosen = arguments()
    questions = {"kinds": kinds, "params": params, "waiting": waiting, "computing": computing}
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
