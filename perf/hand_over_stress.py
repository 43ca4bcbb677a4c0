"""Take reactors back from handlers all the time, and see whether every answer is the right one.

Many routes, whose handlers return at once, sleep, compute, raise or leave tasks, as each request
asks at random; two short calls are proof enough for a route to run inline, and a handler is found
out after a millisecond. Each answer must be the very one for its request, in order, none lost and
none doubled, and each task must run once. Beside them other clients have bodies that flow: answers
and requests in parts, events, WebSockets, each piece and message of them numbered; and they leave
at any byte. What they have begun must have ended, once. Memory, threads and descriptors are watched
meanwhile. It fails if any of that is wrong, if memory grows after the warm-up beyond what is
allowed, if threads or descriptors do not return to what they were, if reactors are taken back too
rarely to put anything to the test, or if the server does not stop in order.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from perf.harness import counters, machine, processes
from perf.harness.contenders import PYRE, Unavailable, build, pyre
from perf.harness.counters import INLINE, REFUSED, REQUESTS, TAKEN_BACK, Counters
from perf.harness.exchange import BadAnswer, Client
from perf.harness.progress import say
from perf.harness.server import Server, running
from perf.harness.spread import figure
from perf.harness.table import markdown
from perf.load import checked
from perf.load.checked import Tally
from perf.load.crowd import Crowd
from perf.load.flows.client import FlowTally

APP = "hand_over_app.py"
LOOK_S = 1.0
SAY_S = 5.0
LATE_S = 3 * checked.STALL_S
"""How long after its time a client may still wait for answers."""
SETTLE_S = 30.0
"""How long it may take until what clients have left behind is gone, on the slowest machine."""
BROKEN = ("panicked at", "Fatal Python error", "Segmentation fault")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="perf.hand_over_stress", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--seconds", type=float, default=600.0, help="length of the load (600)")
    parser.add_argument("--warm-seconds", type=float, help="of these, the warm-up (a quarter)")
    parser.add_argument("--hand-over", choices=["auto", "ring"], default="auto")
    parser.add_argument("--checkout", type=Path, help="another build, set up there (this one)")
    parser.add_argument("--seed", default="1", help="the same seed draws the same requests (1)")
    parser.add_argument("--clients", type=int, default=2, help="processes that send (2)")
    parser.add_argument("--connections", type=int, default=64, help="of all clients (64)")
    parser.add_argument(
        "--flows", type=int, default=16, help="more connections, whose bodies flow (16)"
    )
    parser.add_argument("--routes", type=int, default=64, help="each of four kinds (64)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--io-workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=4, help="lanes per worker (4)")
    parser.add_argument("--growth-max-kib", type=int, default=8192, help="fail above this (8192)")
    parser.add_argument(
        "--threads-added-max", type=int, default=0, help="at the end; fail above this (0)"
    )
    parser.add_argument(
        "--taken-back-min",
        type=float,
        default=1.0,
        help="a second, with auto; fail below this, as nothing was put to the test (1)",
    )
    chosen = parser.parse_args()
    if chosen.warm_seconds is None:
        chosen.warm_seconds = chosen.seconds / 4
    if not 0 < chosen.warm_seconds < chosen.seconds:
        parser.error("the warm-up has to be shorter than the whole")
    if not 0 < chosen.clients <= chosen.connections:
        parser.error("each client needs a connection")
    return chosen


@dataclass(frozen=True)
class Look:
    """The server at a moment, in seconds from the start."""

    at_s: float
    rss_kib: int
    threads: int
    files: int


def look(server: Server, at_s: float) -> Look:
    """See what the server takes now."""
    members = server.processes()
    return Look(
        at_s,
        processes.memory(members).rss_kib,
        processes.threads(members),
        processes.open_files(members),
    )


def settled(server: Server, before: Look, began: float) -> Look:
    """See what it takes once nothing is under way, or after a while."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        after = look(server, time.monotonic() - began)
        returned = after.threads <= before.threads and after.files <= before.files
        if returned or time.monotonic() > deadline:
            return after
        time.sleep(0.1)


