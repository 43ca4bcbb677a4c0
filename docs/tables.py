"""Writes the tables of the pages that come from the sources: options, limits, refusals, figures.

A table stands between ``<!-- name -->`` and ``<!-- /name -->``. ``scripts/docs`` writes them anew;
``tests/docs`` fails when one is not what the sources say.

    .venv/bin/python docs/tables.py [perf/results/FOLDER]

The folder names the benchmark whose figures the README shows, in a picture and a table; without it
they stay those of the folder that the README names, or are left out. ``scripts/bench --readme``
measures them, and calls this.
"""

from __future__ import annotations

import json
import re
import statistics
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pyreframework.serving.settings.options import OPTIONS, Option

ROOT = Path(__file__).resolve().parent.parent
MIB, KIB = 1024 * 1024, 1024

# Each bound of pyre-http/src/limits.rs: what it bounds, what follows beyond it, the option for it.
LIMITS = {
    "head_bytes_max": ("Head of a request, in bytes", "431", "`max_head_bytes`"),
    "target_bytes_max": ("Request target, in bytes", "414", ""),
    "headers_max": ("Header fields of a request; trailer fields of a body", "431", ""),
    "body_bytes_max": ("Body after decoding, in bytes", "413", "`max_body_size`"),
    "chunk_extension_bytes_max": ("Extensions of one chunk, in bytes", "400", ""),
    "chunk_overhead_bytes_max": (
        "Bytes by which the framing of a chunked body may outweigh its data",
        "400",
        "",
    ),
    "trailer_bytes_max": ("Trailer section of a chunked body, in bytes", "431", ""),
    "pipelined_max": (
        "Requests of one connection that are under way at a time",
        "the rest is read later",
        "",
    ),
}
# Columns of the README's figures: heading, and the scenario in rounds.json.
FIGURES = (
    ("`/json`", "GET /json d1 c64"),
    ("`/user/{id}`", "GET /user/{id} d1 c64"),
    ("`POST /echo`", "POST /echo d1 c64"),
    ("`/compute`", "GET /compute d1 c64"),
    ("`/`", "GET / d1 c64"),
    ("`/` d16", "GET / d16 c64"),
)
PICTURE = "GET /json d1 c64"
PICTURE_TITLE = "CPU time of one request for JSON, in microseconds: shorter is better"
BAR_MAX = 44
EIGHTHS = " \u258f\u258e\u258d\u258c\u258b\u258a\u2589"
NO_FIGURES = "No figures have been recorded for this version."
NAMES = {"ceiling": "ceiling (no Python)"}


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def amount(value: float, unit: str = "") -> str:
    """Return a number for people: bytes also in KiB or MiB.

    Example:
        >>> amount(65536, "bytes")
        '65536 (64 KiB)'
    """
    text = f"{value:g}" if isinstance(value, float) else str(value)
    if unit == "bytes":
        for size, name in ((MIB, "MiB"), (KIB, "KiB")):
            if value >= size and value % size == 0:
                return f"{text} ({int(value / size)} {name})"
    return text


def options() -> str:
    """Return the table of ``run()``'s options."""
    header = ["option", "default", "unit", "bounds", "meaning"]
    return table(header, [option_row(option) for option in OPTIONS])


def option_row(option: Option) -> list[str]:
    """Return the row of one option."""
    default = option.default
    if default is None:
        shown = ""
    elif isinstance(default, (int, float)) and not isinstance(default, bool):
        shown = amount(default, option.unit) if option.kind != "octal" else option.number(default)
    else:
        shown = f"`{default}`"
    bounds = ""
    if option.least is not None and option.most is not None:
        most = amount(option.most, option.unit)
        if option.kind == "octal":
            most = option.number(option.most)
        bounds = f"{option.least:g} to {most}"
    also = "".join(f" Also `{alias}`." for alias in option.aliases)
    return [f"`{option.name}`", shown, option.unit, bounds, option.help + also]


def flags() -> str:
    """Return the table of flags, with the other ways to give each option."""
    rows = []
    for option in OPTIONS:
        no = f" `--no-{option.flag.removeprefix('--')}`" if option.kind == "switch" else ""
        variables = " ".join(f"`{name}`" for name in (option.variable, *option.aliases))
        rows.append([f"`{option.flag}`{no}", f"`{option.name}`", variables])
    return table(["flag", "argument of `run()`", "variable"], rows)


def limits() -> str:
    """Return the table of bounds on what a client sends."""
    source = (ROOT / "pyre-http/src/limits.rs").read_text(encoding="utf-8")
    defaults = source.partition("impl Default for Limits")[2]
    rows = []
    for name, product in re.findall(r"(\w+): (\d+(?: << \d+)?),", defaults):
        words, beyond, option = LIMITS[name]
        base, _, shift = product.partition(" << ")
        unit = "bytes" if "bytes" in name else ""
        rows.append([words, amount(int(base) << int(shift or 0), unit), beyond, option])
    return table(["limit", "default", "beyond it", "option"], rows)


