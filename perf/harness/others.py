"""What else went on on the machine while something was measured."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from perf.harness import processes
from perf.harness.server import Server

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
# Of the first line of /proc/stat: all but idle time, waiting, and what the host took.
_BUSY = (0, 1, 2, 5, 6)


class Others:
    """Counts processor time that neither these servers nor this process have used."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self._servers = list({id(server): server for server in servers}.values())
        self._began = time.monotonic()
        self._busy_s = self._used_by_others()
        self._stolen_s = processes.stolen_s()

    def line(self) -> str:
        """Say how much that was since the beginning; the servers must still run."""
        share = (self._used_by_others() - self._busy_s) / (time.monotonic() - self._began)
        stolen = processes.stolen_s() - self._stolen_s
        return (
            f"- meanwhile others used {max(0.0, share):.2f} of {os.cpu_count()} cores, "
            f"and the host took {stolen:.2f} s of processor time away"
        )

    def _used_by_others(self) -> float:
        own = [os.getpid(), *(one for server in self._servers for one in server.processes())]
        used = processes.cpu(own)
        fields = Path("/proc/stat").read_text().partition("\n")[0].split()[1:]
        busy = sum(int(fields[place]) for place in _BUSY) / _TICKS_PER_S
        return busy - used.user_s - used.system_s
