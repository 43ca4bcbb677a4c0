"""Measure how a slow disk delays those who do not ask it.

Requests for a route arrive at random, at a fixed rate, in rounds that take turns: alone, and beside
clients that fetch files of a disk that takes 50 ms for each call. The disk is a small library that
is built here (with cc) and preloaded into the server. What counts is the p99 of the route.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from perf.harness import machine
from perf.harness.contenders import APPS, Unavailable, pyre
from perf.harness.exchange import BadAnswer, Client
from perf.harness.progress import say
from perf.harness.server import running
from perf.harness.spread import figure, percentile
from perf.harness.table import markdown
from perf.harness.turns import TRIAL
from perf.load import arrivals

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.synchronize import Event

    from perf.harness.server import Server

FAST = "/plain"
FILES = 64
FILE_BYTES = 100_000
"""More than is kept in memory by the server."""

LATE_S = 30.0
"""How long a client may wait for a file before that counts as a failure."""


def arguments() -> argparse.Namespace:
    """Read the command line."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(prog="perf.slow_disk", description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=float, default=600.0, help="requests a second (600)")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--clients", type=int, default=32, help="who fetch files (32)")
    parser.add_argument("--rounds", type=int, default=6, help="of each kind (6)")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of a round (4)")
    parser.add_argument("--delay-ms", type=int, default=50, help="of each call (50)")
    parser.add_argument("--cores", default="0", help="cores of the server, comma-separated (0)")
    parser.add_argument(
        "--blind",
        action="store_true",
        help="a kernel that does not tell what is in memory: shows that a wait would be seen",
    )
    parser.add_argument("--trial", action="store_true", help="show in seconds that it works")
    chosen = parser.parse_args()
    if chosen.trial:
        chosen.rounds, chosen.seconds = 1, 2.0
    return chosen


def build(folder: Path) -> Path:
    """Build the disk.

    Raises:
        Unavailable: There is no C compiler, or it cannot do that.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        raise Unavailable("cc is missing; on Debian and Ubuntu: apt-get install gcc libc6-dev")
    library = folder / "slow_disk.so"
    command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(APPS / "slow_disk.c")]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise Unavailable(f"the disk cannot be built: {ran.stderr}")
    return library


def make_files(folder: Path) -> Path:
    """Make the files of the disk, which it knows by their sticky bit."""
    files = folder / "files"
    files.mkdir()
    for number in range(FILES):
        file = files / f"{number}.txt"
        file.write_bytes(b"%015d\n" % number * (FILE_BYTES // 16))
        file.chmod(0o1644)
    return files


def fetch(port: int, first: int, until: Event, counts: Any) -> None:
    """Fetch one file after the other, and count those that were right and the others."""
    number = first
    while not until.is_set():
        try:
            with Client(port, timeout_s=LATE_S) as client:
                while not until.is_set():
                    answer = client.ask("GET", f"/files/{number % FILES}.txt")
                    is_right = answer.body == b"%015d\n" % (number % FILES) * (FILE_BYTES // 16)
                    with counts.get_lock():
                        counts[0 if answer.status == 200 and is_right else 1] += 1
                    number += 1
        except (OSError, BadAnswer):
            with counts.get_lock():
                counts[1] += 1


def fetch_together(port: int, clients: int, until: Event, counts: Any) -> None:
    """Have clients fetch files; a process of its own, which leaves the core to the other load."""
    os.nice(19)
    threads = [
        threading.Thread(target=fetch, args=(port, 7 * number, until, counts))
        for number in range(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@contextmanager
def clients_of_files(port: int, clients: int, counts: Any) -> Iterator[None]:
    """Have clients fetch files meanwhile."""
    context = multiprocessing.get_context("spawn")
    until = context.Event()
    process = context.Process(target=fetch_together, args=(port, clients, until, counts))
    process.start()
    try:
        yield
    finally:
        until.set()
        process.join(2 * LATE_S)
        if process.is_alive():
            process.kill()
            process.join()


def wait_for_files(server: Server, counts: Any, before: int) -> None:
    """Wait until a file has come: from then on all clients are there."""
    with Client(server.port, timeout_s=LATE_S) as client:
        # Each of these takes as long as the disk does.
        while counts[0] == before:
            client.ask("GET", "/files/0.txt")


def once(server: Server, chosen: argparse.Namespace, seed: int) -> tuple[list[float], int]:
    """Run the generator once; times in milliseconds, and how many failed."""
    plan = arrivals.poisson(chosen.rate, chosen.seconds, [(FAST, 1.0)], seed)
    samples = arrivals.run(server.port, plan, chosen.connections)
    failed = sum(sample.status != 200 for sample in samples)
    return sorted(sample.seconds * 1e3 for sample in samples), failed


def measure(server: Server, chosen: argparse.Namespace) -> int:
    """Measure in turns, and print; 1 if something failed."""
    counts = multiprocessing.get_context("spawn").Array("q", 2)
    names = ["alone", f"beside {chosen.clients} clients of the disk"]
    rounds: list[list[list[float]]] = [[], []]
    failed = [0, 0]
    once(server, chosen, 0)  # warms up
    for number in range(chosen.rounds):
        # The order turns, as the machine may get busier.
        for kind in (0, 1) if number % 2 == 0 else (1, 0):
            say(f"round {number + 1} of {chosen.rounds}, {names[kind]}")
            with ExitStack() as stack:
                if kind:
                    before = counts[0]
                    stack.enter_context(clients_of_files(server.port, chosen.clients, counts))
                    wait_for_files(server, counts, before)
                times, wrong = once(server, chosen, number + 1)
            rounds[kind].append(times)
            failed[kind] += wrong
        server.require_running()
    rows = []
    for name, measured, wrong in zip(names, rounds, failed, strict=True):
        shares = [[percentile(times, share) for times in measured] for share in (50, 99, 99.9)]
        worst = max(times[-1] for times in measured)
        cells = [f"{figure(median(each))}" for each in shares]
        each_p99 = " ".join(figure(p99) for p99 in shares[1])
        requests = sum(map(len, measured))
        rows.append([name, str(requests), *cells, figure(worst), each_p99, str(wrong)])
    header = ["", "requests", "p50", "p99", "p99.9", "longest", "p99 of each round", "failed"]
    print(markdown(header, rows))
    print(f"\nfiles that came: {counts[0]}; that did not, or were wrong: {counts[1]}", flush=True)
    return 1 if any(failed) or counts[1] or not counts[0] else 0


def main() -> int:
    """Measure and print."""
    chosen = arguments()
    machine.show()
    if chosen.trial:
        print(f"- {TRIAL}")
    print(
        f"- {chosen.rate:.0f} requests a second over {chosen.connections} connections; the disk "
        f"takes {chosen.delay_ms} ms for a call{', and does not tell' if chosen.blind else ''}; "
        "one worker, one reactor; times in ms, medians of rounds\n"
    )
    try:
        with tempfile.TemporaryDirectory(prefix="pyre-slow-disk-") as name:
            folder = Path(name)
            environment = {
                "FILES": str(make_files(folder)),
                "LD_PRELOAD": str(build(folder)),
                "SLOW_DISK_MS": str(chosen.delay_ms),
            }
            if chosen.blind:
                environment["SLOW_DISK_BLIND"] = "1"
            cores = {int(core) for core in chosen.cores.split(",")}
            with running(pyre("slow_disk_app.py", environment), cores=cores) as server:
                os.sched_setaffinity(0, os.sched_getaffinity(0) - cores or os.sched_getaffinity(0))
                return measure(server, chosen)
    except (Unavailable, BadAnswer, OSError) as reason:
        print(reason, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
