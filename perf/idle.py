"""Measure what silent WebSockets and event streams cost in memory, and what they leave behind.

Thousands are opened, each is answered once, and all are closed, again and again. Descriptors must
come back, and the last time may take no more memory than the one before: what was left behind would
be on top. How much the allocators keep for the next ones, once all are closed, is shown as well.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass

from perf.harness import machine, processes
from perf.harness.contenders import Unavailable, pyre
from perf.harness.exchange import BadAnswer, Client
from perf.harness.progress import say
from perf.harness.server import Server, running
from perf.harness.table import markdown
from perf.harness.turns import TRIAL
from perf.load.echoes import WrongEcho
from perf.load.held import EventStream, Held, WebSocket, WrongAnswer

KINDS: dict[str, tuple[type[WebSocket | EventStream], str, str]] = {
    "websocket": (WebSocket, "/ws", "WebSockets, `async def`"),
    "stream": (EventStream, "/stream", "event streams, `PyreStream`"),
    "generator": (EventStream, "/generator", "event streams, async generators"),
}
SETTLE_S = 2.0
CLOSED_WITHIN_S = 30.0
WARM = 64


@dataclass(frozen=True)
class State:
    """What a server has at a moment."""

    when: str
    files: int
    threads: int
    memory: processes.Memory

    @classmethod
    def of(cls, server: Server, when: str, settle_s: float) -> State:
        """Look once it is quiet."""
        time.sleep(settle_s)
        members = server.processes()
        return cls(
            when,
            processes.open_files(members),
            processes.threads(members),
            processes.memory(members),
        )


def arguments() -> argparse.Namespace:
    """Read the command line."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(prog="perf.idle", description=__doc__.splitlines()[0])
    parser.add_argument("--connections", type=int, default=10000, help="how many (10000)")
    parser.add_argument("--kinds", default=",".join(KINDS), help="which of the three")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--times", type=int, default=3, help="how often, at least twice (3)")
    parser.add_argument(
        "--grown-max-kib", type=int, default=1024, help="fail if the last time takes more (1024)"
    )
    parser.add_argument("--trial", action="store_true", help="show in seconds that it works")
    chosen = parser.parse_args()
    if chosen.trial:
        chosen.connections, chosen.times = 200, 2
    if chosen.times < 2:
        parser.error("only a second time shows what the first has left behind")
    return chosen


def closed(server: Server, before: State) -> bool:
    """Wait until no more descriptors are open than before; whether that came."""
    deadline = time.monotonic() + CLOSED_WITHIN_S
    while processes.open_files(server.processes()) > before.files:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def held(server: Server, kind: str, count: int) -> list[Held]:
    """Open so many."""
    what, path, _ = KINDS[kind]
    return [what.opened(server.port, path, number) for number in range(count)]


def leave(connections: list[Held]) -> None:
    """Close all of them."""
    for connection in connections:
        connection.leave()


def measure(kind: str, chosen: argparse.Namespace) -> tuple[str, list[str]]:
    """Return a table, and what must not be."""
    count = chosen.connections
    settle_s = 0.2 if chosen.trial else SETTLE_S
    faults = []
    opened = []
    with running(pyre("idle_app.py"), workers=chosen.workers) as server:
        with Client(server.port) as client:
            start = State.of(server, "at the start", 0.0)
            client.ask("GET", "/")
        leave(held(server, kind, WARM))
        closed(server, start)
        states = [State.of(server, f"after {WARM} that were closed", settle_s)]
        for time_of in range(1, chosen.times + 1):
            say(f"{kind}: {count} connections, time {time_of} of {chosen.times}")
            began = time.monotonic()
            connections = held(server, kind, count)
            took = time.monotonic() - began
            states.append(State.of(server, f"{time_of}: open, after {took:.1f} s", settle_s))
            if kind == "websocket":
                for connection in connections:
                    connection.talk()
                states.append(State.of(server, f"{time_of}: each has echoed", settle_s))
            opened.append(states[-1].memory.pss_kib)
            if states[-1].files < states[0].files + count:
                faults.append(f"{kind}: some connections were closed while they had to be open")
            began = time.monotonic()
            leave(connections)
            if not closed(server, states[0]):
                faults.append(f"{kind}: descriptors are still open {CLOSED_WITHIN_S:g} s later")
            took = time.monotonic() - began
            states.append(State.of(server, f"{time_of}: closed, after {took:.1f} s", settle_s))
        server.require_running()
    more = opened[-1] - opened[-2]
    if more > chosen.grown_max_kib:
        faults.append(f"{kind}: the last time takes {more} KiB more than the one before")
    return table(kind, states, count), faults


def table(kind: str, states: list[State], count: int) -> str:
    """Return what was seen; what each connection costs is over what there was before them."""
    base = states[0]
    rows = []
    for state in states:
        pss = state.memory.pss_kib - base.memory.pss_kib
        rss = state.memory.rss_kib - base.memory.rss_kib
        rows.append(
            [
                state.when,
                str(state.files),
                str(state.threads),
                f"{state.memory.pss_kib / 1024:.1f}",
                f"{state.memory.rss_kib / 1024:.1f}",
                "-" if state is base else f"{pss / count:.2f}",
                "-" if state is base else f"{rss / count:.2f}",
            ]
        )
    header = ["", "descriptors", "threads", "PSS MiB", "RSS MiB", "PSS KiB each", "RSS KiB each"]
    return f"## {count} {KINDS[kind][2]}\n\n{markdown(header, rows)}"


def main() -> int:
    """Measure and print tables; 1 if something is left behind."""
    chosen = arguments()
    processes.raise_file_limit()
    machine.show()
    if chosen.trial:
        print(f"- {TRIAL}")
    print(f"- {chosen.workers} workers, as many reactors\n", flush=True)
    faults = []
    try:
        for kind in chosen.kinds.split(","):
            found, wrong = measure(kind, chosen)
            print(found, flush=True)
            faults += wrong
    except (Unavailable, WrongAnswer, WrongEcho, BadAnswer, OSError) as reason:
        print(reason, file=sys.stderr)
        return 1
    for fault in faults:
        print(f"- FAILED: {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
