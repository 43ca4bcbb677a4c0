"""Several servers under the same load, in rounds that take turns: what is compared, and how."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from perf.harness import counters, processes, rounds
from perf.harness.answers import Route
from perf.harness.counters import Counters
from perf.harness.load import Load
from perf.harness.progress import clear, show
from perf.harness.rounds import Measure
from perf.harness.server import Server
from perf.harness.spread import Spread, count, figure, spread
from perf.harness.table import markdown

WARM_REQUESTS = 200
"""Served before anything counts, so that a server that learns from calls has learned."""
WARM_CONNECTIONS = 16
"""At least so many meanwhile, so that each thread that owns sockets gets some of them."""


class Series:
    """One route of one server under one load, round after round."""

    def __init__(
        self,
        title: str,
        server: Server,
        route: Route,
        kind: Load,
        core: int | None,
        *,
        threads: int = 1,
        counted: bool = False,
    ) -> None:
        """Measure nothing yet.

        Args:
            title: Its name in the table.
            server: What is loaded; paused but in its own rounds.
            route: What is asked.
            kind: Depth and connections.
            core: The core wrk is pinned to; None leaves it free.
            threads: wrk's threads.
            counted: Whether the server's page of metrics is read before and after each round.
        """
        self.title = title
        self.server = server
        self.route = route
        self.kind = kind
        self.core = core
        self.threads = threads
        self.counted = counted
        self.measures: list[Measure] = []
        self.counters: dict[str, float] = {}

    def warm_up(self) -> None:
        """Load it for a second, and longer if it has not answered enough by then."""
        kind = Load(self.kind.depth, max(self.kind.connections, WARM_CONNECTIONS))
        answered = 0
        while answered < WARM_REQUESTS:
            answered += self._measure(kind, seconds=1).outcome.requests

    def add_round(self, seconds: int) -> None:
        """Measure once."""
        before = self._look()
        self.measures.append(self._measure(self.kind, seconds))
        for name, value in counters.between(before, self._look()).items():
            self.counters[name] = self.counters.get(name, 0.0) + value

    def spread(self, of: Callable[[Measure], float | None]) -> Spread | None:
        """Return median and quartiles of a figure, of the rounds that have it."""
        found = [of(measure) for measure in self.measures]
        return spread([value for value in found if value is not None])

    def ratio(self, to: Series, of: Callable[[Measure], float]) -> Spread | None:
        """Return the ratio of a figure to that of another series, taken inside each round."""
        pairs = zip(self.measures, to.measures, strict=True)
        return spread([of(own) / of(other) for own, other in pairs])

    @property
    def errors(self) -> int:
        """How many requests failed in all rounds."""
        return sum(sum(measure.outcome.errors.values()) for measure in self.measures)

    def _measure(self, kind: Load, seconds: int) -> Measure:
        return rounds.measure(
            self.server, self.route, kind, seconds=seconds, core=self.core, threads=self.threads
        )

    def _look(self) -> Counters:
        if not self.counted:
            return {}
        self.server.go_on()
        found = counters.read(self.server.port)
        self.server.pause()
        return found


def compare(all_series: Sequence[Series], count: int, seconds: int) -> float:
    """Warm up, then measure each series in each of ``count`` rounds, in an order that turns.

    Returns:
        The seconds that the host has kept this machine from running meanwhile, all cores.
    """
    for series in all_series:
        show(f"  warming up: {series.title}")
        series.warm_up()
    stolen = processes.stolen_s()
    for number in range(count):
        turn = number % len(all_series)
        for series in [*all_series[turn:], *all_series[:turn]]:
            show(f"  round {number + 1} of {count}: {series.title}")
            series.add_round(seconds)
    clear()
    return processes.stolen_s() - stolen


def cpu_us(measure: Measure) -> float:
    """Return the processor time of a request."""
    return measure.cpu_us


def rate(measure: Measure) -> float:
    """Return the requests a second."""
    return measure.outcome.per_second


def p99_ms(measure: Measure) -> float | None:
    """Return the time that 99 % of the requests do not exceed, if wrk knows it."""
    p99_us = measure.outcome.p99_us
    return None if p99_us is None else p99_us / 1e3


def switches(measure: Measure) -> float:
    """Return the switches of context of a request."""
    return measure.switches


def table(all_series: Sequence[Series], bases: Sequence[Series]) -> str:
    """Return what was measured, with ratios to ``bases``; what is counted if any series has it."""
    with_counters = any(series.counted for series in all_series)
    header = ["", "us per request", *[f"x {base.title}" for base in bases]]
    header += ["req/s", f"x {bases[0].title}", "p99 ms", "switches", "errors"]
    if with_counters:
        header += ["inline", "taken back", "refused"]
    rows = []
    for series in all_series:
        cells = [series.title, str(series.spread(cpu_us))]
        cells += [str(series.ratio(base, cpu_us)) for base in bases]
        cells += [
            _median(series.spread(rate), count),
            str(series.ratio(bases[0], rate)),
            _median(series.spread(p99_ms), figure),
            _median(series.spread(switches), figure),
            str(series.errors),
        ]
        if with_counters:
            cells += [
                counters.share(counters.INLINE, counters.REQUESTS, series.counters),
                counters.total(counters.TAKEN_BACK, series.counters),
                counters.total(counters.REFUSED, series.counters),
            ]
        rows.append(cells)
    return markdown(header, rows)


def _median(found: Spread | None, shown: Callable[[float], str]) -> str:
    return shown(found.median) if found else "-"
