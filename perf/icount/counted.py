"""A server under callgrind whose counters are read while it runs."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from perf.harness.contenders import Contender, Unavailable
from perf.harness.server import Server, end
from perf.icount.client import Client
from perf.icount.dump import Counts, read
from perf.icount.scenario import Scenario

_START_TIMEOUT_S = 120.0
_DUMP_TIMEOUT_S = 60.0
# Rounds before counting: code specialises, buffers grow, pools fill.
_WARM_REQUESTS = 2048
# The difference between a short and a long count has no fixed costs in it: dumping, idling.
_SHORT_REQUESTS = 512
_LONG_REQUESTS = 3584


@dataclass(frozen=True)
class PerRequest:
    """The cost of one request."""

    instructions: float
    allocations: float
    by_function: dict[str, float]


class CountedServer:
    """One server process in callgrind; it starts slowly, so all scenarios share it."""

    def __init__(self, contender: Contender, folder: Path | None = None) -> None:
        """Start the server.

        Args:
            contender: What to start.
            folder: Where to leave the dumps; a temporary folder if not given.

        Raises:
            Unavailable: valgrind is missing, or the server does not run in it.
        """
        for tool in ("valgrind", "vgdb"):
            if shutil.which(tool) is None:
                raise Unavailable(
                    f"{tool} is missing; on Debian and Ubuntu: apt-get install valgrind"
                )
        self._temporary = tempfile.TemporaryDirectory(prefix="pyre-icount-")
        self.folder = folder or Path(self._temporary.name)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._out = self.folder / "callgrind.out"
        for stale in self.folder.glob("callgrind.out*"):
            stale.unlink()
        prefix = ("valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={self._out}")
        settings = {"PYRE_IO_WORKERS": "1", "PYRE_THREADS": "4"}
        self.server = Server(
            contender,
            environment=settings,
            prefix=prefix,
            start_timeout_s=_START_TIMEOUT_S,
        )
        self._dumps = 0

    def close(self) -> None:
        """End the server."""
        end(self.server)
        self._temporary.cleanup()

    def count(self, scenario: Scenario) -> PerRequest:
        """Return what one more request takes in user space."""
        client = Client(self.server.port, scenario)
        try:
            client.rounds(_rounds(_WARM_REQUESTS, client))
            self.dump(f"{scenario.name}, warm-up")
            short = client.rounds(_rounds(_SHORT_REQUESTS, client))
            short_counts = self.dump(f"{scenario.name}, {short} requests")
            long = client.rounds(_rounds(_LONG_REQUESTS, client))
            long_counts = self.dump(f"{scenario.name}, {long} requests")
        finally:
            client.close()
        more = long_counts - short_counts
        requests = long - short
        return PerRequest(
            more.instructions / requests,
            # The Date header is made anew every second, sometimes in the short run.
            max(0, more.allocations) / requests,
            {name: cost / requests for name, cost in more.by_function.most_common()},
        )

    def dump(self, hint: str) -> Counts:
        """Write what was counted since the last dump to a file and read it."""
        command = ["vgdb", f"--pid={self.server.id}", "dump", hint.replace(" ", "_")]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_DUMP_TIMEOUT_S
        )
        self._dumps += 1
        file = self.last_dump()
        if done.returncode != 0 or not file.exists():
            raise Unavailable(f"callgrind wrote no dump: {(done.stderr or done.stdout).strip()}")
        return read(file)

    def last_dump(self) -> Path:
        """Return the file of the last dump."""
        return self._out.with_name(f"{self._out.name}.{self._dumps}")


def _rounds(requests: int, client: Client) -> int:
    return max(1, requests // client.requests_per_round)
