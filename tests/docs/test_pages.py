"""What the pages say is so: tables from the sources, links that lead somewhere."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "perf/README.md"])
LINK = re.compile(r"\]\(([^)\s]+)\)")
PATH = re.compile(r"`((?:pyre-\w+|python|tests|perf|scripts|docs|examples)/[\w./-]+)`")
NAME_IN_FILE = re.compile(r"`(\w+)` in\s+`([\w./-]+)`")


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tables", ROOT / "docs/tables.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_tables_are_what_the_sources_say(tables: ModuleType) -> None:
    for path, text in tables.pages().items():
        assert path.read_text(encoding="utf-8") == text, f"{path}: run scripts/docs"


def test_every_refusal_has_its_row(tables: ModuleType) -> None:
    source = (ROOT / "pyre-http/src/error.rs").read_text()
    names = re.findall(r"^    \w+ = \d+, ", source, re.MULTILINE)
    assert tables.refusals().count("\n") == len(names) + 1 > 10


def test_every_option_has_its_row(tables: ModuleType) -> None:
    from pyreframework.serving.settings.options import TABLE

    rows = tables.options().splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == list(TABLE)
    assert all(row.count(" | ") == 4 for row in rows)


@pytest.fixture
def recorded(tables: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A benchmark, by its folder."""

    def rounds(*cpu_us: float, errors: dict[str, int] | None = None) -> list[dict[str, object]]:
        return [{"cpu_us": one, "outcome": {"errors": errors or {}}} for one in cpu_us]

    recorded = {
        "facts": {"commit": "C", "python": "P", "cpu": "M x 2", "command": "run --it"},
        "versions": {"pyre": "3", "ceiling": "0", "other": "1"},
        "rounds": {
            "GET / d16 c64": {
                "pyre": rounds(0.3, 0.1, 0.2),
                "ceiling": rounds(0.1234),
                "other": rounds(9.0, errors={"timeout": 1}),
            },
            "GET /json d1 c64": {
                "pyre": rounds(10.0, 11.0, 12.0),
                "ceiling": rounds(5.5),
                "other": rounds(88.0),
            },
        },
        "memory": {"pyre": {"pss_kib": 14710}, "other": {"pss_kib": 2048}},
    }
    monkeypatch.setattr(tables, "ROOT", tmp_path)
    (tmp_path / "r").mkdir()
    (tmp_path / "r/rounds.json").write_text(json.dumps(recorded))
    return "r"


def test_figures_of_a_benchmark(tables: ModuleType, recorded: str) -> None:
    facts = "commit: C; python: P; cpu: M x 2; command: `run --it`"
    measured = f"Measured with {facts}. [The whole report](r/report.md)."
    assert tables.figures(recorded).splitlines() == [
        "| us per request | `/json` | `/` d16 | memory, MiB |",
        "| --- | --- | --- | --- |",
        "| **pyre 3** | 11 | 0.2 | 14 |",
        "| ceiling (no Python) | 5.5 | 0.123 | - |",
        "| other 1 | 88 | 9 (errors) | 2 |",
        "",
        measured,
    ]


def test_picture_of_a_benchmark(tables: ModuleType, recorded: str) -> None:
    longest = "\u2588" * 44
    assert tables.picture(recorded).splitlines() == [
        "```text",
        tables.PICTURE_TITLE,
        "(commit C, P, M x 2)",
        "",
        "ceiling (no Python)  \u2588\u2588\u258a 5.5",
        "pyre 3               \u2588\u2588\u2588\u2588\u2588\u258c 11",
        f"other 1              {longest} 88",
        "```",
    ]


def test_a_version_without_a_benchmark(tables: ModuleType) -> None:
    assert tables.picture("") == tables.figures("") == tables.NO_FIGURES


def test_marks_that_are_missing_are_told(tables: ModuleType) -> None:
    assert tables.filled("<!-- a -->\nold\n<!-- /a -->", "a", "new") == (
        "<!-- a -->\nnew\n<!-- /a -->"
    )
    with pytest.raises(ValueError, match="'b'"):
        tables.filled("<!-- a -->\n<!-- /a -->", "b", "new")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{page.name}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{page.name}: {link}"


def is_made_here(path: str) -> bool:
    """Tell whether git leaves a path out, as it does what scripts and builds make."""
    made = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    return f"/{path.rstrip('/')}/" in made


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_is_named_is_there(page: Path) -> None:
    """Paths from the root, and ``name`` in ``file``."""
    text = page.read_text(encoding="utf-8")
    for path in PATH.findall(text):
        assert (ROOT / path).exists() or is_made_here(path), f"{page.name}: {path}"
    for name, path in NAME_IN_FILE.findall(text):
        source = (ROOT / path).read_text(encoding="utf-8")
        assert re.search(rf"\b{name}\b", source), f"{page.name}: {name} in {path}"


def test_names_in_files_are_found() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert (
        "panics_stop_at_the_border",
        "pyre-ffi/tests/classes/behaviour.rs",
    ) in NAME_IN_FILE.findall(text)
    assert len(PATH.findall(text)) > 50


def test_every_page_is_in_the_index() -> None:
    index = ROOT / "docs/README.md"
    linked = {
        (index.parent / link.partition("#")[0]).resolve()
        for link in LINK.findall(index.read_text(encoding="utf-8"))
    }
    missing = {page for page in ROOT.glob("docs/**/*.md") if page != index} - linked
    assert not missing
