"""Measure memory: by workers, by idle connections, and what aborted large answers leave behind."""

from __future__ import annotations

import argparse
import socket
import struct
import sys
import time

from perf.harness import machine, processes
from perf.harness.contenders import Contender, Unavailable, contender, pyre
from perf.harness.exchange import BadAnswer, Client, request
from perf.harness.progress import say
from perf.harness.server import Server, running
from perf.harness.table import markdown

_SETTLE_S = 1.0
_ABORT_AFTER_BYTES = 64 * 1024
_WARM_REQUESTS = 200


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="scripts/memory", description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="pyre", help="contenders for the workers' table (pyre)")
    parser.add_argument("--workers", default="1,2,4,8,16", help="numbers of workers")
    parser.add_argument("--connections", type=int, default=2000, help="idle connections (2000)")
    parser.add_argument("--aborts", type=int, default=120, help="aborted answers of 16 MB (120)")
    parser.add_argument("--parts", default="workers,idle,aborts", help="which of the three")
    return parser.parse_args()


def warm(port: int, path: str = "/", times: int = _WARM_REQUESTS) -> None:
    """Ask over and over, on several connections, so that every worker has answered."""
    clients = [Client(port) for _ in range(16)]
    for number in range(times):
        clients[number % len(clients)].ask("GET", path)
    for client in clients:
        client.close()


def pss_kib(server: Server) -> int:
    """Return the server's PSS once it is quiet."""
    time.sleep(_SETTLE_S)
    return processes.memory(server.processes()).pss_kib


def by_workers(what: Contender, numbers: list[int]) -> str:
    """Return PSS, RSS and start-up time for each number of workers."""
    rows = []
    first: tuple[int, int] | None = None
    for workers in numbers:
        say(f"{what.name}: {workers} workers")
        with running(what, workers=workers) as server:
            warm(server.port)
            pss = pss_kib(server)
            members = server.processes()
            rss = processes.memory(members).rss_kib
            threads = processes.threads(members)
            first = first or (workers, pss)
            beyond = workers - first[0]
            each = f"{(pss - first[1]) / beyond / 1024:.2f}" if beyond else "-"
            cells = [f"{pss / 1024:.1f}", f"{rss / 1024:.1f}", each, str(threads)]
            rows.append([str(workers), *cells, f"{server.start_s:.2f}"])
    header = [
        "workers",
        "PSS MiB",
        "RSS MiB",
        "PSS MiB each beyond the first",
        "threads",
        "start s",
    ]
    return f"## {what.name}: workers\n\n{markdown(header, rows)}"


def idle(what: Contender, connections: int) -> str:
    """Return what an idle keep-alive connection costs, after it has been served once."""
    say(f"{connections} idle connections")
    processes.raise_file_limit()
    with running(what) as server:
        warm(server.port)
        before = pss_kib(server)
        clients = [Client(server.port) for _ in range(connections)]
        for client in clients:
            client.ask("GET", "/")
        during = pss_kib(server)
        for client in clients:
            client.close()
        after = pss_kib(server)
    each = (during - before) / connections
    return (
        f"## {what.name}: {connections} idle connections\n\n"
        f"PSS {before} KiB without, {during} KiB with, {after} KiB after: "
        f"**{each:.2f} KiB each**\n"
    )


def aborts(what: Contender, number: int) -> str:
    """Return what is left behind by clients that reset the connection inside a large answer."""
    say(f"{number} aborted answers of 16 MB")
    with running(what) as server:
        with Client(server.port, timeout_s=30.0) as client:
            whole = client.ask("GET", "/large")
        before = pss_kib(server)
        for _ in range(number):
            _abort(server.port)
        warm(server.port)
        after = pss_kib(server)
    left = (after - before) / 1024
    return (
        f"## {what.name}: {number} aborted answers of {len(whole.body)} bytes\n\n"
        f"PSS {before} KiB before, {after} KiB after: **{left:+.1f} MiB left behind**\n"
    )


def _abort(port: int) -> None:
    connection = socket.create_connection(("127.0.0.1", port), 10.0)
    connection.sendall(request("GET", "/large", port))
    received = 0
    while received < _ABORT_AFTER_BYTES:
        received += len(connection.recv(65536))
    # No lingering: close sends a reset.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def main() -> int:
    """Measure and print."""
    chosen = arguments()
    parts = chosen.parts.split(",")
    numbers = [int(number) for number in chosen.workers.split(",")]
    machine.show()
    print(flush=True)
    try:
        if "workers" in parts:
            for name in chosen.only.split(","):
                print(by_workers(contender(name), numbers), flush=True)
        if "idle" in parts:
            print(idle(contender(chosen.only.split(",")[0]), chosen.connections), flush=True)
        if "aborts" in parts:
            print(aborts(pyre("large_app.py"), chosen.aborts), flush=True)
    except (Unavailable, BadAnswer) as reason:
        print(reason, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
