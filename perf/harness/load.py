"""wrk: one run, and what it says."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass

from perf.harness.answers import Route
from perf.harness.places import PERF

_SCRIPT = PERF / "load" / "requests.lua"
_MARKER = "SUMMARY "


class NoLoad(Exception):
    """wrk is missing or failed."""


@dataclass(frozen=True)
class Load:
    """How requests are sent: ``depth`` at once on each of ``connections``."""

    depth: int
    connections: int

    @property
    def name(self) -> str:
        return f"d{self.depth} c{self.connections}"


@dataclass(frozen=True)
class Outcome:
    """What one run of wrk saw; percentiles are None where wrk's mean nothing (pipelining)."""

    requests: int
    seconds: float
    p50_us: float | None
    p99_us: float | None
    errors: dict[str, int]

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


def require_wrk() -> str:
    """Return wrk's path.

    Raises:
        NoLoad: It is not installed.
    """
    path = shutil.which("wrk")
    if path is None:
        raise NoLoad("wrk is missing; on Debian and Ubuntu: apt-get install wrk")
    return path


def run(
    port: int, route: Route, load: Load, *, seconds: int, core: int | None, threads: int = 1
) -> Outcome:
    """Send one route's requests for some seconds.

    Args:
        port: Where the server listens, on 127.0.0.1.
        route: What to ask.
        load: Depth and connections.
        seconds: Length of the run; wrk knows whole seconds only.
        core: The core wrk is pinned to; None leaves it free.
        threads: wrk's threads, at most one a connection.

    Raises:
        NoLoad: wrk failed.
    """
    command = [] if core is None else ["taskset", "--cpu-list", str(core)]
    command += [
        require_wrk(),
        f"-t{min(threads, load.connections)}",
        f"-c{load.connections}",
        f"-d{seconds}s",
        f"-s{_SCRIPT}",
        *(word for field in route.fields for word in ("-H", field)),
        f"http://127.0.0.1:{port}{route.path}",
        "--",
        str(load.depth),
        route.method,
        route.body.decode(),
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=seconds * 5 + 30
    )
    for line in done.stdout.splitlines():
        if line.startswith(_MARKER):
            return _outcome(json.loads(line.removeprefix(_MARKER)), load)
    raise NoLoad(f"wrk failed: {(done.stderr or done.stdout).strip()[-200:]}")


def _outcome(said: dict[str, float], load: Load) -> Outcome:
    kinds = ("connect", "read", "write", "status", "timeout")
    timed = load.depth == 1
    return Outcome(
        requests=int(said["requests"]),
        seconds=said["duration_us"] / 1e6,
        p50_us=said["p50_us"] if timed else None,
        p99_us=said["p99_us"] if timed else None,
        errors={kind: int(said[kind]) for kind in kinds if said[kind]},
    )
