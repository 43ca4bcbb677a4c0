"""The map leads a newcomer to the right file: `docs/first-changes.md` has the questions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAME_IN_FILE = re.compile(r"`(\w+)` in `([\w./-]+)`")
PATH = re.compile(r"`([\w-]+/[\w./-]+\.\w+)`")
BESIDE = re.compile(r"`(\w+\.(?:pyi?|rs))`")


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the table under a heading."""
    text = (ROOT / page).read_text(encoding="utf-8").partition(f"{heading}\n")[2]
    text = re.split(r"^#", text, maxsplit=1, flags=re.MULTILINE)[0]
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


MAP = rows("ARCHITECTURE.md", "## Where to make a change")
CHANGES = rows("docs/first-changes.md", "# Where would you look?")


@pytest.mark.parametrize(("change", "row", "begin"), CHANGES)
def test_the_file_is_found_in_one_look(change: str, row: str, begin: str) -> None:
    places = [place for title, place, _ in MAP if title == row]
    assert len(places) == 1, f"{change}: the map must have the row {row!r} once"
    found = NAME_IN_FILE.fullmatch(begin)
    assert found is not None, begin
    name, file = found.groups()
    assert f"`{file}`" in places[0], f"{change}: the row {row!r} does not name {file}"
    source = (ROOT / file).read_text(encoding="utf-8")
    assert re.search(rf"\b{name}\b", source), f"{change}: there is no {name} in {file}"


def test_there_are_enough_changes() -> None:
    assert len(CHANGES) >= 10
    assert len(MAP) > 40


def test_no_two_rows_of_the_map_have_the_same_title() -> None:
    titles = [row[0] for row in MAP]
    assert [title for title in set(titles) if titles.count(title) > 1] == []


@pytest.mark.parametrize(("title", "place", "test"), MAP, ids=lambda cell: cell[:40])
def test_what_a_row_names_without_its_folder_is_beside_the_others(
    title: str, place: str, test: str
) -> None:
    folders = {(ROOT / path).parent for path in PATH.findall(place)}
    for name in BESIDE.findall(place):
        assert any((folder / name).exists() for folder in folders), f"{title}: {name}"
    for path in [*PATH.findall(place), *PATH.findall(test)]:
        assert (ROOT / path).exists(), f"{title}: {path}"


ROOMS = sorted((ROOT / "python" / "pyreframework").rglob("__init__.py"))


@pytest.mark.parametrize("page", ROOMS, ids=lambda page: page.parent.name)
def test_the_contents_page_of_a_room_names_what_is_in_it(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    inside = [path for path in page.parent.iterdir() if not path.name.startswith(("_", "."))]
    names = {
        path.stem for path in inside if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert [name for name in sorted(names) if not re.search(rf"`{name}/?`", text)] == []