@dataclass
class Watched:
    """What was seen of the server: before the load, during it, and right after it."""

    before: Look
    during: list[Look]
    after: Look
    warm_s: float

    @property
    def warm_kib(self) -> int:
        """Memory after the warm-up: the middle of the first tenth of what follows it."""
        rest = self._after_the_warm_up()
        return _middle(rest[: max(1, len(rest) // 10)])

    @property
    def last_kib(self) -> int:
        """Memory at the end of the load: the middle of its last tenth."""
        rest = self._after_the_warm_up()
        return _middle(rest[-max(1, len(rest) // 10) :])

    @property
    def growth_kib(self) -> int:
        return self.last_kib - self.warm_kib

    @property
    def threads_added(self) -> int:
        """How many threads more there are at the end than before the load."""
        return self.after.threads - self.before.threads

    @property
    def threads_most(self) -> int:
        """How many there were at most."""
        return max(one.threads for one in [*self.during, self.after])

    @property
    def files_added(self) -> int:
        """How many descriptors more there are at the end than before the load."""
        return self.after.files - self.before.files

    def _after_the_warm_up(self) -> list[Look]:
        return [one for one in self.during if one.at_s >= self.warm_s] or [self.after]


def _middle(looks: Sequence[Look]) -> int:
    return round(statistics.median(one.rss_kib for one in looks))


type Seen = tuple[Tally, FlowTally]


def load(server: Server, chosen: argparse.Namespace) -> tuple[Seen, Watched, Counters]:
    """Load the server for the time asked for, and look at it meanwhile."""
    # The thread that writes the log is there from its first line on.
    with Client(server.port) as client:
        client.ask("GET", "/r0?work=fail&us=0")
    began = said = time.monotonic()
    before = look(server, 0.0)
    counted = last = counters.read(server.port)
    during: list[Look] = []
    crowd = Crowd(
        server.port,
        clients=chosen.clients,
        connections=chosen.connections,
        seed=chosen.seed,
        routes=chosen.routes,
        seconds=chosen.seconds,
        flows=chosen.flows,
    )
    try:
        while crowd.goes_on:
            crowd.listen(LOOK_S)
            server.require_running()
            now = time.monotonic() - began
            if now > chosen.seconds + LATE_S:
                crowd.give_up()
            if now < chosen.seconds and (not during or now - during[-1].at_s >= LOOK_S):
                during.append(look(server, now))
            if during and time.monotonic() - said >= SAY_S:
                page = counters.read(server.port)
                tell(crowd, during[-1], counters.between(last, page), time.monotonic() - said)
                said, last = time.monotonic(), page
    finally:
        if crowd.goes_on:
            crowd.give_up()
    found = counters.between(counted, counters.read(server.port))
    after = settled(server, before, began)
    seen = (crowd.tally, crowd.flows)
    return seen, Watched(before, during, after, chosen.warm_seconds), found


def tell(crowd: Crowd, seen: Look, counted: Counters, seconds: float) -> None:
    """Say how things stand."""
    progress = crowd.progress
    say(
        f"{progress.answered} answers to {progress.sent} requests, {progress.faults} faults, "
        f"{per_second(TAKEN_BACK, counted, seconds)} taken back a second, inline "
        f"{counters.share(INLINE, REQUESTS, counted)}, {seen.rss_kib} KiB, {seen.threads} threads"
    )


def taken_back_min(chosen: argparse.Namespace) -> float:
    """Return how often a second reactors must be taken back at least; a ring has none to take."""
    return chosen.taken_back_min if chosen.hand_over == "auto" else 0.0


def taken_back(counted: Counters, watched: Watched) -> float:
    """Return how often a second reactors were taken back."""
    return counted.get(TAKEN_BACK, 0.0) / watched.after.at_s


def per_second(name: str, counted: Counters, seconds: float) -> str:
    """Return a rate; ``-`` if the server does not count it."""
    return figure(counted[name] / seconds) if name in counted else "-"


def faults(
    seen: Seen,
    watched: Watched,
    counted: Counters,
    ending: tuple[int | None, str],
    chosen: argparse.Namespace,
) -> list[str]:
    """Return everything that is not as it should be."""
    found: list[str] = []
    for one in seen:
        found += one.wrong
        if one.faults > len(one.wrong):
            found.append(f"{one.faults - len(one.wrong)} more of these")
    tally, flows = seen
    if not tally.is_accounted_for:
        found.append(f"{tally.sent} requests, {tally.answered} + {tally.abandoned} accounted for")
    if not flows.is_accounted_for:
        found.append(f"{flows.begun} begun, {flows.ended} + {flows.abandoned} accounted for")
    if watched.growth_kib > chosen.growth_max_kib:
        found.append(f"memory has grown by {watched.growth_kib} KiB")
    if watched.threads_added > chosen.threads_added_max:
        found.append(f"{watched.threads_added} threads were added")
    if watched.files_added > 0:
        found.append(f"{watched.files_added} descriptors were added")
    if taken_back(counted, watched) < taken_back_min(chosen):
        found.append("reactors were hardly ever taken back")
    code, log = ending
    if code != 0:
        found.append(f"exit code {code}")
    found += [line for line in log.splitlines() if any(mark in line for mark in BROKEN)]
    return found


def table(seen: Seen, watched: Watched, counted: Counters, chosen: argparse.Namespace) -> str:
    """Return what was seen, and what was expected."""
    tally, flows = seen
    statuses = ", ".join(f"{count} x {status}" for status, count in sorted(tally.statuses.items()))
    works = counted_by(tally.works)
    rows = [
        ["requests", str(tally.sent), works],
        ["answers", str(tally.answered), statuses],
        ["abandoned", str(tally.abandoned), f"on {tally.closed} connections, closed on purpose"],
        ["lost", str(tally.lost), "0"],
        ["faults", str(tally.faults), "0"],
        ["tasks", str(len(tally.tasks)), "each run once"],
        ["conversations", str(flows.begun), f"{chosen.flows} at a time"],
        ["came to their end", str(flows.ended), counted_by(flows.works)],
        ["abandoned", str(flows.abandoned), f"connections left: {counted_by(flows.left)}"],
        ["pieces and messages", str(flows.pieces), "each in its order"],
        ["faults", str(flows.faults), "0"],
        ["longest batch, s", figure(tally.longest_s), ""],
        ["inline", counters.share(INLINE, REQUESTS, counted), ""],
        [
            "taken back a second",
            per_second(TAKEN_BACK, counted, watched.after.at_s),
            f"at least {taken_back_min(chosen):g}",
        ],
        ["taken back", counters.total(TAKEN_BACK, counted), ""],
        ["refused", counters.total(REFUSED, counted), ""],
        ["RSS at the start, KiB", str(watched.before.rss_kib), ""],
        ["RSS after the warm-up, KiB", str(watched.warm_kib), ""],
        [
            "RSS at the end, KiB",
            f"{watched.last_kib} ({watched.growth_kib:+})",
            f"at most {chosen.growth_max_kib:+}",
        ],
        ["threads at the start", str(watched.before.threads), ""],
        [
            "threads at the end",
            f"{watched.after.threads} ({watched.threads_added:+})",
            f"at most {chosen.threads_added_max:+}; {watched.threads_most} meanwhile",
        ],
        ["descriptors at the start", str(watched.before.files), ""],
        ["descriptors at the end", f"{watched.after.files} ({watched.files_added:+})", "+0"],
    ]
    return markdown(["", "seen", "expected, or of what"], rows)


def counted_by(counts: Counter[str]) -> str:
    """Return what there was, the most frequent first."""
    return ", ".join(f"{count} x {name}" for name, count in counts.most_common())


def main() -> int:
    """Stress a server and print a table; 1 if anything is wrong."""
    chosen = arguments()
    with tempfile.TemporaryDirectory() as folder:
        tasks = Path(folder) / "tasks"
        noted = Path(folder) / "noted"
        settings = {
            "PYRE_HAND_OVER": chosen.hand_over,
            "PYRE_THREADS": str(chosen.threads),
            "PYRE_IO_WORKERS": str(chosen.io_workers),
            "PYRE_METRICS": "1",
            "PYRE_GIL_WATCHDOG": "0",
            # A client that is slow because the machine is must not be taken for one that has gone.
            "PYRE_BODY_TIMEOUT": "300",
            "PYRE_WS_PING": "300",
            "PERF_ROUTES": str(chosen.routes),
            "PERF_TASKS": os.fspath(tasks),
            "PERF_FLOWS": os.fspath(noted),
        }
        try:
            served = build(PYRE, chosen.checkout, APP) if chosen.checkout else pyre(APP)
            with running(served, workers=chosen.workers, environment=settings) as server:
                seen, watched, counted = load(server, chosen)
                code = server.stop()
                log = server.log()
        except (Unavailable, BadAnswer) as reason:
            print(reason, file=sys.stderr)
            return 1
        tally, flows = seen
        tally.check_tasks(tasks.read_text().split())
        flows.check_noted(noted.read_text().splitlines())
    machine.show()
    print(
        f"- hand_over={chosen.hand_over}, {chosen.workers} workers with {chosen.threads} lanes "
        f"each, {chosen.io_workers} reactors, {chosen.connections} connections of "
        f"{chosen.clients} clients, {chosen.flows} whose bodies flow, {chosen.seconds:g} s, "
        f"seed {chosen.seed}\n"
    )
    print(table(seen, watched, counted, chosen))
    wrong = faults(seen, watched, counted, (code, log), chosen)
    for text in wrong:
        print(f"- {text}")
    print("Not as it should be." if wrong else "As it should be.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
