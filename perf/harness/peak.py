"""How far a server's memory grows while something goes on."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Self

from perf.harness.server import Server

_EVERY_S = 0.05
_PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024


def rss_kib(processes: list[int]) -> int:
    """Return resident memory as statm has it, which costs the server nothing to look at."""
    pages = 0
    for process in processes:
        try:
            pages += int(Path(f"/proc/{process}/statm").read_text().split()[1])
        except (OSError, IndexError):
            continue
    return pages * _PAGE_KIB


class Peak:
    """Looks again and again at a server's memory, as long as the block lasts."""

    def __init__(self, server: Server) -> None:
        self._processes = server.processes()
        self._has_ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.kib = 0
        """The most that was seen."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._has_ended.set()
        self._thread.join()

    def _look(self) -> None:
        is_over = False
        while not is_over:
            is_over = self._has_ended.wait(_EVERY_S)
            self.kib = max(self.kib, rss_kib(self._processes))
