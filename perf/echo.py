"""Measure what an echo over WebSocket costs, beside a native echo with the same framing.

CPU time of the server per message, in rounds that take turns; every echo is checked.
"""

from __future__ import annotations

import argparse
import sys

from perf.harness import machine
from perf.harness.contenders import Unavailable, ceiling, pyre
from perf.harness.processes import cpu
from perf.harness.progress import say
from perf.harness.server import Server, running
from perf.harness.spread import figure, spread
from perf.harness.table import markdown
from perf.load.echoes import Talk, run

TALKS = (
    Talk(64, 1, 125),
    Talk(1, 1, 125),
    Talk(64, 16, 125),
    Talk(64, 1, 16384),
)
# What is measured: a name, whether it is Pyre, and the path.
ECHOES = (("native", False, "/ws"), ("async def", True, "/ws"), ("def", True, "/def"))


def arguments() -> argparse.Namespace:
    """Read the command line."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(prog="perf.echo", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one run (3)")
    parser.add_argument("--cores", default="0", help="cores of the server, comma-separated (0)")
    return parser.parse_args()


def cost_us(server: Server, path: str, talk: Talk, seconds: float) -> float:
    """Return the CPU time of one message in microseconds."""
    before = cpu(server.processes())
    count = run(server.port, path, talk, seconds)
    return (cpu(server.processes()) - before).total_s / count * 1e6


def main() -> int:
    """Measure and print a table."""
    chosen = arguments()
    cores = {int(core) for core in chosen.cores.split(",")}
    found: dict[tuple[str, str], list[float]] = {}
    try:
        with (
            running(ceiling(), cores=cores) as native,
            running(pyre("echo_app.py"), cores=cores) as own,
        ):
            for number in range(chosen.rounds + 1):
                say(f"round {number} of {chosen.rounds}")
                for talk in TALKS:
                    turned = ECHOES[number % len(ECHOES) :] + ECHOES[: number % len(ECHOES)]
                    for name, is_own, path in turned:
                        server = own if is_own else native
                        took = cost_us(server, path, talk, chosen.seconds)
                        # The first round warms up.
                        if number:
                            found.setdefault((talk.name, name), []).append(took)
    except Unavailable as reason:
        print(reason, file=sys.stderr)
        return 1
    machine.show()
    print("- CPU time of the server per message in us: median, and its ratio to the native echo\n")
    rows = []
    for talk in TALKS:
        row = [talk.name]
        for name, _, _ in ECHOES:
            values = found[talk.name, name]
            floor = found[talk.name, "native"]
            middle = spread(values)
            ratio = spread([value / least for value, least in zip(values, floor, strict=True)])
            assert middle is not None
            assert ratio is not None
            row.append(f"{figure(middle.median)} ({figure(ratio.median)})")
        rows.append(row)
    print(markdown(["", *(name for name, _, _ in ECHOES)], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
