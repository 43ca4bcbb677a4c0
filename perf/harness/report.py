"""What a comparison found, as markdown, JSON and a chart."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from perf.harness.answers import Route
from perf.harness.chart import Bar, Panel, svg
from perf.harness.contenders import CEILING, PYRE
from perf.harness.load import Load, Outcome
from perf.harness.processes import Memory
from perf.harness.rounds import Measure
from perf.harness.spread import Spread, count, figure, spread
from perf.harness.table import markdown


@dataclass(frozen=True)
class Scenario:
    """One route under one load."""

    route: Route
    load: Load

    @property
    def name(self) -> str:
        return f"{self.route.method} {self.route.name} {self.load.name}"


@dataclass
class Comparison:
    """Everything measured in one go: ``measures[scenario][contender]`` by round."""

    facts: dict[str, str]
    scenarios: list[Scenario]
    versions: dict[str, str]
    measures: dict[str, dict[str, list[Measure]]] = field(default_factory=dict)
    memory: dict[str, Memory] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, scenario: Scenario, contender: str, measure: Measure) -> None:
        """Keep one round's measure."""
        self.measures.setdefault(scenario.name, {}).setdefault(contender, []).append(measure)

    def cpu(self, scenario: Scenario, contender: str) -> Spread | None:
        """Return the CPU time per request in microseconds."""
        rounds = self.measures.get(scenario.name, {}).get(contender, [])
        return spread([measure.cpu_us for measure in rounds])

    def ratio(self, scenario: Scenario, contender: str, to: str) -> Spread | None:
        """Return the ratio of CPU times, taken inside each round."""
        rounds = self.measures.get(scenario.name, {})
        pairs = zip(rounds.get(contender, []), rounds.get(to, []), strict=False)
        return spread([one.cpu_us / other.cpu_us for one, other in pairs])

    def best_rival(self, scenario: Scenario) -> str | None:
        """Return the rival with the lowest median CPU time over all rounds."""
        medians = {}
        for name in self.versions:
            cpu = self.cpu(scenario, name)
            if name not in (PYRE, CEILING) and cpu is not None:
                medians[name] = cpu.median
        return min(medians, key=lambda name: medians[name]) if medians else None

    def as_markdown(self) -> str:
        """Return the whole report."""
        parts = ["# Comparison\n", *[f"- {name}: {value}" for name, value in self.facts.items()]]
        parts.append(
            "\nServer on one core, wrk on another, one worker; us = CPU time (user + system) per "
            "request; median [quartiles] of the interleaved rounds. Ratios are taken inside each "
            "round. Rates are capped by wrk. No percentiles under pipelining: wrk's mean nothing "
            "there.\n"
        )
        parts += [f"- **{note}**" for note in self.notes]
        parts += ["", *[self._scenario(scenario) for scenario in self.scenarios]]
        parts.append("## Memory, one worker, after a second of load\n")
        rows = [
            [name, f"{memory.pss_kib / 1024:.1f}", f"{memory.rss_kib / 1024:.1f}"]
            for name, memory in self.memory.items()
        ]
        parts.append(markdown(["", "PSS MiB", "RSS MiB"], rows))
        return "\n".join(parts)

    def _scenario(self, scenario: Scenario) -> str:
        best = self.best_rival(scenario)
        header = ["", "us per request", "req/s", "p50 us", "p99 us", "x ceiling"]
        header.append(f"x {best}" if best else "x best rival")
        rows = []
        for name in self.versions:
            rounds = self.measures.get(scenario.name, {}).get(name, [])
            cpu = self.cpu(scenario, name)
            if cpu is None:
                continue
            outcomes = [measure.outcome for measure in rounds]
            rate = spread([outcome.per_second for outcome in outcomes])
            to_best = self.ratio(scenario, name, best) if best else None
            rows.append(
                [
                    f"{name} {self.versions[name]}{_flag(outcomes)}",
                    str(cpu),
                    count(rate.median) if rate else "-",
                    _middle([outcome.p50_us for outcome in outcomes]),
                    _middle([outcome.p99_us for outcome in outcomes]),
                    str(self.ratio(scenario, name, CEILING) or "-"),
                    str(to_best or "-"),
                ]
            )
        return f"## {scenario.name}\n\n{markdown(header, rows)}"

    def as_json(self) -> str:
        """Return every single round."""
        found = {
            "facts": self.facts,
            "versions": self.versions,
            "notes": self.notes,
            "memory": {name: asdict(memory) for name, memory in self.memory.items()},
            "rounds": {
                scenario: {
                    name: [asdict(measure) for measure in rounds] for name, rounds in by.items()
                }
                for scenario, by in self.measures.items()
            },
        }
        return json.dumps(found, indent=1) + "\n"

    def as_svg(self) -> str:
        """Return CPU time per request as bars."""
        panels = []
        for scenario in self.scenarios:
            bars = []
            for name in self.versions:
                cpu = self.cpu(scenario, name)
                if cpu is not None:
                    bars.append(Bar(name, cpu.median, cpu.low, cpu.high))
            panels.append(Panel(scenario.name, bars))
        footer = [f"{name}: {value}" for name, value in self.facts.items()]
        return svg("CPU per request, in microseconds (lower is better)", footer, panels)

    def write(self, folder: Path) -> None:
        """Write all three into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "report.md").write_text(self.as_markdown())
        (folder / "rounds.json").write_text(self.as_json())
        (folder / "cpu.svg").write_text(self.as_svg())


def _middle(values: list[float | None]) -> str:
    found = spread([value for value in values if value is not None])
    return figure(found.median) if found else "-"


def _flag(outcomes: list[Outcome]) -> str:
    errors: dict[str, int] = {}
    for outcome in outcomes:
        for kind, number in outcome.errors.items():
            errors[kind] = errors.get(kind, 0) + number
    if not errors:
        return ""
    share = sum(errors.values()) / max(1, sum(outcome.requests for outcome in outcomes))
    listed = ", ".join(f"{number} {kind}" for kind, number in errors.items())
    return f" (!) {share:.2%} errors: {listed}"
