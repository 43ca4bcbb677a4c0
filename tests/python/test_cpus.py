"""CPUs this process may use: the affinity mask and cgroup limits of either version."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pyreframework.serving.settings import cpus


def quota(root: Path, own: str, files: dict[str, str]) -> float | None:
    for name, text in files.items():
        file = root / "fs" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
    (root / "own").write_text(own)
    return cpus.cgroup_quota(str(root / "fs"), str(root / "own"))


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/\n", {}, None),
        ("0::/\n", {"cpu.max": "max 100000"}, None),
        ("0::/\n", {"cpu.max": "150000 100000"}, 1.5),
        ("0::/a/b\n", {"cpu.max": "max 100000", "a/cpu.max": "50000 100000"}, 0.5),
        ("0::/a/b\n", {"a/cpu.max": "400000 100000", "a/b/cpu.max": "300000 100000"}, 3.0),
        ("0::/away\n", {"cpu.max": "200000 100000"}, 2.0),
        ("1:memory:/x\n", {"cpu/cpu.cfs_quota_us": "100000"}, None),
        (
            "4:cpu,cpuacct:/x\n",
            {"cpu/x/cpu.cfs_quota_us": "250000", "cpu/x/cpu.cfs_period_us": "100000"},
            2.5,
        ),
        ("4:cpu,cpuacct:/\n", {"cpu/cpu.cfs_quota_us": "-1"}, None),
    ],
)
def test_quota(tmp_path: Path, own: str, files: dict[str, str], expected: float | None) -> None:
    assert quota(tmp_path, own, files) == expected


def test_no_cgroups_at_all(tmp_path: Path) -> None:
    assert cpus.cgroup_quota(str(tmp_path / "no"), str(tmp_path / "no")) is None


@pytest.mark.parametrize(("limit", "expected"), [(None, 8), (0.2, 1), (1.5, 2), (3.0, 3), (99, 8)])
def test_usable(monkeypatch: pytest.MonkeyPatch, limit: float | None, expected: int) -> None:
    monkeypatch.setattr(os, "process_cpu_count", lambda: 8)
    monkeypatch.setattr(cpus, "cgroup_quota", lambda: limit)
    assert cpus.usable() == expected
