"""Measure what an echo over WebSocket costs, beside a native one with the same framing and rivals.

CPU time of the server per message, in rounds that take turns; every echo is checked.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field

from perf.harness import machine
from perf.harness.contenders import Contender, Unavailable, ceiling, contender, pyre, rival_names
from perf.harness.others import Others
from perf.harness.processes import cpu
from perf.harness.progress import say
from perf.harness.server import Server, running
from perf.harness.table import markdown
from perf.harness.turns import TRIAL, beside, kept_off, turned
from perf.load.echoes import Talk, WrongEcho, run

TALKS = (
    Talk(64, 1, 125),
    Talk(1, 1, 125),
    Talk(64, 16, 125),
    Talk(64, 1, 16384),
)
NATIVE = "native"
# The handlers of Pyre, by their paths.
OWN = {"async def": "/ws", "def": "/def"}


@dataclass
class Echo:
    """Who echoes at which path, and what that has cost, by the name of the talk."""

    name: str
    server: Server
    path: str = "/ws"
    cost_us: dict[str, list[float]] = field(default_factory=dict)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(prog="perf.echo", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one run (3)")
    parser.add_argument("--cores", default="0", help="cores of the server, comma-separated (0)")
    parser.add_argument("--rivals", help="comma-separated; may be empty; all of them if left out")
    parser.add_argument("--trial", action="store_true", help="show in seconds that it works")
    chosen = parser.parse_args()
    if chosen.trial:
        chosen.rounds, chosen.seconds = 1, 0.2
    return chosen


def started(stack: ExitStack, chosen: argparse.Namespace, cores: set[int]) -> list[Echo]:
    """Start everybody, the native server first; a rival that cannot be measured is named."""

    def start(what: Contender) -> Server:
        server = stack.enter_context(running(what, cores=cores))
        server.pause()
        return server

    own = start(pyre("echo_app.py"))
    echoes = [Echo(NATIVE, start(ceiling()))]
    echoes += [Echo(name, own, path) for name, path in OWN.items()]
    if chosen.rivals is None:
        rivals = rival_names(extra=True, serves="echoes")
    else:
        rivals = list(filter(None, chosen.rivals.split(",")))
    for name in rivals:
        try:
            rival = Echo(name, start(contender(name)))
            for talk in TALKS:
                cost_us(rival, talk, 0.1)
        except (Unavailable, WrongEcho, OSError) as reason:
            print(f"- {name} is left out: {reason}")
        else:
            print(f"- {name} {rival.server.contender.version}")
            echoes.append(rival)
    return echoes


def cost_us(echo: Echo, talk: Talk, seconds: float) -> float:
    """Return the CPU time of one message in microseconds; the other servers stand still."""
    server = echo.server
    server.go_on()
    before = cpu(server.processes())
    count = run(server.port, echo.path, talk, seconds)
    used = cpu(server.processes()) - before
    server.require_running()
    server.pause()
    return used.total_s / count * 1e6


def measure(echoes: list[Echo], chosen: argparse.Namespace) -> None:
    """Measure everybody in every round, of which the first warms up."""
    for number in range(chosen.rounds + 1):
        say(f"round {number} of {chosen.rounds}")
        for talk in TALKS:
            for echo in turned(echoes, number):
                took = cost_us(echo, talk, chosen.seconds)
                if number:
                    echo.cost_us.setdefault(talk.name, []).append(took)


def table(echoes: list[Echo]) -> str:
    """Return what was measured, with ratios to the first."""
    rows = []
    for talk in TALKS:
        floor = echoes[0].cost_us[talk.name]
        rows.append([talk.name, *(beside(echo.cost_us[talk.name], floor) for echo in echoes)])
    return markdown(["", *(echo.name for echo in echoes)], rows)


def main() -> int:
    """Measure and print a table."""
    chosen = arguments()
    cores = {int(core) for core in chosen.cores.split(",")}
    machine.show()
    if chosen.trial:
        print(f"- {TRIAL}")
    try:
        with ExitStack() as stack:
            echoes = started(stack, chosen, cores)
            others = Others([echo.server for echo in echoes])
            with kept_off(cores):
                measure(echoes, chosen)
            print(others.line())
    except (Unavailable, WrongEcho, OSError) as reason:
        print(reason, file=sys.stderr)
        return 1
    print("- CPU time of the server per message in us: median, and its ratio to the native echo\n")
    print(table(echoes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
