"""What can be started and measured: Pyre, the native ceiling, and the rivals of rivals.toml."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from perf.harness import environments
from perf.harness.places import APPS, PERF, ROOT, pyre_python

PYRE = "pyre"
CEILING = "ceiling"


class Unavailable(Exception):
    """A contender cannot run here; the text says why."""


@dataclass(frozen=True)
class Contender:
    """A server and how to start it.

    ``command`` may hold ``{port}`` and ``{workers}``.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    version: str = ""
    parses_json: bool = True

    def command_for(self, port: int, workers: int) -> list[str]:
        """Return the words that start it."""
        return [
            word.replace("{port}", str(port)).replace("{workers}", str(workers))
            for word in self.command
        ]


ROUTES = "routes"


def rival_names(*, extra: bool, serves: str = ROUTES) -> list[str]:
    """Return the names in rivals.toml, with or without those measured only on demand.

    ``serves`` says what they must serve: the routes of the benchmark, or what the file names.
    """
    return [
        str(rival["name"])
        for rival in _rivals()
        if rival.get("serves", ROUTES) == serves and (extra or not rival.get("extra", False))
    ]


def contender(name: str) -> Contender:
    """Prepare a contender: build or install it if need be.

    Raises:
        Unavailable: It cannot be built, installed or imported.
    """
    if name == PYRE:
        return pyre("pyre_app.py")
    if name == CEILING:
        return ceiling()
    for rival in _rivals():
        if rival["name"] == name:
            return _rival(rival)
    raise Unavailable(f"{name}: no such contender in rivals.toml")


def pyre(app: str, environment: Mapping[str, str] | None = None) -> Contender:
    """Return Pyre serving one of the programs in perf/apps."""
    version, _ = _versions(PYRE, pyre_python(), {})
    settings = {"PYRE_IO_WORKERS": "1", **(environment or {})}
    return Contender(PYRE, (str(pyre_python()), str(APPS / app)), settings, version=version)


def build(name: str, checkout: Path, app: str) -> Contender:
    """Return another build of Pyre, as its checkout has it, serving one of our programs.

    Raises:
        Unavailable: It has not been set up there, or its Python finds another engine.
    """
    python = checkout / ".venv" / "bin" / "python"
    if not python.exists():
        raise Unavailable(f"{name}: {python} is missing; run scripts/setup there")
    environment = {"PYTHONPATH": str(checkout / "python")}
    version, engine = _versions(name, python, environment)
    if not Path(engine).resolve().is_relative_to(checkout.resolve()):
        raise Unavailable(f"{name}: {python} loads {engine}, which is not of {checkout}")
    settings = {"PYRE_IO_WORKERS": "1", **environment}
    return Contender(name, (str(python), str(APPS / app)), settings, version=version)


def _versions(name: str, python: Path, environment: Mapping[str, str]) -> tuple[str, str]:
    """Return Pyre's version and the file of its engine."""
    question = (
        "import pyreframework, pyreframework.engine as engine\n"
        "print(pyreframework.__version__, engine.__file__, sep='\\n')"
    )
    found = subprocess.run(
        [str(python), "-c", question],
        cwd=PERF,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if found.returncode != 0:
        reason = (found.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise Unavailable(f"{name}: {python} cannot import pyreframework ({reason})")
    version, engine = found.stdout.splitlines()
    return version, engine


def ceiling() -> Contender:
    """Build the native server."""
    cargo = shutil.which("cargo") or shutil.which("cargo", path=Path.home() / ".cargo" / "bin")
    if cargo is None:
        raise Unavailable("ceiling: cargo is missing")
    command = [cargo, "build", "--release", "--package", CEILING, "--message-format", "json"]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if built.returncode != 0:
        raise Unavailable(f"ceiling: {built.stderr.strip().splitlines()[-1]}")
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message.get("target", {}).get("name") == CEILING:
            words = (message["executable"], "--port", "{port}", "--threads", "{workers}")
            return Contender(CEILING, words, version="native", parses_json=False)
    raise Unavailable("ceiling: cargo named no executable")


def _rivals() -> list[dict[str, object]]:
    with (PERF / "rivals.toml").open("rb") as file:
        rivals: list[dict[str, object]] = tomllib.load(file)["rival"]
    return rivals


def _rival(rival: dict[str, object]) -> Contender:
    name = str(rival["name"])
    requirements = rival["requirements"]
    command = rival["command"]
    environment = rival.get("environment", {})
    debian = rival.get("debian", [])
    assert isinstance(requirements, list)
    assert isinstance(command, list)
    assert isinstance(environment, dict)
    assert isinstance(debian, list)
    try:
        python = environments.prepared(name, requirements, debian)
    except environments.NotInstalled as reason:
        raise Unavailable(str(reason)) from None
    words = tuple(_filled(str(word), python) for word in command)
    if debian:
        environment = {**environment, "LD_LIBRARY_PATH": environments.library_path(python)}
    version = str(requirements[0]).partition("==")[2]
    return Contender(name, words, environment, version=version)


def _filled(word: str, python: Path) -> str:
    return (
        word.replace("{python}", os.fspath(python))
        .replace("{bin}", os.fspath(python.parent))
        .replace("{apps}", os.fspath(APPS))
    )
