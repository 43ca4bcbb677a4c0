"""Where the project keeps what is measured."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PERF = ROOT / "perf"
APPS = PERF / "apps"
ENVIRONMENTS = PERF / ".envs"
RESULTS = PERF / "results"


def pyre_python() -> Path:
    """Return the interpreter that has Pyre: the project's own, else ``PYTHON``, else this one."""
    own = ROOT / ".venv" / "bin" / "python"
    return own if own.exists() else Path(os.environ.get("PYTHON") or sys.executable)