def refusals() -> str:
    """Return the table of all that makes a request unreadable, in the groups of the source."""
    source = (ROOT / "pyre-http/src/error.rs").read_text(encoding="utf-8")
    entry = re.compile(r'(?:    // (.*)\.\n)?((?:    /// .*\n)+)    \w+ = (\d+), ".*";')
    rows = []
    place = ""
    for group, words, status in entry.findall(source):
        place = group or place
        rows.append([place.lower(), " ".join(re.findall(r"/// (.*)", words)), status])
    return table(["where", "what", "status"], rows)


def benchmark(folder: str) -> dict[str, Any]:
    """Return what was recorded of a benchmark."""
    found: dict[str, Any] = json.loads((ROOT / folder / "rounds.json").read_text(encoding="utf-8"))
    return found


def title(name: str, version: str) -> str:
    """Return what a contender is called in the README."""
    return NAMES.get(name, f"{name} {version}")


def figures(folder: str) -> str:
    """Return CPU time per request of each contender of a recorded benchmark, and where it ran."""
    if not folder:
        return NO_FIGURES
    recorded = benchmark(folder)
    facts = recorded["facts"]
    shown = [column for column in FIGURES if column[1] in recorded["rounds"]]
    rows = []
    for name, version in recorded["versions"].items():
        cells = [cell(recorded["rounds"][scenario].get(name, [])) for _, scenario in shown]
        weight = recorded["memory"].get(name)
        cells.append(f"{weight['pss_kib'] / 1024:.0f}" if weight else "-")
        bold = "**" if name == "pyre" else ""
        rows.append([f"{bold}{title(name, version)}{bold}", *cells])
    told = {name: f"`{fact}`" if name == "command" else fact for name, fact in facts.items()}
    stated = "; ".join(f"{name}: {fact}" for name, fact in told.items())
    where = f"Measured with {stated}. [The whole report]({folder}/report.md)."
    header = ["us per request", *(heading for heading, _ in shown), "memory, MiB"]
    return f"{table(header, rows)}\n\n{where}"


def picture(folder: str) -> str:
    """Return bars for one scenario of a recorded benchmark, the cheapest first."""
    if not folder:
        return NO_FIGURES
    recorded = benchmark(folder)
    rounds = recorded["rounds"].get(PICTURE, {})
    found = {
        title(name, version): middle
        for name, version in recorded["versions"].items()
        if (middle := median(rounds.get(name, []))) is not None
    }
    if not found:
        return NO_FIGURES
    wide = max(map(len, found))
    lines = [
        f"{name:{wide}}  {bar(value / max(found.values()))} {value:.3g}"
        for name, value in sorted(found.items(), key=lambda one: one[1])
    ]
    facts = recorded["facts"]
    on = ", ".join(facts[name] for name in ("python", "cpu") if name in facts)
    measured = f"(commit {facts['commit']}, {on})"
    return "\n".join(["```text", PICTURE_TITLE, measured, "", *lines, "```"])


def bar(share: float) -> str:
    """Return a bar that has this share of the longest one.

    Example:
        >>> len(bar(1.0)), len(bar(0.25)), bar(0.0)
        (44, 11, '\u258f')
    """
    whole, eighths = divmod(max(1, round(share * BAR_MAX * 8)), 8)
    return "\u2588" * whole + EIGHTHS[eighths].strip()


def median(rounds: list[dict[str, Any]]) -> float | None:
    """Return the middle CPU time of a contender's rounds."""
    values = [value for one in rounds if isinstance(value := one["cpu_us"], float)]
    return statistics.median(values) if values else None


def cell(rounds: list[dict[str, Any]]) -> str:
    """Return the median of one contender in one scenario; errors are marked."""
    middle = median(rounds)
    if middle is None:
        return "-"
    errors = any(one["outcome"]["errors"] for one in rounds)
    return f"{middle:.3g}{' (errors)' if errors else ''}"


def pages(folder: str | None = None) -> dict[Path, str]:
    """Return each page that has tables, with the tables as the sources give them."""
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    named = re.search(r"<!-- bench-table:? ?(.*?) -->", text)
    if folder is None and named:
        folder = named[1]
    text = filled(text, "bench-picture", picture(folder or ""))
    written = {readme: filled(text, "bench-table", figures(folder or ""), folder or "")}
    for page, name, content in (
        ("docs/reference/running.md", "options", options()),
        ("docs/reference/cli.md", "flags", flags()),
        ("docs/reference/http.md", "limits", limits()),
        ("docs/reference/http.md", "refusals", refusals()),
    ):
        path = ROOT / page
        text = written.get(path) or path.read_text(encoding="utf-8")
        written[path] = filled(text, name, content)
    return written


def filled(text: str, name: str, content: str, argument: str = "") -> str:
    """Return a page with ``content`` between the marks of this name.

    Raises:
        ValueError: The page has no such marks.
    """
    marks = re.compile(rf"<!-- {name}(:.*?)? -->\n.*?<!-- /{name} -->", re.DOTALL)
    start = f"{name}: {argument}" if argument else name
    written = f"<!-- {start} -->\n{content}\n<!-- /{name} -->"
    if len(marks.findall(text)) != 1:
        raise ValueError(f"the page must have the marks of {name!r} once")
    return marks.sub(lambda _: written, text)


def main() -> None:
    """Write the pages whose tables are out of date."""
    folder = sys.argv[1].rstrip("/") if len(sys.argv) > 1 else None
    for path, text in pages(folder).items():
        if path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
