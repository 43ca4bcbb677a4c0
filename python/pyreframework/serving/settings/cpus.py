"""How many CPUs this process may use: the affinity mask, cut by the cgroup's quota (containers)."""

from __future__ import annotations

import os


def usable() -> int:
    """Return the number of CPUs this process may keep busy, at least 1."""
    count = os.process_cpu_count() or 1
    quota = cgroup_quota()
    if quota is not None:
        count = min(count, max(1, int(quota + 0.5)))
    return count


def cgroup_quota(root: str = "/sys/fs/cgroup", own: str = "/proc/self/cgroup") -> float | None:
    """Return the CPU time a cgroup grants per second of wall time, or None if it sets no limit.

    Looks at the group of this process and at every group above it, as any of them may limit it.

    Args:
        root: Where the cgroup file system is mounted.
        own: The file that says in which group this process is.
    """
    limits: list[float] = []
    for controllers, path in groups(own):
        unified = controllers == ""
        if not unified and "cpu" not in controllers.split(","):
            continue
        base = root if unified else f"{root}/cpu"
        names = path.strip("/").split("/")
        for depth in range(len(names) + 1):
            folder = "/".join([base, *names[:depth]])
            limit = quota_v2(folder) if unified else quota_v1(folder)
            if limit is not None:
                limits.append(limit)
    return min(limits, default=None)


def groups(own: str) -> list[tuple[str, str]]:
    """Return the controllers and the path of each group this process is in."""
    found: list[tuple[str, str]] = []
    for line in (read(own) or "").splitlines():
        _, controllers, path = line.split(":", 2)
        found.append((controllers, path))
    return found


def quota_v2(folder: str) -> float | None:
    """Return the limit in ``cpu.max``: ``max`` or a quota, then the period, in microseconds."""
    quota, _, period = (read(f"{folder}/cpu.max") or "max 1").partition(" ")
    return None if quota == "max" else int(quota) / int(period)


def quota_v1(folder: str) -> float | None:
    """Return the limit of the older interface; a quota of -1 means none."""
    quota = int(read(f"{folder}/cpu.cfs_quota_us") or -1)
    period = int(read(f"{folder}/cpu.cfs_period_us") or 100_000)
    return None if quota <= 0 else quota / period


def read(path: str) -> str | None:
    """Return the text of a file without the last line break, or None if it cannot be read."""
    try:
        with open(path, encoding="ascii") as file:
            return file.read().rstrip("\n")
    except OSError:
        return None
