"""What /proc knows about a server: its processes, their time, memory and files."""

from __future__ import annotations

import os
import re
import resource
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_TICKS_OFF_S = 0.05
_PROC = Path("/proc")
_SWITCHES = re.compile(r"^(?:non)?voluntary_ctxt_switches:\s+(\d+)$", re.MULTILINE)


@dataclass(frozen=True)
class Cpu:
    """Processor time used so far, in seconds.

    ``user_s`` and ``system_s`` count in ticks of 10 ms. ``run_s`` is the scheduler's sum in
    nanoseconds over the living threads: the same quantity, sharper, but it forgets dead threads.
    """

    user_s: float
    system_s: float
    run_s: float

    def __sub__(self, earlier: Cpu) -> Cpu:
        return Cpu(
            self.user_s - earlier.user_s,
            self.system_s - earlier.system_s,
            self.run_s - earlier.run_s,
        )

    @property
    def total_s(self) -> float:
        """User and system time; the sharper sum where it agrees with the ticks."""
        ticks_s = self.user_s + self.system_s
        return self.run_s if abs(self.run_s - ticks_s) <= _TICKS_OFF_S else ticks_s


@dataclass(frozen=True)
class Memory:
    """Resident memory in KiB; ``pss`` shares out what processes have in common."""

    rss_kib: int
    pss_kib: int


def session(leader: int) -> list[int]:
    """Return the processes of the session that ``leader`` started, itself included."""
    members = []
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields and int(fields[3]) == leader and fields[0] != "Z":
                members.append(int(entry.name))
    return sorted(members)


def cpu(processes: list[int]) -> Cpu:
    """Return user and system time, with that of children already waited for."""
    user = system = run_ns = 0
    for process in processes:
        fields = _stat(process)
        if fields:
            user += int(fields[11]) + int(fields[13])
            system += int(fields[12]) + int(fields[14])
            run_ns += _run_ns(process)
    return Cpu(user / _TICKS_PER_S, system / _TICKS_PER_S, run_ns / 1e9)


def memory(processes: list[int]) -> Memory:
    """Return the sums over the processes' smaps_rollup."""
    rss = pss = 0
    for process in processes:
        try:
            text = (_PROC / str(process) / "smaps_rollup").read_text()
        except OSError:
            continue
        rss += _kib(text, "Rss")
        pss += _kib(text, "Pss")
    return Memory(rss, pss)


def open_files(processes: list[int]) -> int:
    """Return the number of open file descriptors."""
    count = 0
    for process in processes:
        try:
            count += len(os.listdir(_PROC / str(process) / "fd"))
        except OSError:
            continue
    return count


def raise_file_limit() -> None:
    """Allow this process, and the servers that it starts, as many descriptors as can be had."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def threads(processes: list[int]) -> int:
    """Return the number of threads."""
    count = 0
    for process in processes:
        fields = _stat(process)
        count += int(fields[17]) if fields else 0
    return count


def switches(processes: list[int]) -> int:
    """Return how often the living threads were switched to another, of their own accord or not."""
    count = 0
    for process in processes:
        for thread in (_PROC / str(process) / "task").glob("*/status"):
            try:
                text = thread.read_text()
            except OSError:
                continue
            count += sum(int(found) for found in _SWITCHES.findall(text))
    return count


def stolen_s() -> float:
    """Return the time the host has kept this machine from running, in seconds, all cores."""
    with open("/proc/stat") as file:
        return int(file.readline().split()[8]) / _TICKS_PER_S


def _stat(process: int) -> list[str]:
    """Return the fields after the name: state first, so field N of proc(5) is at N - 3."""
    try:
        text = (_PROC / str(process) / "stat").read_text()
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def _run_ns(process: int) -> int:
    total = 0
    for thread in (_PROC / str(process) / "task").glob("*/schedstat"):
        try:
            total += int(thread.read_text().split()[0])
        except (OSError, IndexError):
            continue
    return total


def _kib(text: str, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) if found else 0
