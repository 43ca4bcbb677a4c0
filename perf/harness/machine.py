"""What a figure was measured on, and with what."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
import time
from pathlib import Path

from perf.harness.places import ROOT


def facts() -> dict[str, str]:
    """Return machine, commit, Python, command and date, as they stand in every result."""
    return {
        "date": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "commit": commit(),
        "command": shlex.join(["python", "-m", *_module(), *sys.argv[1:]]),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "cpu": f"{_cpu()} x {os.cpu_count()}",
        "memory": _memory(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "load average": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }


def show() -> None:
    """Print the facts as a list, above a table."""
    for name, value in facts().items():
        print(f"- {name}: {value}")


def commit(checkout: Path = ROOT) -> str:
    """Return the short commit of a checkout, with ``+`` if its tree has changes."""
    found = _git(checkout, "rev-parse", "--short=10", "HEAD")
    if not found:
        return "unknown"
    return found + ("+" if _git(checkout, "status", "--porcelain", "--untracked-files=no") else "")


def _module() -> list[str]:
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return [spec.name] if spec is not None else [sys.argv[0]]


def _git(checkout: Path, *words: str) -> str:
    command = ["git", *words]
    try:
        done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _memory() -> str:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemTotal"):
            return f"{int(line.split()[1]) / 1024 / 1024:.0f} GiB"
    return "unknown"
