"""Tries packages with C extensions on workers, and writes the table of what came of it.

    .venv/bin/python docs/extensions.py FOLDER [package...]

makes a virtual environment in the folder, or takes the one that is there, installs the packages
that ``docs/extensions.toml`` names (wheels only, the newest), and serves a small program for each,
with what it uses of the package in a handler. The right answer is that of the main interpreter.
Without the names of packages it tries all of them and writes the table into
``docs/reference/extensions.md``; with names it prints their rows.

It takes minutes and needs a package index, so no test runs it as a whole; ``tests/docs`` tries its
parts with packages made for it.
"""

from __future__ import annotations

import datetime as dt
import http.client
import json
import platform
import re
import subprocess
import sys
import time
import tomllib
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tables import ROOT, filled, table

import pyreframework

LISTED = ROOT / "docs/extensions.toml"
PAGE = ROOT / "docs/reference/extensions.md"
HEADINGS = ("package", "version", "loads in workers", "a handler that uses it runs on", "answers")
START_SECONDS = 60.0
ANSWER_SECONDS = 30.0
PROGRAM = """
{use}

import inspect
from pyreframework import Pyre

app = Pyre()
app.get("/plain", lambda req: __name__)

if inspect.iscoroutinefunction(use):
    @app.get("/use")
    async def handle(req):
        return [__name__, await use()]
else:
    @app.get("/use")
    def handle(req):
        return [__name__, use()]

if __name__ == "__main__":
    app.run(port=0, workers=1, log_level="error")
"""
# Runs in the environment: what `pyre doctor` finds out about a program, and the right answer.
EXAMINE = """
import asyncio, inspect, json, os, runpy, sys
from pyreframework import doctor
report = doctor.Report()
doctor.ask_child({"target": sys.argv[1], "arguments": [], "app_dir": None}, report)
found = None if report.found is None else report.found["modules"]
use = runpy.run_path(sys.argv[1])["use"]
right = asyncio.run(use()) if inspect.iscoroutinefunction(use) else use()
print(json.dumps([found, right]))
sys.stdout.flush()
os._exit(0)
"""
PLACES = {"__mp_main__": "workers", "__main__": "the main interpreter"}


class Package(NamedTuple):
    """A package to try."""

    name: str
    module: str
    use: str
    requires: tuple[str, ...] = ()
    # What of the package is used, where that makes a difference.
    what: str = ""


class Outcome(NamedTuple):
    """What came of a package."""

    loads: str
    place: str
    answer: str


def listed(file: Path = LISTED) -> list[Package]:
    """Return the packages to try."""
    entries: list[dict[str, Any]] = tomllib.loads(file.read_text(encoding="utf-8"))["package"]
    return [
        Package(
            one["name"],
            one.get("module", one["name"]),
            one["use"],
            tuple(one.get("requires", ())),
            one.get("what", ""),
        )
        for one in entries
    ]


def prepare(folder: Path, packages: Sequence[Package]) -> Path:
    """Return the interpreter of an environment that has the packages, and this Pyre."""
    python = folder / "bin/python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    wanted = sorted({one for package in packages for one in (package.name, *package.requires)})
    install: list[str | Path] = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--upgrade",
        "--only-binary",
        ":all:",
    ]
    subprocess.run([*install, *wanted], check=True)  # noqa: S603 - what is listed
    show_pyre(python)
    return python


def show_pyre(python: Path) -> None:
    """Let an environment import the package that runs here."""
    assert pyreframework.__file__ is not None, "it is a folder of files"
    source = Path(pyreframework.__file__).parents[1]
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = subprocess.check_output([python, "-c", code], text=True).strip()  # noqa: S603
    (Path(site) / "pyre-under-test.pth").write_text(f"{source}\n")


def versions(python: Path) -> dict[str, str]:
    """Return the versions of all that is installed, by names in lower case."""
    code = (
        "import json, importlib.metadata as m\n"
        "print(json.dumps({d.name.lower(): d.version for d in m.distributions()}))"
    )
    found: dict[str, str] = json.loads(subprocess.check_output([python, "-c", code]))  # noqa: S603
    return found


