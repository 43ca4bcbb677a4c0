"""Compare Pyre with the native ceiling and its rivals, interleaved, on the same routes.

Every contender is started once, on the server core, and stands still (SIGSTOP) while another is
measured. One round measures each of them once under the same load, in an order that turns from
round to round; ratios are taken inside the round, so that the drift of the machine cancels out.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from perf.harness import answers, load, machine, processes, rounds
from perf.harness.answers import ROUTES, WrongAnswer
from perf.harness.contenders import CEILING, PYRE, Unavailable, contender, rival_names
from perf.harness.load import Load
from perf.harness.places import RESULTS, ROOT, pyre_python
from perf.harness.progress import clear, say, show
from perf.harness.report import Comparison, Scenario
from perf.harness.rounds import Measure
from perf.harness.server import Server, end, running
from perf.harness.spread import figure

LOADS = {"d1c64": Load(1, 64), "d1c1": Load(1, 1), "d16c64": Load(16, 64)}
# Asked for by name: does a server shed load that it could serve?
CROWDS = {"d1c1024": Load(1, 1024), "d16c256": Load(16, 256)}
ALL_LOADS = {**LOADS, **CROWDS}


def arguments() -> argparse.Namespace:
    """Read the command line."""
    names = [PYRE, CEILING, *rival_names(extra=True)]
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10, help="rounds counted (10)")
    parser.add_argument("--seconds", type=int, default=1, help="length of one measure (1)")
    parser.add_argument("--only", help=f"comma-separated contenders, of {' '.join(names)}")
    parser.add_argument("--all", action="store_true", help="also the rivals marked extra")
    parser.add_argument("--routes", help=f"comma-separated, of {' '.join(ROUTES)}")
    parser.add_argument("--loads", help=f"comma-separated, of {' '.join(ALL_LOADS)}")
    parser.add_argument("--quick", action="store_true", help="3 rounds, text and JSON only")
    parser.add_argument(
        "--readme", action="store_true", help="what the README shows, and write it there"
    )
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--load-core", type=int, default=1)
    parser.add_argument(
        "--output", type=Path, help="folder; perf/results/<date>-<commit> if not given"
    )
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.rounds = min(chosen.rounds, 3)
        chosen.routes = chosen.routes or "/,/json"
        chosen.loads = chosen.loads or "d1c64,d16c64"
    for value, known, what in (
        (chosen.only, names, "contender"),
        (chosen.routes, ROUTES, "route"),
        (chosen.loads, ALL_LOADS, "load"),
    ):
        for name in filter(None, (value or "").split(",")):
            if name not in known:
                parser.error(f"{name!r} is no {what}; there are {' '.join(known)}")
    if chosen.readme:
        if chosen.quick or chosen.only or chosen.routes or chosen.loads or chosen.output:
            parser.error("--readme says itself what is measured, and where the results go")
        if machine.commit().endswith("+"):
            parser.error("the README shows figures of a commit: commit your changes first")
        chosen.loads = "d1c64,d16c64"
    if chosen.server_core == chosen.load_core:
        parser.error("server and load need a core each")
    if (os.cpu_count() or 1) < 2:
        parser.error("server and load need a core each, and this machine has one")
    return chosen


def scenarios(chosen: argparse.Namespace) -> list[Scenario]:
    """Return what to measure; one connection only for the plainest route, unless asked."""
    routes = chosen.routes.split(",") if chosen.routes else list(ROUTES)
    loads = chosen.loads.split(",") if chosen.loads else list(LOADS)
    plainest = routes[0]
    return [
        Scenario(ROUTES[route], ALL_LOADS[name])
        for name in loads
        for route in routes
        if name != "d1c1" or route == plainest or chosen.loads
    ]


def start(names: list[str], measured: list[Scenario], core: int, notes: list[str]) -> list[Server]:
    """Start and check the contenders; those that cannot be measured get a note instead."""
    routes = list({scenario.route.name: scenario.route for scenario in measured}.values())
    servers: list[Server] = []
    for name in names:
        say(f"starting {name}")
        server = None
        try:
            server = Server(contender(name), cores={core})
            answers.check(server.port, routes, parses_json=server.contender.parses_json)
        except (Unavailable, WrongAnswer) as reason:
            note = f"{name} is left out: {reason}"
            notes.append(note)
            say(note)
            if server is not None:
                end(server)
            continue
        except BaseException:
            for started in [*servers, *([server] if server else [])]:
                end(started)
            raise
        server.pause()
        servers.append(server)
    return servers


def pipelining(
    servers: list[Server], measured: list[Scenario], notes: list[str]
) -> set[tuple[str, str]]:
    """Return the pairs of contender and scenario that answer a pipeline wrongly."""
    wrong = set()
    for server in servers:
        server.go_on()
        for scenario in measured:
            if scenario.load.depth == 1:
                continue
            try:
                answers.check_pipeline(server.port, scenario.route)
            except WrongAnswer as reason:
                wrong.add((server.name, scenario.name))
                notes.append(f"{server.name} is left out of {scenario.name}: {reason}")
                say(notes[-1])
        server.pause()
    return wrong


def measure(server: Server, scenario: Scenario, chosen: argparse.Namespace) -> Measure:
    """Load one server and count its time; the others stand still."""
    return rounds.measure(
        server,
        scenario.route,
        scenario.load,
        seconds=chosen.seconds,
        core=chosen.load_core,
    )


def compare(servers: list[Server], found: Comparison, chosen: argparse.Namespace) -> None:
    """Run all rounds of all scenarios."""
    wrong = pipelining(servers, found.scenarios, found.notes)
    for index, scenario in enumerate(found.scenarios, 1):
        fit = [server for server in servers if (server.name, scenario.name) not in wrong]
        say(f"{scenario.name} ({index} of {len(found.scenarios)})")
        stolen = processes.stolen_s()
        # Round 0 warms up and is not counted.
        for number in range(chosen.rounds + 1):
            turn = number % len(fit) if fit else 0
            for server in fit[turn:] + fit[:turn]:
                show(f"  round {number} of {chosen.rounds}: {server.name}")
                try:
                    one = measure(server, scenario, chosen)
                except (Unavailable, load.NoLoad) as reason:
                    found.notes.append(f"{server.name} drops out of {scenario.name}: {reason}")
                    say(found.notes[-1])
                    wrong.add((server.name, scenario.name))
                    continue
                if number > 0:
                    found.add(scenario, server.name, one)
            fit = [server for server in fit if (server.name, scenario.name) not in wrong]
        clear()
        for server in fit:
            cpu = found.cpu(scenario, server.name)
            ratio = found.ratio(scenario, server.name, CEILING)
            if cpu is not None:
                beside = f", {figure(ratio.median)} x ceiling" if ratio else ""
                say(f"  {server.name:22} {cpu} us{beside}")
        stolen = processes.stolen_s() - stolen
        if stolen > 0.05 * chosen.seconds * (chosen.rounds + 1) * max(1, len(fit)):
            found.notes.append(f"{scenario.name}: the host took {stolen:.1f} s away meanwhile")
            say(found.notes[-1])


def computing_us(core: int) -> float:
    """Return what /compute takes in Python alone, without any server, in microseconds."""
    program = (
        "import timeit\n"
        "handler = lambda: {'result': sum(n * n for n in range(100))}\n"
        "print(min(timeit.repeat(handler, number=20000, repeat=5)) / 20000 * 1e6)"
    )
    command = ["taskset", "--cpu-list", str(core), str(pyre_python()), "-c", program]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout)


def weigh(found: Comparison, chosen: argparse.Namespace) -> None:
    """Take each contender's memory after a second of load, alone: PSS shares out pages."""
    for name in found.versions:
        say(f"weighing {name}")
        with running(contender(name), cores={chosen.server_core}) as server:
            load.run(server.port, ROUTES["/"], LOADS["d1c64"], seconds=1, core=chosen.load_core)
            found.memory[name] = processes.memory(server.processes())


