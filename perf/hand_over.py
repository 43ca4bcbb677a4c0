"""Measure what it brings to run short handlers on the thread that has read their request.

`hand_over="auto"` beside `"ring"` of the same build, the native ceiling and, if asked for, other
builds and one rival. All of them run from the start and stand still (SIGSTOP) while another one is
measured; each has its second in every round, and ratios are taken inside a round.

Layout P has one worker and one reactor on core 0 and wrk on core 1. In layout U two workers and two
reactors share all cores with wrk, and nothing is pinned.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from perf.harness import answers, load, machine, series
from perf.harness.answers import ROUTES, Route, WrongAnswer
from perf.harness.contenders import (
    CEILING,
    PYRE,
    Contender,
    Unavailable,
    build,
    ceiling,
    contender,
    pyre,
    rival_names,
)
from perf.harness.load import Load
from perf.harness.progress import say
from perf.harness.series import Series
from perf.harness.server import Server, end
from perf.harness.spread import figure

APP = "pyre_app.py"
CASES = {"d1c1": Load(1, 1), "d1c64": Load(1, 64), "d16c64": Load(16, 64)}
AUTO, RING, COUNTED = "auto", "ring", "auto, counted"


@dataclass(frozen=True)
class Layout:
    """How many reactors and workers, and which cores they and wrk have."""

    width: int
    cores: set[int] | None
    load_core: int | None
    load_threads: int
    said: str


LAYOUTS = {
    "P": Layout(1, {0}, 1, 1, "one reactor and one worker on core 0, wrk on core 1"),
    "U": Layout(2, None, None, 2, "two reactors and two workers, nothing pinned, wrk -t2"),
}


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="perf.hand_over", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10, help="rounds (10)")
    parser.add_argument("--seconds", type=int, default=1, help="length of a round (1)")
    parser.add_argument("--layouts", default="P,U", help="comma-separated, of P and U (both)")
    parser.add_argument(
        "--cases", default=",".join(CASES), help=f"comma-separated, of {' '.join(CASES)} (all)"
    )
    parser.add_argument(
        "--path", default="/", help=f"comma-separated routes, of {' '.join(ROUTES)} (/)"
    )
    parser.add_argument(
        "--other",
        action="append",
        default=[],
        metavar="NAME=CHECKOUT",
        help="another build, set up in its own checkout; with the settings it has by default",
    )
    names = rival_names(extra=True)
    parser.add_argument("--rival", choices=names, metavar="NAME", help=f"one of {' '.join(names)}")
    parser.add_argument(
        "--without-counters",
        action="store_true",
        help="leave out the server that counts what it runs inline, which costs it 2 %%",
    )
    chosen = parser.parse_args()
    for value, known, what in (
        (chosen.layouts, LAYOUTS, "layout"),
        (chosen.cases, CASES, "case"),
        (chosen.path, ROUTES, "route"),
    ):
        for name in value.split(","):
            if name not in known:
                parser.error(f"{name!r} is no {what}; there are {' '.join(known)}")
    for one in chosen.other:
        if not all(one.partition("=")):
            parser.error(f"--other {one!r} is not of the form NAME=CHECKOUT")
    return chosen


def handing_over(how: str, **settings: str) -> Contender:
    """Return this build with one of the two ways to hand requests over."""
    return pyre(APP, {"PYRE_HAND_OVER": how, **settings})


def contenders(chosen: argparse.Namespace) -> dict[str, Callable[[], Contender]]:
    """Return who is measured, by title; the first two are those that the others are divided by."""
    found: dict[str, Callable[[], Contender]] = {
        RING: lambda: handing_over("ring"),
        CEILING: ceiling,
        AUTO: lambda: handing_over("auto"),
    }
    if not chosen.without_counters:
        # The page of metrics brings a watchdog of its own, which would disturb what it counts.
        found[COUNTED] = lambda: handing_over("auto", PYRE_METRICS="1", PYRE_GIL_WATCHDOG="0")
    for one in chosen.other:
        name, _, checkout = one.partition("=")
        found[name] = lambda name=name, checkout=checkout: build(name, Path(checkout), APP)
    if chosen.rival:
        found[chosen.rival] = lambda: contender(chosen.rival)
    return found


def start(chosen: argparse.Namespace, layout: Layout, routes: list[Route]) -> dict[str, Server]:
    """Start and check all servers; the rival is left out, with a word, if it is not available."""
    servers: dict[str, Server] = {}
    try:
        for title, prepared in contenders(chosen).items():
            say(f"starting {title}")
            try:
                server = Server(
                    prepared(),
                    workers=layout.width,
                    cores=layout.cores,
                    environment={"PYRE_IO_WORKERS": str(layout.width)},
                )
            except Unavailable as reason:
                if title != chosen.rival:
                    raise
                say(f"{title} is left out: {reason}")
                continue
            servers[title] = server
            check(title, server, routes)
            server.pause()
    except BaseException:
        for server in servers.values():
            end(server)
        raise
    return servers


def check(title: str, server: Server, routes: list[Route]) -> None:
    """Make sure that a server does what is measured.

    Raises:
        Unavailable: It answers wrongly.
    """
    try:
        answers.check(server.port, routes, parses_json=server.contender.parses_json)
        for route in routes:
            answers.check_pipeline(server.port, route)
    except WrongAnswer as reason:
        raise Unavailable(f"{title} answers wrongly: {reason}") from None


def table(
    servers: dict[str, Server], layout: Layout, route: Route, kind: Load, chosen: argparse.Namespace
) -> str:
    """Measure one case; return what came out."""
    all_series = [
        Series(
            title,
            server,
            route,
            kind,
            layout.load_core,
            threads=layout.load_threads,
            counted=title == COUNTED,
        )
        for title, server in servers.items()
    ]
    stolen_s = series.compare(all_series, chosen.rounds, chosen.seconds)
    found = series.table(all_series, all_series[:2])
    return f"{found}\nThe host took {figure(stolen_s)} s away meanwhile.\n"


def show_builds(chosen: argparse.Namespace) -> None:
    """Print which builds the titles of the tables stand for."""
    for one in chosen.other:
        name, _, checkout = one.partition("=")
        print(f"- {name}: commit {machine.commit(Path(checkout))} in {checkout}")
    if chosen.rival:
        print(f"- {chosen.rival}: {contender(chosen.rival).version}")


def run(chosen: argparse.Namespace) -> None:
    """Measure all layouts, routes and cases, and print a table for each."""
    routes = [ROUTES[name] for name in chosen.path.split(",")]
    kinds: Sequence[Load] = [CASES[name] for name in chosen.cases.split(",")]
    for name in chosen.layouts.split(","):
        layout = LAYOUTS[name]
        servers = start(chosen, layout, routes)
        try:
            for route in routes:
                for kind in kinds:
                    say(f"layout {name}, {route.method} {route.name}, {kind.name}")
                    print(f"\n## {name}, {route.method} {route.name}, {kind.name}: {layout.said}\n")
                    print(table(servers, layout, route, kind, chosen), flush=True)
        finally:
            for server in servers.values():
                end(server)


def main() -> int:
    """Measure and print."""
    chosen = arguments()
    try:
        load.require_wrk()
        machine.show()
        show_builds(chosen)
        print(
            f"- {chosen.rounds} rounds of {chosen.seconds} s each; median [quartiles]; `counted` "
            f"is {PYRE} with its metrics, whose last three columns are sums over all rounds",
            flush=True,
        )
        run(chosen)
    except (Unavailable, load.NoLoad) as reason:
        print(reason, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
