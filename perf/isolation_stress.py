"""Let requests time out, leave, raise and cancel at random, and look for what others see of it.

Coroutines mark their task, its name, its context and its done callbacks; all handlers mark the
request's state and their thread. Before that each looks for marks of others, and afterwards for its
own. Answers may have no other's headers. After hooks and done callbacks must run once for each
request, however it ends. It fails if there is a single trace, or if the server does not stop in
order.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from perf.harness import machine, processes
from perf.harness.contenders import Unavailable, pyre
from perf.harness.progress import say
from perf.harness.server import running
from perf.harness.table import markdown
from perf.load.marked import Crowd, check_written

APP = "isolation_app.py"
SAY_S = 10.0
BROKEN = ("panicked at", "Fatal Python error", "Segmentation fault")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="perf.isolation_stress", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--seconds", type=float, default=600.0, help="length of the load (600)")
    parser.add_argument("--seed", default="1", help="the same seed draws the same requests (1)")
    parser.add_argument("--connections", type=int, default=48, help="a thread each (48)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=4, help="lanes per worker (4)")
    return parser.parse_args()


def main() -> int:
    """Stress a server and print a table; 1 if there is a trace."""
    chosen = arguments()
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "written"
        settings = {"PYRE_THREADS": str(chosen.threads), "PERF_FOUND": os.fspath(written)}
        try:
            with running(pyre(APP), workers=chosen.workers, environment=settings) as server:
                crowd = Crowd(server.port, connections=chosen.connections, seed=chosen.seed)
                crowd.start()
                try:
                    before = processes.memory(server.processes()).rss_kib
                    until = time.monotonic() + chosen.seconds
                    while (left := until - time.monotonic()) > 0:
                        time.sleep(min(SAY_S, left))
                        server.require_running()
                        after = processes.memory(server.processes()).rss_kib
                        tally = crowd.tally
                        say(f"{tally.sent} requests, {tally.faults} faults, {after} KiB")
                finally:
                    crowd.end()
                code = server.stop()
                log = server.log()
        except Unavailable as reason:
            print(reason, file=sys.stderr)
            return 1
        tally = crowd.tally
        counts = check_written(written, tally)
    if code != 0:
        tally.fault(f"exit code {code}")
    for line in log.splitlines():
        if any(mark in line for mark in BROKEN):
            tally.fault(line)
    machine.show()
    statuses = ", ".join(f"{count} x {status}" for status, count in sorted(tally.statuses.items()))
    works = ", ".join(f"{count} x {work}" for work, count in tally.works.most_common())
    rows = [
        ["requests", str(tally.sent), works],
        ["answers", str(tally.statuses.total()), statuses],
        ["disconnects", str(tally.left), "connections closed before the answer"],
        ["given up", str(tally.closed), "connections that the server closed before it"],
        ["handled", str(counts["begin"]), f"{counts['end']} after hooks"],
        ["done callbacks", str(counts["calling"]), f"{counts['called']} called"],
        ["RSS, KiB", str(after), f"{before} at the start"],
        ["traces and other faults", str(tally.faults), "0"],
    ]
    print(markdown(["", "seen", "of what, or expected"], rows))
    for text in tally.wrong:
        print(f"- {text}")
    return 1 if tally.faults else 0


if __name__ == "__main__":
    sys.exit(main())
