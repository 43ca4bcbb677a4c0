"""Record where a loaded server spends its time and draw it as a flame graph.

Stacks are unwound from copies of the stack (DWARF), so neither Rust nor CPython needs frame
pointers. Python functions appear by name through CPython's own perf support, which covers the main
interpreter only (3.13): with ``--mode default`` the handlers run there.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from perf.bench import ALL_LOADS
from perf.harness import answers, load, machine
from perf.harness.answers import ROUTES
from perf.harness.contenders import PYRE, Unavailable, contender
from perf.harness.flame import svg
from perf.harness.load import Load
from perf.harness.places import RESULTS
from perf.harness.progress import say
from perf.harness.server import Server, running
from perf.harness.stacks import fold, self_time
from perf.harness.table import markdown

_STACK_BYTES = 16384
_TOP_FUNCTIONS = 30


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="scripts/profile", description=__doc__.splitlines()[0])
    parser.add_argument("--contender", default=PYRE)
    parser.add_argument("--route", default="/", choices=list(ROUTES))
    parser.add_argument("--load", default="d16c64", choices=list(ALL_LOADS))
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--frequency", type=int, default=997, help="samples a second (997)")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--mode", help="PYRE_MODE: default runs and names handlers on main")
    parser.add_argument("--output", type=Path, help="the SVG to write")
    return parser.parse_args()


def event() -> str:
    """Return cycles where the machine counts them, else the clock."""
    asked = subprocess.run(
        ["perf", "stat", "-e", "cycles", "-x", ",", "true"],
        capture_output=True,
        text=True,
        check=False,
    )
    counted = asked.returncode == 0 and "<not" not in asked.stderr
    return "cycles" if counted else "cpu-clock"


def record(server: Server, chosen: argparse.Namespace, counter: str, raw: Path) -> None:
    """Load the server and record it into a file."""
    kind: Load = ALL_LOADS[chosen.load]
    route = ROUTES[chosen.route]
    command = ["perf", "record", "--quiet", "--no-buildid-cache", "-k", "1", "-e", counter]
    command += [
        "-F",
        str(chosen.frequency),
        "--call-graph",
        f"dwarf,{_STACK_BYTES}",
        "-o",
        str(raw),
    ]
    command += ["-p", ",".join(str(process) for process in server.processes())]
    load.run(server.port, route, kind, seconds=1, core=1)
    with subprocess.Popen([*command, "--", "sleep", str(chosen.seconds)]) as recorder:
        outcome = load.run(server.port, route, kind, seconds=chosen.seconds + 1, core=1)
        # perf ends with its sleep.
        recorder.wait(timeout=60)
    say(f"{outcome.per_second:.0f} requests a second while recording")


def unwound(raw: Path, folder: Path) -> str:
    """Return what perf script says of a recording.

    The server must have ended: only then has CPython written out the names of all functions.
    """
    ready = folder / "perf.jit.data"
    say("unwinding")
    _perf(folder, "inject", "--jit", "-i", str(raw), "-o", str(ready))
    return _perf(folder, "script", "-F", "comm,tid,ip,sym,dso", "--no-inline", "-i", str(ready))


def _perf(folder: Path, *words: str) -> str:
    # Its cache of binaries goes away with the folder, as they are of no use later.
    command = ["perf", "--buildid-dir", str(folder / "binaries"), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Unavailable(f"perf {words[0]}: {done.stderr.strip()[-300:]}")
    return done.stdout


def remove_dumps(processes: list[int]) -> None:
    """Take away what CPython's perf support left in /tmp for these processes."""
    for process in processes:
        for left in Path("/tmp").glob(f"jit*-{process}*"):
            left.unlink(missing_ok=True)


def main() -> int:
    """Record and draw."""
    chosen = arguments()
    if shutil.which("perf") is None:
        print("perf is missing; on Debian: apt-get install linux-perf", file=sys.stderr)
        return 1
    counter = event()
    if counter == "cpu-clock":
        say("no hardware counters here: sampling by the clock")
    members: list[int] = []
    try:
        what = contender(chosen.contender)
        with tempfile.TemporaryDirectory(prefix="pyre-profile-") as folder:
            raw = Path(folder) / "perf.data"
            named = {"PYTHON_PERF_JIT_SUPPORT": "1"}
            if chosen.mode:
                named["PYRE_MODE"] = chosen.mode
            with running(what, workers=chosen.workers, cores={0}, environment=named) as server:
                members = server.processes()
                answers.check(server.port, [ROUTES[chosen.route]], parses_json=what.parses_json)
                record(server, chosen, counter, raw)
            text = unwound(raw, Path(folder))
    except (Unavailable, answers.WrongAnswer, load.NoLoad) as reason:
        print(reason, file=sys.stderr)
        return 1
    finally:
        remove_dumps(members)
    stacks = fold(text.splitlines())
    samples = sum(stacks.values())
    if not samples:
        print("perf took no samples", file=sys.stderr)
        return 1
    commit = machine.commit()
    title = f"{what.name} {what.version}, {chosen.route} {ALL_LOADS[chosen.load].name}"
    subtitle = f"{samples} samples of {counter}, commit {commit}, {time.strftime('%Y-%m-%d')}"
    plain = "".join(letter if letter.isalnum() else "-" for letter in f"{what.name}-{chosen.route}")
    name = f"profile-{time.strftime('%Y-%m-%d-%H%M%S')}-{plain.strip('-')}-{chosen.load}.svg"
    output = chosen.output or RESULTS / name
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(svg(stacks, title, subtitle))
    rows = [
        [f"{count / samples:6.1%}", function[:100]]
        for function, count in self_time(stacks).most_common(_TOP_FUNCTIONS)
    ]
    print(f"{title}: {subtitle}\n")
    print(markdown(["self", "function"], rows))
    say(f"flame graph in {os.path.relpath(output)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
