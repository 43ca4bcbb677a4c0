"""Stop a loaded server with SIGTERM, over and over: no request that it had received may be lost.

Clients keep their connections busy with numbered requests in batches, some of them to a handler
that sleeps, and go on sending after the signal. Every request whose bytes the server's system had
received when the signal was sent must be answered, the exit code must be 0, and the end must come
within `shutdown_timeout`.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import time

from perf.harness import machine
from perf.harness.contenders import Unavailable, pyre
from perf.harness.progress import say
from perf.harness.server import Server, running
from perf.harness.table import markdown
from perf.load import numbered
from perf.load.numbered import Outcome

SHUTDOWN_S = 10.0


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="perf.sigterm", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20, help="servers to stop (20)")
    parser.add_argument("--rate", type=float, default=20_000, help="requests a second (20000)")
    parser.add_argument("--seconds", type=float, default=1.0, help="load before the signal (1)")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--depth", type=int, default=8, help="requests in a batch (8)")
    parser.add_argument(
        "--slow-share", type=float, default=0.1, help="share of batches with a sleeper (0.1)"
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--mode", default="subinterp", help="subinterp or default")
    return parser.parse_args()


def once(
    server: Server, chosen: argparse.Namespace, seed: int
) -> tuple[Outcome, int | None, float]:
    """Load a server and stop it; return what was lost, the exit code and the time to the end."""
    signalled = 0.0

    def stop() -> None:
        nonlocal signalled
        signalled = time.monotonic()
        os.kill(server.id, signal.SIGTERM)

    outcome = numbered.run(
        server.port,
        connections=chosen.connections,
        depth=chosen.depth,
        per_second=chosen.rate,
        # Another moment of the server's turn each time.
        seconds=chosen.seconds * random.Random(seed).uniform(0.5, 1.0),
        slow_share=chosen.slow_share,
        at_the_end=stop,
    )
    code = server.wait(SHUTDOWN_S + 10)
    return outcome, code, time.monotonic() - signalled


def verdict(outcome: Outcome, code: int | None, seconds: float) -> str:
    """Return what was wrong with a round, or nothing."""
    wrong = list(outcome.wrong[:2])
    if outcome.lost:
        wrong.append(f"{outcome.lost} lost")
    if code != 0:
        wrong.append(f"exit code {code}")
    if seconds >= SHUTDOWN_S:
        wrong.append("too late")
    return "; ".join(wrong)


def main() -> int:
    """Stop as many servers as asked for and print a table; 1 if anything was lost."""
    chosen = arguments()
    environment = {
        "PYRE_SHUTDOWN_TIMEOUT": str(SHUTDOWN_S),
        "PYRE_IO_WORKERS": str(chosen.workers),
        "PYRE_MODE": chosen.mode,
    }
    rows = []
    failed = False
    try:
        what = pyre("life_app.py", environment)
        for number in range(chosen.rounds):
            with running(what, workers=chosen.workers) as server:
                outcome, code, seconds = once(server, chosen, number)
            wrong = verdict(outcome, code, seconds)
            failed = failed or bool(wrong)
            say(f"round {number + 1} of {chosen.rounds}: {wrong or 'nothing lost'}")
            rows.append(
                [
                    str(number + 1),
                    f"{outcome.per_second:.0f}",
                    str(outcome.sent_before),
                    str(outcome.sent_before - outcome.answered_before),
                    str(outcome.lost),
                    str(outcome.answered_after),
                    f"{outcome.announced}/{chosen.connections}",
                    str(outcome.resets),
                    f"{seconds * 1e3:.0f}",
                    wrong or "-",
                ]
            )
    except Unavailable as reason:
        print(reason, file=sys.stderr)
        return 1
    machine.show()
    print(
        f"- {chosen.workers} workers, {chosen.connections} connections, batches of {chosen.depth}, "
        f"{chosen.slow_share:.0%} of them with a request that sleeps 20 ms\n"
    )
    header = [
        "round", "req/s", "received", "of these in flight", "lost", "answered beyond",
        "told to close", "resets", "end after ms", "wrong",
    ]  # fmt: skip
    print(markdown(header, rows))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
