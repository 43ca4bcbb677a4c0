"""Measure what compressing an answer of 20 KB costs, beside the crates by themselves.

CPU time of the server for each answer, in rounds that take turns, over that of the same answer as
it is. Before that each coding has to be answered when it is asked for.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from perf.harness import machine
from perf.harness.contenders import Unavailable, pyre
from perf.harness.exchange import Answer, BadAnswer, Client
from perf.harness.others import Others
from perf.harness.places import ROOT
from perf.harness.processes import cpu
from perf.harness.progress import say
from perf.harness.server import Server, running
from perf.harness.table import markdown
from perf.harness.turns import TRIAL, kept_off, middle, turned

LEVELS = {"gzip": 6, "br": 4, "zstd": 3}
"""What `enable_compression()` has by default."""

PIECE_BYTES = {"/whole": 0, "/pieces": 1000}
AS_IT_IS = "identity"


@dataclass
class Case:
    """A coding of a route, and what was measured of it; microseconds for each answer."""

    path: str
    coding: str
    server_us: list[float] = field(default_factory=list)
    crate_us: list[float] = field(default_factory=list)
    body_bytes: int = 0


def arguments() -> argparse.Namespace:
    """Read the command line."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(prog="perf.compression", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--answers", type=int, default=3000, help="of each case in a round (3000)")
    parser.add_argument("--trial", action="store_true", help="show in seconds that it works")
    chosen = parser.parse_args()
    if chosen.trial:
        chosen.rounds, chosen.answers = 1, 100
    return chosen


def crates() -> Path:
    """Build what times the crates.

    Raises:
        Unavailable: It cannot be built.
    """
    cargo = shutil.which("cargo") or shutil.which("cargo", path=Path.home() / ".cargo" / "bin")
    if cargo is None:
        raise Unavailable("cargo is missing")
    command = [cargo, "build", "--release", "--package", "pyre-http", "--example", "compress"]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if built.returncode != 0:
        raise Unavailable(f"compress: {built.stderr.strip().splitlines()[-1]}")
    return ROOT / "target" / "release" / "examples" / "compress"


def ask(client: Client, case: Case) -> Answer:
    """Ask for an answer in a coding.

    Raises:
        BadAnswer: It is another one.
    """
    head = f"GET {case.path} HTTP/1.1\r\nHost: 127.0.0.1:{client.port}\r\n"
    client.send(f"{head}Accept-Encoding: {case.coding}\r\n\r\n".encode())
    answer = client.answer()
    coding = answer.headers.get("content-encoding", AS_IT_IS)
    if answer.status != 200 or coding != case.coding:
        raise BadAnswer(f"{case.path}: {answer.status} in {coding}, not {case.coding}")
    return answer


def served_us(server: Server, case: Case, count: int) -> float:
    """Return the processor time of the server for each answer."""
    with kept_off({0}), Client(server.port) as client:
        case.body_bytes = len(ask(client, case).body)
        before = cpu(server.processes())
        for _ in range(count):
            ask(client, case)
        return (cpu(server.processes()) - before).total_s / count * 1e6


def alone_us(program: Path, case: Case, body: bytes, count: int) -> float:
    """Return the processor time of the crate for each body."""
    words = [case.coding, LEVELS[case.coding], PIECE_BYTES[case.path], count]
    command = ["taskset", "--cpu-list", "0", str(program), *map(str, words)]
    ran = subprocess.run(command, input=body, capture_output=True, check=True)
    return int(ran.stdout.split()[0]) / 1e3


def measure(program: Path, chosen: argparse.Namespace) -> tuple[list[Case], str]:
    """Measure all cases in each round; return them, and what others did meanwhile."""
    cases = [Case(path, coding) for path in PIECE_BYTES for coding in (AS_IT_IS, *LEVELS)]
    with running(pyre("compression_app.py"), cores={0}) as server:
        with Client(server.port) as client:
            body = ask(client, cases[0]).body
        others = Others([server])
        # The first round warms up.
        for number in range(chosen.rounds + 1):
            say(f"round {number} of {chosen.rounds}")
            for case in turned(cases, number):
                server.go_on()
                served = served_us(server, case, chosen.answers)
                server.require_running()
                server.pause()
                crate = 0.0
                if case.coding != AS_IT_IS:
                    crate = alone_us(program, case, body, chosen.answers)
                if number:
                    case.server_us.append(served)
                    case.crate_us.append(crate)
        return cases, others.line()


def table(cases: list[Case]) -> str:
    """Return what each costs over the same answer as it is, beside the crate."""
    plain = {case.path: case.server_us for case in cases if case.coding == AS_IT_IS}
    rows = []
    for case in cases:
        row = [f"{case.path[1:]}, {case.coding}", str(case.body_bytes), middle(case.server_us)]
        if case.coding == AS_IT_IS:
            rows.append([*row, "-", "-", "-"])
            continue
        more = [one - base for one, base in zip(case.server_us, plain[case.path], strict=True)]
        ratio = [one / base for one, base in zip(more, case.crate_us, strict=True)]
        # What is near nothing, or below it, is shown as it is.
        costs = f"{statistics.median(more):.1f}"
        rows.append([*row, costs, middle(case.crate_us), f"{statistics.median(ratio):.2f}"])
    header = ["", "bytes", "server's CPU us", "for compressing", "the crate alone", "ratio"]
    return markdown(header, rows)


def main() -> int:
    """Measure and print a table."""
    chosen = arguments()
    machine.show()
    if chosen.trial:
        print(f"- {TRIAL}")
    try:
        cases, others = measure(crates(), chosen)
    except (Unavailable, BadAnswer, OSError, subprocess.CalledProcessError) as reason:
        print(reason, file=sys.stderr)
        return 1
    print(f"{others}\n\n{table(cases)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