def try_out(python: Path, package: Package, folder: Path) -> Outcome:
    """Serve a program that uses a package, and return what came of it."""
    program = folder / "program.py"
    program.write_text(PROGRAM.format(use=package.use))
    examined = subprocess.run(  # noqa: S603 - ourselves
        [python, "-c", EXAMINE, program], capture_output=True, text=True, check=False
    )
    if examined.returncode or not examined.stdout.strip():
        return Outcome("", "", f"fails everywhere: {last_line(examined.stderr)}")
    found, right = json.loads(examined.stdout.splitlines()[-1])
    state, why = (found or {}).get(package.module, ("no", ""))
    loads = f"{state}, {why}" if state == "partly" else state
    place, answer = ask(python, program, right)
    return Outcome(loads, place, answer)


def ask(python: Path, program: Path, right: object) -> tuple[str, str]:
    """Serve a program; return where its handler has run, and how the answer was."""
    output = program.parent / "output"
    with (
        output.open("w") as stream,
        subprocess.Popen([python, program], stdout=stream, stderr=stream) as process,  # noqa: S603
    ):
        try:
            place, answer = ask_running(process, output, right)
        finally:
            process.terminate()
            try:
                process.wait(START_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
    # The log is complete only now.
    said = "" if answer.startswith(("right", "wrong")) else f": {last_line(output.read_text())}"
    return place, answer + said


def ask_running(process: subprocess.Popen[bytes], output: Path, right: object) -> tuple[str, str]:
    """Ask a server that starts; return where its handler has run, and how the answer was."""
    port = wait_for_port(process, output)
    if port is None:
        return "", "does not start"
    try:
        status, plain = get(port, "/plain")
        if (status, PLACES.get(plain.decode())) != (200, "workers"):
            return "", "moves a route that does not use it"
        status, body = get(port, "/use")
    except OSError as error:
        return "", type(error).__name__
    if status != 200:
        return "workers", str(status)
    place, answer = json.loads(body)
    return PLACES[place], "right" if answer == right else f"wrong: {answer}"


def wait_for_port(process: subprocess.Popen[bytes], output: Path) -> int | None:
    """Return the port that a server says it listens on, or None if it ends before that."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        said = re.search(r" on http://127\.0\.0\.1:(\d+)\n", output.read_text())
        if said:
            return int(said[1])
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
        return None
    return None


def get(port: int, target: str) -> tuple[int, bytes]:
    """Ask a server on this machine; return status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", target)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def last_line(text: str) -> str:
    """Return the line that says most: of the last exception in a text, or the last of all."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = [line for line in lines if re.match(r"[\w.]*(Error|Exception|Found)\b.*: ", line)]
    return (said or lines or ["nothing"])[-1].replace("|", "/")


def row(package: Package, outcome: Outcome, installed: dict[str, str]) -> list[str]:
    """Return the cells of the table for a package."""
    name = f"{package.name}, {package.what}" if package.what else package.name
    version = installed.get(package.name.lower(), "")
    return [name, version, *(cell or "-" for cell in outcome)]


def page_text(rows: Sequence[Sequence[str]]) -> str:
    """Return the table, and what it was made with."""
    right = [one for one in rows if one[-1] == "right"]
    on_workers = sum(one[-2] == "workers" for one in right)
    made = (
        f"{len(rows)} programs on CPython {platform.python_version()}, "
        f"{dt.datetime.now(dt.UTC).date()}: {on_workers} run on workers, "
        f"{len(right) - on_workers} on the main interpreter, {len(rows) - len(right)} "
        f"{'fails' if len(rows) - len(right) == 1 else 'fail'}."
    )
    return f"{table(HEADINGS, rows)}\n\n{made}"


def main(arguments: Sequence[str]) -> int:
    """Try packages; return 1 if one of them does not give the right answer."""
    if not arguments:
        print(__doc__)
        return 2
    packages = [one for one in listed() if not arguments[1:] or one.name in arguments[1:]]
    folder = Path(arguments[0]).absolute()
    python = prepare(folder, packages)
    installed = versions(python)
    rows = []
    for package in packages:
        rows.append(row(package, try_out(python, package, folder), installed))
        print(" | ".join(rows[-1]), flush=True)
    if not arguments[1:]:
        text = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(filled(text, "extensions", page_text(rows)), encoding="utf-8")
    return int(any(one[-1] != "right" for one in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