def write_readme(folder: Path) -> None:
    """Have the README show the figures of a folder of results."""
    command = [str(pyre_python()), "docs/tables.py", str(folder.relative_to(ROOT))]
    subprocess.run(command, check=True, cwd=ROOT)


def main() -> int:
    """Run the comparison; 1 if Pyre could not be measured though it was asked for."""
    chosen = arguments()
    names = (
        chosen.only.split(",") if chosen.only else [PYRE, CEILING, *rival_names(extra=chosen.all)]
    )
    measured = scenarios(chosen)
    try:
        load.require_wrk()
    except load.NoLoad as reason:
        print(reason, file=sys.stderr)
        return 1
    found = Comparison(machine.facts(), measured, {})
    if any(scenario.route.name == "/compute" for scenario in measured):
        alone = figure(computing_us(chosen.server_core))
        found.facts["/compute in Python alone"] = f"{alone} us"
    servers = start(names, measured, chosen.server_core, found.notes)
    found.versions.update({server.name: server.contender.version for server in servers})
    seconds = len(servers) * len(measured) * (chosen.rounds + 1) * (chosen.seconds + 0.1)
    say(f"{len(servers)} contenders, {len(measured)} scenarios: about {seconds / 60:.0f} minutes")
    try:
        compare(servers, found, chosen)
    finally:
        for server in servers:
            end(server)
    try:
        weigh(found, chosen)
    except (Unavailable, load.NoLoad) as reason:
        found.notes.append(f"memory is missing: {reason}")
    commit = found.facts["commit"].replace("+", "-dirty")
    folder = chosen.output or RESULTS / f"{time.strftime('%Y-%m-%d-%H%M')}-{commit}"
    found.write(folder)
    print(found.as_markdown())
    say(f"written to {folder}")
    if PYRE in names and PYRE not in found.versions:
        return 1
    if chosen.readme:
        write_readme(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
