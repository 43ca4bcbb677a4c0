"""Routes that a server knows to be short, and calls of them that are not short after all.

For servers of `tests/apps/hand_over.py` with one reactor and one worker: the page of metrics tells
of one thread that reads, and comes from it.
"""

from __future__ import annotations

import re
import time
from contextlib import AbstractContextManager
from pathlib import Path

from dialogue import Peer, request
from gate import Gate
from serving import SUCCESS_S, Server, serve, wait_until

INLINE = "pyre_inline_requests_total"
TAKEN_BACK = "pyre_take_backs_total"
IN_FLIGHT = "pyre_jobs_in_flight"
ESTIMATE = "pyre_route_estimate_seconds"

SOON_PROVEN = {"TEST_PROOF_CALLS_MAX": "16"}
"""Routes soon prove themselves again, however often a reactor was taken back from them."""

NEVER_TAKEN_BACK = {"TEST_TAKE_BACK_MS": "60000"}
"""The keeper looks so seldom that a lane is always back first."""


def serve_one(
    *, env: dict[str, str] | None = None, **options: object
) -> AbstractContextManager[Server]:
    """A server with one worker and one reactor, where Python runs only for requests."""
    options = {"workers": 1, "io_workers": 1, "threads": 2, "gil_watchdog": 0} | options
    return serve("hand_over", env=env, **options)  # type: ignore[arg-type]


def samples(server: Server, name: str) -> list[tuple[str, float]]:
    """Labels and value of each sample of a metric."""
    page = server.get("/metrics").text
    found = re.findall(rf"^{name}(\{{.*\}})? (\S+)$", page, re.MULTILINE)
    return [(labels, float(value)) for labels, value in found]


def number(server: Server, name: str, label: str = "") -> float:
    """A metric, summed over the samples that have this label."""
    return sum(value for labels, value in samples(server, name) if label in labels)


def is_short(server: Server, path: str) -> bool:
    return number(server, "pyre_route_short", f'route="{path}"') > 0


def prove(server: Server, *targets: str) -> None:
    """Call routes until all of them run on the thread that reads; so does what is called next."""
    with server.connect() as peer:

        def are_inline() -> bool:
            before = number(server, INLINE)
            for target in targets:
                peer.get(target)
            return number(server, INLINE) == before + len(targets)

        wait_until(are_inline, f"{targets} run on the thread that reads")


def at_gate(path: str, gate: Gate, name: str, do: str = "hold") -> bytes:
    """A request whose handler comes to the gate."""
    return request("GET", f"{path}?do={do}&gate={gate.port}&name={name}")


def hold(server: Server, gate: Gate, path: str, name: str, do: str = "hold") -> Peer:
    """A client whose handler is at the gate."""
    peer = server.connect()
    peer.send(at_gate(path, gate, name, do))
    assert gate.entered() == name
    return peer


def block(server: Server, gate: Gate, path: str, name: str, do: str = "hold") -> Peer:
    """A client of a short route, whose handler is at the gate; the reactor was taken back from it.

    On a busy machine a route may be short no more by then, and is proven once more.
    """
    deadline = time.monotonic() + SUCCESS_S
    while time.monotonic() < deadline:
        prove(server, path)
        before = number(server, TAKEN_BACK)
        peer = hold(server, gate, path, name, do)
        # If the reactor was away, this page comes only once it has been taken back.
        if number(server, TAKEN_BACK) > before:
            return peer
        gate.release(name)
        peer.reply()
        peer.socket.close()
    raise AssertionError(f"the reactor was never taken back from {path}")


def threads(server: Server, name: str) -> list[Path]:
    """Threads of the server with such a name, as the system shows them."""

    def is_named(task: Path) -> bool:
        try:
            return (task / "comm").read_text().startswith(name)
        except (FileNotFoundError, ProcessLookupError):
            # It has ended since it was listed, as threads do that only interrupt a handler.
            return False

    return [task for task in Path(f"/proc/{server.pid}/task").iterdir() if is_named(task)]


def lanes(server: Server) -> int:
    """How many threads the worker has, its event loop's among them."""
    return len(threads(server, "pyre-worker-"))


def wakes(server: Server, name: str) -> int:
    """How often threads of such a name have gone to sleep so far."""
    states = [(thread / "status").read_text() for thread in threads(server, name)]
    return sum(int(state.split("\nvoluntary_ctxt_switches:")[1].split()[0]) for state in states)
