"""Throw-away virtual environments, one for each rival, made once and kept by their pins."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from perf.harness.places import ENVIRONMENTS, pyre_python
from perf.harness.progress import say


class NotInstalled(Exception):
    """A rival could not be installed; the text says why."""


def prepared(name: str, requirements: list[str], debian: list[str]) -> Path:
    """Return the environment's Python, installing the pinned requirements if need be.

    Args:
        name: The environment's folder.
        requirements: For pip.
        debian: Debian packages of shared libraries, unpacked into the environment.

    Raises:
        NotInstalled: pip or apt-get failed.
    """
    folder = ENVIRONMENTS / name
    python = folder / "bin" / "python"
    stamp = folder / ".requirements"
    wanted = "\n".join([str(base_python()), *requirements, *debian])
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return python
    say(f"installing {name}: {' '.join(requirements)}")
    _run([str(base_python()), "-m", "venv", "--clear", str(folder)], name)
    _run([str(python), "-m", "pip", "install", "--quiet", *requirements], name)
    for package in debian:
        _unpack(package, folder, name)
    stamp.write_text(wanted)
    return python


def library_path(python: Path) -> str:
    """Return where the environment's Debian packages put shared libraries."""
    folders = {file.parent for file in (python.parents[1] / "debian").rglob("*.so*")}
    return ":".join(sorted(str(folder) for folder in folders))


def base_python() -> Path:
    """Return the interpreter behind Pyre's environment, so that all run on the same CPython."""
    question = "import sys; print(getattr(sys, '_base_executable', sys.executable))"
    answer = subprocess.run(
        [str(pyre_python()), "-c", question], check=True, capture_output=True, text=True
    )
    return Path(answer.stdout.strip())


def _unpack(package: str, folder: Path, name: str) -> None:
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise NotInstalled(f"{name}: needs the shared library of Debian's {package}")
    downloads = folder / "downloads"
    downloads.mkdir(exist_ok=True)
    # apt-get reads as another user, who may not enter our folder; it says so and goes on.
    _run(["apt-get", "download", "-qq", package], name, downloads)
    for archive in downloads.glob(f"{package}_*.deb"):
        _run(["dpkg-deb", "--extract", str(archive), str(folder / "debian")], name)


def _run(command: list[str], name: str, folder: Path | None = None) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise NotInstalled(f"{name}: {lines[-1] if lines else f'{command[0]} failed'}")
